// SPDX-License-Identifier: Apache-2.0
//
// GPIO and GPIO matrix of the ESP32-D0WD (ESP32 Technical Reference Manual, IO_MUX and GPIO Matrix), seen by its first processor.
//
using Antmicro.Renode.Core;

namespace Antmicro.Renode.Peripherals.GPIOPort
{
    public class ESP32D0_GPIO : ESP32_GPIO
    {
        public ESP32D0_GPIO(IMachine machine) : base(machine, pins: 40, pinConfiguration: 0x88, outputSelect: 0x530, signalWidth: 9,
                interrupt: 0x68, interruptEnable: 15, strapping: BootFromFlash)
        {
            Reset();
        }

        private const uint BootFromFlash = 0x13;
    }
}
