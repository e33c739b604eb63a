// SPDX-License-Identifier: Apache-2.0
//
// SPI1 of the ESP32-C3.
//
using Antmicro.Renode.Core;

namespace Antmicro.Renode.Peripherals.SPI
{
    public class ESP32C3_SPIFlash : ESP32_SPIFlash
    {
        public ESP32C3_SPIFlash(IMachine machine) : base(machine, new Layout
        {
            Size = 0x400,
            Address = 0x04,
            User = 0x18,
            OutputLength = 0x24,
            InputLength = 0x28,
            Buffer = 0x58,
            AddressWidth = 6,
            DummyWidth = 6,
            LengthWidth = 10,
        }, status: 0x2C)
        {
        }
    }
}
