// SPDX-License-Identifier: Apache-2.0
//
// A potentiometer between ground and supply, for the input of an analogue-digital converter.
//
using System;
using Antmicro.Renode.Core;
using Antmicro.Renode.Exceptions;

namespace Antmicro.Renode.Peripherals.Sensors
{
    /// <summary>A voltage on an input of a converter.</summary>
    public class Potentiometer : IPeripheral
    {
        /// <param name="supply">V at its upper end.</param>
        public Potentiometer(double supply = 3.3)
        {
            this.supply = (decimal)supply;
        }

        /// <summary>It stands where it was turned to.</summary>
        public void Reset()
        {
        }

        /// <summary>Returns what a converter sees now, in V.</summary>
        public decimal Sample()
        {
            var accessed = Accessed;
            if(accessed != null)
            {
                accessed(this);
            }
            return voltage;
        }

        /// <summary>V, 0 to the supply.</summary>
        public decimal Voltage
        {
            get { return voltage; }
            set
            {
                if(value < 0 || value > supply)
                {
                    throw new RecoverableException(
                        String.Format("Voltage = {0} V is outside the part's range: 0 to {1} V", value, supply));
                }
                voltage = value;
            }
        }

        /// <summary>Called before each sample: the last moment to turn it.</summary>
        public event Action<Potentiometer> Accessed;

        private decimal voltage;

        private readonly decimal supply;
    }
}
