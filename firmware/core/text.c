#include "text.h"

#include <stdint.h>
#include <string.h>

/* Bytes of the character at `at`, 0 if there is none. RFC 3629, section 4. */
static size_t character(const uint8_t *at, size_t left) {
    uint8_t first = at[0];
    if (first < 0x80) {
        return 1;
    }
    size_t size = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0xc2 || first > 0xf4 || left < size) {
        return 0;
    }
    for (size_t i = 1; i < size; i++) {
        if ((at[i] & 0xc0u) != 0x80) {
            return 0;
        }
    }
    /* overlong forms, surrogates, beyond U+10FFFF */
    if ((first == 0xe0 && at[1] < 0xa0) || (first == 0xed && at[1] > 0x9f) ||
        (first == 0xf0 && at[1] < 0x90) || (first == 0xf4 && at[1] > 0x8f)) {
        return 0;
    }
    return size;
}

static bool is_control(uint8_t byte) {
    return byte < 0x20 || byte == 0x7f;
}

bool lab_text_is_utf8(const void *text, size_t size) {
    const uint8_t *at = text;
    while (size > 0) {
        size_t taken = character(at, size);
        if (taken == 0) {
            return false;
        }
        at += taken;
        size -= taken;
    }
    return true;
}

size_t lab_text_copy(char *out, size_t room, const void *text, size_t size) {
    const uint8_t *at = text;
    size_t written = 0;
    while (size > 0) {
        size_t taken = is_control(*at) ? 0 : character(at, size);
        if (written + (taken > 0 ? taken : 1) > room) {
            break;
        }
        if (taken > 0) {
            memmove(out + written, at, taken);
        } else {
            out[written] = '?';
            taken = 1;
        }
        written += taken;
        at += taken;
        size -= taken;
    }
    return written;
}

void lab_text_clean(char *text) {
    size_t size = strlen(text);
    text[lab_text_copy(text, size, text, size)] = '\0';
}
