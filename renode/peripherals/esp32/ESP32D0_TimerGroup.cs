// SPDX-License-Identifier: Apache-2.0
//
// Timer group of the ESP32-D0WD (ESP32 Technical Reference Manual, Timer Group and Watchdog Timers): two timers of 64 bits and a watchdog.
//
using Antmicro.Renode.Core;
using Antmicro.Renode.Peripherals.Miscellaneous;

namespace Antmicro.Renode.Peripherals.Timers
{
    public class ESP32D0_TimerGroup : ESP32_TimerGroup
    {
        public ESP32D0_TimerGroup(IMachine machine, ESP32_RTC rtc, int group = 0) : base(machine, rtc, group, timers: 2, counterWidth: 64,
                interrupts: 0x98, slowClocks: SlowClocks)
        {
            Reset();
        }

        // RC_SLOW, RC_FAST / 256, XTAL32K; 3 is not used.
        private static readonly uint[] SlowClocks = { 150000, 33203, 32768, 150000 };
    }
}
