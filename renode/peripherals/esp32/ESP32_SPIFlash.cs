// SPDX-License-Identifier: Apache-2.0
//
// The ESP32 family's SPI controllers that know a flash's commands: SPI1, through which software reads, erases and programs
// it (its registers are in Espressif's HAL, spi_mem_reg.h and spi_reg.h; the Technical Reference Manuals leave these out).
//
using System;
using System.Linq;
using Antmicro.Renode.Core;
using Antmicro.Renode.Core.Structure.Registers;
using Antmicro.Renode.Peripherals.Miscellaneous;

namespace Antmicro.Renode.Peripherals.SPI
{
    /// <remarks>The cache, which reads the same flash through SPI0, is not modelled: memory stands where it shows the image.</remarks>
    public abstract class ESP32_SPIFlash : ESP32_SPI
    {
        /// <param name="status">Where SPI_RD_STATUS_REG is.</param>
        protected ESP32_SPIFlash(IMachine machine, Layout layout, long status) : base(machine, layout)
        {
            var commands = RegistersCollection.DefineRegister(0x00) // SPI_CMD_REG
                    .WithValueField(0, 18)
                    .WithValueField(19, 5)
                    .WithFlag(26)
                    .WithFlag(31);
            DefineCommand(commands, 18, "USR", Transfer);
            DefineCommand(commands, 24, "FLASH_SE", () => Exchange(0, EraseSector, Place));
            DefineCommand(commands, 25, "FLASH_PP", ProgramPage);
            DefineCommand(commands, 27, "FLASH_RDSR", () => readStatus.Value = Exchange(1, ReadStatus)[0]);
            DefineCommand(commands, 28, "FLASH_RDID", Identify);
            DefineCommand(commands, 29, "FLASH_WRDI", () => Exchange(0, WriteDisable));
            DefineCommand(commands, 30, "FLASH_WREN", () => Exchange(0, WriteEnable));
            RegistersCollection.DefineRegister(0x08) // SPI_CTRL_REG
                .WithValueField(0, 23)
                .WithFlag(23, out twoLines, name: "FREAD_DIO")
                .WithFlag(24, out fourLines, name: "FREAD_QIO")
                .WithValueField(25, 7);
            RegistersCollection.DefineRegister(status).WithValueField(0, 32, out readStatus, name: "RD_STATUS");
            RegistersCollection.KeepOthers(Size);
        }

        /// <summary>Reads over two and four lines are a fast read to a flash that has one.</summary>
        protected override byte OnOneLine(byte command)
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

        /// <summary>Over which the pause goes: the bits of the address that are its mode, too.</summary>
        protected override int DummyLines
        {
            get { return fourLines.Value ? 4 : twoLines.Value ? 2 : 1; }
        }

        /// <summary>A bit of SPI_CMD_REG that is back to 0 at once: what it asks for is done.</summary>
        private static void DefineCommand(DoubleWordRegister commands, int bit, string name, Action execute)
        {
            commands.WithFlag(bit, FieldMode.Write, writeCallback: (_, value) => { if(value) execute(); }, name: name);
        }

        private void Identify()
        {
            var id = Exchange(3, ReadIdentification);
            for(var i = 0; i < 4; i++)
            {
                SetByte(i, i < id.Length ? id[i] : (byte)0);
            }
        }

        private void ProgramPage()
        {
            // The upper byte of the address is the number of bytes.
            var bytes = Enumerable.Range(0, (int)(address.Value >> 24)).Select(GetByte).ToArray();
            Exchange(0, Program, Place.Concat(bytes).ToArray());
        }

        private byte[] Place
        {
            get { return new[] { (byte)(address.Value >> 16), (byte)(address.Value >> 8), (byte)address.Value }; }
        }

        private byte[] Exchange(int count, byte command, params byte[] more)
        {
            var answer = new byte[count];
            var flash = RegisteredPeripheral;
            if(flash == null)
            {
                return answer;
            }
            flash.Transmit(command);
            foreach(var value in more)
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

        private readonly IFlagRegisterField twoLines;
        private readonly IFlagRegisterField fourLines;
        private readonly IValueRegisterField readStatus;

        private const byte Program = 0x02;
        private const byte WriteDisable = 0x04;
        private const byte ReadStatus = 0x05;
        private const byte WriteEnable = 0x06;
        private const byte EraseSector = 0x20;
        private const byte ReadIdentification = 0x9F;
    }
}
