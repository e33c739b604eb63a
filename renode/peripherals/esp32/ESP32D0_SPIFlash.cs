//
// SPI1 of the ESP32-D0WD.
//
using Antmicro.Renode.Core;

namespace Antmicro.Renode.Peripherals.SPI
{
    public class ESP32D0_SPIFlash : ESP32_SPIFlash
    {
        public ESP32D0_SPIFlash(IMachine machine) : base(machine, new Layout
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
        }, status: 0x10)
        {
        }
    }
}
