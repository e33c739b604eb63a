// SPDX-License-Identifier: Apache-2.0
//
// UART of the ESP32 family (Technical Reference Manuals of the ESP32-C3 and the ESP32, UART Controller).
//
using Antmicro.Renode.Core;
using Antmicro.Renode.Core.Structure.Registers;
using Antmicro.Renode.Peripherals.Bus;
using Antmicro.Renode.Peripherals.Miscellaneous;

namespace Antmicro.Renode.Peripherals.UART
{
    /// <remarks>
    /// Bytes take no time. What arrives while the receive FIFO is full waits outside. The receive timeout is over as soon
    /// as there is a byte. It is not called ESP32_UART: Renode has a model of that name, without interrupts and FIFO levels.
    /// </remarks>
    [AllowedTranslations(AllowedTranslation.ByteToDoubleWord | AllowedTranslation.WordToDoubleWord)]
    public abstract class ESP32_Serial : UARTBase, IDoubleWordPeripheral, IKnownSize,
            IProvidesRegisterCollection<DoubleWordRegisterCollection>
    {
        /// <param name="counterWidth">Of RXFIFO_CNT.</param>
        /// <param name="thresholdWidth">Of RXFIFO_FULL_THRHD.</param>
        /// <param name="configuration1">What UART_CONF1_REG has after a reset.</param>
        protected ESP32_Serial(IMachine machine, int counterWidth, int thresholdWidth, uint configuration1) : base(machine)
        {
            IRQ = new GPIO();
            RegistersCollection = new DoubleWordRegisterCollection(this);
            interrupts = new ESP32_Interrupts(RegistersCollection, (long)Registers.InterruptRaw, (long)Registers.InterruptStatus,
                (long)Registers.InterruptEnable, (long)Registers.InterruptClear, IRQ);
            Registers.Fifo.Define(this)
                .WithValueField(0, 8, valueProviderCallback: _ => Receive(), writeCallback: (_, value) => Transmit((byte)value),
                name: "RXFIFO_RD_BYTE")
                .WithReservedBits(8, 24);
            Registers.ClockDivider.Define(this, 0x2B6)
                .WithValueField(0, 20, out divider, name: "CLKDIV")
                .WithValueField(20, 4, out fraction, name: "CLKDIV_FRAG")
                .WithReservedBits(24, 8);
            // The lines are at rest: CTS, RXD, DTR, RTS and TXD are high.
            Registers.Status.Define(this, 0xE000C000)
                .WithValueField(0, counterWidth, FieldMode.Read, valueProviderCallback: _ => (ulong)Received, name: "RXFIFO_CNT")
                .WithValueField(counterWidth, 32 - counterWidth, FieldMode.Read);
            Registers.Configuration0.Define(this, 0x1C)
                .WithValueField(0, 17)
                .WithFlag(17, writeCallback: (_, value) => { if(value) ClearBuffer(); }, name: "RXFIFO_RST")
                .WithValueField(18, 14);
            Registers.Configuration1.Define(this, configuration1)
                .WithValueField(0, thresholdWidth, out fullThreshold, writeCallback: (_, __) => Update(), name: "RXFIFO_FULL_THRHD")
                .WithValueField(thresholdWidth, 32 - thresholdWidth);
        }

        public override void Reset()
        {
            RegistersCollection.Reset();
            interrupts.Reset();
            base.Reset();
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
                var sixteenths = (uint)(divider.Value * 16 + fraction.Value);
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

        /// <summary>The bytes in the receive FIFO.</summary>
        protected int Received
        {
            get { return System.Math.Min(Count, FifoSize - 1); }
        }

        private byte Receive()
        {
            lock(innerLock)
            {
                byte character;
                TryGetCharacter(out character); // 0 if there is none
                Update();
                return character;
            }
        }

        private void Transmit(byte character)
        {
            TransmitCharacter(character);
            interrupts.Raise(TransmitDone);
        }

        /// <summary>Bytes arrive in a thread of their own: what the FIFO says goes out before it changes again.</summary>
        private void Update()
        {
            lock(innerLock)
            {
                var full = (ulong)Received >= fullThreshold.Value ? ReceiveFull : 0;
                interrupts.Levels = TransmitEmpty | (Received > 0 ? ReceiveTimeout | full : 0);
            }
        }

        private readonly ESP32_Interrupts interrupts;
        private readonly IValueRegisterField divider;
        private readonly IValueRegisterField fraction;
        private readonly IValueRegisterField fullThreshold;

        private const int FifoSize = 128;
        private const uint SourceClock = 80000000; // APB_CLK

        private const uint ReceiveFull = 1u << 0; // RXFIFO_FULL
        private const uint TransmitEmpty = 1u << 1; // TXFIFO_EMPTY
        private const uint ReceiveTimeout = 1u << 8; // RXFIFO_TOUT
        private const uint TransmitDone = 1u << 14; // TX_DONE

        private enum Registers : long
        {
            Fifo = 0x00, // UART_FIFO_REG
            InterruptRaw = 0x04, // UART_INT_RAW_REG
            InterruptStatus = 0x08, // UART_INT_ST_REG
            InterruptEnable = 0x0C, // UART_INT_ENA_REG
            InterruptClear = 0x10, // UART_INT_CLR_REG
            ClockDivider = 0x14, // UART_CLKDIV_REG
            Status = 0x1C, // UART_STATUS_REG
            Configuration0 = 0x20, // UART_CONF0_REG
            Configuration1 = 0x24, // UART_CONF1_REG
        }
    }
}
