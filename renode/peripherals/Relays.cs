// SPDX-License-Identifier: Apache-2.0
//
// Outputs that are on at one level of a pin: relay, fan, lamp; and the buzzer, on while its pin is low.
//
using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using Antmicro.Renode.Core;

namespace Antmicro.Renode.Peripherals.Miscellaneous
{
    /// <summary>A switched output, off at power-on. It keeps when it was on.</summary>
    public class Relay : IPeripheral, IGPIOReceiver
    {
        /// <param name="activeLow">It is on while the pin is low.</param>
        public Relay(IMachine machine, bool activeLow = false)
        {
            this.machine = machine;
            this.activeLow = activeLow;
            // A board's pins float until its firmware drives them, but Renode's ports fall to 0 in a reset.
            machine.MachineReset += _ => Switch(false);
        }

        public void Reset()
        {
            Switch(false);
        }

        /// <summary>The pin that drives it.</summary>
        public void OnGPIO(int number, bool value)
        {
            // Before the machine has first run this is the port's initial state, which nobody drives.
            if(machine.ElapsedVirtualTime.TimeElapsed.Ticks == 0)
            {
                return;
            }
            Switch(value != activeLow && Fault == PartFault.None);
        }

        /// <summary>Whether it is on now.</summary>
        public bool On
        {
            get { return onSince != null; }
        }

        /// <summary>Whether it is on while its pin is low.</summary>
        public bool ActiveLow
        {
            get { return activeLow; }
        }

        /// <summary>How often it went on; a buzzer's beeps.</summary>
        public int Total { get; private set; }

        /// <summary>The last intervals it was on, "start-end" in seconds of virtual time, separated by blanks.</summary>
        public string Intervals
        {
            get { return String.Join(" ", intervals.Select(each => Seconds(each.Key) + "-" + Seconds(each.Value))); }
        }

        /// <summary>What is wrong with the part. An unplugged one is off.</summary>
        public PartFault Fault
        {
            get { return fault; }
            set
            {
                fault = value;
                if(value != PartFault.None)
                {
                    Switch(false);
                }
            }
        }

        /// <summary>Called with the new state when it goes on or off.</summary>
        public event Action<Relay, bool> Changed;

        public enum PartFault
        {
            None,
            Unplugged,
        }

        private static string Seconds(double value)
        {
            return value.ToString("0.000000", CultureInfo.InvariantCulture);
        }

        private void Switch(bool on)
        {
            if(on == On)
            {
                return;
            }
            var now = Now;
            if(on)
            {
                onSince = now;
                Total++;
            }
            else
            {
                intervals.Enqueue(new KeyValuePair<double, double>(onSince.Value, now));
                if(intervals.Count > Kept)
                {
                    intervals.Dequeue();
                }
                onSince = null;
            }
            var changed = Changed;
            if(changed != null)
            {
                changed(this, on);
            }
        }

        /// <summary>Virtual time in s, exact to the instruction that asks.</summary>
        private double Now
        {
            get
            {
                CPU.ICPU cpu;
                if(machine.SystemBus.TryGetCurrentCPU(out cpu))
                {
                    cpu.SyncTime();
                }
                return machine.ElapsedVirtualTime.TimeElapsed.TotalSeconds;
            }
        }

        private PartFault fault;
        private double? onSince;

        private readonly IMachine machine;
        private readonly bool activeLow;
        private readonly Queue<KeyValuePair<double, double>> intervals = new Queue<KeyValuePair<double, double>>();

        private const int Kept = 256;
    }

    /// <summary>An active buzzer: <see cref="Relay.Total"/> counts its beeps.</summary>
    public class Buzzer : Relay
    {
        /// <param name="activeLow">It sounds while the pin is low.</param>
        public Buzzer(IMachine machine, bool activeLow = true) : base(machine, activeLow)
        {
        }
    }
}
