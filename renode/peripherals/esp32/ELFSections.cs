// SPDX-License-Identifier: Apache-2.0
//
// Loads an ELF section by section.
//
// Espressif's linker scripts keep room by segments without content: as their instruction and data buses show the same
// memory at two addresses, loading such a segment, which zeroes it, wipes out the code that was loaded through the other.
//
using System;
using System.Linq;
using Antmicro.Renode.Core;
using Antmicro.Renode.Exceptions;
using Antmicro.Renode.Peripherals.Bus;
using Antmicro.Renode.Utilities;
using ELFSharp.ELF;
using ELFSharp.ELF.Sections;

namespace Antmicro.Renode.Core.Extensions
{
    public static class ELFSections
    {
        /// <summary>Writes the sections that have content to where they run, then reads the symbols.</summary>
        public static void LoadELFSections(this IBusController bus, ReadFilePath file)
        {
            IELF elf;
            if(!ELFReader.TryLoad(file, out elf) || !(elf is ELF<uint>))
            {
                throw new RecoverableException(String.Format("{0} is no ELF of 32 bits", file));
            }
            using (elf)
            {
                foreach(var section in ((ELF<uint>)elf).Sections.OfType<Section<uint>>())
                {
                    if((section.Flags & SectionFlags.Allocatable) != 0 && section.Type != SectionType.NoBits && section.Size > 0)
                    {
                        bus.WriteBytes(section.GetContents(), section.LoadAddress);
                    }
                }
                bus.LoadSymbolsFrom(elf);
            }
        }
    }
}
