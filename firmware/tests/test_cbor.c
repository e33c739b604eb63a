#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cbor.h"
#include "check.h"

/* In memory of exactly that size, for the sanitizer. */
static bool sound(const char *bytes, size_t size) {
    uint8_t *copy = malloc(size > 0 ? size : 1);
    memcpy(copy, bytes, size);
    bool is = lab_cbor_sound(copy, size);
    free(copy);
    return is;
}

#define SOUND(bytes)   CHECK(sound(bytes, sizeof bytes - 1))
#define UNSOUND(bytes) CHECK(!sound(bytes, sizeof bytes - 1))

static void one_item_and_nothing_else(void) {
    SOUND("\x00");
    SOUND("\x83\x01\x20\x41z");
    SOUND("\xa2\x00\x61z\x18\x18\x80");
    UNSOUND("");
    UNSOUND("\x00\x00");
    UNSOUND("\x82\x00");
    UNSOUND("\x42z");
    UNSOUND("\x19\x01");
    UNSOUND("\x9b\xff\xff\xff\xff\xff\xff\xff\xff");
    UNSOUND("\xbb\x80\x00\x00\x00\x00\x00\x00\x01\x00\x00");
}

static void shortest_heads(void) {
    SOUND("\x18\x18");
    SOUND("\x19\x01\x00");
    SOUND("\x1a\x00\x01\x00\x00");
    SOUND("\x1b\x00\x00\x00\x01\x00\x00\x00\x00");
    UNSOUND("\x18\x17");
    UNSOUND("\x19\x00\xff");
    UNSOUND("\x1a\x00\x00\xff\xff");
    UNSOUND("\x1b\x00\x00\x00\x00\xff\xff\xff\xff");
    UNSOUND("\x58\x01z");
    SOUND("\xfb\x00\x00\x00\x00\x00\x00\x00\x00"); /* 0.0 in 64 bits */
}

static void what_is_never_sent(void) {
    UNSOUND("\x9f\x00\xff");
    UNSOUND("\x5f\x41z\xff");
    UNSOUND("\xc0\x00");
    UNSOUND("\x1c");
    UNSOUND("\xe0");
    UNSOUND("\xf8\x20");
    SOUND("\xf6");
    UNSOUND("\xff");
}

static void keys_ascend(void) {
    SOUND("\xa2\x00\x00\x1a\xff\xff\xff\xff\x00");
    UNSOUND("\xa2\x01\x00\x00\x00");
    UNSOUND("\xa2\x01\x00\x01\x00");
    UNSOUND("\xa1\x61z\x00");
    UNSOUND("\xa1\x20\x00");
    UNSOUND("\xa1\x1b\x00\x00\x00\x01\x00\x00\x00\x00\x00");
    UNSOUND("\x81\xa2\x01\x00\x01\x00");
}

static void text_is_utf8(void) {
    SOUND("\x65\xc3\xbc\xe2\x82\xac");
    UNSOUND("\x61\xff");
    UNSOUND("\x62\xe2\x82");
    UNSOUND("\x63\xed\xa0\x80");
    SOUND("\x41\xff");
}

static void nesting_is_bounded(void) {
    char brackets[4096];
    memset(brackets, '\x81', sizeof brackets);
    brackets[LAB_CBOR_DEPTH] = '\0';
    CHECK(sound(brackets, LAB_CBOR_DEPTH + 1));
    brackets[LAB_CBOR_DEPTH] = '\x81';
    brackets[LAB_CBOR_DEPTH + 1] = '\0';
    CHECK(!sound(brackets, LAB_CBOR_DEPTH + 2));
    CHECK(!sound(brackets, sizeof brackets));
}

int main(void) {
    RUN(one_item_and_nothing_else);
    RUN(shortest_heads);
    RUN(what_is_never_sent);
    RUN(keys_ascend);
    RUN(text_is_utf8);
    RUN(nesting_is_bounded);
    return REPORT();
}
