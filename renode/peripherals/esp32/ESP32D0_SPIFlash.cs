// SPDX-License-Identifier: Apache-2.0
//
// SPI1 of the ESP32-D0WD.
//
using Antmicro.Renode.Core;

namespace Antmicro.Renode.Peripherals.SPI
{
    public class ESP32D0_SPIFlash : ESP32_SPIFlash
    {
        public ESP32D0_SPIFlash(IMachine machine) : base(machine, ESP32D0_SPI.Places, status: 0x10)
        {
        }
    }
}
