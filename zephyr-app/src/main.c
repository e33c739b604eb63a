/* The lab's core on Zephyr. What varies between boards is in boards/: an overlay and, if need be, a conf. */
#include <zephyr/device.h>
#include <zephyr/drivers/entropy.h>
#include <zephyr/kernel.h>
#include <zephyr/storage/flash_map.h>

#include "lab/core.h"

#include "faults.h"
#include "flash.h"
#include "pins.h"
#include "streams.h"

extern const uint8_t lab_build_id[20];

static const struct device *const generator = DEVICE_DT_GET(DT_CHOSEN(zephyr_entropy));

/* In a section of its own: it is measured apart, and nobody clears it at the start. */
static uint8_t pool[CONFIG_LAB_POOL_SIZE] __attribute__((aligned(8), section(".pool,\"aw\",%nobits@")));
static struct lab_core core;

static uint64_t millis(const struct lab_port *port) {
    (void)port;
    return (uint64_t)k_uptime_get();
}

static uint64_t micros(const struct lab_port *port) {
    (void)port;
    return k_ticks_to_us_floor64((uint64_t)k_uptime_ticks());
}

static size_t entropy(const struct lab_port *port, uint8_t *bytes, size_t size) {
    (void)port;
    return entropy_get_entropy(generator, bytes, (uint16_t)size) == 0 ? size : 0;
}

static const struct lab_wiring wiring = {
    .dht22_pin = PIN_DHT22,
    .buzzer_pin = PIN_BUZZER,
    .buzzer_active_low = true,
    .fan_pin = PIN_FAN,
    .strip = 0,
    .leds = DT_PROP(DT_ALIAS(led_strip), chain_length),
    .bme680_address = 0x77,
};

static const struct lab_port port = {
    .board = LAB_BOARD,
    .build_id = lab_build_id,
    .identity = (const uint8_t *)(CONFIG_FLASH_BASE_ADDRESS + FIXED_PARTITION_OFFSET(identity_partition)),
    .identity_size = FIXED_PARTITION_SIZE(identity_partition),
    .pool = pool,
    .pool_size = sizeof pool,
    .boot = &lab_boot,
    .flash_geometry = FLASH_GEOMETRY,
    .wiring = &wiring,
    .read = streams_read,
    .write = streams_write,
    .millis = millis,
    .micros = micros,
    .idle = streams_idle,
    .entropy = entropy,
    .reset = faults_reset,
    .feed = faults_feed,
    .i2c = pins_i2c,
    .pulses = pins_pulses,
    .strip = pins_strip,
    .gpio_write = pins_write,
    .gpio_read = pins_read,
    .flash_read = flash_chip_read,
    .flash_program = flash_chip_program,
    .flash_erase = flash_chip_erase,
};

int main(void) {
    pins_start();
    faults_start();
    flash_start();
    streams_start();
    lab_core_init(&core, &port);
    lab_core_run(&core);
}
