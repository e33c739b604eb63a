// SPDX-License-Identifier: Apache-2.0
//
// Independent watchdog of the STM32 (RM0385, section 21; RM0090, section 21). Renode's own bites who is held by a debugger,
// and nobody learns that it was it.
//
using System.Linq;
using Antmicro.Renode.Core;
using Antmicro.Renode.Core.Structure.Registers;
using Antmicro.Renode.Logging;
using Antmicro.Renode.Peripherals.Bus;
using Antmicro.Renode.Peripherals.Miscellaneous;
using Antmicro.Renode.Time;

namespace Antmicro.Renode.Peripherals.Timers
{
    /// <summary>
    /// Resets the machine unless it is fed. It waits for a processor that a debugger holds, as DBG_IWDG_STOP makes it,
    /// and then begins anew. The window is not modelled, and updates are done at once.
    /// </summary>
    public class STM32_IWDG : BasicDoubleWordPeripheral, IKnownSize
    {
        /// <param name="rcc">Says in its register CSR that it was the watchdog.</param>
        public STM32_IWDG(IMachine machine, IBusPeripheral rcc) : base(machine)
        {
            cause = new ResetCause(machine, rcc, ControlAndStatus, WatchdogReset, RemoveFlags);
            timer = new LimitTimer(machine.ClockSource, Frequency, this, "watchdog", Longest + 1, enabled: false, eventEnabled: true, divider: 4);
            timer.LimitReached += Bite;
            Registers.Key.Define(this)
                .WithValueField(0, 16, FieldMode.Write, writeCallback: (_, value) => Unlock(value), name: "KEY")
                .WithReservedBits(16, 16);
            Registers.Prescaler.Define(this)
                .WithValueField(0, 3, out prescaler, name: "PR")
                .WithReservedBits(3, 29);
            Registers.Reload.Define(this, Longest)
                .WithValueField(0, 12, out reload, name: "RL")
                .WithReservedBits(12, 20);
            Registers.Status.Define(this)
                .WithValueField(0, 3, FieldMode.Read, name: "PVU, RVU, WVU")
                .WithReservedBits(3, 29);
            Registers.Window.Define(this, Longest)
                .WithValueField(0, 12, name: "WIN")
                .WithReservedBits(12, 20);
        }

        public override void Reset()
        {
            base.Reset();
            timer.Reset();
            unlocked = false;
        }

        public override void WriteDoubleWord(long offset, uint value)
        {
            if(offset != (long)Registers.Key && !unlocked)
            {
                this.Log(LogLevel.Warning, "It is locked: the write to 0x{0:X} is ignored", offset);
                return;
            }
            base.WriteDoubleWord(offset, value);
        }

        public long Size => 0x400;

        private void Unlock(ulong key)
        {
            unlocked = key == 0x5555;
            if(key == 0xAAAA)
            {
                Feed();
            }
            else if(key == 0xCCCC)
            {
                Feed();
                timer.Enabled = true;
            }
        }

        private void Feed()
        {
            timer.Divider = 4 << (int)System.Math.Min(prescaler.Value, 6);
            timer.Limit = reload.Value + 1;
            timer.ResetValue();
        }

        private void Bite()
        {
            if(machine.SystemBus.GetCPUs().Any(cpu => cpu.IsHalted))
            {
                return;
            }
            this.Log(LogLevel.Warning, "Nobody has fed it");
            cause.Set();
            machine.RequestReset();
        }

        private bool unlocked;

        private readonly LimitTimer timer;
        private readonly ResetCause cause;
        private readonly IValueRegisterField prescaler;
        private readonly IValueRegisterField reload;

        private const long Frequency = 32000;
        private const uint Longest = 0xFFF;

        // RCC_CSR (RM0385, section 5.3.21).
        private const long ControlAndStatus = 0x74;
        private const uint RemoveFlags = 1 << 24;
        private const uint WatchdogReset = 1 << 29;

        private enum Registers
        {
            Key = 0x00,
            Prescaler = 0x04,
            Reload = 0x08,
            Status = 0x0C,
            Window = 0x10,
        }
    }
}
