#include "cbor.h"

#include "text.h"

/* RFC 8949, section 3.1 */
enum major { UNSIGNED, NEGATIVE, BYTES, TEXT, LIST, MAP, TAG, SIMPLE };

struct cursor {
    const uint8_t *at;
    const uint8_t *end;
};

/* A list or map we are in. */
struct level {
    uint64_t left;  /* items, a map's keys among them */
    uint64_t least; /* what a map's next key may be */
    bool map;
};

/* Reads an item's head. `*info` says how its argument was written; false if it is not as it must be. */
static bool get_head(struct cursor *cursor, unsigned *major, unsigned *info, uint64_t *argument) {
    if (cursor->at == cursor->end) {
        return false;
    }
    *major = *cursor->at >> 5;
    *info = *cursor->at & 0x1fu;
    cursor->at++;
    *argument = *info;
    if (*info < 24) {
        return true;
    }
    if (*info > 27) {
        return false; /* reserved, or an indefinite length */
    }
    size_t size = (size_t)1 << (*info - 24);
    if ((size_t)(cursor->end - cursor->at) < size) {
        return false;
    }
    *argument = 0;
    for (size_t i = 0; i < size; i++) {
        *argument = *argument << 8 | *cursor->at++;
    }
    /* A float is as long as it is; any other argument would have fitted into fewer bytes if it were lower. */
    uint64_t least = size == 1 ? 24 : (uint64_t)1 << (4 * size);
    return *major == SIMPLE || *argument >= least;
}

static bool get_string(struct cursor *cursor, bool text, uint64_t size) {
    if (size > (size_t)(cursor->end - cursor->at)) {
        return false;
    }
    const uint8_t *at = cursor->at;
    cursor->at += size;
    return !text || lab_text_is_utf8(at, (size_t)size);
}

bool lab_cbor_sound(const uint8_t *bytes, size_t size) {
    struct cursor cursor = {bytes, bytes + size};
    struct level levels[LAB_CBOR_DEPTH + 1] = {{.left = 1}};
    size_t depth = 0;
    for (;;) {
        struct level *level = &levels[depth];
        if (level->left == 0) {
            if (depth == 0) {
                return cursor.at == cursor.end;
            }
            depth--;
            continue;
        }
        bool key = level->map && level->left % 2 == 0;
        level->left--;
        unsigned major, info;
        uint64_t argument;
        if (!get_head(&cursor, &major, &info, &argument)) {
            return false;
        }
        if (key) {
            if (major != UNSIGNED || argument < level->least || argument > UINT32_MAX) {
                return false;
            }
            level->least = argument + 1;
            continue;
        }
        switch ((enum major)major) {
        case UNSIGNED:
        case NEGATIVE:
            break;
        case BYTES:
        case TEXT:
            if (!get_string(&cursor, major == TEXT, argument)) {
                return false;
            }
            break;
        case LIST:
        case MAP:
            /* Each item takes a byte at least, so that twice the number cannot overflow either. */
            if (depth == LAB_CBOR_DEPTH || argument > (size_t)(cursor.end - cursor.at)) {
                return false;
            }
            levels[++depth] =
                (struct level){.left = major == MAP ? 2 * argument : argument, .map = major == MAP};
            break;
        case TAG:
            return false;
        case SIMPLE:
            /* false, true, null, undefined, and floats of 16, 32 and 64 bits: what has a meaning */
            if (info < 20 || info == 24) {
                return false;
            }
            break;
        }
    }
}
