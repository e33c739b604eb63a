/* Runs a fan by the room's temperature. LED 0 is blue while it runs, green while it rests, red if there is no
 * sensor. */
#include "lab.h"

/* °C */
#define START 28.0f
#define STOP  26.0f

static const struct lab_rgb red = {255, 0, 0}, green = {0, 255, 0}, blue = {0, 0, 255};

static void show(struct lab_rgb colour) {
    lab_led_controller_set(0, colour);
}

uint32_t init(void) {
    return 500; /* ms between two polls */
}

void poll(void) {
    struct lab_dht22_reading reading;
    if (!lab_dht22_read(&reading, NULL)) {
        lab_fan_controller_set(false);
        lab_log_write(LAB_LOG_LEVEL_WARNING, "the sensor does not answer");
        show(red);
        return;
    }
    bool runs = reading.temperature > START || (lab_fan_controller_is_on() && reading.temperature >= STOP);
    lab_fan_controller_set(runs);
    show(runs ? blue : green);
}
