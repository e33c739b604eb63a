// SPDX-License-Identifier: Apache-2.0
//
// UART of the ESP32-C3 (Technical Reference Manual, UART Controller).
//
using Antmicro.Renode.Core;
using Antmicro.Renode.Core.Structure.Registers;
using Antmicro.Renode.Peripherals.Miscellaneous;

namespace Antmicro.Renode.Peripherals.UART
{
    public class ESP32C3_UART : ESP32_Serial
    {
        public ESP32C3_UART(IMachine machine) : base(machine, counterWidth: 10, thresholdWidth: 9, configuration1: 0xC060)
        {
            RegistersCollection.DefineRegister(0x80, 0x40000500) // UART_ID_REG
                .WithValueField(0, 31, name: "ID")
                .WithFlag(31, FieldMode.Write, name: "REG_UPDATE"); // it is done at once
            RegistersCollection.KeepOthers(Size);
            Reset();
        }
    }
}
