// SPDX-License-Identifier: Apache-2.0
//
// STM32F7 power controller: over-drive, as far as start-up code waits for it (RM0385, section 4.4).
//
using Antmicro.Renode.Core;
using Antmicro.Renode.Core.Structure.Registers;
using Antmicro.Renode.Peripherals.Bus;

namespace Antmicro.Renode.Peripherals.Miscellaneous
{
    /// <summary>What is asked of it is so at once. Low-power modes and wake-up pins are not modelled.</summary>
    public class STM32F7_PWR : BasicDoubleWordPeripheral, IKnownSize
    {
        public STM32F7_PWR(IMachine machine) : base(machine)
        {
            Registers.Control1.Define(this, 0xC000)
                .WithValueField(0, 16, name: "LPDS to VOS")
                .WithFlag(16, out overDrive, name: "ODEN")
                .WithFlag(17, out overDriveSwitching, name: "ODSWEN")
                .WithValueField(18, 2, name: "UDEN")
                .WithReservedBits(20, 12);
            Registers.ControlStatus1.Define(this)
                .WithValueField(0, 14, name: "WUIF to BRE")
                .WithFlag(14, FieldMode.Read, valueProviderCallback: _ => true, name: "VOSRDY")
                .WithReservedBits(15, 1)
                .WithFlag(16, FieldMode.Read, valueProviderCallback: _ => overDrive.Value, name: "ODRDY")
                .WithFlag(17, FieldMode.Read, valueProviderCallback: _ => overDriveSwitching.Value, name: "ODSWRDY")
                .WithValueField(18, 2, name: "UDRDY")
                .WithReservedBits(20, 12);
            Registers.Control2.Define(this)
                .WithValueField(0, 32, name: "CR2");
            Registers.ControlStatus2.Define(this)
                .WithValueField(0, 32, name: "CSR2");
        }

        public long Size => 0x400;

        private readonly IFlagRegisterField overDrive;
        private readonly IFlagRegisterField overDriveSwitching;

        private enum Registers
        {
            Control1 = 0x00,
            ControlStatus1 = 0x04,
            Control2 = 0x08,
            ControlStatus2 = 0x0C,
        }
    }
}
