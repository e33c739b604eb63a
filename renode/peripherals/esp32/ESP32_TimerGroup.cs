// SPDX-License-Identifier: Apache-2.0
//
// Timer group of the ESP32 family (Technical Reference Manuals of the ESP32-C3 and the ESP32, Timer Group and Watchdog Timers):
// timers, a watchdog, and the measurement of slow clocks.
//
using Antmicro.Renode.Core;
using Antmicro.Renode.Core.Structure.Registers;
using Antmicro.Renode.Logging;
using Antmicro.Renode.Peripherals.Bus;
using Antmicro.Renode.Peripherals.Miscellaneous;
using Antmicro.Renode.Time;

namespace Antmicro.Renode.Peripherals.Timers
{
    /// <remarks>Slow clocks are as fast as their nominal values say.</remarks>
    [AllowedTranslations(AllowedTranslation.ByteToDoubleWord | AllowedTranslation.WordToDoubleWord)]
    public abstract class ESP32_TimerGroup : BasicDoubleWordPeripheral, IKnownSize
    {
        /// <param name="rtc">Keeps the reason of a reset by the watchdog.</param>
        /// <param name="group">0 or 1.</param>
        /// <param name="timers">1 or 2. The watchdog's interrupt is the one behind theirs.</param>
        /// <param name="counterWidth">In bits.</param>
        /// <param name="interrupts">Where TIMG_INT_ENA_TIMERS_REG is; INT_RAW, INT_ST and INT_CLR are behind it.</param>
        /// <param name="slowClocks">Frequencies by RTC_CALI_CLK_SEL.</param>
        protected ESP32_TimerGroup(IMachine machine, ESP32_RTC rtc, int group, int timers, int counterWidth, long interrupts,
            uint[] slowClocks) : base(machine)
        {
            this.rtc = rtc;
            this.slowClocks = slowClocks;
            watchdogReason = group == 0 ? ESP32_RTC.TimerGroup0Watchdog : ESP32_RTC.TimerGroup1Watchdog;
            watchdogInterrupt = 1u << timers;
            Timer0IRQ = new GPIO();
            Timer1IRQ = new GPIO();
            WatchdogIRQ = new GPIO();
            var lines = timers == 1 ? new[] { Timer0IRQ, WatchdogIRQ } : new[] { Timer0IRQ, Timer1IRQ, WatchdogIRQ };
            this.interrupts = new ESP32_Interrupts(RegistersCollection, enable: interrupts, raw: interrupts + 4, status: interrupts + 8,
                clear: interrupts + 0xC, lines: lines);
            this.timers = new Timer[timers];
            for(var i = 0; i < timers; i++)
            {
                this.timers[i] = new Timer(this, i, counterWidth);
            }
            watchdog = new LimitTimer(machine.ClockSource, BusClock, this, "watchdog", workMode: WorkMode.OneShot, eventEnabled: true);
            watchdog.LimitReached += NextStage;
            Registers.WatchdogConfiguration0.Define(this, 0x4C000)
                .WithValueField(0, 23)
                .WithValueField(23, 2, out actions[3], name: "WDT_STG3")
                .WithValueField(25, 2, out actions[2], name: "WDT_STG2")
                .WithValueField(27, 2, out actions[1], name: "WDT_STG1")
                .WithValueField(29, 2, out actions[0], name: "WDT_STG0")
                .WithFlag(31, out watchdogEnabled, name: "WDT_EN")
                .WithWriteCallback((_, __) => Feed());
            Registers.WatchdogConfiguration1.Define(this, 0x10000)
                .WithValueField(0, 16)
                .WithValueField(16, 16, out watchdogPrescaler, name: "WDT_CLK_PRESCALE")
                .WithWriteCallback((_, __) => Feed());
            Registers.WatchdogConfiguration2.DefineMany(this, Stages, (register, i) => register
                    .WithValueField(0, 32, out holds[i], name: "WDT_STG" + i + "_HOLD"));
            Registers.WatchdogFeed.Define(this).WithValueField(0, 32, FieldMode.Write, writeCallback: (_, __) => Feed(), name: "WDT_FEED");
            Registers.WatchdogProtect.Define(this, ESP32_RTC.WatchdogKey).WithValueField(0, 32, out watchdogKey, name: "WDT_WKEY");
            Registers.CalibrationConfiguration.Define(this, 0x13000)
                .WithValueField(0, 13)
                .WithValueField(13, 2, out calibratedClock, name: "RTC_CALI_CLK_SEL")
                .WithFlag(15, FieldMode.Read, valueProviderCallback: _ => true, name: "RTC_CALI_RDY")
                .WithValueField(16, 15, out calibrationCycles, name: "RTC_CALI_MAX")
                .WithFlag(31, name: "RTC_CALI_START");
            Registers.CalibrationResult.Define(this)
                .WithFlag(0, FieldMode.Read, valueProviderCallback: _ => true, name: "RTC_CALI_CYCLING_DATA_VLD")
                .WithReservedBits(1, 6)
                .WithValueField(7, 25, FieldMode.Read, valueProviderCallback: _ => Calibrated, name: "RTC_CALI_VALUE");
            RegistersCollection.KeepOthers(Size);
        }

        public override void Reset()
        {
            base.Reset();
            foreach(var timer in timers)
            {
                timer.Reset();
            }
            watchdog.Reset();
            stage = 0;
            interrupts.Reset();
        }

        public override void WriteDoubleWord(long offset, uint value)
        {
            if(offset >= (long)Registers.WatchdogConfiguration0 && offset <= (long)Registers.WatchdogFeed
                && watchdogKey.Value != ESP32_RTC.WatchdogKey)
            {
                this.Log(LogLevel.Debug, "The watchdog is protected: the write to 0x{0:X} is ignored", offset);
                return;
            }
            base.WriteDoubleWord(offset, value);
        }

        public GPIO Timer0IRQ { get; private set; }

        public GPIO Timer1IRQ { get; private set; }

        public GPIO WatchdogIRQ { get; private set; }

        public long Size
        {
            get { return 0x100; }
        }

        private void Feed()
        {
            stage = 0;
            StartStage();
        }

        private void StartStage()
        {
            watchdog.Enabled = false;
            if(!watchdogEnabled.Value)
            {
                return;
            }
            watchdog.Divider = System.Math.Max((int)watchdogPrescaler.Value, 1);
            watchdog.Limit = System.Math.Max(holds[stage].Value, 1);
            watchdog.ResetValue();
            watchdog.Enabled = true;
        }

        private void NextStage()
        {
            var action = actions[stage].Value;
            if(action >= ResetsProcessor)
            {
                this.Log(LogLevel.Warning, "The watchdog resets the machine");
                rtc.RequestReset(watchdogReason);
                return;
            }
            if(action == RaisesInterrupt)
            {
                interrupts.Raise(watchdogInterrupt);
            }
            stage = (stage + 1) % Stages;
            StartStage();
        }

        /// <summary>The cycles of the crystal in so many of the clock that is measured.</summary>
        private ulong Calibrated
        {
            get { return calibrationCycles.Value * Crystal / slowClocks[calibratedClock.Value]; }
        }

        private int stage;
        private readonly uint watchdogReason;
        private readonly uint watchdogInterrupt;
        private readonly uint[] slowClocks;
        private readonly ESP32_RTC rtc;
        private readonly ESP32_Interrupts interrupts;
        private readonly Timer[] timers;
        private readonly LimitTimer watchdog;
        private readonly IFlagRegisterField watchdogEnabled;
        private readonly IValueRegisterField watchdogPrescaler;
        private readonly IValueRegisterField watchdogKey;
        private readonly IValueRegisterField calibratedClock;
        private readonly IValueRegisterField calibrationCycles;
        private readonly IValueRegisterField[] actions = new IValueRegisterField[Stages];
        private readonly IValueRegisterField[] holds = new IValueRegisterField[Stages];

        private const int Stages = 4;
        private const uint RaisesInterrupt = 1;
        private const uint ResetsProcessor = 2;
        private const long BusClock = 80000000; // APB_CLK
        private const uint Crystal = 40000000; // XTAL_CLK

        /// <summary>A timer counts from the value it was loaded with.</summary>
        private class Timer
        {
            public Timer(ESP32_TimerGroup group, int number, int width)
            {
                this.group = group;
                interrupt = 1u << number;
                mask = ulong.MaxValue >> 64 - width;
                var clock = group.machine.ClockSource;
                counter = new LimitTimer(clock, BusClock, group, "counter" + number, direction: Direction.Ascending);
                alarm = new LimitTimer(clock, BusClock, group, "alarm" + number, workMode: WorkMode.OneShot, eventEnabled: true);
                alarm.LimitReached += Reached;
                var offset = (long)Registers.Timer0Configuration + Stride * number;
                var registers = group.RegistersCollection;
                registers.DefineRegister(offset, 0x60002000) // TIMG_T0CONFIG_REG
                    .WithValueField(0, 9)
                    .WithFlag(9, out fromCrystal, name: "USE_XTAL")
                    .WithFlag(10, out alarmEnabled, name: "ALARM_EN")
                    .WithValueField(11, 2)
                    .WithValueField(13, 16, out divider, name: "DIVIDER")
                    .WithFlag(29, out reloads, name: "AUTORELOAD")
                    .WithFlag(30, out upwards, name: "INCREASE")
                    .WithFlag(31, out enabled, name: "EN")
                    .WithWriteCallback((_, __) => Configure());
                DefinePair(registers, offset + 0x04, value); // TIMG_T0LO_REG
                registers.DefineRegister(offset + 0x0C) // TIMG_T0UPDATE_REG
                    .WithValueField(0, 32, FieldMode.Write, writeCallback: (_, __) => Latch(), name: "UPDATE");
                DefinePair(registers, offset + 0x10, target); // TIMG_T0ALARMLO_REG
                DefinePair(registers, offset + 0x18, loaded); // TIMG_T0LOADLO_REG
                registers.DefineRegister(offset + 0x20) // TIMG_T0LOAD_REG
                    .WithValueField(0, 32, FieldMode.Write, writeCallback: (_, __) => Load(Pair(loaded)), name: "LOAD");
            }

            public void Reset()
            {
                start = 0;
                up = true;
                counter.Reset();
                alarm.Reset();
            }

            /// <summary>A value in two registers, the lower half first.</summary>
            private void DefinePair(DoubleWordRegisterCollection registers, long offset, IValueRegisterField[] pair)
            {
                for(var i = 0; i < 2; i++)
                {
                    registers.DefineRegister(offset + 4 * i).WithValueField(0, 32, out pair[i]).WithWriteCallback((_, __) => Arm());
                }
            }

            private ulong Pair(IValueRegisterField[] pair)
            {
                return (pair[1].Value << 32 | pair[0].Value) & mask;
            }

            private ulong Now
            {
                get
                {
                    group.machine.SyncTime();
                    return (up ? start + counter.Value : start - counter.Value) & mask;
                }
            }

            private void Latch()
            {
                var now = Now;
                value[0].Value = (uint)now;
                value[1].Value = now >> 32;
            }

            private void Configure()
            {
                // It goes on from where it is, in the new direction.
                var now = Now;
                up = upwards.Value;
                counter.Enabled = false;
                counter.Divider = alarm.Divider = Prescaler;
                Load(now);
                counter.Enabled = enabled.Value;
            }

            private void Load(ulong from)
            {
                counter.Value = 0;
                start = from;
                Arm();
            }

            private void Arm()
            {
                alarm.Enabled = false;
                if(!enabled.Value || !alarmEnabled.Value)
                {
                    return;
                }
                var left = (up ? Pair(target) - Now : Now - Pair(target)) & mask;
                // What is past is due now; half the range is past.
                alarm.Limit = left == 0 || left > mask / 2 ? 1 : left;
                alarm.ResetValue();
                alarm.Enabled = true;
            }

            private void Reached()
            {
                if(reloads.Value)
                {
                    Load(Pair(loaded));
                }
                else
                {
                    alarmEnabled.Value = false;
                }
                group.interrupts.Raise(interrupt);
            }

            /// <summary>0 means 65536, 1 means 2. The crystal has half the bus's frequency.</summary>
            private int Prescaler
            {
                get
                {
                    var ratio = divider.Value == 0 ? 65536 : System.Math.Max((int)divider.Value, 2);
                    return fromCrystal.Value ? 2 * ratio : ratio;
                }
            }

            private ulong start;
            private bool up = true;
            private readonly uint interrupt;
            private readonly ulong mask;
            private readonly ESP32_TimerGroup group;
            private readonly LimitTimer counter;
            private readonly LimitTimer alarm;
            private readonly IFlagRegisterField fromCrystal;
            private readonly IFlagRegisterField alarmEnabled;
            private readonly IFlagRegisterField reloads;
            private readonly IFlagRegisterField upwards;
            private readonly IFlagRegisterField enabled;
            private readonly IValueRegisterField divider;
            private readonly IValueRegisterField[] value = new IValueRegisterField[2];
            private readonly IValueRegisterField[] target = new IValueRegisterField[2];
            private readonly IValueRegisterField[] loaded = new IValueRegisterField[2];

            private const long Stride = 0x24;
        }

        private enum Registers : long
        {
            Timer0Configuration = 0x00, // TIMG_T0CONFIG_REG
            WatchdogConfiguration0 = 0x48, // TIMG_WDTCONFIG0_REG
            WatchdogConfiguration1 = 0x4C, // TIMG_WDTCONFIG1_REG
            WatchdogConfiguration2 = 0x50, // TIMG_WDTCONFIG2_REG, to 5 for the other stages
            WatchdogFeed = 0x60, // TIMG_WDTFEED_REG
            WatchdogProtect = 0x64, // TIMG_WDTWPROTECT_REG
            CalibrationConfiguration = 0x68, // TIMG_RTCCALICFG_REG
            CalibrationResult = 0x6C, // TIMG_RTCCALICFG1_REG
        }
    }
}
