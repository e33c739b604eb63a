// SPDX-License-Identifier: Apache-2.0
//
// STM32 QUADSPI, as far as drivers that use indirect modes need it (RM0385, section 14).
//
using System.Collections.Generic;
using Antmicro.Renode.Core;
using Antmicro.Renode.Core.Structure;
using Antmicro.Renode.Core.Structure.Registers;
using Antmicro.Renode.Logging;
using Antmicro.Renode.Peripherals.Bus;

namespace Antmicro.Renode.Peripherals.SPI
{
    /// <summary>
    /// Indirect read and write (14.3.5). Transfers are done at once, on one data line whatever is asked for. The modes
    /// "automatic polling" and "memory-mapped", dual flash and DMA are not modelled.
    /// </summary>
    public class STM32_QUADSPI : NullRegistrationPointPeripheralContainer<ISPIPeripheral>, IDoubleWordPeripheral,
        IWordPeripheral, IBytePeripheral, IKnownSize, IProvidesRegisterCollection<DoubleWordRegisterCollection>
    {
        public STM32_QUADSPI(IMachine machine) : base(machine)
        {
            IRQ = new GPIO();
            RegistersCollection = new DoubleWordRegisterCollection(this);
            Registers.Control.Define(this)
                .WithFlag(0, name: "EN")
                .WithFlag(1, FieldMode.Read | FieldMode.WriteOneToClear, writeCallback: (_, value) => { if(value) Abort(); }, name: "ABORT")
                .WithValueField(2, 6, name: "DMAEN to FSEL")
                .WithValueField(8, 5, out threshold, name: "FTHRES")
                .WithReservedBits(13, 3)
                .WithFlag(16, name: "TEIE")
                .WithFlag(17, out completeInterrupt, name: "TCIE")
                .WithFlag(18, out thresholdInterrupt, name: "FTIE")
                .WithValueField(19, 13, name: "SMIE to PRESCALER")
                .WithWriteCallback((_, __) => Update());
            Registers.DeviceConfiguration.Define(this)
                .WithValueField(0, 32, name: "DCR");
            Registers.Status.Define(this)
                .WithFlag(0, FieldMode.Read, name: "TEF")
                .WithFlag(1, out complete, FieldMode.Read, name: "TCF")
                .WithFlag(2, FieldMode.Read, valueProviderCallback: _ => Threshold, name: "FTF")
                .WithReservedBits(3, 5)
                .WithValueField(8, 6, FieldMode.Read, valueProviderCallback: _ => (ulong)System.Math.Min(fifo.Count, FifoSize), name: "FLEVEL")
                .WithReservedBits(14, 18);
            Registers.FlagClear.Define(this)
                .WithValueField(0, 32, FieldMode.Write, writeCallback: (_, value) => Clear(value), name: "FCR");
            Registers.DataLength.Define(this)
                .WithValueField(0, 32, out length, name: "DL");
            Registers.CommunicationConfiguration.Define(this)
                .WithValueField(0, 8, out instruction, name: "INSTRUCTION")
                .WithValueField(8, 2, out instructionLines, name: "IMODE")
                .WithValueField(10, 2, out addressLines, name: "ADMODE")
                .WithValueField(12, 2, out addressSize, name: "ADSIZE")
                .WithValueField(14, 2, out alternateLines, name: "ABMODE")
                .WithValueField(16, 2, out alternateSize, name: "ABSIZE")
                .WithValueField(18, 5, out dummyCycles, name: "DCYC")
                .WithReservedBits(23, 1)
                .WithValueField(24, 2, out dataLines, name: "DMODE")
                .WithEnumField(26, 2, out mode, name: "FMODE")
                .WithValueField(28, 4, name: "SIOO to DDRM")
                .WithWriteCallback((_, __) => { if(addressLines.Value == 0) Begin(); });
            Registers.Address.Define(this)
                .WithValueField(0, 32, out address, name: "ADDRESS")
                .WithWriteCallback((_, __) => { if(addressLines.Value != 0) Begin(); });
            Registers.AlternateBytes.Define(this)
                .WithValueField(0, 32, out alternate, name: "ALTERNATE");
        }

        public override void Reset()
        {
            RegistersCollection.Reset();
            Abort();
        }

        public uint ReadDoubleWord(long offset)
        {
            return offset == (long)Registers.Data ? Take(4) : RegistersCollection.Read(offset);
        }

        public void WriteDoubleWord(long offset, uint value)
        {
            if(offset == (long)Registers.Data)
            {
                Give(value, 4);
                return;
            }
            RegistersCollection.Write(offset, value);
        }

        public ushort ReadWord(long offset)
        {
            return (ushort)Take(2);
        }

        public void WriteWord(long offset, ushort value)
        {
            Give(value, 2);
        }

        public byte ReadByte(long offset)
        {
            return (byte)Take(1);
        }

        public void WriteByte(long offset, byte value)
        {
            Give(value, 1);
        }

        public GPIO IRQ { get; }

        public DoubleWordRegisterCollection RegistersCollection { get; }

        public long Size => 0x400;

        private bool Threshold
        {
            get { return mode.Value == Mode.Write ? waiting > 0 : fifo.Count > (int)threshold.Value || (fifo.Count > 0 && complete.Value); }
        }

        /// <summary>The instruction, or the address if there is one, has been written (14.3.5, "triggering").</summary>
        private void Begin()
        {
            if(RegisteredPeripheral == null || mode.Value > Mode.Read)
            {
                this.Log(LogLevel.Warning, "Nothing is attached, or mode {0} is not modelled", mode.Value);
                return;
            }
            Abort();
            var count = dataLines.Value == 0 ? 0 : (long)length.Value + 1;
            if(mode.Value == Mode.Write && count > 0)
            {
                waiting = count;
                Update();
                return;
            }
            SendHead();
            for(; count > 0; count--)
            {
                fifo.Enqueue(RegisteredPeripheral.Transmit(0));
            }
            Finish();
        }

        private void SendHead()
        {
            if(instructionLines.Value != 0)
            {
                RegisteredPeripheral.Transmit((byte)instruction.Value);
            }
            Send(addressLines.Value, address.Value, (int)addressSize.Value);
            Send(alternateLines.Value, alternate.Value, (int)alternateSize.Value);
            for(var cycles = (int)dummyCycles.Value; cycles > 0; cycles -= 8)
            {
                RegisteredPeripheral.Transmit(0);
            }
        }

        private void Send(ulong lines, ulong value, int last)
        {
            for(var index = last; lines != 0 && index >= 0; index--)
            {
                RegisteredPeripheral.Transmit((byte)(value >> 8 * index));
            }
        }

        private void Give(uint value, int size)
        {
            if(waiting == (long)length.Value + 1)
            {
                SendHead();
            }
            for(var index = 0; index < size && waiting > 0; index++, waiting--)
            {
                RegisteredPeripheral.Transmit((byte)(value >> 8 * index));
                if(waiting == 1)
                {
                    Finish();
                }
            }
            Update();
        }

        private uint Take(int size)
        {
            uint value = 0;
            for(var index = 0; index < size && fifo.Count > 0; index++)
            {
                value |= (uint)fifo.Dequeue() << 8 * index;
            }
            Update();
            return value;
        }

        private void Clear(ulong flags)
        {
            complete.Value = complete.Value && (flags & 2) == 0;
            Update();
        }

        private void Finish()
        {
            RegisteredPeripheral.FinishTransmission();
            complete.Value = true;
            Update();
        }

        private void Abort()
        {
            fifo.Clear();
            waiting = 0;
            Update();
        }

        private void Update()
        {
            IRQ.Set((complete.Value && completeInterrupt.Value) || (Threshold && thresholdInterrupt.Value));
        }

        private long waiting;

        private readonly Queue<byte> fifo = new Queue<byte>();
        private readonly IFlagRegisterField complete;
        private readonly IFlagRegisterField completeInterrupt;
        private readonly IFlagRegisterField thresholdInterrupt;
        private readonly IValueRegisterField threshold;
        private readonly IValueRegisterField length;
        private readonly IValueRegisterField instruction;
        private readonly IValueRegisterField instructionLines;
        private readonly IValueRegisterField address;
        private readonly IValueRegisterField addressLines;
        private readonly IValueRegisterField addressSize;
        private readonly IValueRegisterField alternate;
        private readonly IValueRegisterField alternateLines;
        private readonly IValueRegisterField alternateSize;
        private readonly IValueRegisterField dummyCycles;
        private readonly IValueRegisterField dataLines;
        private readonly IEnumRegisterField<Mode> mode;

        private const int FifoSize = 32;

        private enum Mode
        {
            Write,
            Read,
            Polling,
            MemoryMapped,
        }

        private enum Registers
        {
            Control = 0x00,
            DeviceConfiguration = 0x04,
            Status = 0x08,
            FlagClear = 0x0C,
            DataLength = 0x10,
            CommunicationConfiguration = 0x14,
            Address = 0x18,
            AlternateBytes = 0x1C,
            Data = 0x20,
        }
    }
}
