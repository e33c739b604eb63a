//
// SPI2 of the ESP32-C3 (Technical Reference Manual 1.1, chapter 27), as master that the processor feeds.
//
using Antmicro.Renode.Core;
using Antmicro.Renode.Core.Structure;
using Antmicro.Renode.Peripherals.Bus;

namespace Antmicro.Renode.Peripherals.SPI
{
    /// <remarks>Transfers take no time. There is one device; DMA and more than one data line are not there.</remarks>
    [AllowedTranslations(AllowedTranslation.ByteToDoubleWord | AllowedTranslation.WordToDoubleWord)]
    public class ESP32C3_SPI : NullRegistrationPointPeripheralContainer<ISPIPeripheral>, IDoubleWordPeripheral, IKnownSize
    {
        public ESP32C3_SPI(IMachine machine) : base(machine)
        {
            IRQ = new GPIO();
            Reset();
        }

        public override void Reset()
        {
            System.Array.Clear(words, 0, words.Length);
            raw = 0;
            Update();
        }

        public uint ReadDoubleWord(long offset)
        {
            switch((Registers)offset)
            {
            case Registers.RawInterrupts:
                return raw;
            case Registers.MaskedInterrupts:
                return raw & words[(int)Registers.InterruptEnable / 4];
            case Registers.InterruptClear:
                return 0;
            default:
                return words[offset / 4];
            }
        }

        public void WriteDoubleWord(long offset, uint value)
        {
            words[offset / 4] = value;
            switch((Registers)offset)
            {
            case Registers.Command:
                // An update of the clock domain, or a transfer: both are done at once.
                words[offset / 4] = 0;
                if((value & Start) != 0)
                {
                    Transfer();
                    raw |= TransferDone;
                }
                break;
            case Registers.InterruptClear:
                raw &= ~value;
                break;
            }
            Update();
        }

        public GPIO IRQ { get; private set; }

        public long Size
        {
            get { return 0x1000; }
        }

        private void Transfer()
        {
            var device = RegisteredPeripheral;
            if(device == null)
            {
                return;
            }
            var user = words[(int)Registers.User / 4];
            var user1 = words[(int)Registers.User1 / 4];
            var user2 = words[(int)Registers.User2 / 4];
            if((user & HasCommand) != 0)
            {
                // The low byte goes first.
                for(var i = 0; i < (user2 >> 28) / 8 + 1; i++)
                {
                    device.Transmit((byte)(user2 >> 8 * i));
                }
            }
            if((user & HasAddress) != 0)
            {
                for(var i = 0; i < ((user1 >> 27) + 1) / 8; i++)
                {
                    device.Transmit((byte)(words[(int)Registers.Address / 4] >> 24 - 8 * i));
                }
            }
            if((user & HasDummy) != 0)
            {
                for(var i = 0; i < ((user1 & 0xFF) + 1) / 8; i++)
                {
                    device.Transmit(0);
                }
            }
            var count = ((words[(int)Registers.Length / 4] & 0x3FFFF) + 1 + 7) / 8;
            var duplex = (user & FullDuplex) != 0;
            if((user & HasOutput) != 0)
            {
                for(var i = 0; i < count; i++)
                {
                    var answer = device.Transmit(GetByte(i));
                    if(duplex && (user & HasInput) != 0)
                    {
                        SetByte(i, answer);
                    }
                }
            }
            if((user & HasInput) != 0 && !(duplex && (user & HasOutput) != 0))
            {
                for(var i = 0; i < count; i++)
                {
                    SetByte(i, device.Transmit(0));
                }
            }
            if((words[(int)Registers.Misc / 4] & KeepSelected) == 0)
            {
                device.FinishTransmission();
            }
        }

        private byte GetByte(long index)
        {
            return (byte)(words[(int)Registers.Buffer / 4 + index / 4 % BufferWords] >> (int)(8 * (index % 4)));
        }

        private void SetByte(long index, byte value)
        {
            var shift = (int)(8 * (index % 4));
            var word = (int)Registers.Buffer / 4 + index / 4 % BufferWords;
            words[word] = words[word] & ~(0xFFu << shift) | (uint)value << shift;
        }

        private void Update()
        {
            IRQ.Set((raw & words[(int)Registers.InterruptEnable / 4]) != 0);
        }

        private uint raw;
        private readonly uint[] words = new uint[0x1000 / 4];

        private const int BufferWords = 16;
        private const uint Start = 1u << 24;
        private const uint HasCommand = 1u << 31;
        private const uint HasAddress = 1u << 30;
        private const uint HasDummy = 1u << 29;
        private const uint HasInput = 1u << 28;
        private const uint HasOutput = 1u << 27;
        private const uint FullDuplex = 1u << 0;
        private const uint KeepSelected = 1u << 30;
        private const uint TransferDone = 1u << 12;

        private enum Registers : long
        {
            Command = 0x00,
            Address = 0x04,
            User = 0x10,
            User1 = 0x14,
            User2 = 0x18,
            Length = 0x1C,
            Misc = 0x20,
            InterruptEnable = 0x34,
            InterruptClear = 0x38,
            RawInterrupts = 0x3C,
            MaskedInterrupts = 0x40,
            Buffer = 0x98,
        }
    }
}
