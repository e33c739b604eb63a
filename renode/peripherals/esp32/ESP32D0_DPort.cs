// SPDX-License-Identifier: Apache-2.0
//
// DPort of the ESP32-D0WD (ESP32 Technical Reference Manual, DPort Registers) with the interrupt matrix (Interrupt Matrix): 69 sources,
// each led to one of the first processor's 32 interrupts.
//
using System.Collections.Generic;
using System.Linq;
using Antmicro.Renode.Core;
using Antmicro.Renode.Core.Structure.Registers;
using Antmicro.Renode.Peripherals.Bus;
using Antmicro.Renode.Peripherals.Miscellaneous;

namespace Antmicro.Renode.Peripherals.IRQControllers
{
    /// <remarks>
    /// The second processor is not there: its half of the matrix is only kept. So are clocks, resets and what configures the
    /// caches, which are flushed at once.
    /// </remarks>
    [AllowedTranslations(AllowedTranslation.ByteToDoubleWord | AllowedTranslation.WordToDoubleWord)]
    public class ESP32D0_DPort : IDoubleWordPeripheral, IKnownSize, IIRQController, INumberedGPIOOutput,
        IProvidesRegisterCollection<DoubleWordRegisterCollection>
    {
        public ESP32D0_DPort()
        {
            Connections = Enumerable.Range(0, Interrupts).ToDictionary(i => i, _ => (IGPIO) new GPIO());
            RegistersCollection = new DoubleWordRegisterCollection(this);
            foreach(var control in new[] { Registers.ProCacheControl, Registers.AppCacheControl })
            {
                IFlagRegisterField flush;
                control.Define(this)
                    .WithValueField(0, 4)
                    .WithFlag(4, out flush, name: "CACHE_FLUSH_ENA")
                    .WithFlag(5, FieldMode.Read, valueProviderCallback: _ => flush.Value, name: "CACHE_FLUSH_DONE")
                    .WithValueField(6, 26);
            }
            foreach(var state in new[] { Registers.ProCacheState, Registers.AppCacheState })
            {
                state.Define(this)
                    .WithValueField(0, 7, FieldMode.Read)
                    .WithValueField(7, 12, FieldMode.Read, valueProviderCallback: _ => Idle, name: "CACHE_STATE")
                    .WithValueField(19, 13, FieldMode.Read);
            }
            Registers.FromProcessor.DefineMany(this, FromProcessorCount, (register, i) => register
                    .WithFlag(0, writeCallback: (_, value) => OnGPIO(FromProcessorSource + i, value), name: "CPU_INTR_FROM_CPU")
                    .WithReservedBits(1, 31));
            Registers.Status.DefineMany(this, StatusCount, (register, i) => register
                    .WithValueField(0, 32, FieldMode.Read, valueProviderCallback: _ => Levels(32 * i), name: "PRO_INTR_STATUS"));
            targets = new IValueRegisterField[Sources];
            Registers.Map.DefineMany(this, Sources, (register, i) => register
                    .WithValueField(0, 5, out targets[i], name: "MAP")
                    .WithReservedBits(5, 27)
                    .WithWriteCallback((_, __) => Update()), resetValue: InternalTimer);
            RegistersCollection.KeepOthers(Size);
        }

        public void Reset()
        {
            RegistersCollection.Reset();
            for(var i = 0; i < FromProcessorCount; i++)
            {
                sources[FromProcessorSource + i] = false;
            }
            Update();
        }

        public void OnGPIO(int number, bool value)
        {
            lock(sources)
            {
                sources[number] = value;
                Update();
            }
        }

        public uint ReadDoubleWord(long offset)
        {
            return RegistersCollection.Read(offset);
        }

        public void WriteDoubleWord(long offset, uint value)
        {
            RegistersCollection.Write(offset, value);
        }

        public DoubleWordRegisterCollection RegistersCollection { get; private set; }

        /// <summary>The processor's interrupts.</summary>
        public IReadOnlyDictionary<int, IGPIO> Connections { get; private set; }

        public long Size
        {
            get { return 0x1000; }
        }

        /// <summary>Sources change in threads of their own: nobody may lead out what is no longer so.</summary>
        private void Update()
        {
            lock(sources)
            {
                var wanted = 0u;
                for(var i = 0; i < Sources; i++)
                {
                    wanted |= sources[i] ? 1u << (int)targets[i].Value : 0;
                }
                for(var i = 0; i < Interrupts; i++)
                {
                    Connections[i].Set(((wanted & External) >> i & 1) != 0);
                }
            }
        }

        private uint Levels(int first)
        {
            var levels = 0u;
            for(var i = 0; i < 32 && first + i < Sources; i++)
            {
                levels |= sources[first + i] ? 1u << i : 0;
            }
            return levels;
        }

        private readonly bool[] sources = new bool[Sources];
        private readonly IValueRegisterField[] targets;

        private const int Sources = 69;
        private const int Interrupts = 32;
        // All but 6, 7, 11, 15, 16 and 29, which are the core's own: timers, software, profiling (Interrupt Matrix, CPU interrupts).
        private const uint External = 0xDFFE773F;
        private const uint InternalTimer = 16;
        private const ulong Idle = 1;
        private const int StatusCount = 3;
        private const int FromProcessorSource = 24;
        private const int FromProcessorCount = 4;

        private enum Registers : long
        {
            ProCacheControl = 0x40,
            AppCacheControl = 0x58,
            FromProcessor = 0xDC,
            Status = 0xEC, // DPORT_PRO_INTR_STATUS_0_REG
            Map = 0x104,
            ProCacheState = 0x3F0, // DPORT_PRO_DCACHE_DBUG0_REG
            AppCacheState = 0x418, // DPORT_APP_DCACHE_DBUG0_REG
        }
    }
}
