#include "drivers/bme680.h"

/* Registers, section 5.2. */
enum {
    RES_HEAT_VAL = 0x00,  /* first of the block that ends with range_switching_error at 0x04 */
    MEAS_STATUS_0 = 0x1d, /* first of the block that ends with gas_r_lsb at 0x2b */
    RES_HEAT_0 = 0x5a,
    GAS_WAIT_0 = 0x64,
    CTRL_GAS_1 = 0x71,
    CTRL_HUM = 0x72,
    CTRL_MEAS = 0x74,
    CONFIG = 0x75,
    COEFFICIENTS_1 = 0x89,
    CHIP_ID = 0xd0,
    RESET = 0xe0,
    COEFFICIENTS_2 = 0xe1,
};

#define CHIP_ID_BME680 0x61
#define SOFT_RESET     0xb6
#define FORCED         0x01
#define RUN_GAS        0x10
#define MEASURING      0x20
#define NEW_DATA       0x80
#define GAS_VALID      0x20
#define HEAT_STABLE    0x10

#define STARTUP_MS 10   /* 2 ms by table 1; our clock counts whole milliseconds */
#define LATE_MS    500  /* a measurement that takes this much longer than it may is lost */
#define AMBIENT    2500 /* 0.01 °C, until the first reading */

#define COEFFICIENTS_1_SIZE (0xa1 - COEFFICIENTS_1 + 1)
#define COEFFICIENTS_2_SIZE (0xee - COEFFICIENTS_2 + 1)
#define HEATER_SIZE         (0x04 - RES_HEAT_VAL + 1)
#define FIELD_SIZE          (0x2b - MEAS_STATUS_0 + 1)

static enum lab_sensor_status read_registers(const struct lab_bme680 *sensor, uint8_t first, uint8_t *values,
                                             size_t count) {
    if (sensor->port->i2c == NULL) {
        return LAB_SENSOR_UNSUPPORTED;
    }
    return lab_sensor_status(sensor->port->i2c(sensor->port, sensor->address, &first, 1, values, count));
}

/* Pairs of register and value, section 6.2.1. */
static enum lab_sensor_status write_registers(const struct lab_bme680 *sensor, const uint8_t *pairs,
                                              size_t size) {
    return lab_sensor_status(sensor->port->i2c(sensor->port, sensor->address, pairs, size, NULL, 0));
}

static uint16_t word(const uint8_t *lsb) {
    return (uint16_t)(lsb[0] | lsb[1] << 8);
}

/* Where a register is in its block. */
#define AT1(reg)      ((reg)-COEFFICIENTS_1)
#define AT2(reg)      ((reg)-COEFFICIENTS_2)
#define IN_FIELD(reg) ((reg)-MEAS_STATUS_0)

static void decode(struct lab_bme680_calibration *c, const uint8_t *one, const uint8_t *two,
                   const uint8_t *heater) {
    *c = (struct lab_bme680_calibration){
        .t1 = word(two + AT2(0xe9)),
        .t2 = (int16_t)word(one + AT1(0x8a)),
        .t3 = (int8_t)one[AT1(0x8c)],
        .p1 = word(one + AT1(0x8e)),
        .p2 = (int16_t)word(one + AT1(0x90)),
        .p3 = (int8_t)one[AT1(0x92)],
        .p4 = (int16_t)word(one + AT1(0x94)),
        .p5 = (int16_t)word(one + AT1(0x96)),
        .p6 = (int8_t)one[AT1(0x99)],
        .p7 = (int8_t)one[AT1(0x98)],
        .p8 = (int16_t)word(one + AT1(0x9c)),
        .p9 = (int16_t)word(one + AT1(0x9e)),
        .p10 = one[AT1(0xa0)],
        .h1 = (uint16_t)(two[AT2(0xe3)] << 4 | (two[AT2(0xe2)] & 0x0f)),
        .h2 = (uint16_t)(two[AT2(0xe1)] << 4 | two[AT2(0xe2)] >> 4),
        .h3 = (int8_t)two[AT2(0xe4)],
        .h4 = (int8_t)two[AT2(0xe5)],
        .h5 = (int8_t)two[AT2(0xe6)],
        .h6 = two[AT2(0xe7)],
        .h7 = (int8_t)two[AT2(0xe8)],
        .g1 = (int8_t)two[AT2(0xed)],
        .g2 = (int16_t)word(two + AT2(0xeb)),
        .g3 = (int8_t)two[AT2(0xee)],
        .res_heat_range = heater[2] >> 4 & 3,
        .res_heat_val = (int8_t)heater[0],
        .range_switching_error = (int8_t)((int8_t)heater[4] >> 4),
    };
}

enum lab_sensor_status lab_bme680_open(struct lab_bme680 *sensor, const struct lab_port *port,
                                       uint8_t address) {
    *sensor = (struct lab_bme680){.port = port, .address = address, .ambient = AMBIENT};
    uint8_t id;
    enum lab_sensor_status status = read_registers(sensor, CHIP_ID, &id, 1);
    if (status != LAB_SENSOR_OK) {
        return status;
    }
    if (id != CHIP_ID_BME680) {
        return LAB_SENSOR_NO_ANSWER;
    }
    static const uint8_t reset[] = {RESET, SOFT_RESET};
    status = write_registers(sensor, reset, sizeof reset);
    if (status != LAB_SENSOR_OK) {
        return status;
    }
    for (uint64_t start = port->millis(port); port->millis(port) - start < STARTUP_MS;) {
        port->idle(port, STARTUP_MS);
    }
    uint8_t one[COEFFICIENTS_1_SIZE];
    uint8_t two[COEFFICIENTS_2_SIZE];
    uint8_t heater[HEATER_SIZE];
    if ((status = read_registers(sensor, COEFFICIENTS_1, one, sizeof one)) != LAB_SENSOR_OK ||
        (status = read_registers(sensor, COEFFICIENTS_2, two, sizeof two)) != LAB_SENSOR_OK ||
        (status = read_registers(sensor, RES_HEAT_VAL, heater, sizeof heater)) != LAB_SENSOR_OK) {
        return status;
    }
    decode(&sensor->calibration, one, two, heater);
    return LAB_SENSOR_OK;
}

/* Typical time of a measurement before its heating phase, rounded up, in ms: 1.963 ms a conversion, 0.477 ms
 * each for switching between the converters, 1 ms to wake up. */
static uint32_t duration(const struct lab_bme680_config *config) {
    static const uint8_t times[] = {0, 1, 2, 4, 8, 16, 16, 16};
    uint32_t conversions = (uint32_t)times[config->oversampling_temperature & 7] +
                           times[config->oversampling_pressure & 7] +
                           times[config->oversampling_humidity & 7];
    uint32_t micros = 1000u + conversions * 1963u + 9u * 477u;
    return micros / 1000u + 1u;
}

enum lab_sensor_status lab_bme680_start(struct lab_bme680 *sensor, const struct lab_bme680_config *config) {
    bool gas = config->heater_celsius > 0;
    uint8_t set_point =
        lab_bme680_heater_resistance(&sensor->calibration, config->heater_celsius, sensor->ambient);
    /* ctrl_meas comes last: it starts the measurement (section 3.1). */
    const uint8_t pairs[] = {
        RES_HEAT_0,
        gas ? set_point : 0,
        GAS_WAIT_0,
        gas ? lab_bme680_gas_wait(config->heater_ms) : 0,
        CTRL_GAS_1,
        gas ? RUN_GAS : 0,
        CTRL_HUM,
        config->oversampling_humidity & 7,
        CONFIG,
        (uint8_t)((config->filter & 7) << 2),
        CTRL_MEAS,
        (uint8_t)((config->oversampling_temperature & 7) << 5 | (config->oversampling_pressure & 7) << 2 |
                  FORCED),
    };
    enum lab_sensor_status status = write_registers(sensor, pairs, sizeof pairs);
    sensor->measuring = status == LAB_SENSOR_OK;
    sensor->ready_at = sensor->port->millis(sensor->port) + duration(config) + (gas ? config->heater_ms : 0);
    return status;
}

static void convert(struct lab_bme680 *sensor, const uint8_t *field, struct lab_bme680_reading *reading) {
    const struct lab_bme680_calibration *c = &sensor->calibration;
    uint32_t pressure = (uint32_t)field[IN_FIELD(0x1f)] << 12 | (uint32_t)field[IN_FIELD(0x20)] << 4 |
                        field[IN_FIELD(0x21)] >> 4;
    uint32_t temperature = (uint32_t)field[IN_FIELD(0x22)] << 12 | (uint32_t)field[IN_FIELD(0x23)] << 4 |
                           field[IN_FIELD(0x24)] >> 4;
    uint16_t humidity = (uint16_t)(field[IN_FIELD(0x25)] << 8 | field[IN_FIELD(0x26)]);
    uint16_t gas = (uint16_t)(field[IN_FIELD(0x2a)] << 2 | field[IN_FIELD(0x2b)] >> 6);
    int32_t fine = lab_bme680_fine_temperature(c, temperature);
    bool gas_measured = (field[IN_FIELD(0x2b)] & (GAS_VALID | HEAT_STABLE)) == (GAS_VALID | HEAT_STABLE);
    *reading = (struct lab_bme680_reading){
        .temperature = lab_bme680_temperature(fine),
        .pressure = lab_bme680_pressure(c, pressure, fine),
        .humidity = lab_bme680_humidity(c, humidity, fine),
        .gas_resistance = gas_measured ? lab_bme680_gas_resistance(c, gas, field[IN_FIELD(0x2b)] & 0x0f) : 0,
    };
    sensor->ambient = reading->temperature;
}

enum lab_sensor_status lab_bme680_fetch(struct lab_bme680 *sensor, struct lab_bme680_reading *reading) {
    uint64_t now = sensor->port->millis(sensor->port);
    if (!sensor->measuring || now < sensor->ready_at) {
        return LAB_SENSOR_NOT_READY;
    }
    uint8_t field[FIELD_SIZE];
    enum lab_sensor_status status = read_registers(sensor, MEAS_STATUS_0, field, sizeof field);
    /* While it measures, the old data are there and still marked new. */
    if (status == LAB_SENSOR_OK && (field[0] & (NEW_DATA | MEASURING)) != NEW_DATA) {
        if (now < sensor->ready_at + LATE_MS) {
            return LAB_SENSOR_NOT_READY;
        }
        status = LAB_SENSOR_TIMEOUT;
    }
    sensor->measuring = false;
    if (status == LAB_SENSOR_OK) {
        convert(sensor, field, reading);
    }
    return status;
}

/* The formulas below are the datasheet's integer versions. Products that pass 31 bits for values at the edge
 * are kept in 64; shifts to the right round towards minus infinity, as the datasheet's do. */

/* Section 3.3.1: temperature in 1/5120 °C. */
int32_t lab_bme680_fine_temperature(const struct lab_bme680_calibration *c, uint32_t adc) {
    int32_t offset = (int32_t)(adc >> 3) - 2 * (int32_t)c->t1;
    int64_t linear = ((int64_t)offset * c->t2) >> 11;
    int64_t half = offset >> 1;
    int64_t square = (((half * half) >> 12) * (c->t3 * 16)) >> 14;
    return (int32_t)(linear + square);
}

int32_t lab_bme680_temperature(int32_t fine) {
    return (fine * 5 + 128) >> 8;
}

/* Section 3.3.2. */
uint32_t lab_bme680_pressure(const struct lab_bme680_calibration *c, uint32_t adc, int32_t fine) {
    int64_t t = (fine >> 1) - 64000;
    int64_t quarter_square = (t >> 2) * (t >> 2);
    int64_t offset = ((quarter_square >> 11) * c->p6) >> 2;
    offset = ((offset + t * c->p5 * 2) >> 2) + (int64_t)c->p4 * 65536;
    int64_t scale = (((quarter_square >> 13) * (c->p3 * 32)) >> 3) + ((c->p2 * t) >> 1);
    scale = ((32768 + (scale >> 18)) * c->p1) >> 15;
    if (scale <= 0) {
        return 0; /* no real sensor's trimming values */
    }
    int64_t pressure = (1048576 - (int64_t)adc - (offset >> 12)) * 3125;
    if (pressure < 0) {
        return 0;
    }
    pressure = pressure * 2 / scale; /* the datasheet's two cases only keep it within 32 bits */
    int64_t eighth = pressure >> 3;
    int64_t page = pressure >> 8;
    int64_t square = (c->p9 * ((eighth * eighth) >> 13)) >> 12;
    int64_t linear = ((pressure >> 2) * c->p8) >> 13;
    int64_t cube = (page * page * page * c->p10) >> 17;
    pressure += (square + linear + cube + c->p7 * 128) >> 4;
    return pressure < 0 ? 0 : (uint32_t)pressure;
}

/* Section 3.3.3: in 0.001 %. */
uint32_t lab_bme680_humidity(const struct lab_bme680_calibration *c, uint16_t adc, int32_t fine) {
    int64_t t = lab_bme680_temperature(fine);
    int64_t offset = adc - c->h1 * 16 - ((t * c->h3 / 100) >> 1);
    int64_t square = ((t * (t * c->h5 / 100)) >> 6) / 100;
    int64_t scale = (c->h2 * (t * c->h4 / 100 + square + (1 << 14))) >> 10;
    int64_t linear = offset * scale;
    int64_t curvature = (c->h6 * 128 + t * c->h7 / 100) >> 4;
    int64_t bend = (curvature * (((linear >> 14) * (linear >> 14)) >> 10)) >> 1;
    int64_t humidity = (((linear + bend) >> 10) * 1000) >> 12;
    return humidity < 0 ? 0 : humidity > 100000 ? 100000 : (uint32_t)humidity;
}

/* Section 3.4.1, table 16: const_array1_int and const_array2_int. */
static const uint32_t gas_constant_1[16] = {
    2147483647, 2147483647, 2147483647, 2147483647, 2147483647, 2126008810, 2147483647, 2130303777,
    2147483647, 2147483647, 2143188679, 2136746228, 2147483647, 2126008810, 2147483647, 2147483647,
};
static const uint32_t gas_constant_2[16] = {
    4096000000, 2048000000, 1024000000, 512000000, 255744255, 127110228, 64000000, 32258064,
    16016016,   8000000,    4000000,    2000000,   1000000,   500000,    250000,   125000,
};

uint32_t lab_bme680_gas_resistance(const struct lab_bme680_calibration *c, uint16_t adc, uint8_t range) {
    range &= 0x0f;
    int64_t scale = ((1340 + 5 * (int64_t)c->range_switching_error) * gas_constant_1[range]) >> 16;
    int64_t divisor = (int64_t)adc * 32768 - (INT64_C(1) << 24) + scale;
    int64_t product = ((int64_t)gas_constant_2[range] * scale) >> 9;
    return (uint32_t)((product + (divisor >> 1)) / divisor);
}

/* Section 3.3.5: res_heat_x for a target temperature. Only with `ambient` in 0.01 °C do the integer and the
 * floating-point version agree. */
uint8_t lab_bme680_heater_resistance(const struct lab_bme680_calibration *c, uint16_t celsius,
                                     int32_t ambient) {
    int64_t target = celsius > 400 ? 400 : celsius;
    int64_t from_ambient = (int64_t)ambient * c->g3 / 10 * 256;
    int64_t slope = ((c->g2 + 154009) * target * 5 / 100 + 3276800) / 10;
    int64_t resistance = from_ambient + ((c->g1 + 784) * slope >> 1);
    int64_t ranged = resistance / (c->res_heat_range + 4);
    int64_t hundredths = (ranged / (131 * c->res_heat_val + 65536) - 250) * 34;
    return (uint8_t)((hundredths + 50) / 100);
}

/* Section 5.3.3.3: six bits of milliseconds and two for a factor of 1, 4, 16 or 64; rounded up. */
uint8_t lab_bme680_gas_wait(uint16_t milliseconds) {
    uint32_t value = milliseconds;
    for (uint8_t factor = 0; factor < 4; factor++) {
        if (value <= 0x3f) {
            return (uint8_t)(factor << 6 | value);
        }
        value = (value + 3) / 4;
    }
    return 0xff;
}
