//
// Random number generator of the ESP32 family (ESP32-C3 Technical Reference Manual 1.1, chapter 21): one register.
//
using Antmicro.Renode.Core;
using Antmicro.Renode.Peripherals.Miscellaneous;

namespace Antmicro.Renode.Peripherals.Miscellaneous
{
    /// <remarks>Numbers are those of the emulation, whose seed makes them repeat.</remarks>
    public class ESP32_RNG : ESP32_Registers
    {
        public ESP32_RNG(int size = 0x1000, int data = 0xB0) : base(size)
        {
            this.data = data;
        }

        public override uint ReadDoubleWord(long offset)
        {
            return offset == data ? (uint)EmulationManager.Instance.CurrentEmulation.RandomGenerator.Next() << 1
                ^ (uint)EmulationManager.Instance.CurrentEmulation.RandomGenerator.Next() : base.ReadDoubleWord(offset);
        }

        private readonly int data;
    }
}
