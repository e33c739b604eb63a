// SPDX-License-Identifier: Apache-2.0
//
// I2C controller of the ESP32-D0WD (ESP32 Technical Reference Manual, I2C Controller).
//
using Antmicro.Renode.Core;
using Antmicro.Renode.Peripherals.Miscellaneous;

namespace Antmicro.Renode.Peripherals.I2C
{
    public class ESP32D0_I2C : ESP32_I2C
    {
        public ESP32D0_I2C(IMachine machine) : base(machine, Operations, commands: 16)
        {
            RegistersCollection.KeepOthers(Size);
            Reset();
        }

        // Section 11.3.3.
        private static readonly Operation[] Operations =
        {
            Operation.Restart, Operation.Write, Operation.Read, Operation.Stop, Operation.End,
        };
    }
}
