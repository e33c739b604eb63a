// SPDX-License-Identifier: Apache-2.0
//
// eFuse of the ESP32-C3 (Technical Reference Manual, eFuse Controller).
//
using Antmicro.Renode.Core;
using Antmicro.Renode.Core.Structure.Registers;

namespace Antmicro.Renode.Peripherals.Miscellaneous
{
    /// <remarks>A chip of revision 0.4 with no security feature on.</remarks>
    public class ESP32C3_EFuse : ESP32_EFuse
    {
        public ESP32C3_EFuse(IMachine machine, string mac = "02:00:00:00:00:01")
            : base(machine, mac, address: 0x44) // EFUSE_RD_MAC_SPI_SYS_0_REG
        {
            RegistersCollection.DefineRegister(0x50, 4u << 18) // EFUSE_RD_MAC_SPI_SYS_3_REG
                .WithValueField(0, 32, FieldMode.Read, name: "WAFER_VERSION_MINOR_LO");
        }
    }
}
