// SPDX-License-Identifier: Apache-2.0
//
// Low-power management of the ESP32-C3 (Technical Reference Manual, Low-power Management).
//
using Antmicro.Renode.Core;

namespace Antmicro.Renode.Peripherals.Miscellaneous
{
    public class ESP32C3_RTC : ESP32_RTC
    {
        public ESP32C3_RTC(IMachine machine) : base(machine, slowClock: 136000, resetState: 0x38, interruptClear: 0x4C,
                stores: new[] { 0x50L, 0xB8L }, watchdog: 0x90)
        {
        }
    }
}
