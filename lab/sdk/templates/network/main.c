/* Tells the gateway how long it has run, and does what the gateway says: "on" and "off" switch an LED. */
#define LAB_ON_COMMAND 16 /* bytes of a command or an answer */
#include "lab.h"

static const struct lab_rgb green = {0, 255, 0}, off = {0, 0, 0};

uint32_t init(void) {
    return 5000;
}

void poll(void) {
    char digits[20];
    size_t at = sizeof digits;
    uint64_t seconds = lab_clock_now() / 1000;
    do {
        digits[--at] = (char)('0' + seconds % 10);
        seconds /= 10;
    } while (seconds > 0);
    lab_publish_send("uptime", digits + at, sizeof digits - at);
}

static bool is(const uint8_t *input, size_t size, const char *word) {
    size_t at = 0;
    while (at < size && word[at] && input[at] == (uint8_t)word[at]) {
        at++;
    }
    return at == size && !word[at];
}

static size_t answer(uint8_t *output, const char *word) {
    size_t size = 0;
    while (word[size]) {
        output[size] = (uint8_t)word[size];
        size++;
    }
    return size;
}

size_t on_command(const uint8_t *input, size_t input_size, uint8_t *output, size_t room) {
    (void)room; /* the longest answer is shorter */
    if (is(input, input_size, "on")) {
        lab_led_controller_set(0, green);
        return answer(output, "on");
    }
    if (is(input, input_size, "off")) {
        lab_led_controller_set(0, off);
        return answer(output, "off");
    }
    return answer(output, "say on or off");
}
