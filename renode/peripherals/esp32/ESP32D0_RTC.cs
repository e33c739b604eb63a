// SPDX-License-Identifier: Apache-2.0
//
// Low-power management of the ESP32-D0WD (ESP32 Technical Reference Manual, Low-Power Management).
//
using Antmicro.Renode.Core;

namespace Antmicro.Renode.Peripherals.Miscellaneous
{
    public class ESP32D0_RTC : ESP32_RTC
    {
        public ESP32D0_RTC(IMachine machine) : base(machine, slowClock: 150000, resetState: 0x34, interruptClear: 0x48,
                stores: new[] { 0x4CL, 0xB0L }, watchdog: 0x8C)
        {
        }
    }
}
