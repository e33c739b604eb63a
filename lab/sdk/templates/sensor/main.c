/* Reads the DHT22 and writes what it says to the log. */
#include "lab.h"

/* Appends a number with one digit behind the point; returns where the text goes on. */
static char *append_tenths(char *at, float value) {
    int32_t tenths = (int32_t)(value * 10 + (value < 0 ? -0.5f : 0.5f));
    uint32_t rest = tenths < 0 ? -(uint32_t)tenths : (uint32_t)tenths;
    char digits[10];
    uint32_t count = 0;
    if (tenths < 0) {
        *at++ = '-';
    }
    do {
        digits[count++] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0 || count < 2);
    while (count > 1) {
        *at++ = digits[--count];
    }
    *at++ = '.';
    *at++ = digits[0];
    return at;
}

static char *append(char *at, const char *text) {
    while (*text) {
        *at++ = *text++;
    }
    return at;
}

uint32_t init(void) {
    return 2000; /* ms: the sensor measures no faster */
}

void poll(void) {
    struct lab_dht22_reading reading;
    if (!lab_dht22_read(&reading, NULL)) {
        lab_log_write(LAB_LOG_LEVEL_WARNING, "the DHT22 does not answer");
        return;
    }
    char line[48];
    char *end = append_tenths(line, reading.temperature);
    end = append(end, " °C, ");
    end = append_tenths(end, reading.humidity);
    end = append(end, " %");
    *end = 0;
    lab_log_write(LAB_LOG_LEVEL_INFO, line);
}
