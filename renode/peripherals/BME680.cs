// SPDX-License-Identifier: Apache-2.0
//
// BME680: temperature, pressure, humidity and gas on I2C, at register level.
//
// Section numbers are those of Bosch's datasheet BST-BME680-DS001, revision 1.0. The model goes the other way than
// a driver: it searches the converter's reading whose compensation (floating-point version, sections 3.3 and 3.4)
// is the value that was set. It is the twin of lab/peripherals/parts/bme680.py.
//
using System;
using System.Collections.Generic;
using Antmicro.Renode.Core;
using Antmicro.Renode.Exceptions;
using Antmicro.Renode.Logging;
using Antmicro.Renode.Peripherals.I2C;
using Antmicro.Renode.Peripherals.Sensor;

namespace Antmicro.Renode.Peripherals.Sensors
{
    /// <summary>
    /// A Bosch BME680. Set <see cref="Temperature"/>, <see cref="Humidity"/>, <see cref="Pressure"/> and
    /// <see cref="Gas"/>; firmware finds them in the registers after a measurement in forced mode, which takes
    /// its time in virtual time.
    /// </summary>
    /// <remarks>
    /// The I2C address (0x76 or 0x77, section 6.2) is that of the registration. Renode's I2C interface cannot
    /// refuse an acknowledge, so an absent part reads as the idle bus (0xFF) and a stuck one as a low one (0x00).
    /// The SPI interface and its memory pages (section 6.3) are not modelled.
    /// </remarks>
    public class BME680 : II2CPeripheral, ITemperatureSensor, IHumiditySensor
    {
        public BME680(IMachine machine)
        {
            this.machine = machine;
            foreach(var entry in Calibration.Registers())
            {
                rom[entry.Key] = entry.Value;
            }
            rom[(byte)Registers.Id] = ChipId;
            Reset();
        }

        /// <summary>Power-on reset. The physical values are the world's and stay.</summary>
        public void Reset()
        {
            Array.Clear(registers, 0, registers.Length);
            data.Clear();
            filtered.Clear();
            running = null;
            pointer = 0;
            state = State.Address;
        }

        /// <summary>Takes pairs of register and value (section 6.2.1); the last register named is read from.</summary>
        public void Write(byte[] bytes)
        {
            Announce();
            if(Fault != PartFault.None)
            {
                return;
            }
            Advance();
            foreach(var value in bytes)
            {
                if(state == State.Address)
                {
                    pointer = value;
                    state = State.Value;
                }
                else
                {
                    WriteRegister(pointer, value);
                    state = State.Address;
                }
            }
        }

        /// <summary>Reads from the register named last onwards (section 6.2.2).</summary>
        public byte[] Read(int count = 1)
        {
            var result = new byte[count];
            Announce();
            if(Fault != PartFault.None)
            {
                for(var i = 0; i < count; i++)
                {
                    result[i] = Fault == PartFault.Stuck ? (byte)0x00 : (byte)0xFF;
                }
                return result;
            }
            Advance();
            for(var i = 0; i < count; i++)
            {
                result[i] = ReadRegister(pointer++);
            }
            return result;
        }

        public void FinishTransmission()
        {
            state = State.Address;
        }

        /// <summary>Ambient temperature in °C, -40 to 85 (table 4).</summary>
        public decimal Temperature
        {
            get { return temperature; }
            set { temperature = Checked("Temperature", value, -40, 85, "°C"); }
        }

        /// <summary>Relative humidity in %, 0 to 100 (table 2).</summary>
        public decimal Humidity
        {
            get { return humidity; }
            set { humidity = Checked("Humidity", value, 0, 100, "%"); }
        }

        /// <summary>Pressure in hPa, 300 to 1100 (table 3).</summary>
        public decimal Pressure
        {
            get { return pressure; }
            set { pressure = Checked("Pressure", value, 300, 1100, "hPa"); }
        }

        /// <summary>Resistance of the gas sensor in Ω, 200 to 12 000 000 (what section 3.4.1 can express).</summary>
        public decimal Gas
        {
            get { return gas; }
            set { gas = Checked("Gas", value, 200, 12000000, "Ω"); }
        }

        /// <summary>What is wrong with the part.</summary>
        public PartFault Fault { get; set; }

        /// <summary>Called before each transfer: the last moment to set what the world is like.</summary>
        public event Action<BME680> Accessed;

        /// <summary>Measurements begun since the model was made.</summary>
        public int Measurements { get; private set; }

        public enum PartFault
        {
            None,
            Nack,
            Stuck,
            Unplugged,
        }

        private void Announce()
        {
            var accessed = Accessed;
            if(accessed != null)
            {
                accessed(this);
            }
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

        private byte ReadRegister(byte register)
        {
            byte value;
            if(register == (byte)Registers.MeasStatus0)
            {
                data.TryGetValue(register, out value);
                return (byte)(value | Busy());
            }
            if(data.TryGetValue(register, out value))
            {
                return value;
            }
            return IsWritable(register) ? registers[register] : rom[register];
        }

        private void WriteRegister(byte register, byte value)
        {
            if(register == (byte)Registers.Reset)
            {
                if(value == SoftReset)
                {
                    Reset();
                }
                return;
            }
            if(!IsWritable(register))
            {
                this.Log(LogLevel.Warning, "Write of 0x{0:X2} to read-only register 0x{1:X2}", value, register);
                return;
            }
            registers[register] = value;
            if(register == (byte)Registers.CtrlMeas && (value & ModeMask) == ForcedMode && running == null)
            {
                running = Measure();
                Measurements++;
            }
        }

        private static bool IsWritable(byte register)
        {
            var isSetPoint = register >= (byte)Registers.IdacHeat0 && register < (byte)Registers.GasWait0 + SetPoints;
            return isSetPoint || (register >= (byte)Registers.CtrlGas0 && register <= (byte)Registers.Config);
        }

        /// <summary>measuring and gas_measuring (section 5.3.5); old data stay readable, and marked new.</summary>
        private byte Busy()
        {
            if(running == null)
            {
                return 0;
            }
            var heating = running.Gas && Now >= running.ConvertedAt;
            return (byte)(Measuring | (heating ? GasMeasuring : 0));
        }

        /// <summary>Lets the measurement end whose time has come; then the part sleeps again (section 3.1).</summary>
        private void Advance()
        {
            if(running != null && Now >= running.DoneAt)
            {
                foreach(var entry in running.Data)
                {
                    data[entry.Key] = entry.Value;
                }
                registers[(byte)Registers.CtrlMeas] &= unchecked((byte)~ModeMask);
                running = null;
            }
        }

        /// <summary>Samples the world and works out what the converters will read, and when (section 3.2).</summary>
        private Measurement Measure()
        {
            var osrsT = registers[(byte)Registers.CtrlMeas] >> 5;
            var osrsP = registers[(byte)Registers.CtrlMeas] >> 2 & 7;
            var osrsH = registers[(byte)Registers.CtrlHum] & 7;
            var celsius = (double)temperature;
            var result = new Measurement { Gas = (registers[(byte)Registers.CtrlGas1] & RunGas) != 0 };
            result.Data[(byte)Registers.MeasStatus0] = (byte)(NewData | registers[(byte)Registers.CtrlGas1] & 0xF);
            result.Data[(byte)Registers.GasRMsb] = 0;
            result.Data[(byte)Registers.GasRLsb] = 0;

            Store20(result.Data, Registers.TempMsb, osrsT,
                Search(adc => Calibration.Temperature(adc), celsius, 20, false));
            Store20(result.Data, Registers.PressMsb, osrsP,
                Search(adc => Calibration.Pressure(adc, celsius), (double)pressure * 100, 20, true));
            var hum = osrsH == 0
                ? Skipped16
                : Search(adc => Calibration.Humidity(adc, celsius), (double)humidity, 16, false);
            result.Data[(byte)Registers.HumMsb] = (byte)(hum >> 8);
            result.Data[(byte)Registers.HumMsb + 1] = (byte)hum;

            // Typical times of one conversion, of its set-up and of waking up, as in Bosch's application note.
            var conversions = Oversampling[osrsT] + Oversampling[osrsP] + Oversampling[osrsH];
            result.ConvertedAt = Now + (ulong)(1000 + conversions * 1963 + 4 * 477);
            result.DoneAt = result.ConvertedAt;
            if(result.Gas)
            {
                result.DoneAt += (ulong)(5 * 477 + MeasureGas(result.Data, celsius) * 1000);
            }
            return result;
        }

        /// <summary>Fills in the gas registers and returns how long the heater is on, in ms (3.3.5 and 5.3.3).</summary>
        private int MeasureGas(Dictionary<byte, byte> into, double ambient)
        {
            var point = Math.Min(registers[(byte)Registers.CtrlGas1] & 0xF, SetPoints - 1);
            var encoded = registers[(byte)Registers.GasWait0 + point];
            var wait = (encoded & 0x3F) << 2 * (encoded >> 6);
            var target = Calibration.HeaterTarget(registers[(byte)Registers.ResHeat0 + point], ambient);
            var reached = wait >= HeaterRiseMs && target > ambient && target <= Hottest + 5;
            var stable = reached && (registers[(byte)Registers.CtrlGas0] & HeatOff) == 0;

            int range;
            var adc = Calibration.GasAdc((double)gas, out range);
            into[(byte)Registers.GasRMsb] = (byte)(adc >> 2);
            into[(byte)Registers.GasRLsb] = (byte)((adc & 3) << 6 | GasValid | (stable ? HeatStable : 0) | range);
            return wait;
        }

        private void Store20(Dictionary<byte, byte> into, Registers register, int osrs, int adc)
        {
            var coefficient = Filter[registers[(byte)Registers.Config] >> 2 & 7];
            if(osrs == 0)
            {
                adc = Skipped20;
            }
            else if(coefficient != 0)
            {
                int before;
                if(!filtered.TryGetValue(register, out before))
                {
                    before = adc;
                }
                // Section 5.3.2.4. In 64 bits: 127 times a 20-bit value and another one need 27.
                adc = (int)(((long)before * coefficient + adc) / (coefficient + 1));
                filtered[register] = adc;
            }
            else
            {
                // Without the filter the resolution is 16 + (osrs - 1) bits (sections 3.3.1 and 3.3.2).
                adc &= -1 << (5 - Math.Min(osrs, 5));
            }
            into[(byte)register] = (byte)(adc >> 12);
            into[(byte)(register + 1)] = (byte)(adc >> 4);
            into[(byte)(register + 2)] = (byte)((adc & 0xF) << 4);
        }

        /// <summary>Returns the converter value whose reading is nearest to the target; readings are monotonic.</summary>
        private static int Search(Func<int, double> reading, double target, int bits, bool falling)
        {
            var sign = falling ? -1 : 1;
            int low = 0, high = (1 << bits) - 1;
            while(low < high)
            {
                var middle = (low + high) / 2;
                if(sign * reading(middle) < sign * target)
                {
                    low = middle + 1;
                }
                else
                {
                    high = middle;
                }
            }
            var below = Math.Max(low - 1, 0);
            return Math.Abs(reading(low) - target) <= Math.Abs(reading(below) - target) ? low : below;
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

        private Measurement running;
        private byte pointer;
        private State state;
        private decimal temperature = 22;
        private decimal humidity = 45;
        private decimal pressure = 1013.25m;
        private decimal gas = 50000;

        private readonly IMachine machine;
        private readonly byte[] rom = new byte[256];
        private readonly byte[] registers = new byte[256];
        private readonly Dictionary<byte, byte> data = new Dictionary<byte, byte>();
        private readonly Dictionary<Registers, int> filtered = new Dictionary<Registers, int>();

        private const byte ChipId = 0x61;
        private const byte SoftReset = 0xB6; // section 5.3.1.2
        private const byte ModeMask = 0x03;
        private const byte ForcedMode = 0x01; // section 5.3.1.3
        private const byte RunGas = 0x10;
        private const byte HeatOff = 0x08;
        private const byte NewData = 0x80; // meas_status_0, section 5.3.5
        private const byte GasMeasuring = 0x40;
        private const byte Measuring = 0x20;
        private const byte GasValid = 0x20; // gas_r_lsb
        private const byte HeatStable = 0x10;
        private const int SetPoints = 10;
        private const int Skipped20 = 0x80000; // what a skipped measurement reads, section 5.3.4
        private const int Skipped16 = 0x8000;
        private const int HeaterRiseMs = 20; // "approximately 20-30 ms are necessary", section 3.3.5
        private const double Hottest = 400; // °C, the highest set-point, section 1

        private static readonly int[] Oversampling = { 0, 1, 2, 4, 8, 16, 16, 16 }; // section 5.3.2
        private static readonly int[] Filter = { 0, 1, 3, 7, 15, 31, 63, 127 }; // section 5.3.2.4

        private class Measurement
        {
            public readonly Dictionary<byte, byte> Data = new Dictionary<byte, byte>();
            public bool Gas;
            public ulong ConvertedAt;
            public ulong DoneAt;
        }

        /// <summary>
        /// The trimming values of one sensor (sections 3.3 and 3.4.1, tables 11 to 16) and what they do. Each real
        /// sensor has its own; these are of the order they have.
        /// </summary>
        private static class Calibration
        {
            public static Dictionary<byte, byte> Registers()
            {
                var result = new Dictionary<byte, byte>
                {
                    { 0x00, unchecked((byte)ResHeatVal) },
                    { 0x02, ResHeatRange << 4 },
                    { 0x04, (RangeSwitchingError & 0xF) << 4 },
                    { 0xE1, H2 >> 4 },
                    { 0xE2, (H2 & 0xF) << 4 | H1 & 0xF },
                    { 0xE3, H1 >> 4 },
                    { 0x8C, T3 }, { 0x92, P3 }, { 0x98, P7 }, { 0x99, P6 }, { 0xA0, P10 },
                    { 0xE4, H3 }, { 0xE5, H4 }, { 0xE6, H5 }, { 0xE7, H6 }, { 0xE8, unchecked((byte)H7) },
                    { 0xED, unchecked((byte)G1) }, { 0xEE, G3 },
                };
                var words = new Dictionary<byte, int>
                {
                    { 0x8A, T2 }, { 0x8E, P1 }, { 0x90, P2 }, { 0x94, P4 }, { 0x96, P5 }, { 0x9C, P8 }, { 0x9E, P9 },
                    { 0xE9, T1 }, { 0xEB, G2 },
                };
                foreach(var entry in words)
                {
                    result[entry.Key] = (byte)entry.Value;
                    result[(byte)(entry.Key + 1)] = (byte)(entry.Value >> 8);
                }
                return result;
            }

            /// <summary>°C, section 3.3.1.</summary>
            public static double Temperature(int adc)
            {
                var linear = (adc / 16384.0 - T1 / 1024.0) * T2;
                var difference = adc / 131072.0 - T1 / 8192.0;
                return (linear + difference * difference * T3 * 16) / 5120;
            }

            /// <summary>Pa, section 3.3.2.</summary>
            public static double Pressure(int adc, double celsius)
            {
                var fine = celsius * 5120 / 2 - 64000;
                var offset = (fine * fine * P6 / 131072 + fine * P5 * 2) / 4 + P4 * 65536.0;
                var scale = (1 + (P3 * fine * fine / 16384 + P2 * fine) / 524288 / 32768) * P1;
                var linear = (1048576 - adc - offset / 4096) * 6250 / scale;
                var square = P9 * linear * linear / 2147483648;
                var cube = Math.Pow(linear / 256, 3) * P10 / 131072;
                return linear + (square + linear * P8 / 32768 + cube + P7 * 128) / 16;
            }

            /// <summary>% relative, section 3.3.3.</summary>
            public static double Humidity(int adc, double celsius)
            {
                var linear = (adc - (H1 * 16 + H3 / 2.0 * celsius))
                    * (H2 / 262144.0 * (1 + H4 / 16384.0 * celsius + H5 / 1048576.0 * celsius * celsius));
                return linear + (H6 / 16384.0 + H7 / 2097152.0 * celsius) * linear * linear;
            }

            /// <summary>°C that a res_heat_x value heats to: the inverse of section 3.3.5.</summary>
            public static double HeaterTarget(byte resHeat, double ambient)
            {
                var resistance = (resHeat / 3.4 + 25) * (4 + ResHeatRange) / 4 * (1 + ResHeatVal * 0.002);
                var cold = G1 / 16.0 + 49;
                return ((resistance - G3 / 1024.0 * ambient) / cold - 1) / (G2 / 32768.0 * 0.0005 + 0.00235);
            }

            /// <summary>Converter value and range; of the ranges that reach the resistance the best centred (3.4.1).</summary>
            public static int GasAdc(double ohms, out int range)
            {
                range = 0;
                for(var i = 1; i < GasConst1.Length; i++)
                {
                    if(Math.Abs(GasAdc(ohms, i) - 512) < Math.Abs(GasAdc(ohms, range) - 512))
                    {
                        range = i;
                    }
                }
                return Math.Min(Math.Max((int)Math.Round(GasAdc(ohms, range)), 0), 1023);
            }

            private static double GasAdc(double ohms, int range)
            {
                var scale = (1340 + 5 * RangeSwitchingError) * GasConst1[range];
                return scale * GasConst2[range] / ohms + 512 - scale;
            }

            private const int T1 = 26041, T2 = 26469, T3 = 3;
            private const int P1 = 36477, P2 = -10349, P3 = 88, P4 = 6835, P5 = -103;
            private const int P6 = 30, P7 = 42, P8 = -2487, P9 = -2436, P10 = 30;
            private const int H1 = 787, H2 = 1023, H3 = 0, H4 = 45, H5 = 20, H6 = 120, H7 = -100;
            private const int G1 = -30, G2 = -5969, G3 = 18;
            private const int ResHeatRange = 1, ResHeatVal = 46, RangeSwitchingError = -1;

            // const_array1 and const_array2 of section 3.4.1, table 16.
            private static readonly double[] GasConst1 =
            {
                1, 1, 1, 1, 1, 0.99, 1, 0.992, 1, 1, 0.998, 0.995, 1, 0.99, 1, 1,
            };

            private static readonly double[] GasConst2 =
            {
                8000000, 4000000, 2000000, 1000000, 499500.4995, 248262.1648, 125000, 63004.03226,
                31281.28128, 15625, 7812.5, 3906.25, 1953.125, 976.5625, 488.28125, 244.140625,
            };
        }

        private enum State
        {
            Address,
            Value,
        }

        // Section 5.2, table 20.
        private enum Registers : byte
        {
            MeasStatus0 = 0x1D,
            PressMsb = 0x1F,
            TempMsb = 0x22,
            HumMsb = 0x25,
            GasRMsb = 0x2A,
            GasRLsb = 0x2B,
            IdacHeat0 = 0x50,
            ResHeat0 = 0x5A,
            GasWait0 = 0x64,
            CtrlGas0 = 0x70,
            CtrlGas1 = 0x71,
            CtrlHum = 0x72,
            CtrlMeas = 0x74,
            Config = 0x75,
            Id = 0xD0,
            Reset = 0xE0,
        }
    }
}
