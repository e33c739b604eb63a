// SPDX-License-Identifier: Apache-2.0
//
// DHT22 (AM2302): temperature and humidity over one wire, timed in virtual time.
//
// Sections are those of Aosong's "Digital-output relative humidity & temperature sensor AM2302" (DHT22).
//
using System;
using System.Collections.Generic;
using Antmicro.Renode.Core;
using Antmicro.Renode.Exceptions;
using Antmicro.Renode.Logging;
using Antmicro.Renode.Peripherals.Sensor;
using Antmicro.Renode.Peripherals.Timers;
using Antmicro.Renode.Time;

namespace Antmicro.Renode.Peripherals.Sensors
{
    /// <summary>
    /// A DHT22 on an open-drain wire with a pull-up. Connect it both ways:
    /// <code>
    /// dht22: Sensors.DHT22 @ gpioPortA 8
    ///     Data -> gpioPortA@8
    /// gpioPortA:
    ///     8 -> dht22@0
    /// </code>
    /// </summary>
    /// <remarks>
    /// Renode's GPIO has no third state: the host must end its start pulse by driving the pin high (push-pull or
    /// open-drain 1) and then read it as an input. Switching the pin to input alone is not seen.
    /// </remarks>
    public class DHT22 : IPeripheral, IGPIOReceiver, ITemperatureSensor, IHumiditySensor
    {
        public DHT22(IMachine machine)
        {
            this.machine = machine;
            Data = new GPIO();
            timer = new LimitTimer(machine.ClockSource, 1000000, this, "answer", 1, Direction.Ascending, false, WorkMode.OneShot, true);
            timer.LimitReached += Step;
            Reset();
            // Ports fall to 0 in a reset, in whichever order; the wire's pull-up has the last word.
            machine.MachineReset += _ => Reset();
        }

        /// <summary>The wire is released. The physical values are the world's and stay.</summary>
        public void Reset()
        {
            timer.Reset();
            answer.Clear();
            startedAt = null;
            Announce(fault != PartFault.Stuck);
        }

        /// <summary>The host's side of the wire.</summary>
        public void OnGPIO(int number, bool value)
        {
            // What the sensor itself drives comes back through the port; and before the machine has first run this
            // is the port's initial state, which nobody drives.
            if(answer.Count > 0 || driving || machine.ElapsedVirtualTime.TimeElapsed.Ticks == 0)
            {
                return;
            }
            if(!value)
            {
                if(startedAt == null)
                {
                    startedAt = Now;
                    var accessed = Accessed;
                    if(accessed != null)
                    {
                        accessed(this);
                    }
                    Data.Set(false);
                }
                return;
            }
            if(startedAt == null)
            {
                return;
            }
            var low = Now - startedAt.Value;
            startedAt = null;
            if(fault == PartFault.Stuck)
            {
                // The port took the host's level for the wire's.
                Announce(false);
                return;
            }
            Data.Set(true);
            if(fault == PartFault.Nack || fault == PartFault.Unplugged)
            {
                return;
            }
            if(low < ShortestStart || low > LongestStart)
            {
                this.Log(LogLevel.Debug, "Start pulse of {0} µs ignored: it must be {1} to {2} µs", low, ShortestStart, LongestStart);
                return;
            }
            Respond();
        }

        /// <summary>The sensor's side of the wire.</summary>
        public GPIO Data { get; }

        /// <summary>Temperature in °C, -40 to 80 (section 4).</summary>
        public decimal Temperature
        {
            get { return temperature; }
            set { temperature = Checked("Temperature", value, -40, 80, "°C"); }
        }

        /// <summary>Relative humidity in %, 0 to 100 (section 4).</summary>
        public decimal Humidity
        {
            get { return humidity; }
            set { humidity = Checked("Humidity", value, 0, 100, "%"); }
        }

        /// <summary>What is wrong with the part.</summary>
        public PartFault Fault
        {
            get { return fault; }
            set
            {
                fault = value;
                if(answer.Count == 0)
                {
                    Data.Set(value != PartFault.Stuck);
                }
            }
        }

        /// <summary>Called when a start pulse begins: the last moment to set what the world is like.</summary>
        public event Action<DHT22> Accessed;

        /// <summary>Answers given since the model was made.</summary>
        public int Answers { get; private set; }

        public enum PartFault
        {
            None,
            Nack,
            Stuck,
            BadChecksum,
            Unplugged,
        }

        private static decimal Checked(string name, decimal value, decimal low, decimal high, string unit)
        {
            if(value < low || value > high)
            {
                throw new RecoverableException(
                    String.Format("{0} = {1} {4} is outside the part's range: {2} to {3} {4}", name, value, low, high, unit));
            }
            return value;
        }

        /// <summary>
        /// The 40 bits of section 7.2: tenths of % and of °C, big endian, the temperature sign-magnitude; then the
        /// sum of these bytes.
        /// </summary>
        private byte[] Frame()
        {
            var percent = Tenths(humidity);
            var degrees = Tenths(Math.Abs(temperature));
            if(temperature < 0 && degrees != 0)
            {
                degrees |= 0x8000;
            }
            var frame = new byte[] { (byte)(percent >> 8), (byte)percent, (byte)(degrees >> 8), (byte)degrees, 0 };
            frame[4] = (byte)(frame[0] + frame[1] + frame[2] + frame[3]);
            return frame;
        }

        private static int Tenths(decimal value)
        {
            return (int)Math.Floor(value * 10 + 0.5m);
        }

        /// <summary>Plays the last measurement; a new one is made when 2 s have passed since (section 4).</summary>
        private void Respond()
        {
            var now = Now;
            if(measuredAt == null || now - measuredAt.Value >= Interval)
            {
                measuredAt = now;
                measured = Frame();
            }
            Answers++;
            answer.Enqueue(new Pulse(true, BusRelease));
            answer.Enqueue(new Pulse(false, Response));
            answer.Enqueue(new Pulse(true, Response));
            for(var bit = 0; bit < 40; bit++)
            {
                var one = (measured[bit / 8] >> (7 - bit % 8) & 1) != 0;
                if(bit == 39 && fault == PartFault.BadChecksum)
                {
                    one = !one;
                }
                answer.Enqueue(new Pulse(false, BitLow));
                answer.Enqueue(new Pulse(true, one ? OneHigh : ZeroHigh));
            }
            // The last bit's high ends with a falling edge; then the bus is released.
            answer.Enqueue(new Pulse(false, BitLow));
            Step();
        }

        private void Step()
        {
            if(answer.Count == 0)
            {
                Drive(fault != PartFault.Stuck);
                return;
            }
            var pulse = answer.Dequeue();
            Drive(pulse.Level);
            timer.Limit = pulse.Microseconds;
            timer.Value = 0;
            timer.Enabled = true;
        }

        private void Drive(bool level)
        {
            driving = true;
            Data.Set(level);
            driving = false;
        }

        /// <summary>Gives the wire a level where the port may believe in another one than the sensor.</summary>
        private void Announce(bool level)
        {
            Drive(!level);
            Drive(level);
        }

        /// <summary>Virtual time in µs, exact to the instruction that asks.</summary>
        private ulong Now
        {
            get
            {
                CPU.ICPU cpu;
                if(machine.SystemBus.TryGetCurrentCPU(out cpu))
                {
                    cpu.SyncTime();
                }
                return (ulong)machine.ElapsedVirtualTime.TimeElapsed.TotalMicroseconds;
            }
        }

        private PartFault fault;
        private bool driving;
        private ulong? startedAt;
        private ulong? measuredAt;
        private byte[] measured;
        private decimal temperature = 22;
        private decimal humidity = 45;

        private readonly IMachine machine;
        private readonly LimitTimer timer;
        private readonly Queue<Pulse> answer = new Queue<Pulse>();

        // µs, table of section 7.3.
        private const ulong ShortestStart = 800;
        private const ulong LongestStart = 20000;
        private const ulong BusRelease = 30;
        private const ulong Response = 80;
        private const ulong BitLow = 50;
        private const ulong ZeroHigh = 26;
        private const ulong OneHigh = 70;
        private const ulong Interval = 2000000;

        private struct Pulse
        {
            public Pulse(bool level, ulong microseconds)
            {
                Level = level;
                Microseconds = microseconds;
            }

            public readonly bool Level;
            public readonly ulong Microseconds;
        }
    }
}
