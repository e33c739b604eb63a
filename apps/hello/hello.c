/* Says hello once, then counts its polls aloud: the smallest app that uses its host. */
#include <stdint.h>

__attribute__((import_module("lab:device/log@0.1.0"), import_name("write"))) void
log_write(int32_t level, const char *text, uint32_t size);

enum { INFO = 1 };

__attribute__((export_name("init"))) int32_t init(void) {
    static const char text[] = "hello from WebAssembly";
    log_write(INFO, text, sizeof text - 1);
    return 1000; /* ms until poll() is called, and between calls */
}

__attribute__((export_name("poll"))) void poll(void) {
    static uint32_t count;
    char text[] = "poll ..........";
    uint32_t end = sizeof text - 1;
    uint32_t at = end;
    count++;
    for (uint32_t rest = count; rest > 0; rest /= 10) {
        text[--at] = (char)('0' + rest % 10);
    }
    /* "poll " and the digits, moved together */
    uint32_t size = 5;
    while (at < end) {
        text[size++] = text[at++];
    }
    log_write(INFO, text, size);
}
