// SPDX-License-Identifier: Apache-2.0
//
// The flag by which a chip remembers that its watchdog bit, which Renode's models of the clock and power registers lack.
//
using Antmicro.Renode.Core;
using Antmicro.Renode.Peripherals.Bus;

namespace Antmicro.Renode.Peripherals.Miscellaneous
{
    /// <summary>One flag in another peripheral's register. It survives a reset.</summary>
    public class ResetCause
    {
        /// <param name="holder">The peripheral that has the register.</param>
        /// <param name="register">The register's offset.</param>
        /// <param name="flag">The bit that is set.</param>
        /// <param name="clear">The bit that clears it where it is written as 1.</param>
        public ResetCause(IMachine machine, IBusPeripheral holder, long register, uint flag, uint clear)
        {
            this.machine = machine;
            this.holder = holder;
            this.register = register;
            this.flag = flag;
            this.clear = clear;
        }

        public void Set()
        {
            // Not before: while a platform is made, its peripherals are not on the bus yet.
            if(!hooked)
            {
                machine.SystemBus.SetHookAfterPeripheralRead<uint>(holder, Read);
                machine.SystemBus.SetHookBeforePeripheralWrite<uint>(holder, Write);
                hooked = true;
            }
            isSet = true;
        }

        private uint Read(uint value, long offset)
        {
            return isSet && offset == register ? value | flag : value;
        }

        private uint Write(uint value, long offset)
        {
            if(offset != register)
            {
                return value;
            }
            isSet = isSet && (value & clear) == 0;
            return value & ~(flag | clear);
        }

        private bool hooked;
        private bool isSet;

        private readonly IMachine machine;
        private readonly IBusPeripheral holder;
        private readonly long register;
        private readonly uint flag;
        private readonly uint clear;
    }
}
