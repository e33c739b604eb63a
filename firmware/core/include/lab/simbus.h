/* The board's buses when its parts are models on the host: each call is one request and its answer on
 * LAB_SIMBUS (docs/protocol.md, section 1). A port sets its bus functions to these and `simbus` to a zeroed
 * struct lab_simbus; they use the port's read, write, millis, idle and feed.
 *
 * A call blocks until the host answers, LAB_SIMBUS_TIMEOUT_MS at most, and feeds the watchdog meanwhile.
 */
#ifndef LAB_SIMBUS_H
#define LAB_SIMBUS_H

#include "lab/port.h"
#include "link/frame.h"

/* Models answer within microseconds of the host's own time; a busy host stops for a second now and then,
 * and a flash that does not answer is taken for worn out. */
#define LAB_SIMBUS_TIMEOUT_MS 5000u

/* Data bytes of one request or answer, besides operation and arguments. Flash is read and programmed in
 * pieces of this size; I2C and strips take no more: a strip of 128 LEDs. */
#define LAB_SIMBUS_DATA 384u
#define LAB_SIMBUS_BODY (LAB_SIMBUS_DATA + 8u)

/* Edges kept until lab_simbus_edge() asks for them. */
#define LAB_SIMBUS_EDGES 8u

struct lab_simbus_edge {
    uint8_t pin;
    bool level;
};

struct lab_simbus {
    struct lab_frame_reader reader;
    uint8_t body[LAB_FRAME_ROOM(LAB_SIMBUS_BODY)];
    uint8_t wire[LAB_FRAME_WIRE_MAX(LAB_SIMBUS_BODY)];
    uint8_t sequence;
    struct lab_simbus_edge edges[LAB_SIMBUS_EDGES];
    uint8_t edge_count;
    uint32_t edges_lost; /* came while `edges` was full */
    uint32_t timeouts;
};

/* What the boards in platforms/ attach to their simbus, and where. */
extern const struct lab_wiring lab_simbus_wiring;

/* Call once, after the streams work: tells the host that the device has just started. Does not wait. */
void lab_simbus_start(const struct lab_port *port);

/* Take the oldest edge of an input pin; false if there is none. Looks at the stream, but does not wait. */
bool lab_simbus_edge(const struct lab_port *port, uint8_t *pin, bool *level);

enum lab_bus_status lab_simbus_i2c(const struct lab_port *port, uint8_t address, const uint8_t *out,
                                   size_t out_size, uint8_t *in, size_t in_size);
enum lab_bus_status lab_simbus_pulses(const struct lab_port *port, uint8_t pin, uint16_t start_low_us,
                                      struct lab_pulse *pulses, size_t *count);
enum lab_bus_status lab_simbus_strip(const struct lab_port *port, uint8_t strip, const uint8_t *bytes,
                                     size_t size);
enum lab_bus_status lab_simbus_gpio_write(const struct lab_port *port, uint8_t pin, bool level);
enum lab_bus_status lab_simbus_gpio_read(const struct lab_port *port, uint8_t pin, bool *level);
enum lab_bus_status lab_simbus_adc_read(const struct lab_port *port, uint8_t channel, uint16_t *value);
enum lab_bus_status lab_simbus_flash_read(const struct lab_port *port, uint32_t address, uint8_t *bytes,
                                          size_t size);
enum lab_bus_status lab_simbus_flash_program(const struct lab_port *port, uint32_t address,
                                             const uint8_t *bytes, size_t size);
enum lab_bus_status lab_simbus_flash_erase(const struct lab_port *port, uint32_t address);

#endif
