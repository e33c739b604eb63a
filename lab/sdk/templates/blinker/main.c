/* Blinks an LED. */
#include "lab.h"

static const uint32_t led = 0;
static const struct lab_rgb white = {255, 255, 255}, off = {0, 0, 0};

static bool lit;

uint32_t init(void) {
    return 500; /* ms: lit for half a second, dark for half a second */
}

void poll(void) {
    lit = !lit;
    lab_led_controller_set(led, lit ? white : off);
}
