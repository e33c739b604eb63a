/* Calls every function of the contract and publishes what it got; test_codegen.py knows what that must be. */
#define LAB_ON_COMMAND 16
#include "lab.h"

static void say(const char *topic, uint64_t value) {
    lab_publish_send(topic, &value, sizeof value);
}

uint32_t init(void) {
    lab_log_write(LAB_LOG_LEVEL_WARNING, "grüße");
    return 250;
}

void poll(void) {
    enum lab_error error = LAB_ERROR_DENIED;
    say("now", lab_clock_now());
    say("length", lab_led_controller_length());
    say("set", lab_led_controller_set(3, (struct lab_rgb){1, 2, 3}));
    say("set-two", lab_led_controller_set_two(0, (struct lab_rgb){4, 5, 6}, 99, (struct lab_rgb){7, 8, 9}));
    lab_led_controller_set_all((struct lab_rgb){255, 254, 253});
    lab_led_controller_clear();
    lab_buzzer_controller_on_for(4000000000u);
    lab_buzzer_controller_beep(3, 100, 50);
    lab_buzzer_controller_off();
    lab_fan_controller_set(true);
    say("is-on", lab_fan_controller_is_on());

    bool level = false;
    say("read", lab_gpio_provider_read(3, &level, &error) && level);
    say("write", lab_gpio_provider_write(4, true, &error));
    say("watch", lab_gpio_provider_watch(5, LAB_GPIO_PROVIDER_EDGE_BOTH, &error));
    say("watch-error", error);
    uint32_t edges = 0;
    say("edges", lab_gpio_provider_edges(5, &edges, &error) ? edges : 0);

    uint16_t value = 0;
    say("adc", lab_adc_read(1, &value, &error) ? value : 0);
    say("adc-failed", !lab_adc_read(2, &value, &error));
    say("adc-error", error);

    uint8_t bytes[8];
    size_t size = 0;
    if (lab_i2c_transfer(0x77, "\xd0\x01", 2, 3, bytes, sizeof bytes, &size, &error)) {
        lab_publish_send("i2c", bytes, size);
    }
    say("i2c-failed", !lab_i2c_transfer(0x10, "", 0, 1, bytes, sizeof bytes, &size, &error));
    say("i2c-error", error);

    struct lab_dht22_reading room;
    say("dht22", lab_dht22_read(&room, &error) ? (uint64_t)(room.temperature * 100 + room.humidity) : 0);
    struct lab_bme680_reading air;
    say("bme680-failed", !lab_bme680_read(&air, &error));
    say("bme680-error", error);

    say("none", lab_kv_get("none", bytes, sizeof bytes, &size));
    if (lab_kv_get("key", bytes, sizeof bytes, &size)) {
        lab_publish_send("kv", bytes, size);
    }
    say("kv-set", lab_kv_set("key", "abc", 3, &error));
    say("kv-delete", lab_kv_delete("key"));

    struct lab_system_info_info info;
    lab_system_info_get(&info);
    say("uptime", info.uptime);
    say("memory", info.memory_total - info.memory_free);
    say("load", (uint64_t)info.cpu_load);
}

size_t on_command(const uint8_t *input, size_t input_size, uint8_t *output, size_t room) {
    for (size_t i = 0; i < input_size && i < room; i++) {
        output[i] = input[input_size - 1 - i];
    }
    return input_size;
}
