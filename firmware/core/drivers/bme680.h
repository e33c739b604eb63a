/* BME680: temperature, pressure, humidity and gas on I2C. Section numbers are those of Bosch's datasheet
 * BST-BME680-DS001, revision 1.0.
 *
 * A measurement takes 200 ms or so, most of it heating: start one, do other things, fetch it.
 */
#ifndef LAB_DRIVERS_BME680_H
#define LAB_DRIVERS_BME680_H

#include "drivers/sensor.h"

#define LAB_BME680_ADDRESS_LOW  0x76 /* SDO to ground */
#define LAB_BME680_ADDRESS_HIGH 0x77 /* SDO to the supply */

/* Trimming values, section 3.3, tables 11 to 16, and 3.4.1. */
struct lab_bme680_calibration {
    uint16_t t1;
    int16_t t2;
    int8_t t3;
    uint16_t p1;
    int16_t p2;
    int8_t p3;
    int16_t p4;
    int16_t p5;
    int8_t p6;
    int8_t p7;
    int16_t p8;
    int16_t p9;
    uint8_t p10;
    uint16_t h1;
    uint16_t h2;
    int8_t h3;
    int8_t h4;
    int8_t h5;
    uint8_t h6;
    int8_t h7;
    int8_t g1;
    int16_t g2;
    int8_t g3;
    uint8_t res_heat_range;
    int8_t res_heat_val;
    int8_t range_switching_error;
};

/* How to measure. Oversampling is a register value: 0 skips, 1 to 5 are 1, 2, 4, 8 and 16 times. */
struct lab_bme680_config {
    uint8_t oversampling_temperature;
    uint8_t oversampling_pressure;
    uint8_t oversampling_humidity;
    uint8_t filter;          /* 0 (off) to 7, section 5.3.2.4 */
    uint16_t heater_celsius; /* 200 to 400; 0 leaves gas out */
    uint16_t heater_ms;      /* 1 to 4032 */
};

/* The datasheet's recommendation for indoor air: 2, 16 and 1 times, 320 °C for 150 ms. */
#define LAB_BME680_CONFIG                                                                                    \
    ((struct lab_bme680_config){.oversampling_temperature = 2,                                               \
                                .oversampling_pressure = 5,                                                  \
                                .oversampling_humidity = 1,                                                  \
                                .heater_celsius = 320,                                                       \
                                .heater_ms = 150})

struct lab_bme680_reading {
    int32_t temperature;     /* 0.01 °C */
    uint32_t pressure;       /* Pa */
    uint32_t humidity;       /* 0.001 % */
    uint32_t gas_resistance; /* Ω; 0 if the heater was not stable or gas was left out */
};

struct lab_bme680 {
    const struct lab_port *port;
    uint8_t address;
    struct lab_bme680_calibration calibration;
    int32_t ambient; /* 0.01 °C, of the last reading: the heater's set-point depends on it */
    bool measuring;
    uint64_t ready_at; /* ms */
};

/* Look whether the sensor is there, reset it and read its trimming values. Takes 10 ms. */
enum lab_sensor_status lab_bme680_open(struct lab_bme680 *sensor, const struct lab_port *port,
                                       uint8_t address);

/* Begin one measurement (forced mode). */
enum lab_sensor_status lab_bme680_start(struct lab_bme680 *sensor, const struct lab_bme680_config *config);

/* Fetch the measurement that was begun. LAB_SENSOR_NOT_READY until it is done: ask again. */
enum lab_sensor_status lab_bme680_fetch(struct lab_bme680 *sensor, struct lab_bme680_reading *reading);

/* The arithmetic, for tests. */
int32_t lab_bme680_fine_temperature(const struct lab_bme680_calibration *calibration, uint32_t adc);
int32_t lab_bme680_temperature(int32_t fine);
uint32_t lab_bme680_pressure(const struct lab_bme680_calibration *calibration, uint32_t adc, int32_t fine);
uint32_t lab_bme680_humidity(const struct lab_bme680_calibration *calibration, uint16_t adc, int32_t fine);
uint32_t lab_bme680_gas_resistance(const struct lab_bme680_calibration *calibration, uint16_t adc,
                                   uint8_t range);
uint8_t lab_bme680_heater_resistance(const struct lab_bme680_calibration *calibration, uint16_t celsius,
                                     int32_t ambient);
uint8_t lab_bme680_gas_wait(uint16_t milliseconds);

#endif
