//
// What a processor of the ESP32 family does for the ROM of renode/rom.
//
using System;
using System.Text;
using Antmicro.Renode.Peripherals.Bus;

namespace Antmicro.Renode.Peripherals.CPU
{
    public static class ESP32_ROM
    {
        /// <summary>
        /// Lets the ROM say which of its functions it does not have: the program's symbols name them. Call it after every
        /// reset.
        /// </summary>
        /// <param name="register">Holds the function's address when the ROM comes to rom_missing.</param>
        public static void NameMissing(this ICPUWithHooks cpu, IBusController bus, Func<ulong> register)
        {
            var place = bus.GetSymbolAddress("rom_missing");
            cpu.RemoveHooksAt(place);
            cpu.AddHook(place, (_, __) =>
            {
                string text;
                Core.Symbol symbol;
                if(bus.TryFindSymbolAt(register(), out text, out symbol))
                {
                    var name = symbol.Name.Substring(0, Math.Min(symbol.Name.Length, NameSize - 1));
                    bus.WriteBytes(Encoding.ASCII.GetBytes(name + '\0'), bus.GetSymbolAddress("rom_missing_name"));
                }
            });
        }

        private const int NameSize = 64;
    }
}
