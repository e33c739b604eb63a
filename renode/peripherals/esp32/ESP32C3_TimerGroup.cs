// SPDX-License-Identifier: Apache-2.0
//
// Timer group of the ESP32-C3 (Technical Reference Manual, Timer Group and Watchdog Timers): a timer of 54 bits and a watchdog.
//
using Antmicro.Renode.Core;
using Antmicro.Renode.Peripherals.Miscellaneous;

namespace Antmicro.Renode.Peripherals.Timers
{
    public class ESP32C3_TimerGroup : ESP32_TimerGroup
    {
        public ESP32C3_TimerGroup(IMachine machine, ESP32_RTC rtc, int group = 0) : base(machine, rtc, group, timers: 1, counterWidth: 54,
                interrupts: 0x70, slowClocks: SlowClocks)
        {
            Reset();
        }

        // RC_SLOW, RC_FAST / 256, XTAL32K; 3 is not used.
        private static readonly uint[] SlowClocks = { 136000, 68359, 32768, 136000 };
    }
}
