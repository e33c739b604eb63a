//
// Low-power management of the ESP32-C3 (Technical Reference Manual 1.1, chapter 9, and 12 for its watchdog): resets by
// software and their reason, the RTC timer, retained registers, the RTC watchdog.
//
using Antmicro.Renode.Core;
using Antmicro.Renode.Logging;
using Antmicro.Renode.Time;
using Antmicro.Renode.Peripherals.Timers;

namespace Antmicro.Renode.Peripherals.Miscellaneous
{
    /// <remarks>
    /// No sleep, no brown-out, no super watchdog; stages of the watchdog that only interrupt are not seen. Both kinds of
    /// reset by software reset all of the machine.
    /// </remarks>
    public class ESP32C3_RTC : ESP32_Registers
    {
        public ESP32C3_RTC(IMachine machine) : base(0x800)
        {
            this.machine = machine;
            timer = new LimitTimer(machine.ClockSource, SlowClock, this, "timer", direction: Direction.Ascending, enabled: true);
            watchdog = new LimitTimer(machine.ClockSource, SlowClock, this, "watchdog", workMode: WorkMode.OneShot,
                eventEnabled: true);
            watchdog.LimitReached += Bite;
            reason = PowerOn;
            Clear();
        }

        /// <summary>The timer goes on, and the retained registers are kept.</summary>
        public override void Reset()
        {
            var kept = new uint[Stores.Length];
            for(var i = 0; i < kept.Length; i++)
            {
                kept[i] = words[Stores[i] / 4];
            }
            Clear();
            for(var i = 0; i < kept.Length; i++)
            {
                words[Stores[i] / 4] = kept[i];
            }
            words[ResetState / 4] = reason;
            // Whoever resets the machine next and does not say why pressed the button.
            reason = PowerOn;
        }

        public override void WriteDoubleWord(long offset, uint value)
        {
            switch(offset)
            {
            case Options0:
                base.WriteDoubleWord(offset, value & ~(SoftwareSystemReset | SoftwareProcessorReset));
                if((value & (SoftwareSystemReset | SoftwareProcessorReset)) != 0)
                {
                    Request((value & SoftwareSystemReset) != 0 ? SoftwareSystem : SoftwareProcessor);
                }
                return;
            case TimeUpdate:
                if((value & 1u << 31) != 0)
                {
                    SyncTime(machine);
                    words[TimeLow / 4] = (uint)timer.Value;
                    words[TimeHigh / 4] = (uint)(timer.Value >> 32) & 0xFFFF;
                }
                return;
            case InterruptClear:
                return;
            case ResetState:
                base.WriteDoubleWord(offset, value & ~ReasonMask | words[ResetState / 4] & ReasonMask);
                return;
            case WatchdogProtect:
                base.WriteDoubleWord(offset, value);
                return;
            }
            var ofWatchdog = offset >= WatchdogConfiguration && offset <= WatchdogFeed;
            if(ofWatchdog && words[WatchdogProtect / 4] != WatchdogKey)
            {
                this.Log(LogLevel.Debug, "The watchdog is protected: the write to 0x{0:X} is ignored", offset);
                return;
            }
            base.WriteDoubleWord(offset, value);
            if(ofWatchdog)
            {
                Feed();
            }
        }

        private void Clear()
        {
            base.Reset();
            words[ResetState / 4] = reason;
            words[WatchdogProtect / 4] = WatchdogKey;
            watchdog.Reset();
        }

        /// <summary>Starts the time that the stages have until the one that resets.</summary>
        private void Feed()
        {
            watchdog.Enabled = false;
            var configuration = words[WatchdogConfiguration / 4];
            if((configuration & 1u << 31) == 0)
            {
                return;
            }
            var ticks = 0ul;
            for(var stage = 0; stage < 4; stage++)
            {
                ticks += words[WatchdogConfiguration / 4 + 1 + stage];
                if((configuration >> 28 - 3 * stage & 7) >= ResetsProcessor)
                {
                    watchdog.Limit = ticks == 0 ? 1 : ticks;
                    watchdog.ResetValue();
                    watchdog.Enabled = true;
                    return;
                }
            }
        }

        private void Bite()
        {
            this.Log(LogLevel.Warning, "The RTC watchdog resets the machine");
            Request(RtcWatchdog);
        }

        private void Request(uint why)
        {
            reason = why;
            machine.RequestReset();
        }

        /// <summary>Another module resets the machine for a reason of its own (RESET_CAUSE_PROCPU).</summary>
        public void RequestReset(uint why)
        {
            Request(why);
        }

        private uint reason;
        private readonly IMachine machine;
        private readonly LimitTimer timer;
        private readonly LimitTimer watchdog;

        private static readonly int[] Stores = { 0x50, 0x54, 0x58, 0x5C, 0xB8, 0xBC, 0xC0, 0xC4 };

        private const long SlowClock = 136000;
        private const uint WatchdogKey = 0x50D83AA1;
        private const uint SoftwareSystemReset = 1u << 31;
        private const uint SoftwareProcessorReset = 1u << 5;
        private const uint ReasonMask = 0x3F;
        private const uint ResetsProcessor = 2;

        private const uint PowerOn = 0x01;
        private const uint SoftwareSystem = 0x03;
        private const uint SoftwareProcessor = 0x0C;
        private const uint RtcWatchdog = 0x10;

        private const long Options0 = 0x00;
        private const long TimeUpdate = 0x0C;
        private const long TimeLow = 0x10;
        private const long TimeHigh = 0x14;
        private const long ResetState = 0x38;
        private const long InterruptClear = 0x4C;
        private const long WatchdogConfiguration = 0x90;
        private const long WatchdogFeed = 0xA4;
        private const long WatchdogProtect = 0xA8;
    }
}
