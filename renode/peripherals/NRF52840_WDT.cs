// SPDX-License-Identifier: Apache-2.0
//
// Watchdog of the nRF52840 (product specification, section 6.36) as Renode has it, but for what it does to a processor that
// a debugger holds, and for the reason that the next boot learns.
//
using System.Linq;
using Antmicro.Renode.Core;
using Antmicro.Renode.Peripherals.Bus;
using Antmicro.Renode.Peripherals.Miscellaneous;

namespace Antmicro.Renode.Peripherals.Timers
{
    /// <summary>It waits for a processor that a debugger holds, as CONFIG.HALT = 0 makes it, and then begins anew.</summary>
    public class NRF52840_WDT : NRF52840_Watchdog
    {
        /// <param name="power">Says in RESETREAS that it was the watchdog.</param>
        public NRF52840_WDT(IMachine machine, IBusPeripheral power) : base(machine)
        {
            this.machine = machine;
            cause = new ResetCause(machine, power, ResetReason, Watchdog, Watchdog);
        }

        protected override void OnLimitReached()
        {
            if(machine.SystemBus.GetCPUs().Any(cpu => cpu.IsHalted))
            {
                return;
            }
            cause.Set();
            base.OnLimitReached();
        }

        private readonly IMachine machine;
        private readonly ResetCause cause;

        // POWER, section 5.3.7.
        private const long ResetReason = 0x400;
        private const uint Watchdog = 1 << 1;
    }
}
