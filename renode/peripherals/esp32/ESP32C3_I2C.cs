// SPDX-License-Identifier: Apache-2.0
//
// I2C controller of the ESP32-C3 (Technical Reference Manual, I2C Controller).
//
using Antmicro.Renode.Core;
using Antmicro.Renode.Core.Structure.Registers;
using Antmicro.Renode.Peripherals.Miscellaneous;

namespace Antmicro.Renode.Peripherals.I2C
{
    public class ESP32C3_I2C : ESP32_I2C
    {
        public ESP32C3_I2C(IMachine machine) : base(machine, Operations, commands: 8)
        {
            RegistersCollection.DefineRegister(0x80) // I2C_SCL_SP_CONF_REG
                .WithFlag(0, FieldMode.Write, name: "SCL_RST_SLV_EN") // the pulses that free a bus are out at once
                .WithValueField(1, 31);
            RegistersCollection.KeepOthers(Size);
            Reset();
        }

        // "I2C Controller", the command registers.
        private static readonly Operation[] Operations =
        {
            Operation.None, Operation.Write, Operation.Stop, Operation.Read, Operation.End, Operation.None, Operation.Restart,
        };
    }
}
