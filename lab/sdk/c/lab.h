/*
 * What an app may ask of its device, and must give it: world device-app of lab:device@0.1.0. Generated from
 * wit/device.wit by `python -m lab.codegen`: change that, then run it again.
 *
 * Include it in one source file. The app defines what it wants of these, and no more:
 *
 *     uint32_t init(void);
 *     void poll(void);
 *     size_t on_command(const uint8_t *input, size_t input_size, uint8_t *output, size_t room);
 *
 * on_command needs, before this is included, #define LAB_ON_COMMAND with the most bytes of its input and of
 * its output; it returns how many it has put into `output`.
 *
 * A function that can fail returns whether it did not; `error` may be NULL. Texts end with a zero byte. Bytes
 * that a function returns are written to `value`, which has `room` for them; more than that ends the app.
 */
/* clang-format off */
#ifndef LAB_H
#define LAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LAB_IMPORT(module, name) __attribute__((import_module(module), import_name(name)))
#define LAB_EXPORT(name) __attribute__((export_name(name), visibility("default")))

#ifdef LAB_ON_COMMAND
static uint8_t lab_input[LAB_ON_COMMAND], lab_output[LAB_ON_COMMAND];
#define LAB_INPUT lab_input
#define LAB_INPUT_SIZE sizeof lab_input
#else
#define LAB_INPUT 0
#define LAB_INPUT_SIZE 0
#endif

/* Where the host may put bytes: a command's input; a function that returns bytes points this at its caller's
 * buffer meanwhile. */
static uint8_t *lab_room = LAB_INPUT;
static size_t lab_room_size = LAB_INPUT_SIZE;

LAB_EXPORT("cabi_realloc") void *lab_cabi_realloc(void *old, size_t old_size, size_t align, size_t size);
void *lab_cabi_realloc(void *old, size_t old_size, size_t align, size_t size) {
    (void)old;
    (void)old_size;
    (void)align;
    if (size > lab_room_size) {
        __builtin_trap();
    }
    return lab_room;
}

static inline size_t lab_text_size(const char *text) {
    size_t size = 0;
    while (text[size] != 0) {
        size++;
    }
    return size;
}

/* ---- types */

/* A colour, 0 (off) to 255 a channel. */
struct lab_rgb {
    uint8_t red;
    uint8_t green;
    uint8_t blue;
};

/* Why the world did not do as asked. */
enum lab_error {
    /* The app's manifest does not allow it. */
    LAB_ERROR_DENIED,
    /* Nobody answers: no such part, or it is unplugged. */
    LAB_ERROR_NO_ANSWER,
    /* A line of the bus is held down. */
    LAB_ERROR_BUS_STUCK,
    /* No answer in time. */
    LAB_ERROR_TIMEOUT,
    /* The answer's checksum is wrong. */
    LAB_ERROR_CHECKSUM,
    /* An argument the board or part cannot take. */
    LAB_ERROR_BAD_ARGUMENT,
    /* The board has no such thing. */
    LAB_ERROR_UNSUPPORTED,
    /* No valid value yet, for example a heater that is still cold. */
    LAB_ERROR_NOT_READY,
    /* No room left. */
    LAB_ERROR_FULL,
    /* Power failed meanwhile. */
    LAB_ERROR_POWER_FAILED,
};

enum lab_log_level {
    LAB_LOG_LEVEL_DEBUG,
    LAB_LOG_LEVEL_INFO,
    LAB_LOG_LEVEL_WARNING,
    LAB_LOG_LEVEL_ERROR,
};

enum lab_gpio_provider_edge {
    LAB_GPIO_PROVIDER_EDGE_RISING,
    LAB_GPIO_PROVIDER_EDGE_FALLING,
    LAB_GPIO_PROVIDER_EDGE_BOTH,
};

struct lab_dht22_reading {
    /* °C */
    float temperature;
    /* % relative */
    float humidity;
};

struct lab_bme680_reading {
    /* °C */
    float temperature;
    /* % relative */
    float humidity;
    /* hPa */
    float pressure;
    /* Ω; 0 while the heater is not stable */
    float gas_resistance;
};

struct lab_system_info_info {
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

/* ---- log: Lines for whoever reads `lab logs`. */

LAB_IMPORT("lab:device/log@0.1.0", "write")
void lab_log_write_import(int32_t, int32_t, int32_t);
/* Write one line; what is longer than 512 bytes is cut. */
static inline void lab_log_write(enum lab_log_level level, const char *text) {
    lab_log_write_import((int32_t)level, (int32_t)(uintptr_t)text, (int32_t)lab_text_size(text));
}

/* ---- clock */

LAB_IMPORT("lab:device/clock@0.1.0", "now")
int64_t lab_clock_now_import(void);
/* Milliseconds since the device started. Never goes back. */
static inline uint64_t lab_clock_now(void) {
    return lab_clock_now_import();
}

/* ---- publish: Messages to the gateway. */

LAB_IMPORT("lab:device/publish@0.1.0", "send")
void lab_publish_send_import(int32_t, int32_t, int32_t, int32_t);
/* Send `payload` (1024 bytes at most) under `topic` (1 to 64 bytes). Without a session it waits for one;
 * the oldest go first when there is no room. */
static inline void lab_publish_send(const char *topic, const void *payload, size_t payload_size) {
    lab_publish_send_import((int32_t)(uintptr_t)topic, (int32_t)lab_text_size(topic),
                            (int32_t)(uintptr_t)payload, (int32_t)payload_size);
}

/* ---- led-controller: A strip of addressable LEDs. Nothing is written until the app's cycle ends; then, if a colour changed, all of it is, once. */

LAB_IMPORT("lab:device/led-controller@0.1.0", "length")
int32_t lab_led_controller_length_import(void);
/* LEDs on the strip, 0 if the board has none. */
static inline uint32_t lab_led_controller_length(void) {
    return lab_led_controller_length_import();
}

LAB_IMPORT("lab:device/led-controller@0.1.0", "set")
int32_t lab_led_controller_set_import(int32_t, int32_t, int32_t, int32_t);
/* Colour one LED, counted from 0. False if there is no such LED. */
static inline bool lab_led_controller_set(uint32_t index, struct lab_rgb colour) {
    return lab_led_controller_set_import((int32_t)index, (int32_t)colour.red, (int32_t)colour.green,
                                         (int32_t)colour.blue) != 0;
}

LAB_IMPORT("lab:device/led-controller@0.1.0", "set-two")
int32_t lab_led_controller_set_two_import(int32_t, int32_t, int32_t, int32_t, int32_t, int32_t, int32_t,
                                          int32_t);
/* Colour two LEDs. False, and neither is changed, if one of them does not exist. */
static inline bool lab_led_controller_set_two(uint32_t first, struct lab_rgb first_colour, uint32_t second,
                                              struct lab_rgb second_colour) {
    return lab_led_controller_set_two_import((int32_t)first, (int32_t)first_colour.red,
                                             (int32_t)first_colour.green, (int32_t)first_colour.blue,
                                             (int32_t)second, (int32_t)second_colour.red,
                                             (int32_t)second_colour.green, (int32_t)second_colour.blue) != 0;
}

LAB_IMPORT("lab:device/led-controller@0.1.0", "set-all")
void lab_led_controller_set_all_import(int32_t, int32_t, int32_t);
static inline void lab_led_controller_set_all(struct lab_rgb colour) {
    lab_led_controller_set_all_import((int32_t)colour.red, (int32_t)colour.green, (int32_t)colour.blue);
}

LAB_IMPORT("lab:device/led-controller@0.1.0", "clear")
void lab_led_controller_clear_import(void);
static inline void lab_led_controller_clear(void) {
    lab_led_controller_clear_import();
}

/* ---- buzzer-controller: Sounds. None of these waits; each replaces what is sounding. */

LAB_IMPORT("lab:device/buzzer-controller@0.1.0", "on-for")
void lab_buzzer_controller_on_for_import(int32_t);
static inline void lab_buzzer_controller_on_for(uint32_t milliseconds) {
    lab_buzzer_controller_on_for_import((int32_t)milliseconds);
}

LAB_IMPORT("lab:device/buzzer-controller@0.1.0", "beep")
void lab_buzzer_controller_beep_import(int32_t, int32_t, int32_t);
/* Sound `count` times for `duration` ms, silent for `interval` ms in between. */
static inline void lab_buzzer_controller_beep(uint32_t count, uint32_t duration, uint32_t interval) {
    lab_buzzer_controller_beep_import((int32_t)count, (int32_t)duration, (int32_t)interval);
}

LAB_IMPORT("lab:device/buzzer-controller@0.1.0", "off")
void lab_buzzer_controller_off_import(void);
static inline void lab_buzzer_controller_off(void) {
    lab_buzzer_controller_off_import();
}

/* ---- fan-controller */

LAB_IMPORT("lab:device/fan-controller@0.1.0", "set")
void lab_fan_controller_set_import(int32_t);
static inline void lab_fan_controller_set(bool on) {
    lab_fan_controller_set_import((int32_t)on);
}

LAB_IMPORT("lab:device/fan-controller@0.1.0", "is-on")
int32_t lab_fan_controller_is_on_import(void);
static inline bool lab_fan_controller_is_on(void) {
    return lab_fan_controller_is_on_import() != 0;
}

/* ---- gpio-provider */

LAB_IMPORT("lab:device/gpio-provider@0.1.0", "read")
void lab_gpio_provider_read_import(int32_t, int32_t);
static inline bool lab_gpio_provider_read(uint8_t pin, bool *value, enum lab_error *error) {
    uint8_t result[2] __attribute__((aligned(1)));
    lab_gpio_provider_read_import((int32_t)pin, (int32_t)(uintptr_t)result);
    if (result[0]) {
        if (error) {
            *error = (enum lab_error)result[1];
        }
        return false;
    }
    *value = result[1] != 0;
    return true;
}

LAB_IMPORT("lab:device/gpio-provider@0.1.0", "write")
void lab_gpio_provider_write_import(int32_t, int32_t, int32_t);
static inline bool lab_gpio_provider_write(uint8_t pin, bool level, enum lab_error *error) {
    uint8_t result[2] __attribute__((aligned(1)));
    lab_gpio_provider_write_import((int32_t)pin, (int32_t)level, (int32_t)(uintptr_t)result);
    if (result[0]) {
        if (error) {
            *error = (enum lab_error)result[1];
        }
        return false;
    }
    return true;
}

LAB_IMPORT("lab:device/gpio-provider@0.1.0", "watch")
void lab_gpio_provider_watch_import(int32_t, int32_t, int32_t);
/* Count edges on a pin from now on. */
static inline bool lab_gpio_provider_watch(uint8_t pin, enum lab_gpio_provider_edge edge,
                                           enum lab_error *error) {
    uint8_t result[2] __attribute__((aligned(1)));
    lab_gpio_provider_watch_import((int32_t)pin, (int32_t)edge, (int32_t)(uintptr_t)result);
    if (result[0]) {
        if (error) {
            *error = (enum lab_error)result[1];
        }
        return false;
    }
    return true;
}

LAB_IMPORT("lab:device/gpio-provider@0.1.0", "edges")
void lab_gpio_provider_edges_import(int32_t, int32_t);
/* Edges counted since `watch` or since last asked. */
static inline bool lab_gpio_provider_edges(uint8_t pin, uint32_t *value, enum lab_error *error) {
    uint8_t result[8] __attribute__((aligned(4)));
    lab_gpio_provider_edges_import((int32_t)pin, (int32_t)(uintptr_t)result);
    if (result[0]) {
        if (error) {
            *error = (enum lab_error)result[4];
        }
        return false;
    }
    __builtin_memcpy(value, result + 4, 4);
    return true;
}

/* ---- adc */

LAB_IMPORT("lab:device/adc@0.1.0", "read")
void lab_adc_read_import(int32_t, int32_t);
/* 0 (ground) to 4095 (the reference), whatever the converter's own width. */
static inline bool lab_adc_read(uint8_t channel, uint16_t *value, enum lab_error *error) {
    uint8_t result[4] __attribute__((aligned(2)));
    lab_adc_read_import((int32_t)channel, (int32_t)(uintptr_t)result);
    if (result[0]) {
        if (error) {
            *error = (enum lab_error)result[2];
        }
        return false;
    }
    __builtin_memcpy(value, result + 2, 2);
    return true;
}

/* ---- i2c */

LAB_IMPORT("lab:device/i2c@0.1.0", "transfer")
void lab_i2c_transfer_import(int32_t, int32_t, int32_t, int32_t, int32_t);
/* Write, then (repeated start) read `read-length` bytes, 256 at most; either part may be empty. 7-bit
 * address. */
static inline bool lab_i2c_transfer(uint8_t address, const void *write, size_t write_size,
                                    uint32_t read_length, uint8_t *value, size_t room, size_t *size,
                                    enum lab_error *error) {
    uint8_t result[12] __attribute__((aligned(4)));
    uint8_t *outer = lab_room;
    size_t outer_size = lab_room_size;
    lab_room = value;
    lab_room_size = room;
    lab_i2c_transfer_import((int32_t)address, (int32_t)(uintptr_t)write, (int32_t)write_size,
                            (int32_t)read_length, (int32_t)(uintptr_t)result);
    lab_room = outer;
    lab_room_size = outer_size;
    if (result[0]) {
        if (error) {
            *error = (enum lab_error)result[4];
        }
        return false;
    }
    __builtin_memcpy(size, result + 8, sizeof *size);
    return true;
}

/* ---- dht22 */

LAB_IMPORT("lab:device/dht22@0.1.0", "read")
void lab_dht22_read_import(int32_t);
/* The sensor measures every 2 s; asked more often, the host repeats the last reading. */
static inline bool lab_dht22_read(struct lab_dht22_reading *value, enum lab_error *error) {
    uint8_t result[12] __attribute__((aligned(4)));
    lab_dht22_read_import((int32_t)(uintptr_t)result);
    if (result[0]) {
        if (error) {
            *error = (enum lab_error)result[4];
        }
        return false;
    }
    __builtin_memcpy(&value->temperature, result + 4, 4);
    __builtin_memcpy(&value->humidity, result + 8, 4);
    return true;
}

/* ---- bme680 */

LAB_IMPORT("lab:device/bme680@0.1.0", "read")
void lab_bme680_read_import(int32_t);
static inline bool lab_bme680_read(struct lab_bme680_reading *value, enum lab_error *error) {
    uint8_t result[20] __attribute__((aligned(4)));
    lab_bme680_read_import((int32_t)(uintptr_t)result);
    if (result[0]) {
        if (error) {
            *error = (enum lab_error)result[4];
        }
        return false;
    }
    __builtin_memcpy(&value->temperature, result + 4, 4);
    __builtin_memcpy(&value->humidity, result + 8, 4);
    __builtin_memcpy(&value->pressure, result + 12, 4);
    __builtin_memcpy(&value->gas_resistance, result + 16, 4);
    return true;
}

/* ---- kv: Small values that survive a restart of the app. Each app has its own. */

LAB_IMPORT("lab:device/kv@0.1.0", "get")
void lab_kv_get_import(int32_t, int32_t, int32_t);
static inline bool lab_kv_get(const char *key, uint8_t *value, size_t room, size_t *size) {
    uint8_t result[12] __attribute__((aligned(4)));
    uint8_t *outer = lab_room;
    size_t outer_size = lab_room_size;
    lab_room = value;
    lab_room_size = room;
    lab_kv_get_import((int32_t)(uintptr_t)key, (int32_t)lab_text_size(key), (int32_t)(uintptr_t)result);
    lab_room = outer;
    lab_room_size = outer_size;
    if (!result[0]) {
        return false;
    }
    __builtin_memcpy(size, result + 8, sizeof *size);
    return true;
}

LAB_IMPORT("lab:device/kv@0.1.0", "set")
void lab_kv_set_import(int32_t, int32_t, int32_t, int32_t, int32_t);
/* `key` is 1 to 32 bytes, `value` 256 at most. */
static inline bool lab_kv_set(const char *key, const void *value, size_t value_size, enum lab_error *error) {
    uint8_t result[2] __attribute__((aligned(1)));
    lab_kv_set_import((int32_t)(uintptr_t)key, (int32_t)lab_text_size(key), (int32_t)(uintptr_t)value,
                      (int32_t)value_size, (int32_t)(uintptr_t)result);
    if (result[0]) {
        if (error) {
            *error = (enum lab_error)result[1];
        }
        return false;
    }
    return true;
}

LAB_IMPORT("lab:device/kv@0.1.0", "delete")
int32_t lab_kv_delete_import(int32_t, int32_t);
/* False if there was none. */
static inline bool lab_kv_delete(const char *key) {
    return lab_kv_delete_import((int32_t)(uintptr_t)key, (int32_t)lab_text_size(key)) != 0;
}

/* ---- system-info */

LAB_IMPORT("lab:device/system-info@0.1.0", "get")
void lab_system_info_get_import(int32_t);
static inline void lab_system_info_get(struct lab_system_info_info *value) {
    uint8_t result[32] __attribute__((aligned(8)));
    lab_system_info_get_import((int32_t)(uintptr_t)result);
    __builtin_memcpy(&value->uptime, result, 8);
    __builtin_memcpy(&value->memory_total, result + 8, 8);
    __builtin_memcpy(&value->memory_free, result + 16, 8);
    __builtin_memcpy(&value->cpu_load, result + 24, 4);
    __builtin_memcpy(&value->cpu_temperature, result + 28, 4);
}

/* ---- what the app gives */

/* Called once. Returns how often `poll` is wanted, in milliseconds; 0 is never. */
LAB_EXPORT("init") uint32_t init(void);

LAB_EXPORT("poll") void poll(void);

/* Answer bytes that `lab command` or a plugin sent, 256 at most. */
#ifdef LAB_ON_COMMAND
size_t on_command(const uint8_t *input, size_t input_size, uint8_t *output, size_t room);
static uint32_t lab_on_command_result[2];
LAB_EXPORT("on-command") uint32_t *lab_on_command_export(const uint8_t *input, size_t input_size);
uint32_t *lab_on_command_export(const uint8_t *input, size_t input_size) {
    lab_on_command_result[0] = (uint32_t)(uintptr_t)lab_output;
    lab_on_command_result[1] = (uint32_t)on_command(input, input_size, lab_output, sizeof lab_output);
    return lab_on_command_result;
}
#endif

#ifdef __cplusplus
}
#endif

#endif
