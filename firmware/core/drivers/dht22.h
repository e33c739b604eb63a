/* DHT22 (AM2302): temperature and humidity over one wire. Sections are those of Aosong's datasheet. */
#ifndef LAB_DRIVERS_DHT22_H
#define LAB_DRIVERS_DHT22_H

#include "drivers/sensor.h"

/* The sensor must not be asked more often (section 4). */
#define LAB_DHT22_INTERVAL_MS 2000u

struct lab_dht22_reading {
    int16_t temperature; /* 0.1 °C */
    uint16_t humidity;   /* 0.1 % */
};

struct lab_dht22 {
    const struct lab_port *port;
    uint8_t pin;
    bool asked;
    uint64_t asked_at; /* ms */
    enum lab_sensor_status status;
    struct lab_dht22_reading reading;
};

void lab_dht22_init(struct lab_dht22 *sensor, const struct lab_port *port, uint8_t pin);

/* Read the sensor; within its interval, repeat what it said last. */
enum lab_sensor_status lab_dht22_read(struct lab_dht22 *sensor, struct lab_dht22_reading *reading);

/* The decoding, for tests: the pulses after the start signal. */
enum lab_sensor_status lab_dht22_decode(const struct lab_pulse *pulses, size_t count,
                                        struct lab_dht22_reading *reading);

#endif
