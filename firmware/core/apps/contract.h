/*
 * What apps may ask of the firmware: world device-app of lab:device@0.1.0. Generated from wit/device.wit by
 * `python -m lab.codegen`: change that, then run it again.
 *
 * The firmware defines the functions lab_api_*; contract.c has the natives that call them, for WAMR. Texts
 * are valid UTF-8, not terminated. A function that can fail returns whether it did not, and fills in the
 * value or the error.
 */
/* clang-format off */
#ifndef LAB_APPS_CONTRACT_H
#define LAB_APPS_CONTRACT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <wasm_export.h>

struct lab_apps;

/* Room for bytes that go back to the app. */
#define LAB_API_LIST_MAX 256u

struct lab_api_list {
    uint8_t bytes[LAB_API_LIST_MAX];
    uint32_t size;
};

enum lab_api_log_level {
    LAB_API_LOG_LEVEL_DEBUG,
    LAB_API_LOG_LEVEL_INFO,
    LAB_API_LOG_LEVEL_WARNING,
    LAB_API_LOG_LEVEL_ERROR,
};

/* A colour, 0 (off) to 255 a channel. */
struct lab_api_rgb {
    uint8_t red;
    uint8_t green;
    uint8_t blue;
};

/* Why the world did not do as asked. */
enum lab_api_error {
    /* The app's manifest does not allow it. */
    LAB_API_ERROR_DENIED,
    /* Nobody answers: no such part, or it is unplugged. */
    LAB_API_ERROR_NO_ANSWER,
    /* A line of the bus is held down. */
    LAB_API_ERROR_BUS_STUCK,
    /* No answer in time. */
    LAB_API_ERROR_TIMEOUT,
    /* The answer's checksum is wrong. */
    LAB_API_ERROR_CHECKSUM,
    /* An argument the board or part cannot take. */
    LAB_API_ERROR_BAD_ARGUMENT,
    /* The board has no such thing. */
    LAB_API_ERROR_UNSUPPORTED,
    /* No valid value yet, for example a heater that is still cold. */
    LAB_API_ERROR_NOT_READY,
    /* No room left. */
    LAB_API_ERROR_FULL,
    /* Power failed meanwhile. */
    LAB_API_ERROR_POWER_FAILED,
};

enum lab_api_gpio_provider_edge {
    LAB_API_GPIO_PROVIDER_EDGE_RISING,
    LAB_API_GPIO_PROVIDER_EDGE_FALLING,
    LAB_API_GPIO_PROVIDER_EDGE_BOTH,
};

struct lab_api_dht22_reading {
    /* °C */
    float temperature;
    /* % relative */
    float humidity;
};

struct lab_api_bme680_reading {
    /* °C */
    float temperature;
    /* % relative */
    float humidity;
    /* hPa */
    float pressure;
    /* Ω; 0 while the heater is not stable */
    float gas_resistance;
};

struct lab_api_system_info_info {
    /* ms */
    uint64_t uptime;
    /* bytes; a gateway's node has more than 32 bits of them */
    uint64_t memory_total;
    /* bytes */
    uint64_t memory_free;
    /* % of one core over the last second; NaN where the host cannot tell */
    float cpu_load;
    /* °C; NaN where the host cannot tell */
    float cpu_temperature;
};

/* log: Lines for whoever reads `lab logs`. */
/* Write one line; what is longer than 512 bytes is cut. */
void lab_api_log_write(struct lab_apps *apps, enum lab_api_log_level level, const char *text,
                       uint32_t text_size);

/* clock */
/* Milliseconds since the device started. Never goes back. */
uint64_t lab_api_clock_now(struct lab_apps *apps);

/* publish: Messages to the gateway. */
/* Send `payload` (1024 bytes at most) under `topic` (1 to 64 bytes). Without a session it waits for one;
 * the oldest go first when there is no room. */
void lab_api_publish_send(struct lab_apps *apps, const char *topic, uint32_t topic_size,
                          const uint8_t *payload, uint32_t payload_size);

/* led-controller: A strip of addressable LEDs. Nothing is written until the app's cycle ends; then, if a
 * colour changed, all of it is, once. */
/* LEDs on the strip, 0 if the board has none. */
uint32_t lab_api_led_controller_length(struct lab_apps *apps);
/* Colour one LED, counted from 0. False if there is no such LED. */
bool lab_api_led_controller_set(struct lab_apps *apps, uint32_t index, struct lab_api_rgb colour);
/* Colour two LEDs. False, and neither is changed, if one of them does not exist. */
bool lab_api_led_controller_set_two(struct lab_apps *apps, uint32_t first, struct lab_api_rgb first_colour,
                                    uint32_t second, struct lab_api_rgb second_colour);
void lab_api_led_controller_set_all(struct lab_apps *apps, struct lab_api_rgb colour);
void lab_api_led_controller_clear(struct lab_apps *apps);

/* buzzer-controller: Sounds. None of these waits; each replaces what is sounding. */
void lab_api_buzzer_controller_on_for(struct lab_apps *apps, uint32_t milliseconds);
/* Sound `count` times for `duration` ms, silent for `interval` ms in between. */
void lab_api_buzzer_controller_beep(struct lab_apps *apps, uint32_t count, uint32_t duration,
                                    uint32_t interval);
void lab_api_buzzer_controller_off(struct lab_apps *apps);

/* fan-controller */
void lab_api_fan_controller_set(struct lab_apps *apps, bool on);
bool lab_api_fan_controller_is_on(struct lab_apps *apps);

/* gpio-provider */
bool lab_api_gpio_provider_read(struct lab_apps *apps, uint8_t pin, bool *value, enum lab_api_error *error);
bool lab_api_gpio_provider_write(struct lab_apps *apps, uint8_t pin, bool level, enum lab_api_error *error);
/* Count edges on a pin from now on. */
bool lab_api_gpio_provider_watch(struct lab_apps *apps, uint8_t pin, enum lab_api_gpio_provider_edge edge,
                                 enum lab_api_error *error);
/* Edges counted since `watch` or since last asked. */
bool lab_api_gpio_provider_edges(struct lab_apps *apps, uint8_t pin, uint32_t *value,
                                 enum lab_api_error *error);

/* adc */
/* 0 (ground) to 4095 (the reference), whatever the converter's own width. */
bool lab_api_adc_read(struct lab_apps *apps, uint8_t channel, uint16_t *value, enum lab_api_error *error);

/* i2c */
/* Write, then (repeated start) read `read-length` bytes, 256 at most; either part may be empty. 7-bit
 * address. */
bool lab_api_i2c_transfer(struct lab_apps *apps, uint8_t address, const uint8_t *write, uint32_t write_size,
                          uint32_t read_length, struct lab_api_list *value, enum lab_api_error *error);

/* dht22 */
/* The sensor measures every 2 s; asked more often, the host repeats the last reading. */
bool lab_api_dht22_read(struct lab_apps *apps, struct lab_api_dht22_reading *value,
                        enum lab_api_error *error);

/* bme680 */
bool lab_api_bme680_read(struct lab_apps *apps, struct lab_api_bme680_reading *value,
                         enum lab_api_error *error);

/* kv: Small values that survive a restart of the app. Each app has its own. */
bool lab_api_kv_get(struct lab_apps *apps, const char *key, uint32_t key_size, struct lab_api_list *value);
/* `key` is 1 to 32 bytes, `value` 256 at most. */
bool lab_api_kv_set(struct lab_apps *apps, const char *key, uint32_t key_size, const uint8_t *value,
                    uint32_t value_size, enum lab_api_error *error);
/* False if there was none. */
bool lab_api_kv_delete(struct lab_apps *apps, const char *key, uint32_t key_size);

/* system-info */
void lab_api_system_info_get(struct lab_apps *apps, struct lab_api_system_info_info *value);

/* Ask the app for `size` bytes of its memory (its export cabi_realloc); returns their address, or 0 after
 * setting an exception. */
uint32_t lab_api_allocate(struct lab_apps *apps, wasm_exec_env_t env, uint32_t size);

struct lab_api_native {
    const char *module; /* as in a core module's import, e.g. "lab:device/log@0.1.0" */
    const char *name;   /* e.g. "write" */
    void *function;     /* its attachment is the struct lab_apps */
    const char *signature;
};

#define LAB_API_NATIVE_COUNT 25u

/* Natives of one module follow each other. */
extern const struct lab_api_native lab_api_natives[LAB_API_NATIVE_COUNT];

#endif
