//
// UART of the ESP32-C3 (Technical Reference Manual 1.1, chapter 26) and of the ESP32, whose registers lie the same as far
// as they are handled here.
//
using Antmicro.Renode.Core;
using Antmicro.Renode.Peripherals.Bus;

namespace Antmicro.Renode.Peripherals.UART
{
    /// <remarks>
    /// Bytes take no time. What arrives while the receive FIFO is full waits outside. The receive timeout is over as soon
    /// as there is a byte.
    /// </remarks>
    [AllowedTranslations(AllowedTranslation.ByteToDoubleWord | AllowedTranslation.WordToDoubleWord)]
    public class ESP32C3_UART : UARTBase, IDoubleWordPeripheral, IKnownSize
    {
        public ESP32C3_UART(IMachine machine) : base(machine)
        {
            IRQ = new GPIO();
            Reset();
        }

        public override void Reset()
        {
            base.Reset();
            System.Array.Clear(words, 0, words.Length);
            words[(int)Registers.Configuration1 / 4] = 0x0000C060;
            words[(int)Registers.ClockDivider / 4] = 0x000002B6;
            latched = 0;
            Update();
        }

        public uint ReadDoubleWord(long offset)
        {
            switch((Registers)offset)
            {
            case Registers.Fifo:
                byte character;
                TryGetCharacter(out character); // 0 if there is none
                Update();
                return character;
            case Registers.RawInterrupts:
                return Raw;
            case Registers.MaskedInterrupts:
                return Raw & words[(int)Registers.InterruptEnable / 4];
            case Registers.InterruptClear:
                return 0;
            case Registers.Status:
                // The lines are at rest: CTS, RXD, DTR, RTS and TXD high.
                return 0xE000C000 | (uint)Received;
            default:
                return words[offset / 4];
            }
        }

        public void WriteDoubleWord(long offset, uint value)
        {
            switch((Registers)offset)
            {
            case Registers.Fifo:
                TransmitCharacter((byte)value);
                latched |= TransmitDone;
                break;
            case Registers.InterruptClear:
                latched &= ~value;
                break;
            case Registers.Configuration0:
                if((value & ReceiveFifoReset) != 0)
                {
                    ClearBuffer();
                }
                words[offset / 4] = value;
                break;
            case Registers.Identifier:
                // The update is done at once.
                words[offset / 4] = value & 0x7FFFFFFF;
                break;
            default:
                words[offset / 4] = value;
                break;
            }
            Update();
        }

        public GPIO IRQ { get; private set; }

        public long Size
        {
            get { return 0x400; }
        }

        public override Bits StopBits
        {
            get { return Bits.One; }
        }

        public override Parity ParityBit
        {
            get { return Parity.None; }
        }

        public override uint BaudRate
        {
            get
            {
                var divider = words[(int)Registers.ClockDivider / 4];
                var sixteenths = (divider & 0xFFF) * 16 + (divider >> 20 & 0xF);
                return sixteenths == 0 ? 0 : SourceClock * 16 / sixteenths;
            }
        }

        protected override void CharWritten()
        {
            Update();
        }

        protected override void QueueEmptied()
        {
            Update();
        }

        /// <summary>Bytes arrive in a thread of their own: nobody may lead out what is no longer so.</summary>
        private void Update()
        {
            lock(innerLock)
            {
                IRQ.Set((Raw & words[(int)Registers.InterruptEnable / 4]) != 0);
            }
        }

        private int Received
        {
            get { return System.Math.Min(Count, FifoSize - 1); }
        }

        /// <summary>What the FIFOs say stays true until they have changed; the rest is kept until it is cleared.</summary>
        private uint Raw
        {
            get
            {
                var threshold = (int)(words[(int)Registers.Configuration1 / 4] & 0x1FF);
                var raw = latched | TransmitEmpty;
                if(Received > 0)
                {
                    raw |= ReceiveTimeout | (Received >= threshold ? ReceiveFull : 0);
                }
                return raw;
            }
        }

        private uint latched;
        private readonly uint[] words = new uint[0x400 / 4];

        private const int FifoSize = 128;
        private const uint SourceClock = 80000000;
        private const uint ReceiveFifoReset = 1u << 17;
        private const uint ReceiveFull = 1u << 0;
        private const uint TransmitEmpty = 1u << 1;
        private const uint ReceiveTimeout = 1u << 8;
        private const uint TransmitDone = 1u << 14;

        private enum Registers : long
        {
            Fifo = 0x00,
            RawInterrupts = 0x04,
            MaskedInterrupts = 0x08,
            InterruptEnable = 0x0C,
            InterruptClear = 0x10,
            ClockDivider = 0x14,
            Status = 0x1C,
            Configuration0 = 0x20,
            Configuration1 = 0x24,
            Identifier = 0x80,
        }
    }
}
