//
// Timer group of the ESP32-C3 (Technical Reference Manual 1.1, chapters 11 and 12): a timer of 54 bits, a watchdog, and the
// measurement of slow clocks.
//
using Antmicro.Renode.Core;
using Antmicro.Renode.Logging;
using Antmicro.Renode.Peripherals.Miscellaneous;
using Antmicro.Renode.Time;

namespace Antmicro.Renode.Peripherals.Timers
{
    /// <remarks>Slow clocks are as fast as their nominal values say.</remarks>
    public class ESP32C3_TimerGroup : ESP32_Registers
    {
        /// <param name="rtc">Keeps the reason of a reset by the watchdog.</param>
        /// <param name="group">0 or 1.</param>
        public ESP32C3_TimerGroup(IMachine machine, ESP32C3_RTC rtc, int group = 0) : base(0x100)
        {
            this.machine = machine;
            this.rtc = rtc;
            watchdogReason = group == 0 ? 0x07u : 0x08u;
            TimerIRQ = new GPIO();
            WatchdogIRQ = new GPIO();
            counter = new LimitTimer(machine.ClockSource, BusClock, this, "counter", direction: Direction.Ascending);
            alarm = new LimitTimer(machine.ClockSource, BusClock, this, "alarm", workMode: WorkMode.OneShot, eventEnabled: true);
            alarm.LimitReached += Alarm;
            watchdog = new LimitTimer(machine.ClockSource, BusClock, this, "watchdog", workMode: WorkMode.OneShot,
                eventEnabled: true);
            watchdog.LimitReached += NextStage;
            Reset();
        }

        public override void Reset()
        {
            base.Reset();
            words[Configuration / 4] = 0x60002000;
            words[WatchdogProtect / 4] = WatchdogKey;
            base.WriteDoubleWord(WatchdogPrescaler, 0x00010000);
            offset = 0;
            raw = 0;
            counter.Reset();
            alarm.Reset();
            watchdog.Reset();
            Update();
        }

        public override uint ReadDoubleWord(long address)
        {
            switch(address)
            {
            case CalibrationConfiguration:
                return base.ReadDoubleWord(address) | CalibrationReady;
            case CalibrationResult:
                return Calibrated() << 7 | 1;
            case RawInterrupts:
                return raw;
            case MaskedInterrupts:
                return raw & words[InterruptEnable / 4];
            case InterruptClear:
                return 0;
            default:
                return base.ReadDoubleWord(address);
            }
        }

        public override void WriteDoubleWord(long address, uint value)
        {
            if(address >= WatchdogConfiguration && address <= WatchdogFeed && words[WatchdogProtect / 4] != WatchdogKey)
            {
                this.Log(LogLevel.Debug, "The watchdog is protected: the write to 0x{0:X} is ignored", address);
                return;
            }
            var before = (address == Configuration) ? Now() : 0;
            base.WriteDoubleWord(address, value);
            switch(address)
            {
            case Configuration:
                counter.Enabled = false;
                counter.Divider = Prescaler;
                alarm.Divider = Prescaler;
                Load(before);
                counter.Enabled = Running;
                Arm();
                break;
            case UpdateValue:
                words[Low / 4] = (uint)Now();
                words[High / 4] = (uint)(Now() >> 32);
                break;
            case AlarmLow:
            case AlarmHigh:
                Arm();
                break;
            case LoadNow:
                Load(Pair(LoadLow));
                Arm();
                break;
            case InterruptClear:
                raw &= ~value;
                break;
            case WatchdogConfiguration:
            case WatchdogPrescaler:
            case WatchdogFeed:
                stage = 0;
                StartStage();
                break;
            }
            Update();
        }

        public GPIO TimerIRQ { get; private set; }

        public GPIO WatchdogIRQ { get; private set; }

        private bool Running
        {
            get { return (words[Configuration / 4] & 1u << 31) != 0; }
        }

        private bool Upwards
        {
            get { return (words[Configuration / 4] & 1u << 30) != 0; }
        }

        private int Prescaler
        {
            get
            {
                var divider = (int)(words[Configuration / 4] >> 13 & 0xFFFF);
                // From the crystal's 40 MHz instead of the bus's 80.
                return (divider < 2 ? divider == 0 ? 65536 : 2 : divider) * ((words[Configuration / 4] & 1u << 9) != 0 ? 2 : 1);
            }
        }

        private ulong Now()
        {
            SyncTime(machine);
            return (Upwards ? offset + counter.Value : offset - counter.Value) & CounterMask;
        }

        private void Load(ulong value)
        {
            counter.Value = 0;
            offset = value;
        }

        private void Arm()
        {
            alarm.Enabled = false;
            if(!Running || (words[Configuration / 4] & AlarmEnable) == 0)
            {
                return;
            }
            var left = (Upwards ? Pair(AlarmLow) - Now() : Now() - Pair(AlarmLow)) & CounterMask;
            // What is past is due now; half the range is past.
            alarm.Limit = left == 0 || left > CounterMask / 2 ? 1 : left;
            alarm.ResetValue();
            alarm.Enabled = true;
        }

        private void Alarm()
        {
            raw |= 1;
            if((words[Configuration / 4] & AutoReload) != 0)
            {
                Load(Pair(LoadLow));
                Arm();
            }
            else
            {
                words[Configuration / 4] &= ~AlarmEnable;
            }
            Update();
        }

        private void StartStage()
        {
            watchdog.Enabled = false;
            if((words[WatchdogConfiguration / 4] & 1u << 31) == 0)
            {
                return;
            }
            var ticks = words[WatchdogPrescaler / 4 + 1 + stage];
            var prescaler = (int)(words[WatchdogPrescaler / 4] >> 16);
            watchdog.Divider = prescaler == 0 ? 1 : prescaler;
            watchdog.Limit = ticks == 0 ? 1 : ticks;
            watchdog.ResetValue();
            watchdog.Enabled = true;
        }

        private void NextStage()
        {
            var action = words[WatchdogConfiguration / 4] >> (29 - 2 * stage) & 3;
            if(action >= 2)
            {
                this.Log(LogLevel.Warning, "The watchdog resets the machine");
                rtc.RequestReset(watchdogReason);
                return;
            }
            if(action == 1)
            {
                raw |= 2;
                Update();
            }
            stage = (stage + 1) % 4;
            StartStage();
        }

        /// <summary>The cycles of the crystal's 40 MHz in so many of the clock that is measured.</summary>
        private uint Calibrated()
        {
            var configuration = words[CalibrationConfiguration / 4];
            var cycles = configuration >> 16 & 0x7FFF;
            var frequency = SlowClocks[configuration >> 13 & 3];
            return (uint)(cycles * 40000000ul / frequency);
        }

        private void Update()
        {
            var wanted = raw & words[InterruptEnable / 4];
            TimerIRQ.Set((wanted & 1) != 0);
            WatchdogIRQ.Set((wanted & 2) != 0);
        }

        /// <summary>A value in two registers, the lower half first.</summary>
        private ulong Pair(long address)
        {
            return ((ulong)words[address / 4 + 1] << 32 | words[address / 4]) & CounterMask;
        }

        private ulong offset;
        private uint raw;
        private int stage;
        private readonly uint watchdogReason;
        private readonly IMachine machine;
        private readonly ESP32C3_RTC rtc;
        private readonly LimitTimer counter;
        private readonly LimitTimer alarm;
        private readonly LimitTimer watchdog;

        // RC_SLOW, RC_FAST / 256, XTAL32K.
        private static readonly uint[] SlowClocks = { 136000, 68359, 32768, 136000 };

        private const long BusClock = 80000000;
        private const ulong CounterMask = (1ul << 54) - 1;
        private const uint AlarmEnable = 1u << 10;
        private const uint AutoReload = 1u << 29;
        private const uint CalibrationReady = 1u << 15;
        private const uint WatchdogKey = 0x50D83AA1;

        private const long Configuration = 0x00;
        private const long Low = 0x04;
        private const long High = 0x08;
        private const long UpdateValue = 0x0C;
        private const long AlarmLow = 0x10;
        private const long AlarmHigh = 0x14;
        private const long LoadLow = 0x18;
        private const long LoadNow = 0x20;
        private const long WatchdogConfiguration = 0x48;
        private const long WatchdogPrescaler = 0x4C;
        private const long WatchdogFeed = 0x60;
        private const long WatchdogProtect = 0x64;
        private const long CalibrationConfiguration = 0x68;
        private const long CalibrationResult = 0x6C;
        private const long InterruptEnable = 0x70;
        private const long RawInterrupts = 0x74;
        private const long MaskedInterrupts = 0x78;
        private const long InterruptClear = 0x7C;
    }
}
