// SPDX-License-Identifier: Apache-2.0
//
// eFuse of the ESP32-D0WD (ESP32 Technical Reference Manual, eFuse Controller).
//
using System;
using System.Linq;
using Antmicro.Renode.Core;
using Antmicro.Renode.Core.Structure.Registers;

namespace Antmicro.Renode.Peripherals.Miscellaneous
{
    /// <remarks>A chip of revision 1 with no security feature on.</remarks>
    public class ESP32D0_EFuse : ESP32_EFuse
    {
        public ESP32D0_EFuse(IMachine machine, string mac = "02:00:00:00:00:01")
            : base(machine, mac, address: 0x04) // EFUSE_BLK0_RDATA1_REG
        {
            RegistersCollection.DefineRegister(0x0C, 1u << 15) // EFUSE_BLK0_RDATA3_REG
                .WithValueField(0, 32, FieldMode.Read, name: "CHIP_VER_REV1");
        }

        /// <summary>The CRC of the address: x^8 + x^5 + x^4 + 1, the lowest bit first.</summary>
        protected override ushort AboveAddress
        {
            get
            {
                var crc = 0;
                foreach(var value in MAC.Split(':').Select(part => Convert.ToByte(part, 16)))
                {
                    crc ^= value;
                    for(var bit = 0; bit < 8; bit++)
                    {
                        crc = (crc & 1) != 0 ? crc >> 1 ^ 0x8C : crc >> 1;
                    }
                }
                return (ushort)crc;
            }
        }
    }
}
