/* Buses and pins through Zephyr's drivers; which they are, the board's overlay says. */
#ifndef LAB_ZEPHYR_PINS_H
#define LAB_ZEPHYR_PINS_H

#include "lab/port.h"

/* The numbers that the boards of platforms/ give their pins. */
enum { PIN_DHT22 = 4, PIN_BUZZER = 5, PIN_FAN = 6, PIN_RELAY = 7, PIN_BUTTON = 8 };

void pins_start(void);
enum lab_bus_status pins_i2c(const struct lab_port *port, uint8_t address, const uint8_t *out,
                             size_t out_size, uint8_t *in, size_t in_size);
enum lab_bus_status pins_pulses(const struct lab_port *port, uint8_t pin, uint16_t start_low_us,
                                struct lab_pulse *pulses, size_t *count);
enum lab_bus_status pins_strip(const struct lab_port *port, uint8_t strip, const uint8_t *bytes, size_t size);
enum lab_bus_status pins_write(const struct lab_port *port, uint8_t pin, bool level);
enum lab_bus_status pins_read(const struct lab_port *port, uint8_t pin, bool *level);

/* Of the button, the one input that is not a sensor's. */
bool pins_edge(const struct lab_port *port, uint8_t *pin, bool *level);

/* Channels are the inputs of the overlay's io-channels, from 0. */
enum lab_bus_status pins_adc(const struct lab_port *port, uint8_t channel, uint16_t *value);

#endif
