/* The world outside an app: the board's parts behind the interfaces of wit/device.wit.
 *
 * world.c defines the lab_api_* functions that the generated apps/contract.c calls. Parts belong to the
 * board, not to an app: two apps that colour the same LED see the later colour win.
 */
#ifndef LAB_WORLD_H
#define LAB_WORLD_H

#include "drivers/bme680.h"
#include "drivers/buzzer.h"
#include "drivers/dht22.h"
#include "drivers/ws2812.h"
#include "lab/port.h"

#define LAB_WORLD_LEDS    32u   /* most LEDs of a strip */
#define LAB_WORLD_WATCHES 4u    /* pins that can be watched at once */
#define LAB_WORLD_KV      1024u /* bytes of all apps' key-value pairs */

struct lab_watch {
    const void *app; /* who watches; NULL: free */
    uint8_t pin;
    uint8_t edge; /* enum lab_api_gpio_provider_edge */
    uint32_t count;
};

struct lab_world {
    const struct lab_port *port;
    struct lab_ws2812 leds;
    uint8_t led_bytes[LAB_WS2812_BYTES(LAB_WORLD_LEDS)];
    struct lab_buzzer buzzer;
    struct lab_dht22 dht22;
    bool fan;

    /* The BME680 heats for most of a measurement, so it measures beside the apps, once a second, while some
     * app asks for readings. */
    struct lab_bme680 bme680;
    bool bme680_open;
    enum lab_sensor_status bme680_status; /* of the last measurement */
    struct lab_bme680_reading bme680_reading;
    uint64_t bme680_due;    /* when to begin or fetch a measurement */
    uint64_t bme680_wanted; /* until when */

    struct lab_watch watches[LAB_WORLD_WATCHES];
    uint8_t kv[LAB_WORLD_KV]; /* entries: app, key and value sizes, then their bytes */
    size_t kv_used;
};

void lab_world_init(struct lab_world *world, const struct lab_port *port);

/* Lets time pass: buzzer patterns, measurements, edges of watched pins. Returns the milliseconds until it
 * must be called again. */
uint32_t lab_world_step(struct lab_world *world);

/* Ends a cycle of an app: what it did to the LEDs goes out, once, if a colour changed. */
void lab_world_flush(struct lab_world *world);

/* Forgets what an app watched. */
void lab_world_release(struct lab_world *world, const void *app);

#endif
