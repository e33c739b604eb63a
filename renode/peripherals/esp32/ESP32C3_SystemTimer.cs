//
// System timer of the ESP32-C3 (Technical Reference Manual 1.1, chapter 10): two counters of 52 bits at 16 MHz, and three
// comparators.
//
using Antmicro.Renode.Core;
using Antmicro.Renode.Peripherals.Miscellaneous;
using Antmicro.Renode.Time;

namespace Antmicro.Renode.Peripherals.Timers
{
    /// <remarks>A stalled processor does not stop the counters.</remarks>
    public class ESP32C3_SystemTimer : ESP32_Registers
    {
        public ESP32C3_SystemTimer(IMachine machine) : base(0x100)
        {
            this.machine = machine;
            Target0 = new GPIO();
            Target1 = new GPIO();
            Target2 = new GPIO();
            outputs = new[] { Target0, Target1, Target2 };
            for(var i = 0; i < counters.Length; i++)
            {
                counters[i] = new LimitTimer(machine.ClockSource, Frequency, this, "counter" + i, direction: Direction.Ascending);
            }
            for(var i = 0; i < alarms.Length; i++)
            {
                var number = i;
                alarms[i] = new LimitTimer(machine.ClockSource, Frequency, this, "alarm" + i, limit: CounterMask,
                    workMode: WorkMode.OneShot, eventEnabled: true);
                alarms[i].LimitReached += () => Reached(number);
            }
            Reset();
        }

        public override void Reset()
        {
            base.Reset();
            words[(int)Registers.Configuration / 4] = 0x46000000;
            raw = 0;
            foreach(var timer in counters)
            {
                timer.Reset();
            }
            foreach(var timer in alarms)
            {
                timer.Reset();
            }
            Configure();
            Update();
        }

        public override uint ReadDoubleWord(long offset)
        {
            switch((Registers)offset)
            {
            case Registers.Counter0Operation:
            case Registers.Counter1Operation:
                return ValueValid;
            case Registers.RawInterrupts:
                return raw;
            case Registers.MaskedInterrupts:
                return raw & words[(int)Registers.InterruptEnable / 4];
            case Registers.InterruptClear:
                return 0;
            default:
                return base.ReadDoubleWord(offset);
            }
        }

        public override void WriteDoubleWord(long offset, uint value)
        {
            base.WriteDoubleWord(offset, value);
            switch((Registers)offset)
            {
            case Registers.Configuration:
                Configure();
                break;
            case Registers.Counter0Operation:
            case Registers.Counter1Operation:
                if((value & ReadValue) != 0)
                {
                    var number = (int)(offset - (long)Registers.Counter0Operation) / 4;
                    SetPair((int)Registers.Counter0Value / 4 + 2 * number, Now(number));
                }
                break;
            case Registers.Counter0Load:
            case Registers.Counter1Load:
                var loaded = (int)(offset - (long)Registers.Counter0Load) / 4;
                counters[loaded].Value = Pair((int)Registers.Counter0LoadValue / 4 + 2 * loaded);
                Arm();
                break;
            case Registers.Comparator0Load:
            case Registers.Comparator1Load:
            case Registers.Comparator2Load:
                Arm((int)(offset - (long)Registers.Comparator0Load) / 4);
                break;
            case Registers.InterruptClear:
                raw &= ~value;
                break;
            }
            Update();
        }

        public GPIO Target0 { get; private set; }

        public GPIO Target1 { get; private set; }

        public GPIO Target2 { get; private set; }

        private void Configure()
        {
            var configuration = words[(int)Registers.Configuration / 4];
            counters[0].Enabled = (configuration >> 30 & 1) != 0;
            counters[1].Enabled = (configuration >> 29 & 1) != 0;
            Arm();
        }

        private void Arm()
        {
            for(var i = 0; i < alarms.Length; i++)
            {
                Arm(i);
            }
        }

        /// <summary>Starts the time that is left until a comparator's target; none is left of a target in the past.</summary>
        private void Arm(int number)
        {
            var alarm = alarms[number];
            alarm.Enabled = false;
            if((words[(int)Registers.Configuration / 4] >> (24 - number) & 1) == 0)
            {
                return;
            }
            var settings = words[(int)Registers.Target0Configuration / 4 + number];
            var left = (ulong)(settings & 0x3FFFFFF);
            if((settings & PeriodMode) == 0)
            {
                var target = Pair((int)Registers.Target0 / 4 + 2 * number);
                var now = Now((int)(settings >> 31));
                left = target > now ? target - now : 0;
            }
            alarm.Limit = left == 0 ? 1 : left;
            alarm.ResetValue();
            alarm.Enabled = true;
        }

        private void Reached(int number)
        {
            raw |= 1u << number;
            if((words[(int)Registers.Target0Configuration / 4 + number] & PeriodMode) != 0)
            {
                Arm(number);
            }
            Update();
        }

        private void Update()
        {
            for(var i = 0; i < outputs.Length; i++)
            {
                outputs[i].Set((raw & words[(int)Registers.InterruptEnable / 4] & 1u << i) != 0);
            }
        }

        private ulong Now(int number)
        {
            SyncTime(machine);
            return counters[number].Value & CounterMask;
        }

        /// <summary>A value in two registers, the upper half first.</summary>
        private ulong Pair(int index)
        {
            return ((ulong)words[index] << 32 | words[index + 1]) & CounterMask;
        }

        private void SetPair(int index, ulong value)
        {
            words[index] = (uint)(value >> 32);
            words[index + 1] = (uint)value;
        }

        private uint raw;
        private readonly IMachine machine;
        private readonly GPIO[] outputs;
        private readonly LimitTimer[] counters = new LimitTimer[2];
        private readonly LimitTimer[] alarms = new LimitTimer[3];

        private const long Frequency = 16000000;
        private const ulong CounterMask = (1ul << 52) - 1;
        private const uint ValueValid = 1u << 29;
        private const uint ReadValue = 1u << 30;
        private const uint PeriodMode = 1u << 30;

        private enum Registers : long
        {
            Configuration = 0x00,
            Counter0Operation = 0x04,
            Counter1Operation = 0x08,
            Counter0LoadValue = 0x0C,
            Target0 = 0x1C,
            Target0Configuration = 0x34,
            Counter0Value = 0x40,
            Comparator0Load = 0x50,
            Comparator1Load = 0x54,
            Comparator2Load = 0x58,
            Counter0Load = 0x5C,
            Counter1Load = 0x60,
            InterruptEnable = 0x64,
            RawInterrupts = 0x68,
            InterruptClear = 0x6C,
            MaskedInterrupts = 0x70,
        }
    }
}
