#include "world/world.h"

#include <math.h>
#include <string.h>

#include "apps/apps.h"
#include "apps/contract.h"
#include "lab/simbus.h"

#define BME680_PERIOD_MS 1000u
#define BME680_KEEP_MS   70000u /* an app polled once a minute finds a fresh reading */

#define KV_KEY_MAX   32u
#define KV_VALUE_MAX 256u

static struct lab_world *world_of(struct lab_apps *apps) {
    return apps->world;
}

static bool fail(enum lab_api_error *error, enum lab_api_error why) {
    *error = why;
    return false;
}

static bool from_bus(enum lab_bus_status status, enum lab_api_error *error) {
    switch (status) {
    case LAB_BUS_DONE:
        return true;
    case LAB_BUS_NACK:
        return fail(error, LAB_API_ERROR_NO_ANSWER);
    case LAB_BUS_STUCK:
        return fail(error, LAB_API_ERROR_BUS_STUCK);
    case LAB_BUS_TIMEOUT:
        return fail(error, LAB_API_ERROR_TIMEOUT);
    case LAB_BUS_BAD_ARGUMENT:
        return fail(error, LAB_API_ERROR_BAD_ARGUMENT);
    case LAB_BUS_POWER_FAILED:
        return fail(error, LAB_API_ERROR_POWER_FAILED);
    default:
        return fail(error, LAB_API_ERROR_UNSUPPORTED);
    }
}

static bool from_sensor(enum lab_sensor_status status, enum lab_api_error *error) {
    switch (status) {
    case LAB_SENSOR_OK:
        return true;
    case LAB_SENSOR_NO_ANSWER:
        return fail(error, LAB_API_ERROR_NO_ANSWER);
    case LAB_SENSOR_STUCK:
        return fail(error, LAB_API_ERROR_BUS_STUCK);
    case LAB_SENSOR_TIMEOUT:
        return fail(error, LAB_API_ERROR_TIMEOUT);
    case LAB_SENSOR_CHECKSUM:
        return fail(error, LAB_API_ERROR_CHECKSUM);
    case LAB_SENSOR_NOT_READY:
        return fail(error, LAB_API_ERROR_NOT_READY);
    default:
        return fail(error, LAB_API_ERROR_UNSUPPORTED);
    }
}

/* ---- log, clock, publish, system-info */

void lab_api_log_write(struct lab_apps *apps, enum lab_api_log_level level, const char *text,
                       uint32_t text_size) {
    lab_apps_log(apps, (enum lab_log_level)level, text, text_size);
}

uint64_t lab_api_clock_now(struct lab_apps *apps) {
    return apps->port->millis(apps->port);
}

void lab_api_publish_send(struct lab_apps *apps, const char *topic, uint32_t topic_size,
                          const uint8_t *payload, uint32_t payload_size) {
    if (topic_size < 1 || topic_size > LAB_TOPIC_MAX) {
        lab_apps_refuse(apps, "publish.send: a topic has 1 to 64 bytes");
        return;
    }
    if (payload_size > LAB_PAYLOAD_MAX) {
        lab_apps_refuse(apps, "publish.send: a payload has 1024 bytes at most");
        return;
    }
    lab_apps_publish(apps, topic, topic_size, payload, payload_size);
}

void lab_api_system_info_get(struct lab_apps *apps, struct lab_api_system_info_info *value) {
    *value = (struct lab_api_system_info_info){
        .uptime = apps->port->millis(apps->port),
        .memory_total = apps->port->pool_size,
        .memory_free = lab_apps_memory_free(apps),
        .cpu_load = NAN,
        .cpu_temperature = NAN,
    };
}

/* ---- LEDs */

static struct lab_rgb colour_of(struct lab_api_rgb colour) {
    return (struct lab_rgb){colour.red, colour.green, colour.blue};
}

uint32_t lab_api_led_controller_length(struct lab_apps *apps) {
    return world_of(apps)->leds.count;
}

bool lab_api_led_controller_set(struct lab_apps *apps, uint32_t index, struct lab_api_rgb colour) {
    return lab_ws2812_set(&world_of(apps)->leds, index, colour_of(colour));
}

bool lab_api_led_controller_set_two(struct lab_apps *apps, uint32_t first, struct lab_api_rgb first_colour,
                                    uint32_t second, struct lab_api_rgb second_colour) {
    return lab_ws2812_set_two(&world_of(apps)->leds, first, colour_of(first_colour), second,
                              colour_of(second_colour));
}

void lab_api_led_controller_set_all(struct lab_apps *apps, struct lab_api_rgb colour) {
    lab_ws2812_set_all(&world_of(apps)->leds, colour_of(colour));
}

void lab_api_led_controller_clear(struct lab_apps *apps) {
    lab_ws2812_set_all(&world_of(apps)->leds, (struct lab_rgb){0, 0, 0});
}

void lab_world_flush(struct lab_world *world) {
    /* A strip that does not answer is tried again at the next cycle; there is nobody to tell. */
    (void)lab_ws2812_flush(&world->leds);
}

/* ---- buzzer, fan */

void lab_api_buzzer_controller_on_for(struct lab_apps *apps, uint32_t milliseconds) {
    lab_buzzer_on_for(&world_of(apps)->buzzer, milliseconds);
}

void lab_api_buzzer_controller_beep(struct lab_apps *apps, uint32_t count, uint32_t duration,
                                    uint32_t interval) {
    lab_buzzer_beep(&world_of(apps)->buzzer, count, duration, interval);
}

void lab_api_buzzer_controller_off(struct lab_apps *apps) {
    lab_buzzer_off(&world_of(apps)->buzzer);
}

void lab_api_fan_controller_set(struct lab_apps *apps, bool on) {
    struct lab_world *world = world_of(apps);
    const struct lab_port *port = world->port;
    if (port->gpio_write != NULL && port->gpio_write(port, port->wiring->fan_pin, on) == LAB_BUS_DONE) {
        world->fan = on;
    }
}

bool lab_api_fan_controller_is_on(struct lab_apps *apps) {
    return world_of(apps)->fan;
}

/* ---- pins, converter, bus */

bool lab_api_gpio_provider_read(struct lab_apps *apps, uint8_t pin, bool *value, enum lab_api_error *error) {
    const struct lab_port *port = apps->port;
    return from_bus(port->gpio_read != NULL ? port->gpio_read(port, pin, value) : LAB_BUS_UNSUPPORTED, error);
}

bool lab_api_gpio_provider_write(struct lab_apps *apps, uint8_t pin, bool level, enum lab_api_error *error) {
    const struct lab_port *port = apps->port;
    return from_bus(port->gpio_write != NULL ? port->gpio_write(port, pin, level) : LAB_BUS_UNSUPPORTED,
                    error);
}

static struct lab_watch *find_watch(struct lab_world *world, const void *app, uint8_t pin) {
    for (size_t i = 0; i < LAB_WORLD_WATCHES; i++) {
        if (world->watches[i].app == app && (app == NULL || world->watches[i].pin == pin)) {
            return &world->watches[i];
        }
    }
    return NULL;
}

bool lab_api_gpio_provider_watch(struct lab_apps *apps, uint8_t pin, enum lab_api_gpio_provider_edge edge,
                                 enum lab_api_error *error) {
    struct lab_world *world = world_of(apps);
    if (world->port->gpio_edge == NULL) {
        return fail(error, LAB_API_ERROR_UNSUPPORTED);
    }
    struct lab_watch *watch = find_watch(world, apps->current, pin);
    if (watch == NULL) {
        watch = find_watch(world, NULL, 0);
    }
    if (watch == NULL) {
        return fail(error, LAB_API_ERROR_FULL);
    }
    *watch = (struct lab_watch){.app = apps->current, .pin = pin, .edge = (uint8_t)edge};
    return true;
}

bool lab_api_gpio_provider_edges(struct lab_apps *apps, uint8_t pin, uint32_t *value,
                                 enum lab_api_error *error) {
    struct lab_watch *watch = find_watch(world_of(apps), apps->current, pin);
    if (watch == NULL) {
        return fail(error, LAB_API_ERROR_BAD_ARGUMENT);
    }
    *value = watch->count;
    watch->count = 0;
    return true;
}

void lab_world_release(struct lab_world *world, const void *app) {
    for (size_t i = 0; i < LAB_WORLD_WATCHES; i++) {
        if (world->watches[i].app == app) {
            world->watches[i].app = NULL;
        }
    }
}

/* Takes what the host has sent of its own, watched or not: the port does not sleep while there is unread
 * input. */
static void count_edges(struct lab_world *world) {
    uint8_t pin;
    bool level;
    while (world->port->gpio_edge != NULL && world->port->gpio_edge(world->port, &pin, &level)) {
        for (size_t i = 0; i < LAB_WORLD_WATCHES; i++) {
            struct lab_watch *watch = &world->watches[i];
            bool counts = watch->edge == LAB_API_GPIO_PROVIDER_EDGE_BOTH ||
                          watch->edge == (level ? LAB_API_GPIO_PROVIDER_EDGE_RISING
                                                : LAB_API_GPIO_PROVIDER_EDGE_FALLING);
            if (watch->app != NULL && watch->pin == pin && counts) {
                watch->count++;
            }
        }
    }
}

bool lab_api_adc_read(struct lab_apps *apps, uint8_t channel, uint16_t *value, enum lab_api_error *error) {
    const struct lab_port *port = apps->port;
    return from_bus(port->adc_read != NULL ? port->adc_read(port, channel, value) : LAB_BUS_UNSUPPORTED,
                    error);
}

bool lab_api_i2c_transfer(struct lab_apps *apps, uint8_t address, const uint8_t *write, uint32_t write_size,
                          uint32_t read_length, struct lab_api_list *value, enum lab_api_error *error) {
    const struct lab_port *port = apps->port;
    if (!lab_manifest_allows_i2c(&apps->current->manifest, address)) {
        return fail(error, LAB_API_ERROR_DENIED);
    }
    if (read_length > sizeof value->bytes || write_size > LAB_SIMBUS_DATA) {
        return fail(error, LAB_API_ERROR_BAD_ARGUMENT);
    }
    value->size = read_length;
    return from_bus(port->i2c != NULL ? port->i2c(port, address, write, write_size, value->bytes, read_length)
                                      : LAB_BUS_UNSUPPORTED,
                    error);
}

/* ---- sensors */

bool lab_api_dht22_read(struct lab_apps *apps, struct lab_api_dht22_reading *value,
                        enum lab_api_error *error) {
    struct lab_dht22_reading reading;
    if (!from_sensor(lab_dht22_read(&world_of(apps)->dht22, &reading), error)) {
        return false;
    }
    value->temperature = (float)reading.temperature / 10.0f;
    value->humidity = (float)reading.humidity / 10.0f;
    return true;
}

/* One step of a measurement: look for the sensor, begin, fetch. */
static void measure(struct lab_world *world, uint64_t now) {
    static const struct lab_bme680_config config = LAB_BME680_CONFIG;
    enum lab_sensor_status status = LAB_SENSOR_OK;
    if (!world->bme680_open) {
        status = lab_bme680_open(&world->bme680, world->port, world->port->wiring->bme680_address);
        world->bme680_open = status == LAB_SENSOR_OK;
    }
    if (status == LAB_SENSOR_OK && !world->bme680.measuring) {
        status = lab_bme680_start(&world->bme680, &config);
        if (status == LAB_SENSOR_OK) {
            world->bme680_due = world->bme680.ready_at;
            return;
        }
    }
    if (status == LAB_SENSOR_OK) {
        status = lab_bme680_fetch(&world->bme680, &world->bme680_reading);
        if (status == LAB_SENSOR_NOT_READY) {
            world->bme680_due = now + 10;
            return;
        }
    }
    world->bme680_status = status;
    if (status != LAB_SENSOR_OK) {
        world->bme680_open = false; /* it may have been another one, or without power: begin anew */
        world->bme680.measuring = false;
    }
    world->bme680_due = now + BME680_PERIOD_MS;
}

bool lab_api_bme680_read(struct lab_apps *apps, struct lab_api_bme680_reading *value,
                         enum lab_api_error *error) {
    struct lab_world *world = world_of(apps);
    uint64_t now = world->port->millis(world->port);
    if (now >= world->bme680_wanted) {
        world->bme680_status = LAB_SENSOR_NOT_READY;
        world->bme680_due = now;
    }
    world->bme680_wanted = now + BME680_KEEP_MS;
    if (!from_sensor(world->bme680_status, error)) {
        return false;
    }
    const struct lab_bme680_reading *reading = &world->bme680_reading;
    value->temperature = (float)reading->temperature / 100.0f;
    value->humidity = (float)reading->humidity / 1000.0f;
    value->pressure = (float)reading->pressure / 100.0f;
    value->gas_resistance = (float)reading->gas_resistance;
    return true;
}

/* ---- key-value store: entries one behind the other, `struct kv_entry` then app, key and value */

struct kv_entry {
    uint8_t app_size;
    uint8_t key_size;
    uint16_t value_size;
};

static size_t entry_size(struct kv_entry entry) {
    return sizeof entry + entry.app_size + entry.key_size + entry.value_size;
}

/* The entry's offset, or kv_used if there is none. */
static size_t find_entry(struct lab_world *world, const char *app, const char *key, uint32_t key_size,
                         struct kv_entry *entry) {
    for (size_t at = 0; at < world->kv_used; at += entry_size(*entry)) {
        memcpy(entry, &world->kv[at], sizeof *entry);
        const uint8_t *names = &world->kv[at + sizeof *entry];
        if (entry->app_size == strlen(app) && memcmp(names, app, entry->app_size) == 0 &&
            entry->key_size == key_size && memcmp(names + entry->app_size, key, key_size) == 0) {
            return at;
        }
    }
    return world->kv_used;
}

static void remove_entry(struct lab_world *world, size_t at, struct kv_entry entry) {
    size_t size = entry_size(entry);
    memmove(&world->kv[at], &world->kv[at + size], world->kv_used - at - size);
    world->kv_used -= size;
}

bool lab_api_kv_get(struct lab_apps *apps, const char *key, uint32_t key_size, struct lab_api_list *value) {
    struct lab_world *world = world_of(apps);
    struct kv_entry entry;
    size_t at = find_entry(world, apps->current->name, key, key_size, &entry);
    if (at == world->kv_used) {
        return false;
    }
    value->size = entry.value_size;
    memcpy(value->bytes, &world->kv[at + sizeof entry + entry.app_size + entry.key_size], entry.value_size);
    return true;
}

bool lab_api_kv_set(struct lab_apps *apps, const char *key, uint32_t key_size, const uint8_t *value,
                    uint32_t value_size, enum lab_api_error *error) {
    struct lab_world *world = world_of(apps);
    const char *app = apps->current->name;
    if (key_size < 1 || key_size > KV_KEY_MAX || value_size > KV_VALUE_MAX) {
        return fail(error, LAB_API_ERROR_BAD_ARGUMENT);
    }
    struct kv_entry old, entry = {(uint8_t)strlen(app), (uint8_t)key_size, (uint16_t)value_size};
    size_t at = find_entry(world, app, key, key_size, &old);
    size_t freed = at < world->kv_used ? entry_size(old) : 0;
    if (world->kv_used - freed + entry_size(entry) > sizeof world->kv) {
        return fail(error, LAB_API_ERROR_FULL);
    }
    if (freed > 0) {
        remove_entry(world, at, old);
    }
    uint8_t *end = &world->kv[world->kv_used];
    memcpy(end, &entry, sizeof entry);
    memcpy(end + sizeof entry, app, entry.app_size);
    memcpy(end + sizeof entry + entry.app_size, key, key_size);
    memcpy(end + sizeof entry + entry.app_size + key_size, value, value_size);
    world->kv_used += entry_size(entry);
    return true;
}

bool lab_api_kv_delete(struct lab_apps *apps, const char *key, uint32_t key_size) {
    struct lab_world *world = world_of(apps);
    struct kv_entry entry;
    size_t at = find_entry(world, apps->current->name, key, key_size, &entry);
    if (at == world->kv_used) {
        return false;
    }
    remove_entry(world, at, entry);
    return true;
}

/* ---- life */

void lab_world_init(struct lab_world *world, const struct lab_port *port) {
    memset(world, 0, sizeof *world);
    world->port = port;
    uint16_t leds = port->strip != NULL ? port->wiring->leds : 0;
    lab_ws2812_init(&world->leds, port, port->wiring->strip, leds < LAB_WORLD_LEDS ? leds : LAB_WORLD_LEDS,
                    world->led_bytes);
    lab_buzzer_init(&world->buzzer, port, port->wiring->buzzer_pin, port->wiring->buzzer_active_low);
    lab_dht22_init(&world->dht22, port, port->wiring->dht22_pin);
    world->bme680_status = LAB_SENSOR_NOT_READY;
}

static uint32_t until(uint64_t due, uint64_t now) {
    return due <= now ? 0 : due - now < UINT32_MAX ? (uint32_t)(due - now) : UINT32_MAX;
}

uint32_t lab_world_step(struct lab_world *world) {
    count_edges(world);
    uint32_t wait = lab_buzzer_update(&world->buzzer);
    uint64_t now = world->port->millis(world->port);
    if (now < world->bme680_wanted) {
        if (world->bme680_due <= now) {
            measure(world, now);
        }
        uint32_t next = until(world->bme680_due, now);
        wait = next < wait ? next : wait;
    }
    return wait;
}
