// SPDX-License-Identifier: Apache-2.0
//
// SPI2 and SPI3 of the ESP32-D0WD (ESP32 Technical Reference Manual, SPI Controller), as masters that the processor feeds.
//
using Antmicro.Renode.Core;
using Antmicro.Renode.Core.Structure.Registers;
using Antmicro.Renode.Peripherals.Miscellaneous;

namespace Antmicro.Renode.Peripherals.SPI
{
    /// <remarks>DMA and slave mode are not there.</remarks>
    public class ESP32D0_SPI : ESP32_SPI
    {
        public ESP32D0_SPI(IMachine machine) : base(machine, Places)
        {
            IRQ = new GPIO();
            Registers.Command.Define(this)
                .WithReservedBits(0, 18)
                .WithFlag(18, FieldMode.Write, writeCallback: (_, value) => { if(value) Start(); }, name: "USR")
                .WithReservedBits(19, 13);
            Registers.Pin.Define(this)
                .WithValueField(0, 30)
                .WithFlag(30, out keepSelected, name: "CS_KEEP_ACTIVE")
                .WithFlag(31);
            Registers.Slave.Define(this)
                .WithValueField(0, 4)
                .WithFlag(4, out done, name: "TRANS_DONE")
                .WithValueField(5, 4)
                .WithFlag(9, out doneInterrupts, name: "TRANS_INTEN")
                .WithValueField(10, 22)
                .WithWriteCallback((_, __) => Update());
            RegistersCollection.KeepOthers(Size);
        }

        public override void Reset()
        {
            base.Reset();
            Update();
        }

        public GPIO IRQ { get; private set; }

        /// <summary>Where all SPI controllers of the chip have their registers.</summary>
        public static readonly Layout Places = new Layout
        {
            Size = 0x1000,
            Address = 0x04,
            User = 0x1C,
            OutputLength = 0x28,
            InputLength = 0x2C,
            Buffer = 0x80,
            AddressWidth = 6,
            DummyWidth = 8,
            LengthWidth = 24,
            AddressFromTop = true,
        };

        protected override bool KeepsSelected
        {
            get { return keepSelected.Value; }
        }

        private void Start()
        {
            Transfer();
            done.Value = true;
            Update();
        }

        private void Update()
        {
            IRQ.Set(done.Value && doneInterrupts.Value);
        }

        private readonly IFlagRegisterField keepSelected;
        private readonly IFlagRegisterField done;
        private readonly IFlagRegisterField doneInterrupts;

        private enum Registers : long
        {
            Command = 0x00, // SPI_CMD_REG
            Pin = 0x34, // SPI_PIN_REG
            Slave = 0x38, // SPI_SLAVE_REG
        }
    }
}
