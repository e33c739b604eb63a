//
// I2C controller of the ESP32-C3 (Technical Reference Manual 1.1, chapter 28), as master.
//
using System.Collections.Generic;
using System.Linq;
using Antmicro.Renode.Core;
using Antmicro.Renode.Core.Structure;
using Antmicro.Renode.Peripherals.Bus;

namespace Antmicro.Renode.Peripherals.I2C
{
    /// <remarks>
    /// Commands are done when the transfer is started, in no time. Addresses have 7 bits. A device that is there
    /// acknowledges: Renode's interface has no way to refuse.
    /// </remarks>
    [AllowedTranslations(AllowedTranslation.ByteToDoubleWord | AllowedTranslation.WordToDoubleWord)]
    public class ESP32C3_I2C : SimpleContainer<II2CPeripheral>, IDoubleWordPeripheral, IKnownSize
    {
        public ESP32C3_I2C(IMachine machine) : base(machine)
        {
            IRQ = new GPIO();
            Reset();
        }

        public override void Reset()
        {
            System.Array.Clear(words, 0, words.Length);
            sending.Clear();
            received.Clear();
            Abandon();
            raw = 0;
            Update();
        }

        public uint ReadDoubleWord(long offset)
        {
            switch((Registers)offset)
            {
            case Registers.Status:
                return (refused ? 1u : 0u) | (target != null ? Busy : 0) | (uint)received.Count << 8
                    | (uint)sending.Count << 18;
            case Registers.Data:
                return received.Count > 0 ? received.Dequeue() : 0u;
            case Registers.RawInterrupts:
                return raw;
            case Registers.MaskedInterrupts:
                return raw & words[(int)Registers.InterruptEnable / 4];
            case Registers.InterruptClear:
                return 0;
            default:
                return words[offset / 4];
            }
        }

        public void WriteDoubleWord(long offset, uint value)
        {
            words[offset / 4] = value;
            switch((Registers)offset)
            {
            case Registers.Control:
                words[offset / 4] = value & ~(TransferStart | StateReset | Upgate);
                if((value & StateReset) != 0)
                {
                    Abandon();
                }
                if((value & TransferStart) != 0)
                {
                    Transfer();
                }
                break;
            case Registers.FifoConfiguration:
                if((value & ReceiveReset) != 0)
                {
                    received.Clear();
                }
                if((value & SendReset) != 0)
                {
                    sending.Clear();
                }
                break;
            case Registers.Data:
                if(sending.Count < FifoSize)
                {
                    sending.Enqueue((byte)value);
                }
                break;
            case Registers.InterruptClear:
                raw &= ~value;
                break;
            case Registers.SclSpecial:
                // The pulses that free a bus are out at once.
                words[offset / 4] = value & ~1u;
                break;
            }
            Update();
        }

        public GPIO IRQ { get; private set; }

        public long Size
        {
            get { return 0x1000; }
        }

        private void Transfer()
        {
            raw |= Started;
            refused = false;
            for(var i = 0; i < Commands; i++)
            {
                var index = (int)Registers.Command0 / 4 + i;
                var command = words[index];
                words[index] = command | Done;
                var count = (int)(command & 0xFF);
                switch((Operation)(command >> 11 & 7))
                {
                case Operation.Restart:
                    Flush();
                    addressing = true;
                    break;
                case Operation.Write:
                    if(!Write(count) && (command & CheckAcknowledge) != 0)
                    {
                        raw |= NotAcknowledged;
                        Abandon();
                        return;
                    }
                    break;
                case Operation.Read:
                    Read(count);
                    break;
                case Operation.Stop:
                    Flush();
                    Abandon();
                    raw |= Complete;
                    return;
                case Operation.End:
                    raw |= Paused;
                    return;
                default:
                    return;
                }
            }
        }

        /// <summary>Returns false if nobody acknowledges.</summary>
        private bool Write(int count)
        {
            for(; count > 0 && sending.Count > 0; count--)
            {
                var value = sending.Dequeue();
                if(!addressing)
                {
                    outgoing.Add(value);
                    continue;
                }
                addressing = false;
                TryGetByAddress(value >> 1, out target);
                if(target == null)
                {
                    refused = true;
                    return false;
                }
            }
            return target != null;
        }

        private void Read(int count)
        {
            var bytes = target == null ? new byte[0] : target.Read(count);
            // Nobody pulls the line low for what is missing.
            foreach(var value in bytes.Concat(Enumerable.Repeat((byte)0xFF, count)).Take(count))
            {
                if(received.Count < FifoSize)
                {
                    received.Enqueue(value);
                }
            }
        }

        private void Flush()
        {
            if(target != null && outgoing.Count > 0)
            {
                target.Write(outgoing.ToArray());
            }
            outgoing.Clear();
        }

        private void Abandon()
        {
            if(target != null)
            {
                target.FinishTransmission();
            }
            target = null;
            addressing = false;
            outgoing.Clear();
        }

        private void Update()
        {
            IRQ.Set((raw & words[(int)Registers.InterruptEnable / 4]) != 0);
        }

        private II2CPeripheral target;
        private bool addressing;
        private bool refused;
        private uint raw;
        private readonly List<byte> outgoing = new List<byte>();
        private readonly Queue<byte> sending = new Queue<byte>();
        private readonly Queue<byte> received = new Queue<byte>();
        private readonly uint[] words = new uint[0x1000 / 4];

        private const int FifoSize = 32;
        private const int Commands = 8;
        private const uint Busy = 1u << 4;
        private const uint TransferStart = 1u << 5;
        private const uint StateReset = 1u << 10;
        private const uint Upgate = 1u << 11;
        private const uint ReceiveReset = 1u << 12;
        private const uint SendReset = 1u << 13;
        private const uint CheckAcknowledge = 1u << 8;
        private const uint Done = 1u << 31;
        private const uint Paused = 1u << 3;
        private const uint Complete = 1u << 7;
        private const uint Started = 1u << 9;
        private const uint NotAcknowledged = 1u << 10;

        private enum Operation
        {
            Write = 1,
            Stop = 2,
            Read = 3,
            End = 4,
            Restart = 6,
        }

        private enum Registers : long
        {
            Control = 0x04,
            Status = 0x08,
            FifoConfiguration = 0x18,
            Data = 0x1C,
            RawInterrupts = 0x20,
            InterruptClear = 0x24,
            InterruptEnable = 0x28,
            MaskedInterrupts = 0x2C,
            Command0 = 0x58,
            SclSpecial = 0x80,
        }
    }
}
