// SPDX-License-Identifier: Apache-2.0
//
// The lab's world reaches the parts: what a sensor senses, what a button does and what is wrong with a part is asked of
// the lab when the part needs it; what a strip or a relay shows is told to it. The lab keeps all of that in one place for
// every engine; the registers and the timing are the models'.
//
// The stream is a simbus (docs/protocol.md, sections 1 and 2), on which this is the device's end.
//
using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Net.Sockets;
using System.Text;
using System.Threading;
using Antmicro.Migrant;
using Antmicro.Renode.Core;
using Antmicro.Renode.Exceptions;
using Antmicro.Renode.Logging;
using Antmicro.Renode.Peripherals;
using Antmicro.Renode.Peripherals.Miscellaneous;
using Antmicro.Renode.Peripherals.Sensors;

namespace Antmicro.Renode.Lab
{
    public static class LabPartsExtensions
    {
        /// <summary>Opens the stream <paramref name="name"/> to the lab for the parts of the machine.</summary>
        public static void CreateLabParts(this IMachine machine, string name)
        {
            var parts = new LabParts(name, machine);
            parts.Connect();
            EmulationManager.Instance.CurrentEmulation.ExternalsManager.AddExternal(parts, name);
        }

        /// <summary>Lets the lab say what a part senses, and see what it shows.</summary>
        /// <param name="stream">The stream's name.</param>
        /// <param name="name">What the lab calls the part.</param>
        /// <param name="place">Its pin or strip, as the lab counts them.</param>
        public static void AttachLabPart(this IMachine machine, string stream, string name, IPeripheral part, int place)
        {
            IExternal parts;
            if(!EmulationManager.Instance.CurrentEmulation.ExternalsManager.TryGetByName(stream, out parts) || !(parts is LabParts))
            {
                throw new RecoverableException(String.Format("There are no lab parts {0}", stream));
            }
            ((LabParts)parts).Attach(name, part, place);
        }
    }

    public class LabParts : ILabStream
    {
        public LabParts(string name, IMachine machine)
        {
            this.name = name;
            this.machine = machine;
        }

        public void Connect()
        {
            stream = Connection.Open(name);
            asking = new object();
            answered = new ManualResetEventSlim();
            answer = new byte[0];
            machine.MachineReset += _ => Tell(Operation.Reset);
            new Thread(Receive) { IsBackground = true, Name = "Lab parts" }.Start();
        }

        public void Attach(string name, IPeripheral part, int place)
        {
            var bme680 = part as BME680;
            var dht22 = part as DHT22;
            var strip = part as WS2812;
            var relay = part as Relay;
            var button = part as Button;
            var potentiometer = part as Potentiometer;
            var flash = part as NorFlash;
            if(bme680 != null)
            {
                bme680.Accessed += _ => Sense(name, bme680);
            }
            else if(dht22 != null)
            {
                dht22.Accessed += _ => Sense(name, dht22);
            }
            else if(potentiometer != null)
            {
                potentiometer.Accessed += _ => Sense(name, potentiometer);
            }
            else if(strip != null)
            {
                strip.Changed += _ => Ask(Operation.Strip, new[] { (byte)place }.Concat(Colours(strip)).ToArray());
            }
            else if(relay != null)
            {
                relay.Changed += (_, on) => Ask(Operation.GpioWrite, (byte)place, (byte)(on != relay.ActiveLow ? 1 : 0));
            }
            else if(button != null)
            {
                // One that is held down is so through a reset.
                button.ReleaseOnReset = false;
                buttons[(byte)place] = button;
            }
            else if(flash != null)
            {
                flash.Keeper = new Keeper(this);
            }
            else
            {
                throw new RecoverableException(String.Format("The lab has no part like {0}", part.GetType().Name));
            }
        }

        public void Dispose()
        {
            stream.Dispose();
        }

        /// <summary>Sends a request whose answer is of no interest.</summary>
        public void Tell(Operation operation, params byte[] payload)
        {
            Send(0, operation, payload);
        }

        public enum Operation : byte
        {
            Strip = 0x03,
            GpioWrite = 0x04,
            FlashRead = 0x07,
            FlashProgram = 0x08,
            FlashErase = 0x09,
            Reset = 0x0A,
            Sense = 0x20,
            GpioChanged = 0x40,
        }

        private static IEnumerable<byte> Colours(WS2812 strip)
        {
            for(var led = 0; led < strip.Count; led++)
            {
                var colour = Convert.ToUInt32(strip.GetPixel(led), 16);
                yield return (byte)(colour >> 8);
                yield return (byte)(colour >> 16);
                yield return (byte)colour;
            }
        }

        private void Sense(string name, BME680 part)
        {
            BME680.PartFault fault;
            var world = World(name, out fault);
            part.Fault = fault;
            part.Temperature = Quantity(world, "temperature", part.Temperature);
            part.Humidity = Quantity(world, "humidity", part.Humidity);
            part.Pressure = Quantity(world, "pressure", part.Pressure);
            part.Gas = Quantity(world, "gas", part.Gas);
        }

        private void Sense(string name, DHT22 part)
        {
            DHT22.PartFault fault;
            var world = World(name, out fault);
            part.Fault = fault;
            part.Temperature = Quantity(world, "temperature", part.Temperature);
            part.Humidity = Quantity(world, "humidity", part.Humidity);
        }

        private void Sense(string name, Potentiometer part)
        {
            part.Voltage = Quantity(World(name), "voltage", part.Voltage);
        }

        private Dictionary<string, string> World<T>(string name, out T fault) where T : struct
        {
            var world = World(name);
            string word;
            if(!world.TryGetValue("fault", out word) || !Enum.TryParse(word.Replace("-", ""), true, out fault))
            {
                fault = default(T);
            }
            return world;
        }

        /// <summary>Returns what the lab says of a part: words like "temperature=31.5", the fault among them.</summary>
        private Dictionary<string, string> World(string name)
        {
            var world = new Dictionary<string, string>();
            foreach(var pair in Encoding.UTF8.GetString(Ask(Operation.Sense, Encoding.UTF8.GetBytes(name))).Split(' '))
            {
                var equals = pair.IndexOf('=');
                if(equals > 0)
                {
                    world[pair.Substring(0, equals)] = pair.Substring(equals + 1);
                }
            }
            return world;
        }

        private static decimal Quantity(Dictionary<string, string> world, string name, decimal otherwise)
        {
            string text;
            return world.TryGetValue(name, out text) ? Decimal.Parse(text, CultureInfo.InvariantCulture) : otherwise;
        }

        /// <summary>Returns what the lab answers, after the status; nothing if it does not.</summary>
        private byte[] Ask(Operation operation, params byte[] payload)
        {
            var said = Request(operation, payload);
            return said.Skip(1).ToArray();
        }

        /// <summary>Returns what the lab answers, the status first; nothing if it does not.</summary>
        private byte[] Request(Operation operation, params byte[] payload)
        {
            lock(asking)
            {
                sequence = (byte)(sequence % 255 + 1);
                answered.Reset();
                if(gone || !Send(sequence, operation, payload))
                {
                    return new byte[0];
                }
                if(!answered.Wait(Patience))
                {
                    Logger.Log(LogLevel.Warning, "The lab did not answer its part within {0} ms", Patience);
                    return new byte[0];
                }
                return answer;
            }
        }

        private bool Send(byte number, Operation operation, byte[] payload)
        {
            var frame = LabFrame.Encode(new[] { number, (byte)operation }.Concat(payload).ToArray());
            try
            {
                lock(stream)
                {
                    stream.Write(frame, 0, frame.Length);
                }
                return true;
            }
            catch(IOException)
            {
                return false;
            }
            catch(ObjectDisposedException)
            {
                return false;
            }
        }

        private void Receive()
        {
            var buffer = new byte[4096];
            var encoded = new List<byte>();
            try
            {
                int count;
                while((count = stream.Read(buffer, 0, buffer.Length)) > 0)
                {
                    for(var i = 0; i < count; i++)
                    {
                        if(buffer[i] != 0)
                        {
                            encoded.Add(buffer[i]);
                            continue;
                        }
                        byte[] body;
                        if(LabFrame.TryDecode(encoded, out body) && body.Length >= 2)
                        {
                            Take(body);
                        }
                        encoded.Clear();
                    }
                }
            }
            catch(IOException)
            {
            }
            catch(ObjectDisposedException)
            {
            }
            gone = true;
            answer = new byte[0];
            answered.Set();
        }

        private void Take(byte[] body)
        {
            Button button;
            if(body[1] == (byte)Operation.GpioChanged && body.Length == 4)
            {
                // The lab's buttons pull their pin low, whatever the board's does.
                if(buttons.TryGetValue(body[2], out button))
                {
                    if(body[3] == 0)
                    {
                        button.Press();
                    }
                    else
                    {
                        button.Release();
                    }
                }
            }
            else if(body[0] == sequence && body[0] != 0 && body.Length >= 3)
            {
                answer = body.Skip(2).ToArray();
                answered.Set();
            }
        }

        [Transient]
        private volatile bool gone;
        private volatile byte[] answer;
        private byte sequence;

        [Transient]
        private NetworkStream stream;
        [Transient]
        private object asking;
        [Transient]
        private ManualResetEventSlim answered;

        private readonly string name;
        private readonly IMachine machine;
        private readonly Dictionary<byte, Button> buttons = new Dictionary<byte, Button>();

        /// <summary>The lab keeps a flash's contents, in a file of the device's folder.</summary>
        private class Keeper : INorFlashKeeper
        {
            public Keeper(LabParts parts)
            {
                this.parts = parts;
            }

            public byte[] Load(int address, int size)
            {
                var bytes = new List<byte>();
                while(bytes.Count < size)
                {
                    var request = BitConverter.GetBytes(address + bytes.Count).Concat(BitConverter.GetBytes((ushort)Chunk));
                    var said = parts.Ask(Operation.FlashRead, request.ToArray());
                    if(said.Length != Chunk)
                    {
                        return null;
                    }
                    bytes.AddRange(said);
                }
                return bytes.ToArray();
            }

            public bool Program(int address, byte[] data)
            {
                return Done(Operation.FlashProgram, BitConverter.GetBytes(address).Concat(data));
            }

            public bool Erase(int address)
            {
                return Done(Operation.FlashErase, BitConverter.GetBytes(address));
            }

            private bool Done(Operation operation, IEnumerable<byte> request)
            {
                var said = parts.Request(operation, request.ToArray());
                return said.Length > 0 && said[0] == 0;
            }

            private readonly LabParts parts;

            // Bytes: a frame holds a little more than 1 KiB.
            private const int Chunk = 512;
        }

        // ms. Nobody is there when the streams of a machine are open and the lab does not serve them yet.
        private const int Patience = 2000;
    }

    /// <summary>Frames as on the link: a body and its CRC-32 in COBS, ended by a zero.</summary>
    internal static class LabFrame
    {
        public static byte[] Encode(byte[] body)
        {
            var plain = body.Concat(BitConverter.GetBytes(Crc32(body, body.Length))).ToArray();
            var frame = new List<byte> { 0 };
            var code = 0;
            foreach(var value in plain)
            {
                if(value != 0)
                {
                    frame.Add(value);
                }
                if(value == 0 || frame.Count - code == 0xFF)
                {
                    frame[code] = (byte)(frame.Count - code);
                    code = frame.Count;
                    frame.Add(0);
                }
            }
            frame[code] = (byte)(frame.Count - code);
            frame.Add(0);
            return frame.ToArray();
        }

        public static bool TryDecode(List<byte> encoded, out byte[] body)
        {
            body = null;
            var plain = new List<byte>();
            for(var i = 0; i < encoded.Count;)
            {
                var code = encoded[i];
                if(i + code > encoded.Count)
                {
                    return false;
                }
                plain.AddRange(encoded.GetRange(i + 1, code - 1));
                i += code;
                if(code < 0xFF && i < encoded.Count)
                {
                    plain.Add(0);
                }
            }
            var size = plain.Count - 4;
            if(size < 0)
            {
                return false;
            }
            var bytes = plain.ToArray();
            body = bytes.Take(size).ToArray();
            return BitConverter.ToUInt32(bytes, size) == Crc32(bytes, size);
        }

        /// <summary>CRC-32 as in IEEE 802.3.</summary>
        private static uint Crc32(byte[] bytes, int size)
        {
            var crc = 0xFFFFFFFF;
            for(var i = 0; i < size; i++)
            {
                crc ^= bytes[i];
                for(var bit = 0; bit < 8; bit++)
                {
                    crc = (crc & 1) != 0 ? crc >> 1 ^ 0xEDB88320 : crc >> 1;
                }
            }
            return ~crc;
        }
    }
}
