// SPDX-License-Identifier: Apache-2.0
//
// I2C of the STM32F1, F2, F4 and L1 as a master (RM0090, section 27). Renode's own reads one byte whatever is asked for.
//
using System.Collections.Generic;
using Antmicro.Renode.Core;
using Antmicro.Renode.Core.Structure;
using Antmicro.Renode.Core.Structure.Registers;
using Antmicro.Renode.Peripherals.Bus;

namespace Antmicro.Renode.Peripherals.I2C
{
    /// <summary>
    /// Transfers with 7-bit addresses, done at once. Slave mode, 10-bit addresses, DMA, SMBus and arbitration are not
    /// modelled.
    /// </summary>
    public class STM32_I2Cv1 : SimpleContainer<II2CPeripheral>, IDoubleWordPeripheral, IKnownSize,
        IProvidesRegisterCollection<DoubleWordRegisterCollection>
    {
        public STM32_I2Cv1(IMachine machine) : base(machine)
        {
            EventInterrupt = new GPIO();
            ErrorInterrupt = new GPIO();
            RegistersCollection = new DoubleWordRegisterCollection(this);
            Registers.Control1.Define(this)
                .WithFlag(0, writeCallback: (_, value) => { if(!value) Release(); }, name: "PE")
                .WithValueField(1, 7, name: "SMBUS to NOSTRETCH")
                .WithFlag(8, FieldMode.Read | FieldMode.WriteOneToClear, writeCallback: (_, value) => { if(value) Start(); }, name: "START")
                .WithFlag(9, FieldMode.Read | FieldMode.WriteOneToClear, writeCallback: (_, value) => { if(value) Stop(); }, name: "STOP")
                .WithFlag(10, out acknowledge, name: "ACK")
                .WithFlag(11, out position, name: "POS")
                .WithValueField(12, 3, name: "PEC to ALERT")
                .WithFlag(15, writeCallback: (_, value) => { if(value) Release(); }, name: "SWRST")
                .WithReservedBits(16, 16);
            Registers.Control2.Define(this)
                .WithValueField(0, 8, name: "FREQ")
                .WithFlag(8, out errorEnabled, name: "ITERREN")
                .WithFlag(9, out eventEnabled, name: "ITEVTEN")
                .WithFlag(10, out bufferEnabled, name: "ITBUFEN")
                .WithValueField(11, 2, name: "DMAEN, LAST")
                .WithReservedBits(13, 19)
                .WithWriteCallback((_, __) => Update());
            Registers.OwnAddress1.Define(this).WithValueField(0, 32, name: "OAR1");
            Registers.OwnAddress2.Define(this).WithValueField(0, 32, name: "OAR2");
            Registers.Data.Define(this)
                .WithValueField(0, 8, valueProviderCallback: _ => Take(), writeCallback: (_, value) => Give((byte)value), name: "DR")
                .WithReservedBits(8, 24);
            Registers.Status1.Define(this)
                .WithFlag(0, FieldMode.Read, valueProviderCallback: _ => state == State.Addressing, name: "SB")
                .WithFlag(1, FieldMode.Read, valueProviderCallback: _ => addressed, name: "ADDR")
                .WithFlag(2, FieldMode.Read, valueProviderCallback: _ => Finished, name: "BTF")
                .WithReservedBits(3, 3)
                .WithFlag(6, FieldMode.Read, valueProviderCallback: _ => received.Count > 0, name: "RXNE")
                .WithFlag(7, FieldMode.Read, valueProviderCallback: _ => Empty, name: "TXE")
                .WithReservedBits(8, 2)
                .WithFlag(10, out refused, FieldMode.Read | FieldMode.WriteZeroToClear, name: "AF")
                .WithReservedBits(11, 21)
                .WithWriteCallback((_, __) => Update());
            Registers.Status2.Define(this)
                .WithFlag(0, FieldMode.Read, valueProviderCallback: _ => state != State.Idle, name: "MSL")
                .WithFlag(1, FieldMode.Read, valueProviderCallback: _ => state != State.Idle, name: "BUSY")
                .WithFlag(2, FieldMode.Read, valueProviderCallback: _ => state == State.Sending, name: "TRA")
                .WithReservedBits(3, 29)
                .WithReadCallback((_, __) => Answered());
            Registers.ClockControl.Define(this).WithValueField(0, 32, name: "CCR");
            Registers.RiseTime.Define(this, 2).WithValueField(0, 32, name: "TRISE");
            Registers.NoiseFilter.Define(this).WithValueField(0, 32, name: "FLTR");
        }

        public override void Reset()
        {
            RegistersCollection.Reset();
            Release();
        }

        public uint ReadDoubleWord(long offset)
        {
            return RegistersCollection.Read(offset);
        }

        public void WriteDoubleWord(long offset, uint value)
        {
            RegistersCollection.Write(offset, value);
        }

        public GPIO EventInterrupt { get; }

        public GPIO ErrorInterrupt { get; }

        public DoubleWordRegisterCollection RegistersCollection { get; }

        public long Size => 0x400;

        private bool Empty
        {
            get { return state == State.Sending && !addressed; }
        }

        /// <summary>Both the data and the shift register are full, or both are empty after a byte.</summary>
        private bool Finished
        {
            get { return state == State.Sending ? shifted : received.Count == 2; }
        }

        private void Start()
        {
            Flush();
            received.Clear();
            shifted = false;
            state = State.Addressing;
            Update();
        }

        private void Stop()
        {
            Flush();
            if(slave != null)
            {
                slave.FinishTransmission();
            }
            slave = null;
            state = State.Idle;
            Update();
        }

        /// <summary>The bus is let go whatever happens on it.</summary>
        private void Release()
        {
            slave = null;
            addressed = false;
            state = State.Idle;
            sent.Clear();
            received.Clear();
            refused.Value = false;
            Update();
        }

        private void Flush()
        {
            if(sent.Count > 0 && slave != null)
            {
                slave.Write(sent.ToArray());
            }
            sent.Clear();
        }

        private void Give(byte value)
        {
            if(state == State.Addressing)
            {
                addressed = ChildCollection.TryGetValue(value >> 1, out slave);
                refused.Value = !addressed;
                state = !addressed ? State.Idle : (value & 1) != 0 ? State.Receiving : State.Sending;
            }
            else if(state == State.Sending)
            {
                sent.Add(value);
                shifted = true;
            }
            Update();
        }

        /// <summary>SR1 and SR2 have been read: the data phase begins.</summary>
        private void Answered()
        {
            if(!addressed)
            {
                return;
            }
            addressed = false;
            more = state == State.Receiving;
            Receive();
            Update();
        }

        /// <summary>Fills the data and the shift register, up to the byte that is not to be acknowledged.</summary>
        private void Receive()
        {
            while(more && state == State.Receiving && received.Count < 2)
            {
                received.Enqueue(slave.Read(1)[0]);
                // POS makes ACK that of the byte after (27.6.1).
                more = acknowledge.Value || (position.Value && received.Count < 2);
            }
        }

        private byte Take()
        {
            // Any access to the data register clears BTF.
            shifted = false;
            var value = received.Count > 0 ? received.Dequeue() : (byte)0;
            Receive();
            Update();
            return value;
        }

        private void Update()
        {
            var buffer = bufferEnabled.Value && (received.Count > 0 || Empty);
            EventInterrupt.Set(eventEnabled.Value && (state == State.Addressing || addressed || Finished || buffer));
            ErrorInterrupt.Set(errorEnabled.Value && refused.Value);
        }

        private State state;
        private bool addressed;
        private bool shifted;
        private bool more;
        private II2CPeripheral slave;

        private readonly List<byte> sent = new List<byte>();
        private readonly Queue<byte> received = new Queue<byte>();
        private readonly IFlagRegisterField acknowledge;
        private readonly IFlagRegisterField position;
        private readonly IFlagRegisterField errorEnabled;
        private readonly IFlagRegisterField eventEnabled;
        private readonly IFlagRegisterField bufferEnabled;
        private readonly IFlagRegisterField refused;

        private enum State
        {
            Idle,
            Addressing,
            Sending,
            Receiving,
        }

        private enum Registers
        {
            Control1 = 0x00,
            Control2 = 0x04,
            OwnAddress1 = 0x08,
            OwnAddress2 = 0x0C,
            Data = 0x10,
            Status1 = 0x14,
            Status2 = 0x18,
            ClockControl = 0x1C,
            RiseTime = 0x20,
            NoiseFilter = 0x24,
        }
    }
}
