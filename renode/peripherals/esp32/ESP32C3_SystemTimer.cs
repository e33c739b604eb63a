// SPDX-License-Identifier: Apache-2.0
//
// System timer of the ESP32-C3 (Technical Reference Manual, System Timer): two counters of 52 bits at 16 MHz, and three
// comparators.
//
using Antmicro.Renode.Core;
using Antmicro.Renode.Core.Structure.Registers;
using Antmicro.Renode.Peripherals.Bus;
using Antmicro.Renode.Peripherals.Miscellaneous;
using Antmicro.Renode.Time;

namespace Antmicro.Renode.Peripherals.Timers
{
    /// <remarks>A stalled processor does not stop the counters.</remarks>
    [AllowedTranslations(AllowedTranslation.ByteToDoubleWord | AllowedTranslation.WordToDoubleWord)]
    public class ESP32C3_SystemTimer : BasicDoubleWordPeripheral, IKnownSize
    {
        public ESP32C3_SystemTimer(IMachine machine) : base(machine)
        {
            Target0 = new GPIO();
            Target1 = new GPIO();
            Target2 = new GPIO();
            interrupts = new ESP32_Interrupts(RegistersCollection, (long)Registers.InterruptRaw, (long)Registers.InterruptStatus,
                (long)Registers.InterruptEnable, (long)Registers.InterruptClear, Target0, Target1, Target2);
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
            Registers.Configuration.Define(this, 0x46000000)
                .WithValueField(0, 22)
                .WithFlag(22, out targetEnabled[2], name: "TARGET2_WORK_EN")
                .WithFlag(23, out targetEnabled[1], name: "TARGET1_WORK_EN")
                .WithFlag(24, out targetEnabled[0], name: "TARGET0_WORK_EN")
                .WithValueField(25, 4)
                .WithFlag(29, out counterEnabled[1], name: "TIMER_UNIT1_WORK_EN")
                .WithFlag(30, out counterEnabled[0], name: "TIMER_UNIT0_WORK_EN")
                .WithFlag(31, name: "CLK_EN")
                .WithWriteCallback((_, __) => Configure());
            Registers.Counter0Operation.DefineMany(this, Counters, (register, i) => register
                    .WithReservedBits(0, 29)
                    .WithFlag(29, FieldMode.Read, valueProviderCallback: _ => true, name: "TIMER_UNIT_VALUE_VALID")
                    .WithFlag(30, FieldMode.Write,
                writeCallback: (_, value) => { if(value) SetPair(counterValue, i, Now(i)); }, name: "TIMER_UNIT_UPDATE")
                    .WithReservedBits(31, 1));
            DefinePairs(Registers.Counter0LoadValue, counterLoad);
            DefinePairs(Registers.Target0, targets);
            Registers.Target0Configuration.DefineMany(this, Comparators, (register, i) => register
                    .WithValueField(0, 26, out periods[i], name: "TARGET_PERIOD")
                    .WithReservedBits(26, 4)
                    .WithFlag(30, out periodMode[i], name: "TARGET_PERIOD_MODE")
                    .WithFlag(31, out fromCounter1[i], name: "TARGET_TIMER_UNIT_SEL"));
            DefinePairs(Registers.Counter0Value, counterValue);
            Registers.Comparator0Load.DefineMany(this, Comparators, (register, i) => register
                    .WithFlag(0, FieldMode.Write, writeCallback: (_, value) => { if(value) Arm(i); }, name: "TIMER_COMP_LOAD")
                    .WithReservedBits(1, 31));
            Registers.Counter0Load.DefineMany(this, Counters, (register, i) => register
                    .WithFlag(0, FieldMode.Write, writeCallback: (_, value) => { if(value) Load(i); }, name: "TIMER_UNIT_LOAD")
                    .WithReservedBits(1, 31));
            RegistersCollection.KeepOthers(Size);
            Reset();
        }

        public override void Reset()
        {
            base.Reset();
            foreach(var timer in counters)
            {
                timer.Reset();
            }
            foreach(var timer in alarms)
            {
                timer.Reset();
            }
            Configure();
            interrupts.Reset();
        }

        public GPIO Target0 { get; private set; }

        public GPIO Target1 { get; private set; }

        public GPIO Target2 { get; private set; }

        public long Size
        {
            get { return 0x100; }
        }

        private void Configure()
        {
            for(var i = 0; i < Counters; i++)
            {
                counters[i].Enabled = counterEnabled[i].Value;
            }
            Arm();
        }

        private void Load(int counter)
        {
            counters[counter].Value = Pair(counterLoad, counter);
            Arm();
        }

        private void Arm()
        {
            for(var i = 0; i < Comparators; i++)
            {
                Arm(i);
            }
        }

        /// <summary>Starts the time that is left until a comparator's target; none is left of a target in the past.</summary>
        private void Arm(int number)
        {
            var alarm = alarms[number];
            alarm.Enabled = false;
            if(!targetEnabled[number].Value)
            {
                return;
            }
            var left = periods[number].Value;
            if(!periodMode[number].Value)
            {
                var target = Pair(targets, number);
                var now = Now(fromCounter1[number].Value ? 1 : 0);
                left = target > now ? target - now : 0;
            }
            alarm.Limit = left == 0 ? 1 : left;
            alarm.ResetValue();
            alarm.Enabled = true;
        }

        private void Reached(int number)
        {
            if(periodMode[number].Value)
            {
                Arm(number);
            }
            interrupts.Raise(1u << number);
        }

        private ulong Now(int counter)
        {
            machine.SyncTime();
            return counters[counter].Value & CounterMask;
        }

        /// <summary>Values in two registers each, the upper half first.</summary>
        private void DefinePairs(Registers first, IValueRegisterField[] halves)
        {
            first.DefineMany(this, (uint)halves.Length, (register, i) => register.WithValueField(0, 32, out halves[i]));
        }

        private static ulong Pair(IValueRegisterField[] halves, int number)
        {
            return (halves[2 * number].Value << 32 | halves[2 * number + 1].Value) & CounterMask;
        }

        private static void SetPair(IValueRegisterField[] halves, int number, ulong value)
        {
            halves[2 * number].Value = value >> 32;
            halves[2 * number + 1].Value = (uint)value;
        }

        private readonly ESP32_Interrupts interrupts;
        private readonly LimitTimer[] counters = new LimitTimer[Counters];
        private readonly LimitTimer[] alarms = new LimitTimer[Comparators];
        private readonly IFlagRegisterField[] counterEnabled = new IFlagRegisterField[Counters];
        private readonly IValueRegisterField[] counterLoad = new IValueRegisterField[2 * Counters];
        private readonly IValueRegisterField[] counterValue = new IValueRegisterField[2 * Counters];
        private readonly IFlagRegisterField[] targetEnabled = new IFlagRegisterField[Comparators];
        private readonly IFlagRegisterField[] periodMode = new IFlagRegisterField[Comparators];
        private readonly IFlagRegisterField[] fromCounter1 = new IFlagRegisterField[Comparators];
        private readonly IValueRegisterField[] periods = new IValueRegisterField[Comparators];
        private readonly IValueRegisterField[] targets = new IValueRegisterField[2 * Comparators];

        private const int Counters = 2;
        private const int Comparators = 3;
        private const long Frequency = 16000000;
        private const ulong CounterMask = (1ul << 52) - 1;

        private enum Registers : long
        {
            Configuration = 0x00, // SYSTIMER_CONF_REG
            Counter0Operation = 0x04, // SYSTIMER_UNIT0_OP_REG
            Counter0LoadValue = 0x0C, // SYSTIMER_UNIT0_LOAD_HI_REG
            Target0 = 0x1C, // SYSTIMER_TARGET0_HI_REG
            Target0Configuration = 0x34, // SYSTIMER_TARGET0_CONF_REG
            Counter0Value = 0x40, // SYSTIMER_UNIT0_VALUE_HI_REG
            Comparator0Load = 0x50, // SYSTIMER_COMP0_LOAD_REG
            Counter0Load = 0x5C, // SYSTIMER_UNIT0_LOAD_REG
            InterruptEnable = 0x64, // SYSTIMER_INT_ENA_REG
            InterruptRaw = 0x68, // SYSTIMER_INT_RAW_REG
            InterruptClear = 0x6C, // SYSTIMER_INT_CLR_REG
            InterruptStatus = 0x70, // SYSTIMER_INT_ST_REG
        }
    }
}
