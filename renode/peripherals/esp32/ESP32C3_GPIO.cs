// SPDX-License-Identifier: Apache-2.0
//
// GPIO and GPIO matrix of the ESP32-C3 (Technical Reference Manual, IO MUX and GPIO Matrix).
//
using Antmicro.Renode.Core;

namespace Antmicro.Renode.Peripherals.GPIOPort
{
    public class ESP32C3_GPIO : ESP32_GPIO
    {
        public ESP32C3_GPIO(IMachine machine) : base(machine, pins: 22, pinConfiguration: 0x74, outputSelect: 0x554, signalWidth: 8,
                interrupt: 0x5C, interruptEnable: 13, strapping: BootFromFlash)
        {
            Reset();
        }

        private const uint BootFromFlash = 0x8;
    }
}
