/* Makes a device the sensors and outputs of a gateway's node (hardware.kind = "device").
 *
 * Once a second it publishes what its sensors say, as JSON under "dht22" and "bme680": numbers in the units
 * of wit/device.wit, or {"error": "no-answer"}. And it obeys:
 *
 *     leds RRGGBBRRGGBB…       colours from LED 0 on, in hex
 *     beep COUNT ON OFF        ms; a count of 0 ends the sound
 *     fan on, fan off
 */
#define LAB_ON_COMMAND 256 /* bytes of a command or an answer */
#include "lab.h"

static const char *const errors[] = {"denied",       "no-answer",   "bus-stuck", "timeout", "checksum",
                                     "bad-argument", "unsupported", "not-ready", "full",    "power-failed"};

/* ---- publishing */

static char text[128];
static size_t size;

static void put(const char *what) {
    while (*what) {
        text[size++] = *what++;
    }
}

static void put_digits(uint32_t value) {
    if (value >= 10) {
        put_digits(value / 10);
    }
    text[size++] = (char)('0' + value % 10);
}

/* `,"name":value` with two digits behind the point; a value beyond ±20 million is cut to that. */
static void put_value(const char *name, float value) {
    int32_t hundredths = (int32_t)(value * 100 + (value < 0 ? -0.5f : 0.5f));
    uint32_t rest = hundredths < 0 ? -(uint32_t)hundredths : (uint32_t)hundredths;
    put(size > 1 ? ",\"" : "\"");
    put(name);
    put(hundredths < 0 ? "\":-" : "\":");
    put_digits(rest / 100);
    put(rest % 100 < 10 ? ".0" : ".");
    put_digits(rest % 100);
}

static void begin(void) {
    size = 0;
    put("{");
}

static void send(const char *topic) {
    put("}");
    lab_publish_send(topic, text, size);
}

static void send_error(const char *topic, enum lab_error error) {
    put("\"error\":\"");
    put(errors[error]);
    put("\"");
    send(topic);
}

static void publish_dht22(void) {
    struct lab_dht22_reading reading;
    enum lab_error error;
    begin();
    if (!lab_dht22_read(&reading, &error)) {
        send_error("dht22", error);
        return;
    }
    put_value("temperature", reading.temperature);
    put_value("humidity", reading.humidity);
    send("dht22");
}

static void publish_bme680(void) {
    struct lab_bme680_reading reading;
    enum lab_error error;
    begin();
    if (!lab_bme680_read(&reading, &error)) {
        send_error("bme680", error);
        return;
    }
    put_value("temperature", reading.temperature);
    put_value("humidity", reading.humidity);
    put_value("pressure", reading.pressure);
    put_value("gas-resistance", reading.gas_resistance);
    send("bme680");
}

uint32_t init(void) {
    return 1000;
}

void poll(void) {
    publish_dht22();
    publish_bme680();
}

/* ---- obeying */

static const uint8_t *next, *end; /* what is left of a command */

static bool take(const char *word) {
    const uint8_t *at = next;
    while (*word) {
        if (at == end || *at++ != (uint8_t)*word++) {
            return false;
        }
    }
    next = at;
    return true;
}

static bool take_number(uint32_t *value) {
    const uint8_t *first = next;
    *value = 0;
    while (next < end && *next >= '0' && *next <= '9' && *value < 100000000) {
        *value = *value * 10 + (*next++ - '0');
    }
    return next > first;
}

static bool take_byte(uint8_t *value) {
    *value = 0;
    for (int digit = 0; digit < 2; digit++) {
        if (next == end) {
            return false;
        }
        uint8_t character = *next++;
        if (character >= '0' && character <= '9') {
            *value = (uint8_t)(*value << 4 | (character - '0'));
        } else if (character >= 'a' && character <= 'f') {
            *value = (uint8_t)(*value << 4 | (character - 'a' + 10));
        } else {
            return false;
        }
    }
    return true;
}

static bool leds(void) {
    struct lab_rgb colour;
    for (uint32_t index = 0; next < end; index++) {
        if (!take_byte(&colour.red) || !take_byte(&colour.green) || !take_byte(&colour.blue) ||
            !lab_led_controller_set(index, colour)) {
            return false;
        }
    }
    return true;
}

static bool beep(void) {
    uint32_t count, on, off;
    if (!take_number(&count) || !take(" ") || !take_number(&on) || !take(" ") || !take_number(&off) ||
        next < end) {
        return false;
    }
    if (count == 0) {
        lab_buzzer_controller_off();
    } else {
        lab_buzzer_controller_beep(count, on, off);
    }
    return true;
}

static bool fan(void) {
    bool on = take("on");
    if ((!on && !take("off")) || next < end) {
        return false;
    }
    lab_fan_controller_set(on);
    return true;
}

size_t on_command(const uint8_t *input, size_t input_size, uint8_t *output, size_t room) {
    (void)room; /* the longest answer is shorter */
    next = input;
    end = input + input_size;
    bool done = take("leds ") ? leds() : take("beep ") ? beep() : take("fan ") && fan();
    const char *answer = done ? "done" : "cannot";
    size_t length = 0;
    while (answer[length]) {
        output[length] = (uint8_t)answer[length];
        length++;
    }
    return length;
}
