// SPDX-License-Identifier: Apache-2.0
//
// eFuse of the ESP32 family: what is burned in at the factory.
//
using System;
using System.Linq;
using Antmicro.Renode.Core;
using Antmicro.Renode.Core.Structure.Registers;
using Antmicro.Renode.Exceptions;
using Antmicro.Renode.Peripherals.Bus;

namespace Antmicro.Renode.Peripherals.Miscellaneous
{
    /// <remarks>Nothing can be burned, and what a chip does not define reads 0.</remarks>
    [AllowedTranslations(AllowedTranslation.ByteToDoubleWord | AllowedTranslation.WordToDoubleWord)]
    public abstract class ESP32_EFuse : BasicDoubleWordPeripheral, IKnownSize
    {
        /// <param name="address">Where the lower four bytes of the chip's address are; the others follow.</param>
        protected ESP32_EFuse(IMachine machine, string mac, long address) : base(machine)
        {
            MAC = mac;
            RegistersCollection.DefineRegister(address)
                .WithValueField(0, 32, FieldMode.Read, valueProviderCallback: _ => Number(2, 4), name: "MAC_0");
            RegistersCollection.DefineRegister(address + 4)
                .WithValueField(0, 16, FieldMode.Read, valueProviderCallback: _ => Number(0, 2), name: "MAC_1")
                .WithValueField(16, 16, FieldMode.Read, valueProviderCallback: _ => AboveAddress);
        }

        public override uint ReadDoubleWord(long offset)
        {
            uint value;
            RegistersCollection.TryRead(offset, out value);
            return value;
        }

        public override void WriteDoubleWord(long offset, uint value)
        {
        }

        public long Size
        {
            get { return 0x200; }
        }

        /// <summary>The chip's address, as "02:00:00:00:00:01".</summary>
        public string MAC
        {
            get { return String.Join(":", mac.Select(part => part.ToString("x2"))); }
            set
            {
                try
                {
                    var parts = value.Split(':').Select(part => Convert.ToByte(part, 16)).ToArray();
                    if(parts.Length == 6)
                    {
                        mac = parts;
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

        /// <summary>The upper half of the register that has the address's first two bytes.</summary>
        protected virtual ushort AboveAddress
        {
            get { return 0; }
        }

        private ulong Number(int first, int count)
        {
            return mac.Skip(first).Take(count).Aggregate(0ul, (number, part) => number << 8 | part);
        }

        private byte[] mac;
    }
}
