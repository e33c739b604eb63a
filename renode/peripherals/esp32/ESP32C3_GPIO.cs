//
// GPIO and GPIO matrix of the ESP32-C3 (Technical Reference Manual 1.1, chapter 5).
//
using Antmicro.Renode.Core;
using Antmicro.Renode.Peripherals.Bus;

namespace Antmicro.Renode.Peripherals.GPIOPort
{
    /// <remarks>
    /// The matrix is kept and read back, but leads nowhere: Renode's buses have no pins. A pin that a peripheral drives
    /// (any signal but 128) is not driven from here. A pin that nobody drives reads low whatever its pull-up.
    /// </remarks>
    [AllowedTranslations(AllowedTranslation.ByteToDoubleWord | AllowedTranslation.WordToDoubleWord)]
    public class ESP32C3_GPIO : BaseGPIOPort, IDoubleWordPeripheral, IKnownSize
    {
        public ESP32C3_GPIO(IMachine machine) : base(machine, Pins)
        {
            IRQ = new GPIO();
            Reset();
        }

        /// <summary>What drives a pin from outside goes on.</summary>
        public override void Reset()
        {
            System.Array.Clear(words, 0, words.Length);
            words[Strapping / 4] = BootFromFlash;
            for(var pin = 0; pin < Pins; pin++)
            {
                words[OutputSelect / 4 + pin] = SimpleOutput;
                Connections[pin].Unset();
            }
            IRQ.Unset();
        }

        public uint ReadDoubleWord(long offset)
        {
            switch(offset)
            {
            case Input:
                return Levels;
            case ProcessorInterrupt:
                return words[Status / 4] & InterruptEnabled;
            default:
                return words[offset / 4];
            }
        }

        public void WriteDoubleWord(long offset, uint value)
        {
            var before = Levels;
            switch(offset)
            {
            case Output + Set:
            case Enable + Set:
            case Status + Set:
                words[(offset - Set) / 4] |= value;
                break;
            case Output + Clear:
            case Enable + Clear:
            case Status + Clear:
                words[(offset - Clear) / 4] &= ~value;
                break;
            case Input:
            case Strapping:
                break;
            default:
                words[offset / 4] = value;
                break;
            }
            Drive();
            for(var pin = 0; pin < Pins; pin++)
            {
                Changed(pin, (before >> pin & 1) != 0);
            }
            UpdateInterrupt();
        }

        /// <summary>A pin is driven from outside.</summary>
        public override void OnGPIO(int number, bool value)
        {
            if(!CheckPinNumber(number))
            {
                return;
            }
            var before = Level(number);
            base.OnGPIO(number, value);
            Changed(number, before);
            UpdateInterrupt();
        }

        public GPIO IRQ { get; private set; }

        public long Size
        {
            get { return 0x800; }
        }

        private void Drive()
        {
            for(var pin = 0; pin < Pins; pin++)
            {
                if(Driven(pin))
                {
                    Connections[pin].Set(Level(pin));
                }
            }
        }

        private bool Driven(int pin)
        {
            return (words[Enable / 4] >> pin & 1) != 0 && (words[OutputSelect / 4 + pin] & SignalMask) == SimpleOutput;
        }

        private bool Level(int pin)
        {
            if(!Driven(pin))
            {
                return State[pin];
            }
            var inverted = (words[OutputSelect / 4 + pin] & InvertOutput) != 0;
            return (words[Output / 4] >> pin & 1) != 0 != inverted;
        }

        private uint Levels
        {
            get
            {
                var levels = 0u;
                for(var pin = 0; pin < Pins; pin++)
                {
                    levels |= Level(pin) ? 1u << pin : 0;
                }
                return levels;
            }
        }

        /// <summary>Marks an interrupt if what happened to a pin is what its register waits for.</summary>
        private void Changed(int pin, bool before)
        {
            var now = Level(pin);
            bool wanted;
            switch((Trigger)(words[PinConfiguration / 4 + pin] >> 7 & 7))
            {
            case Trigger.Rising:
                wanted = now && !before;
                break;
            case Trigger.Falling:
                wanted = !now && before;
                break;
            case Trigger.Any:
                wanted = now != before;
                break;
            case Trigger.Low:
                wanted = !now;
                break;
            case Trigger.High:
                wanted = now;
                break;
            default:
                return;
            }
            if(wanted)
            {
                words[Status / 4] |= 1u << pin;
            }
        }

        private uint InterruptEnabled
        {
            get
            {
                var enabled = 0u;
                for(var pin = 0; pin < Pins; pin++)
                {
                    enabled |= (words[PinConfiguration / 4 + pin] & ProcessorEnable) != 0 ? 1u << pin : 0;
                }
                return enabled;
            }
        }

        private void UpdateInterrupt()
        {
            IRQ.Set((words[Status / 4] & InterruptEnabled) != 0);
        }

        private readonly uint[] words = new uint[0x800 / 4];

        private const int Pins = 22;
        private const uint BootFromFlash = 0x8;
        private const uint SimpleOutput = 128;
        private const uint SignalMask = 0xFF;
        private const uint InvertOutput = 1u << 8;
        private const uint ProcessorEnable = 1u << 13;

        private const long Output = 0x04;
        private const long Enable = 0x20;
        private const long Strapping = 0x38;
        private const long Input = 0x3C;
        private const long Status = 0x44;
        private const long ProcessorInterrupt = 0x5C;
        private const long PinConfiguration = 0x74;
        private const long OutputSelect = 0x554;
        private const long Set = 4;
        private const long Clear = 8;

        private enum Trigger
        {
            None,
            Rising,
            Falling,
            Any,
            Low,
            High,
        }
    }
}
