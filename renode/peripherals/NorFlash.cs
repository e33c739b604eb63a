// SPDX-License-Identifier: Apache-2.0
//
// NOR flash behind SPI or QUADSPI: the commands that drivers of the "m25p80" family know (JESD216, Macronix MX25R6435F
// and Micron N25Q128A datasheets), on one data line.
//
using System;
using System.Collections.Generic;
using System.Linq;
using Antmicro.Renode.Core;
using Antmicro.Renode.Exceptions;
using Antmicro.Renode.Logging;
using Antmicro.Renode.Peripherals.SPI;

namespace Antmicro.Renode.Peripherals.Miscellaneous
{
    /// <summary>Where the contents of a <see cref="NorFlash"/> outlive the machine.</summary>
    public interface INorFlashKeeper
    {
        /// <summary>Returns the bytes of the sector at an address; null if there is no memory.</summary>
        byte[] Load(int address, int size);

        /// <summary>Bytes are programmed. Returns false if power failed meanwhile.</summary>
        bool Program(int address, byte[] data);

        /// <summary>A sector is erased. Returns false if power failed meanwhile.</summary>
        bool Erase(int address);
    }

    /// <summary>
    /// A NOR flash with sectors of 4 KiB. An erase sets bits, programming clears them. Its contents are kept through a
    /// reset, and for longer by a <see cref="Keeper"/>.
    /// </summary>
    /// <remarks>
    /// Operations are done at once. Only the first <c>size</c> bytes of the part have cells; <c>id</c> and its parameter
    /// table are those of the whole part.
    /// </remarks>
    public class NorFlash : ISPIPeripheral, IGPIOReceiver
    {
        /// <param name="id">The answer to "read identification" (9Fh), for example 0xC22817.</param>
        /// <param name="size">Bytes that have cells.</param>
        /// <param name="start">The address of the first of them. A keeper counts from there.</param>
        /// <param name="chipSelect">A GPIO ends commands and not the SPI: connect it to input 0.</param>
        public NorFlash(uint id, int size = 0x100000, bool chipSelect = false, int start = 0)
        {
            if(size <= 0 || size % SectorSize != 0)
            {
                throw new ConstructionException("The size must be a multiple of 4096");
            }
            if(start < 0 || start % BlockSize != 0)
            {
                throw new ConstructionException("The start must be a multiple of 65536");
            }
            this.id = id;
            this.size = size;
            this.start = start;
            this.chipSelect = chipSelect;
            parameters = Parameters(1L << (int)(id & 0xFF));
        }

        /// <summary>The machine was reset. The part has no reset pin, but whoever talked to it has stopped.</summary>
        public void Reset()
        {
            Deselect();
            writable = false;
            failed = false;
            if(Keeper != null)
            {
                sectors.Clear();
            }
        }

        public byte Transmit(byte data)
        {
            if(failed)
            {
                return 0xFF;
            }
            received.Add(data);
            var position = received.Count - 1;
            switch((Command)received[0])
            {
            case Command.ReadStatus:
                return (byte)(writable ? 0x02 : 0x00);
            case Command.ReadIdentification:
                return position == 0 ? (byte)0 : position <= 3 ? (byte)(id >> 8 * (3 - position)) : (byte)0;
            case Command.Read:
                return position < 4 ? (byte)0 : Cell(Address + position - 4);
            case Command.ReadFast:
                return position < 5 ? (byte)0 : Cell(Address + position - 5);
            case Command.ReadParameters:
                var index = position < 5 ? 0 : AddressOfPart + position - 5;
                return position >= 5 && index < parameters.Length ? parameters[index] : (byte)0xFF;
            default:
                return 0;
            }
        }

        /// <summary>The SPI has no more to send.</summary>
        public void FinishTransmission()
        {
            if(!chipSelect)
            {
                Deselect();
            }
        }

        /// <summary>Chip select, active low.</summary>
        public void OnGPIO(int number, bool value)
        {
            if(value)
            {
                Deselect();
            }
        }

        /// <summary>Where contents outlive the machine; none keeps them while the machine is there.</summary>
        public INorFlashKeeper Keeper { get; set; }

        /// <summary>Sectors erased since the model was made.</summary>
        public int Erases { get; private set; }

        /// <summary>Pages programmed since the model was made.</summary>
        public int Programs { get; private set; }

        /// <summary>The table of JESD216 (first revision): a header, and nine words of basic parameters.</summary>
        private static byte[] Parameters(long bytes)
        {
            var words = new uint[]
            {
                0x50444653, 0xFF000100, // "SFDP", revision 1.0, one table
                0x09010000, 0xFF000010, // basic parameters, revision 1.0, nine words at 10h
                0xFF8020E5,             // sectors of 4 KiB (20h), addresses of three bytes, one data line
                (uint)(bytes * 8 - 1),
                0, 0, 0xFFFFFFEE, 0xFF00FFFF, 0xFF00FFFF,
                0x520F200C, 0xFF00D810, // erases: 4 KiB 20h, 32 KiB 52h, 64 KiB D8h
            };
            return words.SelectMany(BitConverter.GetBytes).ToArray();
        }

        /// <summary>Chip select has gone high: what has been received is done.</summary>
        private void Deselect()
        {
            if(received.Count > 0 && !failed)
            {
                Execute((Command)received[0]);
            }
            received.Clear();
        }

        private void Execute(Command command)
        {
            switch(command)
            {
            case Command.WriteEnable:
                writable = true;
                return;
            case Command.WriteDisable:
                writable = false;
                return;
            case Command.PageProgram:
                if(Writes(5))
                {
                    Program(Address, received.Skip(4).ToArray());
                }
                return;
            case Command.SectorErase:
                Erase(4, SectorSize);
                return;
            case Command.BlockErase32:
                Erase(4, 0x8000);
                return;
            case Command.BlockErase:
                Erase(4, BlockSize);
                return;
            case Command.ChipErase:
            case Command.BulkErase:
                Erase(1, size);
                return;
            }
        }

        private bool Writes(int least)
        {
            var may = writable && received.Count >= least;
            writable = false;
            return may;
        }

        private void Program(int address, byte[] data)
        {
            Programs++;
            // What goes past the end of a page comes in again at its beginning; its last 256 bytes count.
            var page = address & ~(PageSize - 1);
            var bytes = new SortedDictionary<int, byte>();
            for(var i = Math.Max(0, data.Length - PageSize); i < data.Length; i++)
            {
                bytes[page + (address + i) % PageSize] = data[i];
            }
            foreach(var run in Runs(bytes))
            {
                var sector = Sector(run.Key);
                if(sector == null)
                {
                    this.Log(LogLevel.Warning, "Program at 0x{0:X}, where the model has no cells", run.Key);
                    return;
                }
                if(Keeper != null && !Keeper.Program(run.Key, run.Value))
                {
                    Fail();
                    return;
                }
                for(var i = 0; i < run.Value.Length; i++)
                {
                    sector[run.Key % SectorSize + i] &= run.Value[i];
                }
            }
        }

        private static IEnumerable<KeyValuePair<int, byte[]>> Runs(SortedDictionary<int, byte> bytes)
        {
            var start = 0;
            var run = new List<byte>();
            foreach(var each in bytes)
            {
                if(run.Count > 0 && each.Key != start + run.Count)
                {
                    yield return new KeyValuePair<int, byte[]>(start, run.ToArray());
                    run.Clear();
                }
                if(run.Count == 0)
                {
                    start = each.Key;
                }
                run.Add(each.Value);
            }
            if(run.Count > 0)
            {
                yield return new KeyValuePair<int, byte[]>(start, run.ToArray());
            }
        }

        private void Erase(int least, int length)
        {
            var first = least > 1 && received.Count >= least ? Address & ~(length - 1) : 0;
            if(!Writes(least))
            {
                return;
            }
            for(var address = Math.Max(0, first); address < first + length && address < size; address += SectorSize)
            {
                Erases++;
                if(Keeper != null && !Keeper.Erase(address))
                {
                    Fail();
                    return;
                }
                sectors[address] = Blank();
            }
        }

        /// <summary>Power has failed: the part is dead until the machine starts again.</summary>
        private void Fail()
        {
            failed = true;
            sectors.Clear();
        }

        private byte Cell(int address)
        {
            var sector = Sector(address);
            return sector == null ? (byte)0xFF : sector[address % SectorSize];
        }

        /// <summary>Returns the cells of the sector that holds an address; null if there are none.</summary>
        private byte[] Sector(int address)
        {
            if(address < 0 || address >= size)
            {
                return null;
            }
            var first = address - address % SectorSize;
            byte[] sector;
            if(!sectors.TryGetValue(first, out sector))
            {
                sector = (Keeper == null) ? Blank() : Keeper.Load(first, SectorSize);
                if(sector != null)
                {
                    sectors[first] = sector;
                }
            }
            return sector;
        }

        private static byte[] Blank()
        {
            return Enumerable.Repeat((byte)0xFF, SectorSize).ToArray();
        }

        /// <summary>The address that was sent, counted from the first cell.</summary>
        private int Address
        {
            get { return AddressOfPart - start; }
        }

        private int AddressOfPart
        {
            get { return received.Count < 4 ? 0 : received[1] << 16 | received[2] << 8 | received[3]; }
        }

        private bool writable;
        private bool failed;

        private readonly uint id;
        private readonly int size;
        private readonly int start;
        private readonly bool chipSelect;
        private readonly byte[] parameters;
        private readonly List<byte> received = new List<byte>();
        private readonly Dictionary<int, byte[]> sectors = new Dictionary<int, byte[]>();

        private const int SectorSize = 4096;
        private const int BlockSize = 65536;
        private const int PageSize = 256;

        private enum Command : byte
        {
            PageProgram = 0x02,
            Read = 0x03,
            WriteDisable = 0x04,
            ReadStatus = 0x05,
            WriteEnable = 0x06,
            ReadFast = 0x0B,
            SectorErase = 0x20,
            BlockErase32 = 0x52,
            ReadParameters = 0x5A,
            BulkErase = 0x60,
            ReadIdentification = 0x9F,
            ChipErase = 0xC7,
            BlockErase = 0xD8,
        }
    }
}
