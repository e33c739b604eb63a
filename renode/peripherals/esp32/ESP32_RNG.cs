// SPDX-License-Identifier: Apache-2.0
//
// Random number generator of the ESP32 family (Technical Reference Manuals of the ESP32-C3 and the ESP32, Random Number
// Generator): one register amid those of another module.
//
using Antmicro.Renode.Core;
using Antmicro.Renode.Core.Structure.Registers;
using Antmicro.Renode.Peripherals.Bus;

namespace Antmicro.Renode.Peripherals.Miscellaneous
{
    /// <remarks>Numbers are those of the emulation, whose seed makes them repeat.</remarks>
    [AllowedTranslations(AllowedTranslation.ByteToDoubleWord | AllowedTranslation.WordToDoubleWord)]
    public class ESP32_RNG : BasicDoubleWordPeripheral, IKnownSize
    {
        /// <param name="size">Of the module that the register is part of.</param>
        /// <param name="data">Where RNG_DATA_REG is in it: B0h of the ESP32-C3's SYSCON, 144h of the ESP32's.</param>
        public ESP32_RNG(IMachine machine, int size = 0x400, int data = 0xB0) : base(machine)
        {
            Size = size;
            RegistersCollection.DefineRegister(data)
                .WithValueField(0, 32, FieldMode.Read, valueProviderCallback: _ => Next(), name: "RNG_DATA");
            RegistersCollection.KeepOthers(Size);
        }

        public long Size { get; private set; }

        private static uint Next()
        {
            var generator = EmulationManager.Instance.CurrentEmulation.RandomGenerator;
            // Next() has 31 bits.
            return (uint)generator.Next() << 1 ^ (uint)generator.Next();
        }
    }
}
