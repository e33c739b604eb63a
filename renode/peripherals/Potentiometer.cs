//
// A potentiometer between ground and the reference of an analogue-digital converter.
//
using System;
using Antmicro.Renode.Core;
using Antmicro.Renode.Exceptions;

namespace Antmicro.Renode.Peripherals.Sensors
{
    /// <summary>A voltage on an input of a converter.</summary>
    public class Potentiometer : IPeripheral
    {
        /// <param name="reference">V at which a converter reads its highest value.</param>
        public Potentiometer(double reference = 3.3)
        {
            this.reference = (decimal)reference;
        }

        /// <summary>It stands where it was turned to.</summary>
        public void Reset()
        {
        }

        /// <summary>Returns what an ideal converter of 12 bits reads.</summary>
        public uint Convert()
        {
            var accessed = Accessed;
            if(accessed != null)
            {
                accessed(this);
            }
            return (uint)Decimal.Round(voltage / reference * FullScale);
        }

        /// <summary>V, 0 to the reference.</summary>
        public decimal Voltage
        {
            get { return voltage; }
            set
            {
                if(value < 0 || value > reference)
                {
                    throw new RecoverableException(
                        String.Format("Voltage = {0} V is outside the part's range: 0 to {1} V", value, reference));
                }
                voltage = value;
            }
        }

        /// <summary>Called before each conversion: the last moment to turn it.</summary>
        public event Action<Potentiometer> Accessed;

        private decimal voltage;

        private readonly decimal reference;

        private const int FullScale = 4095;
    }
}
