//
// SPI1 of the ESP32-C3, through which software reads, erases and programs the flash (its registers are in the HAL's
// spi_mem_reg.h; the Technical Reference Manual leaves them out).
//
using System.Collections.Generic;
using Antmicro.Renode.Core;
using Antmicro.Renode.Core.Structure;
using Antmicro.Renode.Peripherals.Bus;

namespace Antmicro.Renode.Peripherals.SPI
{
    /// <remarks>
    /// Transfers take no time. What goes over two or four lines reaches the flash as the same bytes over one. The cache,
    /// which reads the same flash through SPI0, is not modelled: memory stands where it shows the image.
    /// </remarks>
    [AllowedTranslations(AllowedTranslation.ByteToDoubleWord | AllowedTranslation.WordToDoubleWord)]
    public class ESP32C3_SPIFlash : NullRegistrationPointPeripheralContainer<ISPIPeripheral>, IDoubleWordPeripheral, IKnownSize
    {
        public ESP32C3_SPIFlash(IMachine machine) : base(machine)
        {
            Reset();
        }

        public override void Reset()
        {
            System.Array.Clear(words, 0, words.Length);
        }

        public uint ReadDoubleWord(long offset)
        {
            return words[offset / 4];
        }

        public void WriteDoubleWord(long offset, uint value)
        {
            words[offset / 4] = value;
            if(offset == (long)Registers.Command)
            {
                words[offset / 4] = 0; // it is done already
                Execute(value);
            }
        }

        public long Size
        {
            get { return 0x400; }
        }

        private void Execute(uint command)
        {
            if((command & User) != 0)
            {
                Transfer();
                return;
            }
            var address = words[(int)Registers.Address / 4];
            if((command & WriteEnable) != 0)
            {
                Exchange(new[] { (byte)0x06 }, 0);
            }
            if((command & WriteDisable) != 0)
            {
                Exchange(new[] { (byte)0x04 }, 0);
            }
            if((command & ReadIdentification) != 0)
            {
                var id = Exchange(new[] { (byte)0x9F }, 3);
                words[(int)Registers.Buffer / 4] = id[0] | (uint)id[1] << 8 | (uint)id[2] << 16;
            }
            if((command & ReadStatus) != 0)
            {
                words[(int)Registers.Status / 4] = Exchange(new[] { (byte)0x05 }, 1)[0];
            }
            if((command & EraseSector) != 0)
            {
                Exchange(new[] { (byte)0x20, (byte)(address >> 16), (byte)(address >> 8), (byte)address }, 0);
            }
            if((command & Program) != 0)
            {
                // The upper byte is the number of bytes.
                var bytes = new List<byte> { 0x02, (byte)(address >> 16), (byte)(address >> 8), (byte)address };
                for(var i = 0; i < address >> 24; i++)
                {
                    bytes.Add(GetByte(i));
                }
                Exchange(bytes, 0);
            }
        }

        /// <summary>A transfer whose phases the registers describe.</summary>
        private void Transfer()
        {
            var user = words[(int)Registers.User / 4];
            var user1 = words[(int)Registers.User1 / 4];
            var user2 = words[(int)Registers.User2 / 4];
            var control = words[(int)Registers.Control / 4];
            var bytes = new List<byte>();
            if((user & HasCommand) != 0)
            {
                bytes.Add(OnOneLine((byte)user2));
            }
            if((user & HasAddress) != 0)
            {
                var bits = (int)(user1 >> 26) + 1;
                var address = words[(int)Registers.Address / 4];
                // More than 24 bits: the rest is the mode that two and four lines send before the pause.
                for(var left = bits - 8; left >= 0; left -= 8)
                {
                    bytes.Add((byte)(address >> left));
                }
            }
            if((user & HasDummy) != 0)
            {
                var lines = (control & FourLines) != 0 ? 4 : (control & TwoLines) != 0 ? 2 : 1;
                for(var i = 0; i < ((user1 & 0x3F) + 1) * lines / 8; i++)
                {
                    bytes.Add(0);
                }
            }
            if((user & HasOutput) != 0)
            {
                for(var i = 0; i < Bytes(Registers.OutputLength); i++)
                {
                    bytes.Add(GetByte(i));
                }
            }
            var count = (user & HasInput) != 0 ? Bytes(Registers.InputLength) : 0;
            var answer = Exchange(bytes, count);
            for(var i = 0; i < count; i++)
            {
                SetByte(i, answer[i]);
            }
        }

        private int Bytes(Registers length)
        {
            return (int)((words[(int)length / 4] & 0x3FF) + 1 + 7) / 8;
        }

        private byte[] Exchange(IEnumerable<byte> bytes, int count)
        {
            var answer = new byte[count];
            var flash = RegisteredPeripheral;
            if(flash == null)
            {
                return answer;
            }
            foreach(var value in bytes)
            {
                flash.Transmit(value);
            }
            for(var i = 0; i < count; i++)
            {
                answer[i] = flash.Transmit(0);
            }
            flash.FinishTransmission();
            return answer;
        }

        /// <summary>Reads over two and four lines are a fast read to a flash that has one.</summary>
        private static byte OnOneLine(byte command)
        {
            switch(command)
            {
            case 0x3B:
            case 0x6B:
            case 0xBB:
            case 0xEB:
                return 0x0B;
            default:
                return command;
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

        private readonly uint[] words = new uint[0x400 / 4];

        private const int BufferWords = 16;
        private const uint WriteEnable = 1u << 30;
        private const uint WriteDisable = 1u << 29;
        private const uint ReadIdentification = 1u << 28;
        private const uint ReadStatus = 1u << 27;
        private const uint Program = 1u << 25;
        private const uint EraseSector = 1u << 24;
        private const uint User = 1u << 18;
        private const uint HasCommand = 1u << 31;
        private const uint HasAddress = 1u << 30;
        private const uint HasDummy = 1u << 29;
        private const uint HasInput = 1u << 28;
        private const uint HasOutput = 1u << 27;
        private const uint FourLines = 1u << 24; // address and pause too
        private const uint TwoLines = 1u << 23;

        private enum Registers : long
        {
            Command = 0x00,
            Address = 0x04,
            Control = 0x08,
            User = 0x18,
            User1 = 0x1C,
            User2 = 0x20,
            OutputLength = 0x24,
            InputLength = 0x28,
            Status = 0x2C,
            Buffer = 0x58,
        }
    }
}
