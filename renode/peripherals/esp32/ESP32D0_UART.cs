// SPDX-License-Identifier: Apache-2.0
//
// UART of the ESP32-D0WD (ESP32 Technical Reference Manual, UART Controller).
//
using Antmicro.Renode.Core;
using Antmicro.Renode.Core.Structure.Registers;
using Antmicro.Renode.Peripherals.Miscellaneous;

namespace Antmicro.Renode.Peripherals.UART
{
    public class ESP32D0_UART : ESP32_Serial
    {
        public ESP32D0_UART(IMachine machine) : base(machine, counterWidth: 8, thresholdWidth: 7, configuration1: 0x6060)
        {
            // Software counts what waits by where the FIFO is written and read, for RXFIFO_CNT is not to be trusted on the chip.
            RegistersCollection.DefineRegister(0x60) // UART_MEM_RX_STATUS_REG
                .WithReservedBits(0, 2)
                .WithValueField(2, 11, FieldMode.Read, name: "MEM_RX_RD_ADDR")
                .WithValueField(13, 11, FieldMode.Read, valueProviderCallback: _ => (ulong)Received, name: "MEM_RX_WR_ADDR")
                .WithReservedBits(24, 8);
            RegistersCollection.KeepOthers(Size);
            Reset();
        }
    }
}
