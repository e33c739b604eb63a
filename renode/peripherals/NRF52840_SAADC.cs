// SPDX-License-Identifier: Apache-2.0
//
// The converter of the nRF52840 (product specification, section 6.23), which Renode has not.
//
using System;
using System.Collections.Generic;
using Antmicro.Renode.Core;
using Antmicro.Renode.Core.Structure;
using Antmicro.Renode.Core.Structure.Registers;
using Antmicro.Renode.Peripherals.Bus;
using Antmicro.Renode.Peripherals.Sensors;

namespace Antmicro.Renode.Peripherals.Analog
{
    /// <summary>
    /// Single-ended conversions of the parts on AIN0 to AIN7, done at once, into memory. Limits, oversampling, its own
    /// sampling timer, differential inputs and resistors are not modelled; an input without a part reads 0.
    /// </summary>
    public class NRF52840_SAADC : SimpleContainer<Potentiometer>, IDoubleWordPeripheral, IKnownSize,
        IProvidesRegisterCollection<DoubleWordRegisterCollection>
    {
        /// <param name="supply">V, of which a quarter may be the reference.</param>
        public NRF52840_SAADC(IMachine machine, double supply = 3.3) : base(machine)
        {
            this.supply = (decimal)supply;
            IRQ = new GPIO();
            RegistersCollection = new DoubleWordRegisterCollection(this);
            Task(Registers.Start, Start);
            Task(Registers.Sample, Sample);
            Task(Registers.Stop, () => Happen(Event.Stopped));
            Task(Registers.CalibrateOffset, () => Happen(Event.CalibrateDone));
            for(var number = 0; number < events.Length; number++)
            {
                ((Registers)((long)Registers.Started + 4 * number)).Define(this)
                    .WithFlag(0, out events[number], name: "EVENT")
                    .WithReservedBits(1, 31)
                    .WithWriteCallback((_, __) => Update());
            }
            Registers.InterruptEnable.Define(this)
                .WithValueField(0, 32, out interrupts, name: "INTEN")
                .WithWriteCallback((_, __) => Update());
            Registers.InterruptSet.Define(this)
                .WithValueField(0, 32, valueProviderCallback: _ => interrupts.Value, writeCallback: (_, value) => interrupts.Value |= value, name: "INTENSET")
                .WithWriteCallback((_, __) => Update());
            Registers.InterruptClear.Define(this)
                .WithValueField(0, 32, valueProviderCallback: _ => interrupts.Value, writeCallback: (_, value) => interrupts.Value &= ~value, name: "INTENCLR")
                .WithWriteCallback((_, __) => Update());
            Registers.Status.Define(this)
                .WithValueField(0, 32, FieldMode.Read, name: "STATUS");
            Registers.Enable.Define(this)
                .WithFlag(0, out enabled, name: "ENABLE")
                .WithReservedBits(1, 31);
            for(var channel = 0; channel < Channels; channel++)
            {
                var first = (long)Registers.FirstChannel + 0x10 * channel;
                ((Registers)first).Define(this).WithValueField(0, 32, out inputs[channel], name: "PSELP");
                ((Registers)(first + 4)).Define(this).WithValueField(0, 32, name: "PSELN");
                ((Registers)(first + 8)).Define(this, 0x20000)
                    .WithValueField(0, 8, name: "RESP, RESN")
                    .WithValueField(8, 3, out gains[channel], name: "GAIN")
                    .WithReservedBits(11, 1)
                    .WithFlag(12, out quarters[channel], name: "REFSEL")
                    .WithValueField(13, 19, name: "TACQ to BURST");
                ((Registers)(first + 12)).Define(this, 0x7FFF8000).WithValueField(0, 32, name: "LIMIT");
            }
            Registers.Resolution.Define(this, 1)
                .WithValueField(0, 3, out resolution, name: "VAL")
                .WithReservedBits(3, 29);
            Registers.Oversample.Define(this).WithValueField(0, 32, name: "OVERSAMPLE");
            Registers.SampleRate.Define(this).WithValueField(0, 32, name: "SAMPLERATE");
            Registers.ResultPointer.Define(this).WithValueField(0, 32, out pointer, name: "PTR");
            Registers.ResultMaximum.Define(this).WithValueField(0, 32, out maximum, name: "MAXCNT");
            Registers.ResultAmount.Define(this).WithValueField(0, 32, FieldMode.Read, valueProviderCallback: _ => amount, name: "AMOUNT");
        }

        public override void Reset()
        {
            RegistersCollection.Reset();
            amount = 0;
            Update();
        }

        public uint ReadDoubleWord(long offset)
        {
            return RegistersCollection.Read(offset);
        }

        public void WriteDoubleWord(long offset, uint value)
        {
            RegistersCollection.Write(offset, value);
        }

        public GPIO IRQ { get; }

        public DoubleWordRegisterCollection RegistersCollection { get; }

        public long Size => 0x1000;

        private void Task(Registers register, Action act)
        {
            register.Define(this)
                .WithFlag(0, FieldMode.Write, writeCallback: (_, value) => { if(value) act(); }, name: "TASK")
                .WithReservedBits(1, 31);
        }

        private void Start()
        {
            amount = 0;
            Happen(Event.Started);
        }

        /// <summary>One sample of every channel that has an input (6.23.3).</summary>
        private void Sample()
        {
            for(var channel = 0; enabled.Value && channel < Channels && amount < maximum.Value; channel++)
            {
                if(inputs[channel].Value == 0)
                {
                    continue;
                }
                machine.SystemBus.WriteWord(pointer.Value + 2 * amount, Convert(channel));
                amount++;
                Happen(Event.Done);
                Happen(Event.ResultDone);
                if(amount == maximum.Value)
                {
                    Happen(Event.End);
                }
            }
        }

        /// <summary>V * gain / reference, of 2 to the power of the resolution (6.23.2).</summary>
        private ushort Convert(int channel)
        {
            Potentiometer part;
            var volts = TryGetByAddress((int)inputs[channel].Value - 1, out part) ? part.Sample() : 0;
            var reference = quarters[channel].Value ? supply / 4 : Internal;
            var full = 1 << (8 + 2 * (int)Math.Min(resolution.Value, 3));
            return (ushort)Math.Min(Decimal.Round(volts * Gains[gains[channel].Value] / reference * full), full - 1);
        }

        private void Happen(Event what)
        {
            events[(int)what].Value = true;
            Update();
        }

        private void Update()
        {
            var pending = false;
            for(var number = 0; number < events.Length; number++)
            {
                pending |= events[number].Value && (interrupts.Value >> number & 1) != 0;
            }
            IRQ.Set(pending);
        }

        private ulong amount;

        private readonly decimal supply;
        private readonly IFlagRegisterField enabled;
        private readonly IValueRegisterField interrupts;
        private readonly IValueRegisterField resolution;
        private readonly IValueRegisterField pointer;
        private readonly IValueRegisterField maximum;
        private readonly IFlagRegisterField[] events = new IFlagRegisterField[6];
        private readonly IValueRegisterField[] inputs = new IValueRegisterField[Channels];
        private readonly IValueRegisterField[] gains = new IValueRegisterField[Channels];
        private readonly IFlagRegisterField[] quarters = new IFlagRegisterField[Channels];

        private const int Channels = 8;
        private const decimal Internal = 0.6m; // V
        private static readonly decimal[] Gains = { 1m / 6, 1m / 5, 1m / 4, 1m / 3, 1m / 2, 1, 2, 4 };

        private enum Event
        {
            Started,
            End,
            Done,
            ResultDone,
            CalibrateDone,
            Stopped,
        }

        private enum Registers : long
        {
            Start = 0x000,
            Sample = 0x004,
            Stop = 0x008,
            CalibrateOffset = 0x00C,
            Started = 0x100,
            InterruptEnable = 0x300,
            InterruptSet = 0x304,
            InterruptClear = 0x308,
            Status = 0x400,
            Enable = 0x500,
            FirstChannel = 0x510,
            Resolution = 0x5F0,
            Oversample = 0x5F4,
            SampleRate = 0x5F8,
            ResultPointer = 0x62C,
            ResultMaximum = 0x630,
            ResultAmount = 0x634,
        }
    }
}
