// SPDX-License-Identifier: Apache-2.0
//
// GP-SPI2 of the ESP32-C3 (Technical Reference Manual, SPI Controller), as master that the processor feeds.
//
using Antmicro.Renode.Core;
using Antmicro.Renode.Core.Structure.Registers;
using Antmicro.Renode.Peripherals.Miscellaneous;

namespace Antmicro.Renode.Peripherals.SPI
{
    /// <remarks>DMA and slave mode are not there.</remarks>
    public class ESP32C3_SPI : ESP32_SPI
    {
        public ESP32C3_SPI(IMachine machine) : base(machine, new Layout
        {
            Size = 0x400,
            Address = 0x04,
            User = 0x10,
            OutputLength = 0x1C,
            InputLength = 0x1C,
            Buffer = 0x98,
            AddressWidth = 5,
            DummyWidth = 8,
            LengthWidth = 18,
            AddressFromTop = true,
        })
        {
            IRQ = new GPIO();
            interrupts = new ESP32_Interrupts(RegistersCollection, (long)Registers.InterruptRaw, (long)Registers.InterruptStatus,
                (long)Registers.InterruptEnable, (long)Registers.InterruptClear, IRQ);
            Registers.Command.Define(this)
                .WithValueField(0, 23, name: "CONF_BITLEN")
                .WithFlag(23, FieldMode.Write, name: "UPDATE") // it is done at once
                .WithFlag(24, FieldMode.Write, writeCallback: (_, value) => { if(value) Start(); }, name: "USR")
                .WithReservedBits(25, 7);
            Registers.Misc.Define(this)
                .WithValueField(0, 30)
                .WithFlag(30, out keepSelected, name: "CS_KEEP_ACTIVE")
                .WithFlag(31);
            RegistersCollection.KeepOthers(Size);
        }

        public override void Reset()
        {
            base.Reset();
            interrupts.Reset();
        }

        public GPIO IRQ { get; private set; }

        protected override bool KeepsSelected
        {
            get { return keepSelected.Value; }
        }

        private void Start()
        {
            Transfer();
            interrupts.Raise(TransferDone);
        }

        private readonly ESP32_Interrupts interrupts;
        private readonly IFlagRegisterField keepSelected;

        private const uint TransferDone = 1u << 12; // TRANS_DONE

        private enum Registers : long
        {
            Command = 0x00, // SPI_CMD_REG
            Misc = 0x20, // SPI_MISC_REG
            InterruptEnable = 0x34, // SPI_DMA_INT_ENA_REG
            InterruptClear = 0x38, // SPI_DMA_INT_CLR_REG
            InterruptRaw = 0x3C, // SPI_DMA_INT_RAW_REG
            InterruptStatus = 0x40, // SPI_DMA_INT_ST_REG
        }
    }
}
