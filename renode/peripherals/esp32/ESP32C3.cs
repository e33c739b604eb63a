// SPDX-License-Identifier: Apache-2.0
//
// The ESP32-C3's processor (Technical Reference Manual, ESP-RISC-V CPU): RV32IMC with a few registers of its own.
//
using System;
using Antmicro.Renode.Core;
using Antmicro.Renode.Peripherals.Bus;
using Antmicro.Renode.Peripherals.IRQControllers;
using Antmicro.Renode.Time;
using Antmicro.Renode.Utilities.Binding;

namespace Antmicro.Renode.Peripherals.CPU
{
    /// <remarks>
    /// Its counter counts instructions, whatever event it was told to count. There is no user mode's view of the GPIOs,
    /// and the physical memory attributes are kept but mean nothing.
    ///
    /// The chip's interrupts have numbers of their own, priorities and no mie. Renode's core has none of that: it sees one
    /// external interrupt, always enabled. Once it takes it, mcause and the vector become those of the interrupt that the
    /// matrix has chosen.
    /// </remarks>
    public class ESP32C3 : RiscV32
    {
        /// <param name="interrupts">Leads to line 11.</param>
        public ESP32C3(IMachine machine, ESP32C3_InterruptMatrix interrupts) : base(machine, "rv32imc_zicsr_zifencei",
                privilegedArchitecture: PrivilegedArchitecture.Priv1_10, privilegeLevels: PrivilegeLevels.MachineUser)
        {
            this.interrupts = interrupts;
            RegisterCSR(0x305, () => MTVEC, value => MTVEC = (uint)value & VectorBase | Vectored, "mtvec");
            RegisterCSR(0x342, () => MCAUSE & CauseBits, SetCause, "mcause");
            RegisterCustomCSR("mpcer", 0x7E0, PrivilegeLevel.Machine);
            RegisterCustomCSR("mpcmr", 0x7E1, PrivilegeLevel.Machine);
            RegisterCSR(0x7E2, () => (uint)(ExecutedInstructions - counted), value => counted = ExecutedInstructions - value, "mpccr");
            for(var i = 0u; i < 16; i++)
            {
                RegisterCustomCSR("pma_cfg" + i, 0xBC0 + i, PrivilegeLevel.Machine);
                RegisterCustomCSR("pma_addr" + i, 0xBD0 + i, PrivilegeLevel.Machine);
            }
            EnableInterrupts();
        }

        public override void Reset()
        {
            base.Reset();
            // The core has forgotten what it was told of its memory protection, and would find each address in each region.
            setProtectedAddressBits(32);
            setProtectionGrain(ProtectionGrain);
            EnableInterrupts();
        }

        /// <summary>
        /// Starts as if the boot loader had just put the program into memory: in the ROM, with the program's address in a0.
        /// Call it after every reset.
        /// </summary>
        /// <param name="program">The program's first function.</param>
        public void Boot(string program = "__esp_platform_start")
        {
            var bus = machine.SystemBus;
            SetRegister((int)RiscV32Registers.X3, (uint)bus.GetSymbolAddress("__global_pointer$"));
            SetRegister((int)RiscV32Registers.X10, (uint)bus.GetSymbolAddress(program));
            PC = Rom;
            this.NameMissing(bus, () => X[10]);
        }

        /// <summary>The core writes mcause as the last thing before it goes to the vector.</summary>
        private void SetCause(ulong value)
        {
            if(value == (Interrupt | ExternalLine))
            {
                value = Interrupt | (uint)interrupts.Chosen;
                PC = (MTVEC & VectorBase) + 4 * (uint)interrupts.Chosen;
            }
            MCAUSE = (uint)value;
        }

        private void EnableInterrupts()
        {
            MTVEC = Vectored;
            MIE = 1u << (int)ExternalLine;
        }

#pragma warning disable 649 // Renode sets them
        [Import(Name = "tlib_set_pmpaddr_bits")]
        private Action<uint> setProtectedAddressBits;

        [Import(Name = "tlib_set_napot_grain")]
        private Action<uint> setProtectionGrain;
#pragma warning restore 649

        private ulong counted;
        private readonly ESP32C3_InterruptMatrix interrupts;

        private const uint Rom = 0x40000000;
        private const uint ExternalLine = 11;
        private const uint ProtectionGrain = 8; // bytes; what Renode starts with
        private const uint Interrupt = 1u << 31;
        private const uint CauseBits = Interrupt | 0x1F;
        private const uint Vectored = 1;
        private const uint VectorBase = 0xFFFFFF00;
    }
}
