#include "drivers/ws2812.h"

#include <string.h>

void lab_ws2812_init(struct lab_ws2812 *leds, const struct lab_port *port, uint8_t strip, uint16_t count,
                     uint8_t *bytes) {
    *leds =
        (struct lab_ws2812){.port = port, .strip = strip, .count = count, .bytes = bytes, .dirty = count > 0};
    memset(bytes, 0, LAB_WS2812_BYTES(count));
}

bool lab_ws2812_set(struct lab_ws2812 *leds, uint32_t index, struct lab_rgb colour) {
    if (index >= leds->count) {
        return false;
    }
    /* "Composition of 24 bit data": green, red, blue. */
    const uint8_t grb[] = {colour.green, colour.red, colour.blue};
    uint8_t *at = leds->bytes + LAB_WS2812_BYTES(index);
    if (memcmp(at, grb, sizeof grb) != 0) {
        memcpy(at, grb, sizeof grb);
        leds->dirty = true;
    }
    return true;
}

bool lab_ws2812_set_two(struct lab_ws2812 *leds, uint32_t first, struct lab_rgb first_colour, uint32_t second,
                        struct lab_rgb second_colour) {
    return first < leds->count && lab_ws2812_set(leds, second, second_colour) &&
           lab_ws2812_set(leds, first, first_colour);
}

void lab_ws2812_set_all(struct lab_ws2812 *leds, struct lab_rgb colour) {
    for (uint32_t i = 0; i < leds->count; i++) {
        lab_ws2812_set(leds, i, colour);
    }
}

enum lab_bus_status lab_ws2812_flush(struct lab_ws2812 *leds) {
    if (!leds->dirty) {
        return LAB_BUS_DONE;
    }
    if (leds->port->strip == NULL) {
        return LAB_BUS_UNSUPPORTED;
    }
    enum lab_bus_status status =
        leds->port->strip(leds->port, leds->strip, leds->bytes, LAB_WS2812_BYTES(leds->count));
    leds->dirty = status != LAB_BUS_DONE;
    return status;
}
