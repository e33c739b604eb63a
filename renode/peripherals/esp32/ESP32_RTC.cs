// SPDX-License-Identifier: Apache-2.0
//
// Low-power management of the ESP32 family (Technical Reference Manuals of the ESP32-C3 and the ESP32, Low-power Management and
// Watchdog Timers): resets by software and their reason, the RTC timer, retained registers, the RTC watchdog.
//
using Antmicro.Renode.Core;
using Antmicro.Renode.Core.Structure.Registers;
using Antmicro.Renode.Logging;
using Antmicro.Renode.Peripherals.Bus;
using Antmicro.Renode.Peripherals.Timers;
using Antmicro.Renode.Time;

namespace Antmicro.Renode.Peripherals.Miscellaneous
{
    /// <remarks>
    /// No sleep, no brown-out, no super watchdog; stages of the watchdog that only interrupt are not seen. Both kinds of
    /// reset by software reset all of the machine.
    /// </remarks>
    [AllowedTranslations(AllowedTranslation.ByteToDoubleWord | AllowedTranslation.WordToDoubleWord)]
    public abstract class ESP32_RTC : BasicDoubleWordPeripheral, IKnownSize
    {
        /// <param name="slowClock">The frequency that the RTC timer and the watchdog run at.</param>
        /// <param name="resetState">Where RTC_CNTL_RESET_STATE_REG is.</param>
        /// <param name="interruptClear">Where RTC_CNTL_INT_CLR_REG is.</param>
        /// <param name="stores">Where RTC_CNTL_STORE0_REG and RTC_CNTL_STORE4_REG are, each with three more behind it.</param>
        /// <param name="watchdog">Where RTC_CNTL_WDTCONFIG0_REG is.</param>
        protected ESP32_RTC(IMachine machine, long slowClock, long resetState, long interruptClear, long[] stores, long watchdog)
            : base(machine)
        {
            watchdogConfiguration = watchdog;
            timer = new LimitTimer(machine.ClockSource, slowClock, this, "timer", direction: Direction.Ascending, enabled: true);
            watchdogTimer = new LimitTimer(machine.ClockSource, slowClock, this, "watchdog", workMode: WorkMode.OneShot,
                eventEnabled: true);
            watchdogTimer.LimitReached += Bite;
            Registers.Options0.Define(this)
                .WithValueField(0, 5)
                .WithFlag(5, FieldMode.Write, writeCallback: (_, value) => { if(value) RequestReset(SoftwareProcessor); },
                name: "SW_PROCPU_RST")
                .WithValueField(6, 25)
                .WithFlag(31, FieldMode.Write, writeCallback: (_, value) => { if(value) RequestReset(SoftwareSystem); },
                name: "SW_SYS_RST");
            Registers.TimeUpdate.Define(this)
                .WithValueField(0, 30)
                .WithFlag(30, FieldMode.Read, valueProviderCallback: _ => true, name: "TIME_VALID") // of the ESP32 only
                .WithFlag(31, FieldMode.Write, writeCallback: (_, value) => { if(value) Latch(); }, name: "TIME_UPDATE");
            Registers.TimeLow.Define(this).WithValueField(0, 32, out timeLow, FieldMode.Read, name: "TIME_LOW");
            Registers.TimeHigh.Define(this).WithValueField(0, 16, out timeHigh, FieldMode.Read, name: "TIME_HIGH")
                .WithReservedBits(16, 16);
            RegistersCollection.DefineRegister(resetState)
                .WithValueField(0, 6, FieldMode.Read, valueProviderCallback: _ => reason, name: "RESET_CAUSE_PROCPU")
                .WithValueField(6, 26);
            RegistersCollection.DefineRegister(interruptClear).WithValueField(0, 32, FieldMode.Write, name: "INT_CLR");
            foreach(var first in stores)
            {
                for(var i = 0; i < 4; i++)
                {
                    RegistersCollection.DefineRegister(first + 4 * i, softResettable: false).WithValueField(0, 32, name: "STORE");
                }
            }
            RegistersCollection.DefineRegister(watchdog)
                .WithValueField(0, 19)
                .WithValueField(19, 3, out actions[3], name: "WDT_STG3")
                .WithValueField(22, 3, out actions[2], name: "WDT_STG2")
                .WithValueField(25, 3, out actions[1], name: "WDT_STG1")
                .WithValueField(28, 3, out actions[0], name: "WDT_STG0")
                .WithFlag(31, out watchdogEnabled, name: "WDT_EN")
                .WithWriteCallback((_, __) => Feed());
            for(var i = 0; i < Stages; i++)
            {
                RegistersCollection.DefineRegister(watchdog + 4 + 4 * i)
                    .WithValueField(0, 32, out holds[i], name: "WDT_STG" + i + "_HOLD").WithWriteCallback((_, __) => Feed());
            }
            RegistersCollection.DefineRegister(watchdog + WatchdogFeed)
                .WithValueField(0, 32, FieldMode.Write, writeCallback: (_, __) => Feed(), name: "WDT_FEED");
            RegistersCollection.DefineRegister(watchdog + WatchdogFeed + 4, WatchdogKey)
                .WithValueField(0, 32, out watchdogKey, name: "WDT_WKEY");
            RegistersCollection.KeepOthers(Size);
        }

        /// <summary>The timer goes on, and the retained registers are kept.</summary>
        public override void Reset()
        {
            base.Reset();
            watchdogTimer.Reset();
            reason = next;
            // Whoever resets the machine next and does not say why pressed the button.
            next = PowerOn;
        }

        public override void WriteDoubleWord(long offset, uint value)
        {
            if(offset >= watchdogConfiguration && offset <= watchdogConfiguration + WatchdogFeed && watchdogKey.Value != WatchdogKey)
            {
                this.Log(LogLevel.Debug, "The watchdog is protected: the write to 0x{0:X} is ignored", offset);
                return;
            }
            base.WriteDoubleWord(offset, value);
        }

        /// <summary>Resets the machine.</summary>
        /// <param name="why">What RESET_CAUSE_PROCPU says then.</param>
        public void RequestReset(uint why)
        {
            next = why;
            machine.RequestReset();
        }

        public long Size
        {
            get { return 0x400; }
        }

        /// <summary>What opens a watchdog's protection (Technical Reference Manuals, Watchdog Timers).</summary>
        public const uint WatchdogKey = 0x50D83AA1;

        // RESET_CAUSE_PROCPU (Technical Reference Manuals, Reset and Clock).
        public const uint PowerOn = 0x01;
        public const uint SoftwareSystem = 0x03;
        public const uint TimerGroup0Watchdog = 0x07;
        public const uint TimerGroup1Watchdog = 0x08;
        public const uint SoftwareProcessor = 0x0C;
        public const uint RtcWatchdog = 0x10;

        private void Latch()
        {
            machine.SyncTime();
            timeLow.Value = (uint)timer.Value;
            timeHigh.Value = timer.Value >> 32 & 0xFFFF;
        }

        /// <summary>Starts the time that the stages have until the one that resets.</summary>
        private void Feed()
        {
            watchdogTimer.Enabled = false;
            var ticks = 0ul;
            for(var stage = 0; stage < Stages && watchdogEnabled.Value; stage++)
            {
                ticks += holds[stage].Value;
                if(actions[stage].Value >= ResetsProcessor)
                {
                    watchdogTimer.Limit = System.Math.Max(ticks, 1);
                    watchdogTimer.ResetValue();
                    watchdogTimer.Enabled = true;
                    return;
                }
            }
        }

        private void Bite()
        {
            this.Log(LogLevel.Warning, "The RTC watchdog resets the machine");
            RequestReset(RtcWatchdog);
        }

        private uint reason = PowerOn;
        private uint next = PowerOn;
        private readonly long watchdogConfiguration;
        private readonly LimitTimer timer;
        private readonly LimitTimer watchdogTimer;
        private readonly IFlagRegisterField watchdogEnabled;
        private readonly IValueRegisterField timeLow;
        private readonly IValueRegisterField timeHigh;
        private readonly IValueRegisterField watchdogKey;
        private readonly IValueRegisterField[] actions = new IValueRegisterField[Stages];
        private readonly IValueRegisterField[] holds = new IValueRegisterField[Stages];

        private const int Stages = 4;
        private const uint ResetsProcessor = 2;
        private const long WatchdogFeed = 0x14; // from WDTCONFIG0 on

        private enum Registers : long
        {
            Options0 = 0x00, // RTC_CNTL_OPTIONS0_REG
            TimeUpdate = 0x0C, // RTC_CNTL_TIME_UPDATE_REG
            TimeLow = 0x10, // RTC_CNTL_TIME_LOW0_REG
            TimeHigh = 0x14, // RTC_CNTL_TIME_HIGH0_REG
        }
    }
}
