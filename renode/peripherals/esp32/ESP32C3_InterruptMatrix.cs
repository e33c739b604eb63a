// SPDX-License-Identifier: Apache-2.0
//
// Interrupt matrix of the ESP32-C3 (Technical Reference Manual, Interrupt Matrix): 62 sources, each led to one of the
// processor's 31 interrupts.
//
using Antmicro.Renode.Core;
using Antmicro.Renode.Core.Structure.Registers;
using Antmicro.Renode.Peripherals.Bus;
using Antmicro.Renode.Peripherals.Miscellaneous;

namespace Antmicro.Renode.Peripherals.IRQControllers
{
    /// <remarks>
    /// One line leads to the processor, up as long as an interrupt is enabled and reaches the threshold. Which one that is
    /// the processor asks here. Equal priorities go by number, the lowest first.
    /// </remarks>
    [AllowedTranslations(AllowedTranslation.ByteToDoubleWord | AllowedTranslation.WordToDoubleWord)]
    public class ESP32C3_InterruptMatrix : BasicDoubleWordPeripheral, IKnownSize, IIRQController
    {
        public ESP32C3_InterruptMatrix(IMachine machine) : base(machine)
        {
            IRQ = new GPIO();
            Registers.Map0.DefineMany(this, Sources, (register, i) => register
                    .WithValueField(0, 5, out interrupts[i], name: "SOURCE_" + i + "_MAP").WithReservedBits(5, 27)
                    .WithWriteCallback((_, __) => Update()));
            Registers.Status0.DefineMany(this, 2, (register, i) => register
                    .WithValueField(0, 32, FieldMode.Read,
                valueProviderCallback: _ => (uint)(pending >> 32 * i), name: "INTR_STATUS_" + i));
            Registers.Enable.Define(this).WithValueField(0, 32, out enabled, name: "CPU_INT_ENA").WithWriteCallback((_, __) => Update());
            Registers.Type.Define(this).WithValueField(0, 32, out byEdge, name: "CPU_INT_TYPE").WithWriteCallback((_, __) => Update());
            Registers.Clear.Define(this)
                .WithValueField(0, 32, writeCallback: (_, value) => { lock(interrupts) edges &= ~(uint)value; }, name: "CPU_INT_CLEAR")
                .WithWriteCallback((_, __) => Update());
            Registers.Pending.Define(this)
                .WithValueField(0, 32, FieldMode.Read, valueProviderCallback: _ => Active, name: "CPU_INT_EIP_STATUS");
            // There is no interrupt 0.
            Registers.Priority0.DefineMany(this, Interrupts, (register, i) => register
                    .WithValueField(0, 4, out priorities[i], name: "CPU_PRI_" + i + "_MAP").WithReservedBits(4, 28)
                    .WithWriteCallback((_, __) => Update()));
            Registers.Threshold.Define(this)
                .WithValueField(0, 4, out threshold, name: "CPU_INT_THRESH").WithReservedBits(4, 28)
                .WithWriteCallback((_, __) => Update());
            RegistersCollection.KeepOthers(Size);
        }

        public override void Reset()
        {
            lock(interrupts)
            {
                base.Reset();
                pending = 0;
                edges = 0;
                Update();
            }
        }

        public void OnGPIO(int number, bool value)
        {
            lock(interrupts)
            {
                var bit = 1ul << number;
                if(value && (pending & bit) == 0)
                {
                    edges |= 1u << (int)interrupts[number].Value;
                }
                pending = value ? pending | bit : pending & ~bit;
                Update();
            }
        }

        public GPIO IRQ { get; private set; }

        public long Size
        {
            get { return 0x800; }
        }

        /// <summary>The interrupt that the line is up for, or was last.</summary>
        public int Chosen { get; private set; }

        /// <summary>Sources change in threads of their own: nobody may lead out what is no longer so.</summary>
        private void Update()
        {
            lock(interrupts)
            {
                var wanted = Active & (uint)enabled.Value;
                var best = 0;
                for(var i = 1; i < Interrupts; i++)
                {
                    if((wanted >> i & 1) != 0 && priorities[i].Value >= threshold.Value
                        && (best == 0 || priorities[i].Value > priorities[best].Value))
                    {
                        best = i;
                    }
                }
                if(best != 0)
                {
                    Chosen = best;
                }
                IRQ.Set(best != 0);
            }
        }

        /// <summary>The interrupts that wait, enabled or not: those whose source is up, and edges that were not cleared.</summary>
        private uint Active
        {
            get
            {
                lock(interrupts)
                {
                    var levels = 0u;
                    for(var source = 0; source < Sources; source++)
                    {
                        if((pending >> source & 1) != 0)
                        {
                            levels |= 1u << (int)interrupts[source].Value;
                        }
                    }
                    var type = (uint)byEdge.Value;
                    return (levels & ~type | edges & type) & ~1u;
                }
            }
        }

        private ulong pending;
        private uint edges;
        private readonly IValueRegisterField enabled;
        private readonly IValueRegisterField byEdge;
        private readonly IValueRegisterField threshold;
        private readonly IValueRegisterField[] interrupts = new IValueRegisterField[Sources];
        private readonly IValueRegisterField[] priorities = new IValueRegisterField[Interrupts];

        private const int Sources = 62;
        private const int Interrupts = 32;

        private enum Registers : long
        {
            Map0 = 0x00, // INTERRUPT_CORE0_MAC_INTR_MAP_REG and those behind it
            Status0 = 0xF8, // INTERRUPT_CORE0_INTR_STATUS_0_REG, INTERRUPT_CORE0_INTR_STATUS_1_REG
            Enable = 0x104, // INTERRUPT_CORE0_CPU_INT_ENABLE_REG
            Type = 0x108, // INTERRUPT_CORE0_CPU_INT_TYPE_REG
            Clear = 0x10C, // INTERRUPT_CORE0_CPU_INT_CLEAR_REG
            Pending = 0x110, // INTERRUPT_CORE0_CPU_INT_EIP_STATUS_REG
            Priority0 = 0x114, // INTERRUPT_CORE0_CPU_INT_PRI_0_REG and those behind it
            Threshold = 0x194, // INTERRUPT_CORE0_CPU_INT_THRESH_REG
        }
    }
}
