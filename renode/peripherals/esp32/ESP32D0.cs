// SPDX-License-Identifier: Apache-2.0
//
// A processor of the ESP32-D0WD: Xtensa LX6, of which Renode has the core.
//
using System;
using System.Reflection;
using System.Runtime.InteropServices;
using Antmicro.Migrant.Hooks;
using Antmicro.Renode.Core;
using Antmicro.Renode.Logging;
using Antmicro.Renode.Peripherals.Bus;
using Antmicro.Renode.Peripherals.Timers;
using Antmicro.Renode.Utilities;
using Antmicro.Renode.Utilities.Binding;

namespace Antmicro.Renode.Peripherals.CPU
{
    /// <remarks>
    /// CCOUNT counts at 240 MHz, whatever clock is chosen, in steps of 140. A CCOMPARE matches once for each value that is written.
    /// </remarks>
    public class ESP32D0 : Xtensa
    {
        public ESP32D0(IMachine machine) : base("esp32", machine)
        {
            for(var i = 0; i < timers.Length; i++)
            {
                var interrupt = TimerInterrupts[i];
                timers[i] = new ComparingTimer(machine.ClockSource, TimerFrequency, this, "CCOMPARE" + i, enabled: true,
                    eventEnabled: true);
                timers[i].CompareReached += () => base.OnGPIO(interrupt, true);
            }
            AddFloatingPoint();
        }

        /// <summary>
        /// Starts as if the boot loader had just put the program into memory: in the ROM, with the program's address in EXCSAVE1.
        /// Call it after every reset.
        /// </summary>
        /// <param name="program">The program's first function.</param>
        public void Boot(string program = "__esp_platform_start")
        {
            var bus = machine.SystemBus;
            EXCSAVE[1] = (uint)bus.GetSymbolAddress(program);
            PC = ResetVector;
            this.NameMissing(bus, () => A[6]);
        }

        public override void OnGPIO(int number, bool value)
        {
            lock(levels)
            {
                levels[number] = value;
                base.OnGPIO(number, value);
            }
        }

        // These two take the place of the base class's, whose timer counts in a unit that the core does not reckon with, and whose
        // interrupts are those of another core: it makes CCOUNT from the time times 140 (its clock_freq_khz is 140000), but asks for
        // a match after so many nanoseconds as the cycles would take at 140 MHz. So a unit of time is 140 cycles, 7/12 of a microsecond.

        [Export]
        private ulong GetCPUTime()
        {
            // Programs wait in loops that read CCOUNT, and to report progress takes long: from the last report on, instructions tell.
            if(timers[0].Value != reported)
            {
                SyncTime();
                reported = timers[0].Value;
                executed = ExecutedInstructions;
            }
            var ticks = reported + (ExecutedInstructions - executed) * TicksPerMicrosecond / PerformanceInMips;
            return now = Math.Max(now, ticks / TicksPerUnit);
        }

        [Export]
        private void TimerMod(uint id, ulong value)
        {
            timers[id].Compare = (now + (value - now + 999) / 1000) * TicksPerUnit;
            // The core keeps its pending interrupts in a word that threads write without a lock: what got lost comes back now.
            lock(levels)
            {
                for(var i = 0; i < levels.Length; i++)
                {
                    if(levels[i])
                    {
                        base.OnGPIO(i, true);
                    }
                }
            }
        }

        /// <summary>A core's state begins with where its description is: in the library of the process that saved it.</summary>
        [LatePostDeserialization]
        private void RestoreDescription()
        {
            var library = SharedLibraries.LoadLibrary(LibraryFile);
            var state = Marshal.ReadIntPtr(SharedLibraries.GetSymbolAddress(library, "cpu"));
            Marshal.WriteIntPtr(state, SharedLibraries.GetSymbolAddress(library, "esp32"));
            SharedLibraries.UnloadLibrary(library);
            AddFloatingPoint();
        }

        /// <summary>
        /// Gives the core its floating-point instructions. Renode 1.16 has sets of what instructions do, and gave its core of the name
        /// that of the integers alone: a floating-point one is illegal there. A core beside it in the same library has both sets.
        /// </summary>
        private void AddFloatingPoint()
        {
            var library = SharedLibraries.LoadLibrary(LibraryFile);
            try
            {
                var core = SharedLibraries.GetSymbolAddress(library, "esp32");
                var other = SharedLibraries.GetSymbolAddress(library, "de233_fpu");
                var integer = SharedLibraries.GetSymbolAddress(library, "xtensa_core_opcodes");
                var floating = SharedLibraries.GetSymbolAddress(library, "xtensa_fpu_opcodes");
                for(var offset = 0; offset < ConfigurationSize; offset += IntPtr.Size)
                {
                    var sets = Marshal.ReadIntPtr(other, offset);
                    if(Math.Abs((long)sets - (long)other) < LibrarySize && Marshal.ReadIntPtr(sets) == integer
                        && Marshal.ReadIntPtr(sets, IntPtr.Size) == floating)
                    {
                        if(Marshal.ReadIntPtr(core, offset) == IntPtr.Zero)
                        {
                            Marshal.WriteIntPtr(core, offset, sets);
                            var again = SharedLibraries.GetSymbolAddress(library, "xtensa_finalize_config");
                            Marshal.GetDelegateForFunctionPointer<ConfigurationFinalizer>(again)("esp32");
                        }
                        return;
                    }
                }
                this.Log(LogLevel.Warning, "There is no floating point: this Renode keeps its cores in another way than 1.16 does");
            }
            finally
            {
                SharedLibraries.UnloadLibrary(library);
            }
        }

        /// <summary>Each processor has a copy of the library to itself.</summary>
        private string LibraryFile
        {
            get { return (string)typeof(TranslationCPU).GetField("libraryFile", BindingFlags.NonPublic | BindingFlags.Instance).GetValue(this); }
        }

        private ulong now;
        private ulong reported;
        private ulong executed;
        private readonly bool[] levels = new bool[32];
        private readonly ComparingTimer[] timers = new ComparingTimer[3];

        // XCHAL_TIMERn_INTERRUPT of the configuration (core-isa.h in Espressif's HAL).
        private static readonly int[] TimerInterrupts = { 6, 15, 16 };

        private const ulong TicksPerMicrosecond = 12;
        private const long TimerFrequency = (long)TicksPerMicrosecond * 1000000;
        private const ulong TicksPerUnit = 7;
        private const int ConfigurationSize = 0x400; // of what is searched of it
        private const long LibrarySize = 0x1000000;
        private const uint ResetVector = 0x40000400;

        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        private delegate IntPtr ConfigurationFinalizer(string core);
    }
}
