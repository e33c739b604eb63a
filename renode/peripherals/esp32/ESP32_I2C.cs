// SPDX-License-Identifier: Apache-2.0
//
// I2C controller of the ESP32 family (Technical Reference Manuals of the ESP32-C3 and the ESP32, I2C Controller), as master.
//
using System.Collections.Generic;
using System.Linq;
using Antmicro.Renode.Core;
using Antmicro.Renode.Core.Structure;
using Antmicro.Renode.Core.Structure.Registers;
using Antmicro.Renode.Peripherals.Bus;
using Antmicro.Renode.Peripherals.Miscellaneous;

namespace Antmicro.Renode.Peripherals.I2C
{
    /// <remarks>
    /// Commands are done when the transfer is started, in no time. Addresses have 7 bits. A device that is there
    /// acknowledges: Renode's interface has no way to refuse.
    /// </remarks>
    [AllowedTranslations(AllowedTranslation.ByteToDoubleWord | AllowedTranslation.WordToDoubleWord)]
    public abstract class ESP32_I2C : SimpleContainer<II2CPeripheral>, IDoubleWordPeripheral, IKnownSize,
        IProvidesRegisterCollection<DoubleWordRegisterCollection>
    {
        /// <param name="operations">What a command's code means, by code.</param>
        /// <param name="commands">How many command registers there are.</param>
        protected ESP32_I2C(IMachine machine, Operation[] operations, int commands) : base(machine)
        {
            this.operations = operations;
            this.commands = new IValueRegisterField[commands];
            done = new IFlagRegisterField[commands];
            IRQ = new GPIO();
            RegistersCollection = new DoubleWordRegisterCollection(this);
            interrupts = new ESP32_Interrupts(RegistersCollection, (long)Registers.InterruptRaw, (long)Registers.InterruptStatus,
                (long)Registers.InterruptEnable, (long)Registers.InterruptClear, IRQ);
            Registers.Control.Define(this)
                .WithValueField(0, 5)
                .WithFlag(5, FieldMode.Write, writeCallback: (_, value) => { if(value) Transfer(); }, name: "TRANS_START")
                .WithValueField(6, 4)
                .WithFlag(10, FieldMode.Write, writeCallback: (_, value) => { if(value) Abandon(); }, name: "FSM_RST")
                .WithFlag(11, FieldMode.Write, name: "CONF_UPGATE") // it is done at once
                .WithValueField(12, 20);
            Registers.Status.Define(this)
                .WithFlag(0, FieldMode.Read, valueProviderCallback: _ => refused, name: "RESP_REC")
                .WithReservedBits(1, 3)
                .WithFlag(4, FieldMode.Read, valueProviderCallback: _ => target != null, name: "BUS_BUSY")
                .WithReservedBits(5, 3)
                .WithValueField(8, 6, FieldMode.Read, valueProviderCallback: _ => (ulong)received.Count, name: "RXFIFO_CNT")
                .WithReservedBits(14, 4)
                .WithValueField(18, 6, FieldMode.Read, valueProviderCallback: _ => (ulong)sending.Count, name: "TXFIFO_CNT")
                .WithReservedBits(24, 8);
            Registers.FifoConfiguration.Define(this)
                .WithValueField(0, 12)
                .WithFlag(12, writeCallback: (_, value) => { if(value) received.Clear(); }, name: "RX_FIFO_RST")
                .WithFlag(13, writeCallback: (_, value) => { if(value) sending.Clear(); }, name: "TX_FIFO_RST")
                .WithValueField(14, 18);
            Registers.Data.Define(this)
                .WithValueField(0, 8, valueProviderCallback: _ => received.Count > 0 ? received.Dequeue() : 0ul,
                writeCallback: (_, value) => Put(sending, (byte)value), name: "FIFO_RDATA")
                .WithReservedBits(8, 24);
            Registers.Command0.DefineMany(this, (uint)commands, (register, i) => register
                    .WithValueField(0, 14, out this.commands[i], name: "COMMAND" + i)
                    .WithReservedBits(14, 17)
                    .WithFlag(31, out done[i], name: "COMMAND_DONE"));
        }

        public override void Reset()
        {
            RegistersCollection.Reset();
            sending.Clear();
            received.Clear();
            refused = false;
            Abandon();
            interrupts.Reset();
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

        public GPIO IRQ { get; private set; }

        public long Size
        {
            get { return 0x400; }
        }

        protected enum Operation
        {
            None,
            Restart,
            Write,
            Read,
            Stop,
            End,
        }

        private void Transfer()
        {
            interrupts.Raise(Started);
            refused = false;
            for(var i = 0; i < commands.Length; i++)
            {
                var command = (int)commands[i].Value;
                var code = command >> 11;
                var count = command & 0xFF; // BYTE_NUM
                done[i].Value = true;
                switch(code < operations.Length ? operations[code] : Operation.None)
                {
                case Operation.Restart:
                    Flush();
                    addressing = true;
                    break;
                case Operation.Write:
                    if(!Write(count) && (command & CheckAcknowledge) != 0)
                    {
                        interrupts.Raise(NotAcknowledged);
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
                    interrupts.Raise(Complete);
                    return;
                case Operation.End:
                    interrupts.Raise(Paused);
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
                Put(received, value);
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

        private static void Put(Queue<byte> fifo, byte value)
        {
            if(fifo.Count < FifoSize)
            {
                fifo.Enqueue(value);
            }
        }

        private II2CPeripheral target;
        private bool addressing;
        private bool refused;
        private readonly Operation[] operations;
        private readonly IValueRegisterField[] commands;
        private readonly IFlagRegisterField[] done;
        private readonly ESP32_Interrupts interrupts;
        private readonly List<byte> outgoing = new List<byte>();
        private readonly Queue<byte> sending = new Queue<byte>();
        private readonly Queue<byte> received = new Queue<byte>();

        private const int FifoSize = 32;
        private const int CheckAcknowledge = 1 << 8; // ACK_CHECK_EN

        private const uint Paused = 1u << 3; // END_DETECT
        private const uint Complete = 1u << 7; // TRANS_COMPLETE
        private const uint Started = 1u << 9; // TRANS_START
        private const uint NotAcknowledged = 1u << 10; // NACK, of the ESP32: ACK_ERR

        private enum Registers : long
        {
            Control = 0x04, // I2C_CTR_REG
            Status = 0x08, // I2C_SR_REG
            FifoConfiguration = 0x18, // I2C_FIFO_CONF_REG
            Data = 0x1C, // I2C_DATA_REG
            InterruptRaw = 0x20, // I2C_INT_RAW_REG
            InterruptClear = 0x24, // I2C_INT_CLR_REG
            InterruptEnable = 0x28, // I2C_INT_ENA_REG
            InterruptStatus = 0x2C, // I2C_INT_STATUS_REG
            Command0 = 0x58, // I2C_COMD0_REG
        }
    }
}
