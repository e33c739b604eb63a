// SPDX-License-Identifier: Apache-2.0
//
// The four interrupt registers that each module of the ESP32 family has, under its own name and at its own offsets: INT_RAW,
// INT_ST, INT_ENA and INT_CLR (for example ESP32-C3 Technical Reference Manual, UART Controller).
//
using Antmicro.Renode.Core;
using Antmicro.Renode.Core.Structure.Registers;

namespace Antmicro.Renode.Peripherals.Miscellaneous
{
    public class ESP32_Interrupts
    {
        /// <param name="lines">One that leads out all interrupts, or one for each bit from 0 on.</param>
        public ESP32_Interrupts(DoubleWordRegisterCollection registers, long raw, long status, long enable, long clear,
            params GPIO[] lines)
        {
            this.lines = lines;
            registers.DefineRegister(raw)
                .WithValueField(0, 32, FieldMode.Read, valueProviderCallback: _ => Raw, name: "INT_RAW");
            registers.DefineRegister(status)
                .WithValueField(0, 32, FieldMode.Read, valueProviderCallback: _ => Raw & enabled, name: "INT_ST");
            registers.DefineRegister(enable).WithValueField(0, 32, valueProviderCallback: _ => enabled,
                writeCallback: (_, value) => Change(() => enabled = (uint)value), name: "INT_ENA");
            registers.DefineRegister(clear).WithValueField(0, 32, FieldMode.Write,
                writeCallback: (_, value) => Change(() => latched &= ~(uint)value), name: "INT_CLR");
        }

        public void Reset()
        {
            Change(() => latched = levels = enabled = 0);
        }

        /// <summary>Something has happened: the bits are kept until software clears them.</summary>
        public void Raise(uint bits)
        {
            Change(() => latched |= bits);
        }

        /// <summary>What is so as long as it is: software cannot clear it.</summary>
        public uint Levels
        {
            set { Change(() => levels = value); }
        }

        private uint Raw
        {
            get { return latched | levels; }
        }

        /// <summary>Modules change in threads of their own: nobody may lead out what is no longer so.</summary>
        private void Change(System.Action change)
        {
            lock(lines)
            {
                change();
                var wanted = Raw & enabled;
                for(var i = 0; i < lines.Length; i++)
                {
                    lines[i].Set(lines.Length == 1 ? wanted != 0 : (wanted >> i & 1) != 0);
                }
            }
        }

        private uint enabled;
        private uint latched;
        private uint levels;
        private readonly GPIO[] lines;
    }
}
