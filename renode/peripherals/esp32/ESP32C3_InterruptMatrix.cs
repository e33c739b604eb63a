//
// Interrupt matrix of the ESP32-C3 (Technical Reference Manual 1.1, chapter 8): 62 sources, each led to one of the
// processor's 31 interrupts.
//
using Antmicro.Renode.Core;
using Antmicro.Renode.Peripherals.Miscellaneous;

namespace Antmicro.Renode.Peripherals.IRQControllers
{
    /// <remarks>
    /// One line leads to the processor. So mcause has that line's number, where the chip has the interrupt's: firmware has
    /// to look at the status registers. Priorities are compared with the threshold, not with each other.
    /// </remarks>
    public class ESP32C3_InterruptMatrix : ESP32_Registers, IIRQController
    {
        public ESP32C3_InterruptMatrix() : base(0x800)
        {
            IRQ = new GPIO();
            Reset();
        }

        public override void Reset()
        {
            lock(pending)
            {
                base.Reset();
                System.Array.Clear(pending, 0, pending.Length);
                edges = 0;
                Update();
            }
        }

        public void OnGPIO(int number, bool value)
        {
            lock(pending)
            {
                if(value && !pending[number])
                {
                    edges |= 1u << Interrupt(number);
                }
                pending[number] = value;
                Update();
            }
        }

        public override uint ReadDoubleWord(long offset)
        {
            switch(offset)
            {
            case Status0:
                return Levels(0);
            case Status1:
                return Levels(32);
            case Pending:
                return Active;
            default:
                return base.ReadDoubleWord(offset);
            }
        }

        public override void WriteDoubleWord(long offset, uint value)
        {
            lock(pending)
            {
                base.WriteDoubleWord(offset, value);
                if(offset == Clear)
                {
                    edges &= ~value;
                }
                Update();
            }
        }

        public GPIO IRQ { get; private set; }

        /// <summary>Sources change in threads of their own: nobody may lead out what is no longer so.</summary>
        private void Update()
        {
            var wanted = Active & words[Enable / 4];
            var threshold = words[Threshold / 4] & 0xF;
            var interrupt = false;
            for(var i = 1; i < 32 && !interrupt; i++)
            {
                interrupt = (wanted >> i & 1) != 0 && (words[Priority0 / 4 + i] & 0xF) >= threshold;
            }
            IRQ.Set(interrupt);
        }

        /// <summary>The interrupts that wait, enabled or not: those whose source is up, and edges that were not cleared.</summary>
        private uint Active
        {
            get
            {
                var levels = 0u;
                for(var source = 0; source < pending.Length; source++)
                {
                    if(pending[source])
                    {
                        levels |= 1u << Interrupt(source);
                    }
                }
                var type = words[Type / 4];
                return (levels & ~type | edges & type) & ~1u;
            }
        }

        private int Interrupt(int source)
        {
            return (int)(words[source] & 0x1F);
        }

        private uint Levels(int first)
        {
            var levels = 0u;
            for(var i = 0; i < 32 && first + i < pending.Length; i++)
            {
                levels |= pending[first + i] ? 1u << i : 0;
            }
            return levels;
        }

        private uint edges;
        private readonly bool[] pending = new bool[62];

        private const int Status0 = 0xF8;
        private const int Status1 = 0xFC;
        private const int Enable = 0x104;
        private const int Type = 0x108;
        private const int Clear = 0x10C;
        private const int Pending = 0x110;
        private const int Priority0 = 0x114; // of interrupt 0, which there is not
        private const int Threshold = 0x194;
    }
}
