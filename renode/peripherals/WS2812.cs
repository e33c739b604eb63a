// SPDX-License-Identifier: Apache-2.0
//
// WS2812B: a strip of LEDs that each take 24 bits and pass on the rest (Worldsemi's WS2812B datasheet).
//
using System;
using System.Linq;
using Antmicro.Renode.Core;
using Antmicro.Renode.Exceptions;
using Antmicro.Renode.Peripherals.SPI;
using Antmicro.Renode.Peripherals.Timers;
using Antmicro.Renode.Time;

namespace Antmicro.Renode.Peripherals.Miscellaneous
{
    /// <summary>
    /// A strip of WS2812B, dark at power-on. Its data pin hangs on an SPI's MOSI (drivers that write a bit as a run
    /// of ones in the SPI's bits), or on a GPIO whose pulses are timed in virtual time.
    /// </summary>
    /// <remarks>
    /// Only the length of the high time tells a bit's value, as in the LED's own receiver. Colours show when the
    /// line has been low for the reset gap.
    /// </remarks>
    public class WS2812 : ISPIPeripheral, IGPIOReceiver
    {
        /// <param name="count">LEDs on the strip.</param>
        /// <param name="frequency">The SPI's clock in Hz: Renode's SPI does not tell it.</param>
        /// <param name="resetGap">µs of low that end a write ("RES", above 50 µs).</param>
        public WS2812(IMachine machine, int count = 11, int frequency = 4000000, int resetGap = 50)
        {
            if(count < 1 || count > 1024)
            {
                throw new ConstructionException("A strip has 1 to 1024 LEDs");
            }
            if(frequency < 1 || resetGap < 1)
            {
                throw new ConstructionException("The SPI's clock and the reset gap must be positive");
            }
            this.machine = machine;
            this.frequency = frequency;
            shown = new uint[count];
            shifted = new uint[count];
            gap = new LimitTimer(machine.ClockSource, 1000000, this, "reset gap", (ulong)resetGap, Direction.Ascending, false, WorkMode.OneShot, true);
            gap.LimitReached += Latch;
        }

        /// <summary>The machine was reset; the LEDs have no reset pin and keep their colours.</summary>
        public void Reset()
        {
            gap.Reset();
            bits = 0;
            run = 0;
            risenAt = null;
        }

        /// <summary>Takes eight SPI bits of the line's course, the first one first.</summary>
        public byte Transmit(byte data)
        {
            for(var bit = 7; bit >= 0; bit--)
            {
                if((data >> bit & 1) != 0)
                {
                    run++;
                }
                else if(run > 0)
                {
                    Shift(run * 1000000000.0 / frequency);
                    run = 0;
                }
            }
            return 0;
        }

        /// <summary>The chip select went away. The strip has none: only the reset gap ends a write.</summary>
        public void FinishTransmission()
        {
        }

        /// <summary>The data pin, where a GPIO drives it.</summary>
        public void OnGPIO(int number, bool value)
        {
            if(value)
            {
                gap.Enabled = false;
                risenAt = Now;
            }
            else if(risenAt != null)
            {
                Shift(Now - risenAt.Value);
                risenAt = null;
            }
        }

        /// <summary>Returns the colour of LED <paramref name="index"/> as "rrggbb" in hexadecimal.</summary>
        public string GetPixel(int index)
        {
            if(index < 0 || index >= shown.Length)
            {
                throw new RecoverableException(String.Format("There is no LED {0}: the strip has {1}", index, shown.Length));
            }
            return shown[index].ToString("x6");
        }

        /// <summary>The colours of all LEDs, as <see cref="GetPixel"/> has them, separated by blanks.</summary>
        public string Pixels
        {
            get { return String.Join(" ", shown.Select(colour => colour.ToString("x6"))); }
        }

        /// <summary>LEDs on the strip.</summary>
        public int Count
        {
            get { return shown.Length; }
        }

        /// <summary>Writes that the strip has shown.</summary>
        public int Writes { get; private set; }

        /// <summary>What is wrong with the strip. An unplugged one keeps its colours.</summary>
        public PartFault Fault { get; set; }

        /// <summary>Called when a write has been shown.</summary>
        public event Action<WS2812> Changed;

        public enum PartFault
        {
            None,
            Unplugged,
        }

        private void Shift(double highNanoseconds)
        {
            // The time that has passed unseen until now must not be charged to the gap.
            SyncTime();
            if(Fault != PartFault.None)
            {
                return;
            }
            if(bits < 24 * shifted.Length)
            {
                var led = bits / 24;
                shifted[led] = (bits % 24 == 0 ? 0 : shifted[led] << 1) | (highNanoseconds >= OneHigh ? 1u : 0u);
            }
            bits++;
            gap.Value = 0;
            gap.Enabled = true;
        }

        /// <summary>
        /// Lights what was shifted in, green, red, blue ("composition of 24 bit data"). An LED that got no whole 24
        /// bits keeps its colour; bits past the last LED leave the strip.
        /// </summary>
        private void Latch()
        {
            for(var led = 0; led < Math.Min(bits / 24, shown.Length); led++)
            {
                var green = shifted[led] >> 16 & 0xFF;
                var red = shifted[led] >> 8 & 0xFF;
                shown[led] = red << 16 | green << 8 | shifted[led] & 0xFF;
            }
            bits = 0;
            Writes++;
            var changed = Changed;
            if(changed != null)
            {
                changed(this);
            }
        }

        /// <summary>Virtual time in ns, exact to the instruction that asks.</summary>
        private ulong Now
        {
            get
            {
                SyncTime();
                return machine.ElapsedVirtualTime.TimeElapsed.TotalNanoseconds;
            }
        }

        private void SyncTime()
        {
            CPU.ICPU cpu;
            if(machine.SystemBus.TryGetCurrentCPU(out cpu))
            {
                cpu.SyncTime();
            }
        }

        private int bits;
        private int run;
        private ulong? risenAt;

        private readonly IMachine machine;
        private readonly int frequency;
        private readonly uint[] shown;
        private readonly uint[] shifted;
        private readonly LimitTimer gap;

        // ns: midway between the longest T0H (0.4 + 0.15 µs) and the shortest T1H (0.8 - 0.15 µs).
        private const double OneHigh = 600;
    }
}
