// SPDX-License-Identifier: Apache-2.0
//
// What a processor of the ESP32 family does for the ROM of renode/rom.
//
using System;
using System.Collections.Generic;
using System.Linq;
using System.Text;
using Antmicro.Renode.Peripherals.Bus;

namespace Antmicro.Renode.Peripherals.CPU
{
    public static class ESP32_ROM
    {
        /// <summary>
        /// Lets the ROM say which of its functions it does not have: the program's symbols name them. Call it once the ROM
        /// is there; a reset, which drops the ROM's symbols, leaves it as it is.
        /// </summary>
        /// <param name="register">Holds the function's address when the ROM comes to rom_missing.</param>
        public static void NameMissing(this ICPUWithHooks cpu, IBusController bus, Func<ulong> register)
        {
            IEnumerable<ulong> missing, names;
            if(!bus.TryGetAllSymbolAddresses("rom_missing", out missing) || !bus.TryGetAllSymbolAddresses("rom_missing_name", out names))
            {
                return;
            }
            var place = names.First();
            cpu.RemoveHooksAt(missing.First());
            cpu.AddHook(missing.First(), (_, __) =>
            {
                string text;
                Core.Symbol symbol;
                if(bus.TryFindSymbolAt(register(), out text, out symbol))
                {
                    var name = symbol.Name.Substring(0, Math.Min(symbol.Name.Length, NameSize - 1));
                    bus.WriteBytes(Encoding.ASCII.GetBytes(name + '\0'), place);
                }
            });
        }

        private const int NameSize = 64;
    }
}
