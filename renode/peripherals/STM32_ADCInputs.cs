// SPDX-License-Identifier: Apache-2.0
//
// The converter of the STM32F2, F4 and F7 (RM0385, section 15) as Renode has it, with parts on its inputs.
//
using System;
using System.Collections.Generic;
using System.Linq;
using Antmicro.Renode.Core;
using Antmicro.Renode.Core.Structure;
using Antmicro.Renode.Exceptions;
using Antmicro.Renode.Peripherals.Sensors;

namespace Antmicro.Renode.Peripherals.Analog
{
    /// <summary>
    /// Asks each part when firmware starts a conversion; Renode's own takes samples in advance. An input without a part
    /// reads 0.
    /// </summary>
    public class STM32_ADCInputs : STM32_ADC, IPeripheralContainer<Potentiometer, NumberRegistrationPoint<int>>
    {
        /// <param name="reference">V at which it reads its highest value.</param>
        public STM32_ADCInputs(IMachine machine, double reference = 3.3) : base(machine)
        {
            this.reference = (decimal)reference;
        }

        public override void WriteDoubleWord(long offset, uint value)
        {
            if(offset == Control2 && (value & StartConversion) != 0)
            {
                for(var channel = 0; channel < NumberOfChannels; channel++)
                {
                    Potentiometer part;
                    var share = parts.TryGetValue(channel, out part) ? part.Sample() / reference : 0;
                    FeedSample((uint)Decimal.Round(Math.Min(share, 1) * FullScale), (uint)channel, -1);
                }
                // Renode looks at the sequence only when the converter is switched on.
                base.WriteDoubleWord(offset, value & ~(SwitchedOn | StartConversion));
            }
            base.WriteDoubleWord(offset, value);
        }

        public void Register(Potentiometer part, NumberRegistrationPoint<int> input)
        {
            if(input.Address < 0 || input.Address >= NumberOfChannels || parts.ContainsKey(input.Address))
            {
                throw new RegistrationException(String.Format("There is no free input {0}", input.Address));
            }
            parts.Add(input.Address, part);
            machine.RegisterAsAChildOf(this, part, input);
        }

        public void Unregister(Potentiometer part)
        {
            parts.Remove(parts.First(entry => entry.Value == part).Key);
            machine.UnregisterAsAChildOf(this, part);
        }

        public IEnumerable<NumberRegistrationPoint<int>> GetRegistrationPoints(Potentiometer part)
        {
            return Children.Where(child => child.Peripheral == part).Select(child => child.RegistrationPoint);
        }

        public IEnumerable<IRegistered<Potentiometer, NumberRegistrationPoint<int>>> Children
        {
            get { return parts.Select(entry => Registered.Create(entry.Value, new NumberRegistrationPoint<int>(entry.Key))); }
        }

        private readonly Dictionary<int, Potentiometer> parts = new Dictionary<int, Potentiometer>();
        private readonly decimal reference;

        private const int FullScale = 4095;
        private const long Control2 = 0x08;
        private const uint SwitchedOn = 1 << 0; // ADON
        private const uint StartConversion = 1 << 30; // SWSTART
    }
}
