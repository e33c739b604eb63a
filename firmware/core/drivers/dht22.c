#include "drivers/dht22.h"

#define START_LOW_US 1100 /* at least 1 ms, section 7.3 */
#define BITS         40
#define PULSES       (1 + BITS) /* the sensor's response, then the bits */

/* A 0 is high for 22 to 30 us, a 1 for 68 to 75 (table of section 7.3). */
#define ONE_MIN_US 48

void lab_dht22_init(struct lab_dht22 *sensor, const struct lab_port *port, uint8_t pin) {
    *sensor = (struct lab_dht22){.port = port, .pin = pin};
}

enum lab_sensor_status lab_dht22_decode(const struct lab_pulse *pulses, size_t count,
                                        struct lab_dht22_reading *reading) {
    if (count == 0) {
        return LAB_SENSOR_NO_ANSWER;
    }
    if (count < PULSES) {
        return LAB_SENSOR_TIMEOUT;
    }
    uint8_t bytes[BITS / 8] = {0};
    for (size_t bit = 0; bit < BITS; bit++) {
        bool one = pulses[1 + bit].high_us >= ONE_MIN_US;
        bytes[bit / 8] = (uint8_t)(bytes[bit / 8] << 1 | one);
    }
    if ((uint8_t)(bytes[0] + bytes[1] + bytes[2] + bytes[3]) != bytes[4]) {
        return LAB_SENSOR_CHECKSUM;
    }
    /* Section 7.2: tenths; the temperature is sign and magnitude. */
    int16_t magnitude = (int16_t)((bytes[2] & 0x7f) << 8 | bytes[3]);
    *reading = (struct lab_dht22_reading){
        .temperature = (int16_t)(bytes[2] & 0x80 ? -magnitude : magnitude),
        .humidity = (uint16_t)(bytes[0] << 8 | bytes[1]),
    };
    return LAB_SENSOR_OK;
}

static enum lab_sensor_status ask(const struct lab_dht22 *sensor, struct lab_dht22_reading *reading) {
    const struct lab_port *port = sensor->port;
    if (port->pulses == NULL) {
        return LAB_SENSOR_UNSUPPORTED;
    }
    struct lab_pulse pulses[PULSES];
    size_t count = PULSES;
    enum lab_bus_status status = port->pulses(port, sensor->pin, START_LOW_US, pulses, &count);
    if (status == LAB_BUS_TIMEOUT && count == 0) {
        return LAB_SENSOR_NO_ANSWER;
    }
    return status == LAB_BUS_DONE ? lab_dht22_decode(pulses, count, reading) : lab_sensor_status(status);
}

enum lab_sensor_status lab_dht22_read(struct lab_dht22 *sensor, struct lab_dht22_reading *reading) {
    uint64_t now = sensor->port->millis(sensor->port);
    if (!sensor->asked || now - sensor->asked_at >= LAB_DHT22_INTERVAL_MS) {
        sensor->asked = true;
        sensor->asked_at = now;
        sensor->status = ask(sensor, &sensor->reading);
    }
    *reading = sensor->reading;
    return sensor->status;
}
