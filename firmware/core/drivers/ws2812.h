/* WS2812B LED strip: colours are kept here and go out in one write, only if one has changed. */
#ifndef LAB_DRIVERS_WS2812_H
#define LAB_DRIVERS_WS2812_H

#include "lab/port.h"

struct lab_rgb {
    uint8_t red;
    uint8_t green;
    uint8_t blue;
};

#define LAB_WS2812_BYTES(count) (3u * (count))

struct lab_ws2812 {
    const struct lab_port *port;
    uint8_t strip;
    uint16_t count;
    uint8_t *bytes; /* LAB_WS2812_BYTES(count), in the order they leave the pin */
    bool dirty;
};

/* All dark; the first flush says so to LEDs that still shine from before a reset. */
void lab_ws2812_init(struct lab_ws2812 *leds, const struct lab_port *port, uint8_t strip, uint16_t count,
                     uint8_t *bytes);

/* False if there is no such LED. */
bool lab_ws2812_set(struct lab_ws2812 *leds, uint32_t index, struct lab_rgb colour);

/* False, and neither is changed, if one of them does not exist. */
bool lab_ws2812_set_two(struct lab_ws2812 *leds, uint32_t first, struct lab_rgb first_colour, uint32_t second,
                        struct lab_rgb second_colour);
void lab_ws2812_set_all(struct lab_ws2812 *leds, struct lab_rgb colour);

/* Write the strip if a colour has changed since. After a failure the next flush tries again. */
enum lab_bus_status lab_ws2812_flush(struct lab_ws2812 *leds);

#endif
