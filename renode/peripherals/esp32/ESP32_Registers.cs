// SPDX-License-Identifier: Apache-2.0
//
// What the ESP32 family's models share. Their registers are Renode's DoubleWordRegisterCollection, with the manuals' names.
//
using System;
using Antmicro.Renode.Core;
using Antmicro.Renode.Core.Structure.Registers;
using Antmicro.Renode.Peripherals.Bus;
using Antmicro.Renode.Peripherals.CPU;

namespace Antmicro.Renode.Peripherals.Miscellaneous
{
    /// <summary>A block of registers that keep what is written, for a module that is not modelled.</summary>
    [AllowedTranslations(AllowedTranslation.ByteToDoubleWord | AllowedTranslation.WordToDoubleWord)]
    public class ESP32_Registers : IDoubleWordPeripheral, IKnownSize
    {
        public ESP32_Registers(int size = 0x1000)
        {
            words = new uint[size / 4];
        }

        public void Reset()
        {
            Array.Clear(words, 0, words.Length);
        }

        public uint ReadDoubleWord(long offset)
        {
            return words[offset / 4];
        }

        public void WriteDoubleWord(long offset, uint value)
        {
            words[offset / 4] = value;
        }

        public long Size
        {
            get { return words.Length * 4; }
        }

        private readonly uint[] words;
    }

    public static class ESP32_RegisterExtensions
    {
        /// <summary>
        /// Makes each register that a model has not defined keep what is written: these chips have many that only
        /// configure what an emulator does not have.
        /// </summary>
        public static void KeepOthers(this DoubleWordRegisterCollection registers, long size)
        {
            for(var offset = 0L; offset < size; offset += 4)
            {
                if(!registers.HasRegisterAtOffset(offset))
                {
                    registers.DefineRegister(offset).WithValueField(0, 32);
                }
            }
        }

        /// <summary>Lets the clock of the machine catch up with the processor that is reading it.</summary>
        public static void SyncTime(this IMachine machine)
        {
            ICPU cpu;
            if(machine.SystemBus.TryGetCurrentCPU(out cpu))
            {
                cpu.SyncTime();
            }
        }
    }
}
