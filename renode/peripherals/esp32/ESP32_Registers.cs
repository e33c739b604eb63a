//
// What the ESP32 family's models share: a block of registers that keep what is written.
//
using System;
using Antmicro.Renode.Core;
using Antmicro.Renode.Peripherals.Bus;
using Antmicro.Renode.Peripherals.CPU;

namespace Antmicro.Renode.Peripherals.Miscellaneous
{
    /// <summary>
    /// A block of registers. One that a model does not handle keeps what is written: these chips have many that only
    /// configure what an emulator does not have.
    /// </summary>
    [AllowedTranslations(AllowedTranslation.ByteToDoubleWord | AllowedTranslation.WordToDoubleWord)]
    public class ESP32_Registers : IDoubleWordPeripheral, IKnownSize
    {
        public ESP32_Registers(int size = 0x1000)
        {
            words = new uint[size / 4];
        }

        public virtual void Reset()
        {
            Array.Clear(words, 0, words.Length);
        }

        public virtual uint ReadDoubleWord(long offset)
        {
            return words[offset / 4];
        }

        public virtual void WriteDoubleWord(long offset, uint value)
        {
            words[offset / 4] = value;
        }

        public long Size
        {
            get { return words.Length * 4; }
        }

        /// <summary>Lets the clock of the machine catch up with the processor that is reading it.</summary>
        protected static void SyncTime(IMachine machine)
        {
            ICPU cpu;
            if(machine.SystemBus.TryGetCurrentCPU(out cpu))
            {
                cpu.SyncTime();
            }
        }

        protected readonly uint[] words;
    }
}
