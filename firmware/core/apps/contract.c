/* Generated from wit/device.wit by `python -m lab.codegen`: change that, then run it again. */
/* clang-format off */
#include "apps/contract.h"

#include <string.h>

static struct lab_apps *apps_of(wasm_exec_env_t env) {
    return wasm_runtime_get_function_attachment(env);
}

/* What the contract does not allow ends the app, as an address outside its memory does. */
static void refuse(wasm_exec_env_t env, const char *words) {
    wasm_runtime_set_exception(wasm_runtime_get_module_inst(env), words);
}

/* The bytes at an app's address, or NULL after setting an exception. No bytes have an address too. */
static uint8_t *get_bytes(wasm_exec_env_t env, uint32_t address, uint32_t size, uint32_t alignment) {
    static uint8_t nothing;
    wasm_module_inst_t instance = wasm_runtime_get_module_inst(env);
    if (address % alignment != 0) {
        refuse(env, "unaligned pointer");
        return NULL;
    }
    if (!wasm_runtime_validate_app_addr(instance, address, size)) {
        return NULL;
    }
    return size == 0 ? &nothing : wasm_runtime_addr_app_to_native(instance, address);
}

static uint32_t continuation_bytes(uint8_t lead) {
    return lead < 0x80 ? 0 : lead >= 0xc2 && lead <= 0xdf ? 1 : (lead & 0xf0) == 0xe0 ? 2 : 3;
}

/* RFC 3629, section 4. */
static bool is_utf8(const uint8_t *bytes, uint32_t size) {
    for (uint32_t at = 0; at < size;) {
        uint8_t lead = bytes[at++];
        uint32_t more = continuation_bytes(lead);
        if ((lead >= 0x80 && lead < 0xc2) || lead > 0xf4 || size - at < more) {
            return false;
        }
        uint8_t low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
        uint8_t high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
        for (; more > 0; more--, at++) {
            if (bytes[at] < low || bytes[at] > high) {
                return false;
            }
            low = 0x80;
            high = 0xbf;
        }
    }
    return true;
}

static const char *get_text(wasm_exec_env_t env, uint32_t address, uint32_t size) {
    const uint8_t *bytes = get_bytes(env, address, size, 1);
    if (bytes != NULL && !is_utf8(bytes, size)) {
        refuse(env, "text is not UTF-8");
        return NULL;
    }
    return (const char *)bytes;
}

static void put(uint8_t *at, const void *value, size_t size) {
    memcpy(at, value, size); /* both sides are little endian */
}

static bool put_list(struct lab_apps *apps, wasm_exec_env_t env, uint32_t result, uint32_t offset,
                     const struct lab_api_list *list) {
    uint32_t address = 0;
    if (list->size > 0) {
        address = lab_api_allocate(apps, env, list->size);
        uint8_t *bytes = address != 0 ? get_bytes(env, address, list->size, 1) : NULL;
        if (bytes == NULL) {
            return false;
        }
        memcpy(bytes, list->bytes, list->size);
    }
    /* The app ran meanwhile, and its memory may have moved. */
    uint8_t *at = get_bytes(env, result + offset, 8, 4);
    if (at == NULL) {
        return false;
    }
    put(at, &address, 4);
    put(at + 4, &list->size, 4);
    return true;
}

static void native_log_write(wasm_exec_env_t env, uint32_t level, uint32_t text_at, uint32_t text_size) {
    if (level > LAB_API_LOG_LEVEL_ERROR) {
        refuse(env, "log.write: no such level");
        return;
    }
    const char *text = get_text(env, text_at, text_size);
    if (text == NULL) {
        return;
    }
    lab_api_log_write(apps_of(env), (enum lab_api_log_level)level, text, text_size);
}

static uint64_t native_clock_now(wasm_exec_env_t env) {
    return (uint64_t)lab_api_clock_now(apps_of(env));
}

static void native_publish_send(wasm_exec_env_t env, uint32_t topic_at, uint32_t topic_size,
                                uint32_t payload_at, uint32_t payload_size) {
    const char *topic = get_text(env, topic_at, topic_size);
    if (topic == NULL) {
        return;
    }
    const uint8_t *payload = get_bytes(env, payload_at, payload_size, 1);
    if (payload == NULL) {
        return;
    }
    lab_api_publish_send(apps_of(env), topic, topic_size, payload, payload_size);
}

static uint32_t native_led_controller_length(wasm_exec_env_t env) {
    return (uint32_t)lab_api_led_controller_length(apps_of(env));
}

static uint32_t native_led_controller_set(wasm_exec_env_t env, uint32_t index, uint32_t colour_red,
                                          uint32_t colour_green, uint32_t colour_blue) {
    return (uint32_t)lab_api_led_controller_set(apps_of(env), index,
            (struct lab_api_rgb){.red = (uint8_t)colour_red, .green = (uint8_t)colour_green,
            .blue = (uint8_t)colour_blue});
}

static uint32_t native_led_controller_set_two(wasm_exec_env_t env, uint32_t first, uint32_t first_colour_red,
                                              uint32_t first_colour_green, uint32_t first_colour_blue,
                                              uint32_t second, uint32_t second_colour_red,
                                              uint32_t second_colour_green, uint32_t second_colour_blue) {
    return (uint32_t)lab_api_led_controller_set_two(apps_of(env), first,
            (struct lab_api_rgb){.red = (uint8_t)first_colour_red, .green = (uint8_t)first_colour_green,
            .blue = (uint8_t)first_colour_blue}, second,
            (struct lab_api_rgb){.red = (uint8_t)second_colour_red, .green = (uint8_t)second_colour_green,
            .blue = (uint8_t)second_colour_blue});
}

static void native_led_controller_set_all(wasm_exec_env_t env, uint32_t colour_red, uint32_t colour_green,
                                          uint32_t colour_blue) {
    lab_api_led_controller_set_all(apps_of(env), (struct lab_api_rgb){.red = (uint8_t)colour_red,
                                   .green = (uint8_t)colour_green, .blue = (uint8_t)colour_blue});
}

static void native_led_controller_clear(wasm_exec_env_t env) {
    lab_api_led_controller_clear(apps_of(env));
}

static void native_buzzer_controller_on_for(wasm_exec_env_t env, uint32_t milliseconds) {
    lab_api_buzzer_controller_on_for(apps_of(env), milliseconds);
}

static void native_buzzer_controller_beep(wasm_exec_env_t env, uint32_t count, uint32_t duration,
                                          uint32_t interval) {
    lab_api_buzzer_controller_beep(apps_of(env), count, duration, interval);
}

static void native_buzzer_controller_off(wasm_exec_env_t env) {
    lab_api_buzzer_controller_off(apps_of(env));
}

static void native_fan_controller_set(wasm_exec_env_t env, uint32_t on) {
    lab_api_fan_controller_set(apps_of(env), on != 0);
}

static uint32_t native_fan_controller_is_on(wasm_exec_env_t env) {
    return (uint32_t)lab_api_fan_controller_is_on(apps_of(env));
}

static void native_gpio_provider_read(wasm_exec_env_t env, uint32_t pin, uint32_t result) {
    uint8_t *at = get_bytes(env, result, 2, 1);
    if (at == NULL) {
        return;
    }
    bool value = false;
    enum lab_api_error error = 0;
    bool failed = !lab_api_gpio_provider_read(apps_of(env), (uint8_t)pin, &value, &error);
    at[0] = failed;
    if (failed) {
        at[1] = (uint8_t)error;
    } else {
        at[1] = value;
    }
}

static void native_gpio_provider_write(wasm_exec_env_t env, uint32_t pin, uint32_t level, uint32_t result) {
    uint8_t *at = get_bytes(env, result, 2, 1);
    if (at == NULL) {
        return;
    }
    enum lab_api_error error = 0;
    bool failed = !lab_api_gpio_provider_write(apps_of(env), (uint8_t)pin, level != 0, &error);
    at[0] = failed;
    if (failed) {
        at[1] = (uint8_t)error;
    }
}

static void native_gpio_provider_watch(wasm_exec_env_t env, uint32_t pin, uint32_t edge, uint32_t result) {
    if (edge > LAB_API_GPIO_PROVIDER_EDGE_BOTH) {
        refuse(env, "gpio-provider.watch: no such edge");
        return;
    }
    uint8_t *at = get_bytes(env, result, 2, 1);
    if (at == NULL) {
        return;
    }
    enum lab_api_error error = 0;
    bool failed = !lab_api_gpio_provider_watch(apps_of(env), (uint8_t)pin,
                                               (enum lab_api_gpio_provider_edge)edge, &error);
    at[0] = failed;
    if (failed) {
        at[1] = (uint8_t)error;
    }
}

static void native_gpio_provider_edges(wasm_exec_env_t env, uint32_t pin, uint32_t result) {
    uint8_t *at = get_bytes(env, result, 8, 4);
    if (at == NULL) {
        return;
    }
    uint32_t value = 0;
    enum lab_api_error error = 0;
    bool failed = !lab_api_gpio_provider_edges(apps_of(env), (uint8_t)pin, &value, &error);
    at[0] = failed;
    if (failed) {
        at[4] = (uint8_t)error;
    } else {
        put(at + 4, &value, 4);
    }
}

static void native_adc_read(wasm_exec_env_t env, uint32_t channel, uint32_t result) {
    uint8_t *at = get_bytes(env, result, 4, 2);
    if (at == NULL) {
        return;
    }
    uint16_t value = 0;
    enum lab_api_error error = 0;
    bool failed = !lab_api_adc_read(apps_of(env), (uint8_t)channel, &value, &error);
    at[0] = failed;
    if (failed) {
        at[2] = (uint8_t)error;
    } else {
        put(at + 2, &value, 2);
    }
}

static void native_i2c_transfer(wasm_exec_env_t env, uint32_t address, uint32_t write_at,
                                uint32_t write_size, uint32_t read_length, uint32_t result) {
    const uint8_t *write = get_bytes(env, write_at, write_size, 1);
    if (write == NULL) {
        return;
    }
    uint8_t *at = get_bytes(env, result, 12, 4);
    if (at == NULL) {
        return;
    }
    struct lab_api_list value = {0};
    enum lab_api_error error = 0;
    bool failed = !lab_api_i2c_transfer(apps_of(env), (uint8_t)address, write, write_size, read_length,
                                        &value, &error);
    at[0] = failed;
    if (failed) {
        at[4] = (uint8_t)error;
    } else {
        put_list(apps_of(env), env, result, 4, &value);
    }
}

static void native_dht22_read(wasm_exec_env_t env, uint32_t result) {
    uint8_t *at = get_bytes(env, result, 12, 4);
    if (at == NULL) {
        return;
    }
    struct lab_api_dht22_reading value = {0};
    enum lab_api_error error = 0;
    bool failed = !lab_api_dht22_read(apps_of(env), &value, &error);
    at[0] = failed;
    if (failed) {
        at[4] = (uint8_t)error;
    } else {
        put(at + 4, &value.temperature, 4);
        put(at + 8, &value.humidity, 4);
    }
}

static void native_bme680_read(wasm_exec_env_t env, uint32_t result) {
    uint8_t *at = get_bytes(env, result, 20, 4);
    if (at == NULL) {
        return;
    }
    struct lab_api_bme680_reading value = {0};
    enum lab_api_error error = 0;
    bool failed = !lab_api_bme680_read(apps_of(env), &value, &error);
    at[0] = failed;
    if (failed) {
        at[4] = (uint8_t)error;
    } else {
        put(at + 4, &value.temperature, 4);
        put(at + 8, &value.humidity, 4);
        put(at + 12, &value.pressure, 4);
        put(at + 16, &value.gas_resistance, 4);
    }
}

static void native_kv_get(wasm_exec_env_t env, uint32_t key_at, uint32_t key_size, uint32_t result) {
    const char *key = get_text(env, key_at, key_size);
    if (key == NULL) {
        return;
    }
    uint8_t *at = get_bytes(env, result, 12, 4);
    if (at == NULL) {
        return;
    }
    struct lab_api_list value = {0};
    bool some = lab_api_kv_get(apps_of(env), key, key_size, &value);
    at[0] = some;
    if (some) {
        put_list(apps_of(env), env, result, 4, &value);
    }
}

static void native_kv_set(wasm_exec_env_t env, uint32_t key_at, uint32_t key_size, uint32_t value_at,
                          uint32_t value_size, uint32_t result) {
    const char *key = get_text(env, key_at, key_size);
    if (key == NULL) {
        return;
    }
    const uint8_t *value = get_bytes(env, value_at, value_size, 1);
    if (value == NULL) {
        return;
    }
    uint8_t *at = get_bytes(env, result, 2, 1);
    if (at == NULL) {
        return;
    }
    enum lab_api_error error = 0;
    bool failed = !lab_api_kv_set(apps_of(env), key, key_size, value, value_size, &error);
    at[0] = failed;
    if (failed) {
        at[1] = (uint8_t)error;
    }
}

static uint32_t native_kv_delete(wasm_exec_env_t env, uint32_t key_at, uint32_t key_size) {
    const char *key = get_text(env, key_at, key_size);
    if (key == NULL) {
        return 0;
    }
    return (uint32_t)lab_api_kv_delete(apps_of(env), key, key_size);
}

static void native_system_info_get(wasm_exec_env_t env, uint32_t result) {
    uint8_t *at = get_bytes(env, result, 32, 8);
    if (at == NULL) {
        return;
    }
    struct lab_api_system_info_info value = {0};
    lab_api_system_info_get(apps_of(env), &value);
    put(at, &value.uptime, 8);
    put(at + 8, &value.memory_total, 8);
    put(at + 16, &value.memory_free, 8);
    put(at + 24, &value.cpu_load, 4);
    put(at + 28, &value.cpu_temperature, 4);
}

const struct lab_api_native lab_api_natives[LAB_API_NATIVE_COUNT] = {
    {"lab:device/log@0.1.0", "write", (void *)native_log_write, "(iii)"},
    {"lab:device/clock@0.1.0", "now", (void *)native_clock_now, "()I"},
    {"lab:device/publish@0.1.0", "send", (void *)native_publish_send, "(iiii)"},
    {"lab:device/led-controller@0.1.0", "length", (void *)native_led_controller_length, "()i"},
    {"lab:device/led-controller@0.1.0", "set", (void *)native_led_controller_set, "(iiii)i"},
    {"lab:device/led-controller@0.1.0", "set-two", (void *)native_led_controller_set_two, "(iiiiiiii)i"},
    {"lab:device/led-controller@0.1.0", "set-all", (void *)native_led_controller_set_all, "(iii)"},
    {"lab:device/led-controller@0.1.0", "clear", (void *)native_led_controller_clear, "()"},
    {"lab:device/buzzer-controller@0.1.0", "on-for", (void *)native_buzzer_controller_on_for, "(i)"},
    {"lab:device/buzzer-controller@0.1.0", "beep", (void *)native_buzzer_controller_beep, "(iii)"},
    {"lab:device/buzzer-controller@0.1.0", "off", (void *)native_buzzer_controller_off, "()"},
    {"lab:device/fan-controller@0.1.0", "set", (void *)native_fan_controller_set, "(i)"},
    {"lab:device/fan-controller@0.1.0", "is-on", (void *)native_fan_controller_is_on, "()i"},
    {"lab:device/gpio-provider@0.1.0", "read", (void *)native_gpio_provider_read, "(ii)"},
    {"lab:device/gpio-provider@0.1.0", "write", (void *)native_gpio_provider_write, "(iii)"},
    {"lab:device/gpio-provider@0.1.0", "watch", (void *)native_gpio_provider_watch, "(iii)"},
    {"lab:device/gpio-provider@0.1.0", "edges", (void *)native_gpio_provider_edges, "(ii)"},
    {"lab:device/adc@0.1.0", "read", (void *)native_adc_read, "(ii)"},
    {"lab:device/i2c@0.1.0", "transfer", (void *)native_i2c_transfer, "(iiiii)"},
    {"lab:device/dht22@0.1.0", "read", (void *)native_dht22_read, "(i)"},
    {"lab:device/bme680@0.1.0", "read", (void *)native_bme680_read, "(i)"},
    {"lab:device/kv@0.1.0", "get", (void *)native_kv_get, "(iii)"},
    {"lab:device/kv@0.1.0", "set", (void *)native_kv_set, "(iiiii)"},
    {"lab:device/kv@0.1.0", "delete", (void *)native_kv_delete, "(ii)i"},
    {"lab:device/system-info@0.1.0", "get", (void *)native_system_info_get, "(i)"},
};
