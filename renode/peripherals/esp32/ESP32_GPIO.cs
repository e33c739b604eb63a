// SPDX-License-Identifier: Apache-2.0
//
// GPIO and GPIO matrix of the ESP32 family (Technical Reference Manuals of the ESP32-C3 and the ESP32, IO MUX and GPIO
// Matrix).
//
using Antmicro.Renode.Core;
using Antmicro.Renode.Core.Structure.Registers;
using Antmicro.Renode.Peripherals.Bus;
using Antmicro.Renode.Peripherals.Miscellaneous;

namespace Antmicro.Renode.Peripherals.GPIOPort
{
    /// <remarks>
    /// The matrix is kept and read back, but leads nowhere: Renode's buses have no pins. A pin that a peripheral drives
    /// (any signal but that of the GPIO itself) is not driven from here. A pin that nobody drives reads low whatever its
    /// pull-up.
    /// </remarks>
    [AllowedTranslations(AllowedTranslation.ByteToDoubleWord | AllowedTranslation.WordToDoubleWord)]
    public abstract class ESP32_GPIO : BaseGPIOPort, IDoubleWordPeripheral, IKnownSize,
            IProvidesRegisterCollection<DoubleWordRegisterCollection>
    {
        /// <param name="pinConfiguration">Where GPIO_PIN0_REG is.</param>
        /// <param name="outputSelect">Where GPIO_FUNC0_OUT_SEL_CFG_REG is.</param>
        /// <param name="signalWidth">Of OUT_SEL, whose highest bit alone says that GPIO_OUT_REG drives the pin.</param>
        /// <param name="interrupt">Where the processor's interrupt status is.</param>
        /// <param name="interruptEnable">The bit of INT_ENA that is this processor's.</param>
        /// <param name="strapping">What the strapping pins said.</param>
        protected ESP32_GPIO(IMachine machine, int pins, long pinConfiguration, long outputSelect, int signalWidth, long interrupt,
            int interruptEnable, uint strapping) : base(machine, pins)
        {
            IRQ = new GPIO();
            RegistersCollection = new DoubleWordRegisterCollection(this);
            gpioSignal = 1u << signalWidth - 1;
            for(var bank = 0; bank * 32 < pins; bank++)
            {
                var shift = 32 * bank;
                DefineSetClear((long)Registers.Output + 0xC * bank, () => output >> shift, value => output = Merge(output, value, shift));
                DefineSetClear((long)Registers.Enable + 0xC * bank, () => enable >> shift, value => enable = Merge(enable, value, shift));
                DefineSetClear((long)Registers.Status + 0xC * bank, () => status >> shift, value => status = Merge(status, value, shift));
                RegistersCollection.DefineRegister((long)Registers.Input + 4 * bank)
                    .WithValueField(0, 32, FieldMode.Read, valueProviderCallback: _ => (uint)(Levels >> shift), name: "IN");
                RegistersCollection.DefineRegister(interrupt + 0x14 * bank)
                    .WithValueField(0, 32, FieldMode.Read, valueProviderCallback: _ => (uint)(Interrupts >> shift), name: "INT");
            }
            Registers.Strapping.Define(this, strapping).WithValueField(0, 32, FieldMode.Read, name: "STRAPPING");
            triggers = new IEnumRegisterField<Trigger>[pins];
            enabled = new IFlagRegisterField[pins];
            signals = new IValueRegisterField[pins];
            inverted = new IFlagRegisterField[pins];
            for(var pin = 0; pin < pins; pin++)
            {
                RegistersCollection.DefineRegister(pinConfiguration + 4 * pin)
                    .WithValueField(0, 7)
                    .WithEnumField(7, 3, out triggers[pin], name: "INT_TYPE")
                    .WithValueField(10, interruptEnable - 10)
                    .WithFlag(interruptEnable, out enabled[pin], name: "INT_ENA")
                    .WithValueField(interruptEnable + 1, 31 - interruptEnable)
                    .WithWriteCallback((_, __) => Update());
                RegistersCollection.DefineRegister(outputSelect + 4 * pin, gpioSignal)
                    .WithValueField(0, signalWidth, out signals[pin], name: "OUT_SEL")
                    .WithFlag(signalWidth, out inverted[pin], name: "OUT_INV_SEL")
                    .WithValueField(signalWidth + 1, 31 - signalWidth)
                    .WithWriteCallback((_, __) => Update());
            }
            RegistersCollection.KeepOthers(Size);
        }

        /// <summary>What drives a pin from outside goes on.</summary>
        public override void Reset()
        {
            RegistersCollection.Reset();
            output = enable = status = 0;
            foreach(var pin in Connections.Values)
            {
                pin.Unset();
            }
            seen = Levels;
            IRQ.Unset();
        }

        public uint ReadDoubleWord(long offset)
        {
            return RegistersCollection.Read(offset);
        }

        public void WriteDoubleWord(long offset, uint value)
        {
            RegistersCollection.Write(offset, value);
        }

        /// <summary>A pin is driven from outside.</summary>
        public override void OnGPIO(int number, bool value)
        {
            base.OnGPIO(number, value);
            Update();
        }

        public DoubleWordRegisterCollection RegistersCollection { get; private set; }

        public GPIO IRQ { get; private set; }

        public long Size
        {
            get { return 0x800; }
        }

        /// <summary>A register, and behind it those that set and clear its bits.</summary>
        private void DefineSetClear(long offset, System.Func<ulong> get, System.Action<uint> set)
        {
            RegistersCollection.DefineRegister(offset).WithValueField(0, 32, valueProviderCallback: _ => (uint)get(),
                writeCallback: (_, value) => set((uint)value)).WithWriteCallback((_, __) => Update());
            RegistersCollection.DefineRegister(offset + 4).WithValueField(0, 32, FieldMode.Write,
                writeCallback: (_, value) => set((uint)get() | (uint)value), name: "W1TS").WithWriteCallback((_, __) => Update());
            RegistersCollection.DefineRegister(offset + 8).WithValueField(0, 32, FieldMode.Write,
                writeCallback: (_, value) => set((uint)get() & ~(uint)value), name: "W1TC").WithWriteCallback((_, __) => Update());
        }

        private static ulong Merge(ulong all, uint value, int shift)
        {
            return all & ~(0xFFFFFFFFul << shift) | (ulong)value << shift;
        }

        /// <summary>Drives the pins, marks the interrupts that wait for what they do now, and leads them out.</summary>
        private void Update()
        {
            for(var pin = 0; pin < NumberOfConnections; pin++)
            {
                if(Driven(pin))
                {
                    Connections[pin].Set(Level(pin));
                }
            }
            var before = seen;
            seen = Levels;
            for(var pin = 0; pin < NumberOfConnections; pin++)
            {
                if(Waited(triggers[pin].Value, (before >> pin & 1) != 0, (seen >> pin & 1) != 0))
                {
                    status |= 1ul << pin;
                }
            }
            IRQ.Set(Interrupts != 0);
        }

        private static bool Waited(Trigger trigger, bool before, bool now)
        {
            switch(trigger)
            {
            case Trigger.Rising:
                return now && !before;
            case Trigger.Falling:
                return !now && before;
            case Trigger.Any:
                return now != before;
            case Trigger.Low:
                return !now;
            case Trigger.High:
                return now;
            default:
                return false;
            }
        }

        private bool Driven(int pin)
        {
            return (enable >> pin & 1) != 0 && signals[pin].Value == gpioSignal;
        }

        private bool Level(int pin)
        {
            return Driven(pin) ? (output >> pin & 1) != 0 != inverted[pin].Value : State[pin];
        }

        private ulong Levels
        {
            get { return Bits(Level); }
        }

        private ulong Interrupts
        {
            get { return status & Bits(pin => enabled[pin].Value); }
        }

        private ulong Bits(System.Func<int, bool> isSet)
        {
            var bits = 0ul;
            for(var pin = 0; pin < NumberOfConnections; pin++)
            {
                bits |= isSet(pin) ? 1ul << pin : 0;
            }
            return bits;
        }

        private ulong output;
        private ulong enable;
        private ulong status;
        private ulong seen;
        private readonly uint gpioSignal;
        private readonly IEnumRegisterField<Trigger>[] triggers;
        private readonly IFlagRegisterField[] enabled;
        private readonly IValueRegisterField[] signals;
        private readonly IFlagRegisterField[] inverted;

        private enum Trigger
        {
            None,
            Rising,
            Falling,
            Any,
            Low,
            High,
        }

        /// <summary>Behind the first three are those that set (W1TS) and clear (W1TC), then the same for pins from 32 on.</summary>
        private enum Registers : long
        {
            Output = 0x04, // GPIO_OUT_REG
            Enable = 0x20, // GPIO_ENABLE_REG
            Strapping = 0x38, // GPIO_STRAP_REG
            Input = 0x3C, // GPIO_IN_REG
            Status = 0x44, // GPIO_STATUS_REG
        }
    }
}
