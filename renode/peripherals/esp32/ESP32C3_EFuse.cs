//
// eFuse of the ESP32-C3 (Technical Reference Manual 1.1, chapter 4): what is burned in at the factory.
//
using System;
using System.Linq;
using Antmicro.Renode.Exceptions;

namespace Antmicro.Renode.Peripherals.Miscellaneous
{
    /// <remarks>Nothing can be burned. A chip of revision 0.4 with no security feature on.</remarks>
    public class ESP32C3_EFuse : ESP32_Registers
    {
        public ESP32C3_EFuse(string mac = "02:00:00:00:00:01") : base(0x200)
        {
            MAC = mac;
        }

        public override void Reset()
        {
        }

        public override uint ReadDoubleWord(long offset)
        {
            switch(offset)
            {
            case 0x44: // MAC_SPI_SYS_0
                return (uint)address[2] << 24 | (uint)address[3] << 16 | (uint)address[4] << 8 | address[5];
            case 0x48: // MAC_SPI_SYS_1
                return (uint)address[0] << 8 | address[1];
            case 0x50: // MAC_SPI_SYS_3: WAFER_VERSION_MINOR_LO
                return 4u << 18;
            default:
                return 0;
            }
        }

        public override void WriteDoubleWord(long offset, uint value)
        {
        }

        /// <summary>The chip's address, as "02:00:00:00:00:01".</summary>
        public string MAC
        {
            get { return String.Join(":", address.Select(part => part.ToString("x2"))); }
            set
            {
                try
                {
                    var parts = value.Split(':').Select(part => Convert.ToByte(part, 16)).ToArray();
                    if(parts.Length == 6)
                    {
                        address = parts;
                        return;
                    }
                }
                catch(FormatException)
                {
                }
                catch(OverflowException)
                {
                }
                throw new RecoverableException(String.Format("{0} is no address: it has six bytes, as 02:00:00:00:00:01", value));
            }
        }

        private byte[] address;
    }
}
