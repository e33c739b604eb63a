/* The lab's core on Zephyr. What varies between boards is in boards/: an overlay and, if need be, a conf. */
#include <zephyr/device.h>
#include <zephyr/drivers/entropy.h>
#include <zephyr/kernel.h>
#include <zephyr/storage/flash_map.h>

#include "lab/core.h"
#include "lab/simbus.h"

#include "faults.h"
#include "flash.h"
#include "pins.h"
#include "streams.h"

extern const uint8_t lab_build_id[20];

/* In a section of its own: it is measured apart, and nobody clears it at the start. What GCC would say of the
 * section becomes the assembler's comment. */
#if CONFIG_ARM
#define POOL ".pool,\"aw\",%nobits@"
#else
#define POOL ".pool,\"aw\",@nobits#"
#endif
static uint8_t pool[CONFIG_LAB_POOL_SIZE] __attribute__((aligned(8), section(POOL)));
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
#if DT_HAS_CHOSEN(zephyr_entropy)
    return entropy_get_entropy(DEVICE_DT_GET(DT_CHOSEN(zephyr_entropy)), bytes, (uint16_t)size) == 0 ? size
                                                                                                     : 0;
#else
    (void)bytes;
    (void)size;
    return 0;
#endif
}

#if CONFIG_LAB_SIMBUS

static struct lab_simbus simbus;

#define PARTS                                                                                                \
    .flash_geometry = {.size = 0x100000, .sector = CONFIG_LAB_FLASH_SECTOR, .program = 1},                   \
    .wiring = &lab_simbus_wiring, .simbus = &simbus, .i2c = lab_simbus_i2c, .pulses = lab_simbus_pulses,     \
    .strip = lab_simbus_strip, .gpio_write = lab_simbus_gpio_write, .gpio_read = lab_simbus_gpio_read,       \
    .gpio_edge = lab_simbus_edge, .adc_read = lab_simbus_adc_read, .flash_read = lab_simbus_flash_read,      \
    .flash_program = lab_simbus_flash_program, .flash_erase = lab_simbus_flash_erase

static void start_parts(void) {
}

#else

static const struct lab_wiring wiring = {
    .dht22_pin = PIN_DHT22,
    .buzzer_pin = PIN_BUZZER,
    .buzzer_active_low = true,
    .fan_pin = PIN_FAN,
    .strip = 0,
    .leds = DT_PROP(DT_ALIAS(led_strip), chain_length),
    .bme680_address = 0x77,
};

#define PARTS                                                                                                \
    .flash_geometry = FLASH_GEOMETRY, .wiring = &wiring, .i2c = pins_i2c, .pulses = pins_pulses,             \
    .strip = pins_strip, .gpio_write = pins_write, .gpio_read = pins_read, .gpio_edge = pins_edge,           \
    .adc_read = pins_adc, .flash_read = flash_chip_read, .flash_program = flash_chip_program,                \
    .flash_erase = flash_chip_erase

static void start_parts(void) {
    pins_start();
    flash_start();
}

#endif

/* Flash may be seen by the processor as it is, or through a cache, wherever that shows it. */
#if DT_NODE_EXISTS(DT_NODELABEL(identity))
#define DEVICE_IDENTITY      DT_REG_ADDR(DT_NODELABEL(identity))
#define DEVICE_IDENTITY_SIZE DT_REG_SIZE(DT_NODELABEL(identity))
#else
#define DEVICE_IDENTITY      (CONFIG_FLASH_BASE_ADDRESS + FIXED_PARTITION_OFFSET(identity_partition))
#define DEVICE_IDENTITY_SIZE FIXED_PARTITION_SIZE(identity_partition)
#endif

static const struct lab_port port = {
    .board = LAB_BOARD,
    .build_id = lab_build_id,
    .identity = (const uint8_t *)DEVICE_IDENTITY,
    .identity_size = DEVICE_IDENTITY_SIZE,
    .pool = pool,
    .pool_size = sizeof pool,
    .boot = &lab_boot,
    .read = streams_read,
    .write = streams_write,
    .millis = millis,
    .micros = micros,
    .idle = streams_idle,
    .entropy = entropy,
    .reset = faults_reset,
    .feed = faults_feed,
    PARTS,
};

int main(void) {
    start_parts();
    faults_start();
    streams_start();
    lab_core_init(&core, &port);
    lab_core_run(&core);
}
