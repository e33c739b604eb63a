// SPDX-License-Identifier: Apache-2.0
//
// SPI of the ESP32 family as master that the processor feeds: what GP-SPI (ESP32-C3 Technical Reference Manual, SPI Controller),
// the flash's controllers and the ESP32's SPI share. Chips have the same registers at other offsets.
//
using Antmicro.Renode.Core;
using Antmicro.Renode.Core.Structure;
using Antmicro.Renode.Core.Structure.Registers;
using Antmicro.Renode.Peripherals.Bus;

namespace Antmicro.Renode.Peripherals.SPI
{
    /// <remarks>
    /// Transfers take no time. There is one device. What goes over two or four lines reaches it as the same bytes over one.
    /// </remarks>
    [AllowedTranslations(AllowedTranslation.ByteToDoubleWord | AllowedTranslation.WordToDoubleWord)]
    public abstract class ESP32_SPI : NullRegistrationPointPeripheralContainer<ISPIPeripheral>, IDoubleWordPeripheral, IKnownSize,
        IProvidesRegisterCollection<DoubleWordRegisterCollection>
    {
        protected ESP32_SPI(IMachine machine, Layout layout) : base(machine)
        {
            RegistersCollection = new DoubleWordRegisterCollection(this);
            Size = layout.Size;
            addressFromTop = layout.AddressFromTop;
            RegistersCollection.DefineRegister(layout.Address).WithValueField(0, 32, out address, name: "ADDR");
            RegistersCollection.DefineRegister(layout.User)
                .WithFlag(0, out fullDuplex, name: "DOUTDIN")
                .WithValueField(1, 26)
                .WithFlag(27, out hasOutput, name: "USR_MOSI")
                .WithFlag(28, out hasInput, name: "USR_MISO")
                .WithFlag(29, out hasDummy, name: "USR_DUMMY")
                .WithFlag(30, out hasAddress, name: "USR_ADDR")
                .WithFlag(31, out hasCommand, name: "USR_COMMAND");
            RegistersCollection.DefineRegister(layout.User + 4)
                .WithValueField(0, layout.DummyWidth, out dummyCycles, name: "USR_DUMMY_CYCLELEN")
                .WithValueField(layout.DummyWidth, 32 - layout.DummyWidth - layout.AddressWidth)
                .WithValueField(32 - layout.AddressWidth, layout.AddressWidth, out addressBits, name: "USR_ADDR_BITLEN");
            RegistersCollection.DefineRegister(layout.User + 8)
                .WithValueField(0, 16, out command, name: "USR_COMMAND_VALUE")
                .WithValueField(16, 12)
                .WithValueField(28, 4, out commandBits, name: "USR_COMMAND_BITLEN");
            outputBits = DefineLength(layout.OutputLength, layout.LengthWidth);
            inputBits = layout.InputLength == layout.OutputLength ? outputBits : DefineLength(layout.InputLength, layout.LengthWidth);
            buffer = new IValueRegisterField[BufferWords];
            for(var i = 0; i < BufferWords; i++)
            {
                RegistersCollection.DefineRegister(layout.Buffer + 4 * i).WithValueField(0, 32, out buffer[i], name: "W" + i);
            }
        }

        public override void Reset()
        {
            RegistersCollection.Reset();
        }

        public uint ReadDoubleWord(long offset)
        {
            return RegistersCollection.Read(offset);
        }

        public void WriteDoubleWord(long offset, uint value)
        {
            RegistersCollection.Write(offset, value);
        }

        public DoubleWordRegisterCollection RegistersCollection { get; private set; }

        public long Size { get; private set; }

        /// <summary>A transfer whose phases the registers describe.</summary>
        protected void Transfer()
        {
            var device = RegisteredPeripheral;
            if(device == null)
            {
                return;
            }
            if(hasCommand.Value)
            {
                // The low byte goes first.
                for(var sent = 0; sent <= (int)commandBits.Value; sent += 8)
                {
                    device.Transmit(OnOneLine((byte)(command.Value >> sent)));
                }
            }
            var rest = 0; // bits of the address that are its mode, when it is read over two lines
            if(hasAddress.Value)
            {
                var bits = (int)addressBits.Value + 1;
                var shift = (addressFromTop ? 32 : bits) - 8;
                for(var sent = 0; sent + 8 <= bits; sent += 8)
                {
                    device.Transmit((byte)(address.Value >> shift - sent));
                }
                rest = bits % 8;
            }
            if(hasDummy.Value)
            {
                for(var i = 0; i < (rest + ((int)dummyCycles.Value + 1) * DummyLines) / 8; i++)
                {
                    device.Transmit(0);
                }
            }
            if(hasOutput.Value)
            {
                for(var i = 0; i < Bytes(outputBits); i++)
                {
                    var answer = device.Transmit(GetByte(i));
                    if(fullDuplex.Value && hasInput.Value)
                    {
                        SetByte(i, answer);
                    }
                }
            }
            if(hasInput.Value && !(fullDuplex.Value && hasOutput.Value))
            {
                for(var i = 0; i < Bytes(inputBits); i++)
                {
                    SetByte(i, device.Transmit(0));
                }
            }
            if(!KeepsSelected)
            {
                device.FinishTransmission();
            }
        }

        protected byte GetByte(int index)
        {
            return (byte)(buffer[index / 4 % BufferWords].Value >> 8 * (index % 4));
        }

        protected void SetByte(int index, byte value)
        {
            var shift = 8 * (index % 4);
            var word = buffer[index / 4 % BufferWords];
            word.Value = word.Value & ~(0xFFul << shift) | (ulong)value << shift;
        }

        /// <summary>What a command for several lines is called where there is one.</summary>
        protected virtual byte OnOneLine(byte command)
        {
            return command;
        }

        protected virtual int DummyLines
        {
            get { return 1; }
        }

        protected virtual bool KeepsSelected
        {
            get { return false; }
        }

        protected readonly IValueRegisterField address;

        /// <summary>Where a chip has the registers, and how wide their fields are.</summary>
        public struct Layout
        {
            public long Size;
            public long Address;
            public long User; // USER1 and USER2 are behind it
            public long OutputLength;
            public long InputLength; // may be the same register
            public long Buffer;
            public int AddressWidth;
            public int DummyWidth;
            public int LengthWidth;
            /// <summary>The address is sent from bit 31 on, however short it is.</summary>
            public bool AddressFromTop;
        }

        private IValueRegisterField DefineLength(long offset, int width)
        {
            IValueRegisterField bits;
            RegistersCollection.DefineRegister(offset).WithValueField(0, width, out bits, name: "DLEN").WithValueField(width, 32 - width);
            return bits;
        }

        private static int Bytes(IValueRegisterField length)
        {
            return ((int)length.Value + 1 + 7) / 8;
        }

        private readonly bool addressFromTop;
        private readonly IFlagRegisterField fullDuplex;
        private readonly IFlagRegisterField hasOutput;
        private readonly IFlagRegisterField hasInput;
        private readonly IFlagRegisterField hasDummy;
        private readonly IFlagRegisterField hasAddress;
        private readonly IFlagRegisterField hasCommand;
        private readonly IValueRegisterField dummyCycles;
        private readonly IValueRegisterField addressBits;
        private readonly IValueRegisterField command;
        private readonly IValueRegisterField commandBits;
        private readonly IValueRegisterField outputBits;
        private readonly IValueRegisterField inputBits;
        private readonly IValueRegisterField[] buffer;

        private const int BufferWords = 16;
    }
}
