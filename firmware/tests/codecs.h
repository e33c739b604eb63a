/* The generated codec as a table: every message of wire.cddl by its kind, and what has none by a number of
 * ours.
 *
 * wire_kinds.h is made from the schema when the tests are configured.
 */
#ifndef LAB_TESTS_CODECS_H
#define LAB_TESTS_CODECS_H

#include <stddef.h>
#include <stdint.h>

#include <wire_decode.h>
#include <wire_encode.h>

#include "cbor.h"

struct codec {
    unsigned kind;
    const char *name;
    /* True if all of the bytes are one such item; `message` has room for any. */
    bool (*decode)(const uint8_t *bytes, size_t size, void *message);
    /* Without the keys of a later version, which are skipped and not kept. Returns the size, 0: it does not
     * encode. */
    size_t (*encode)(uint8_t *bytes, size_t room, void *message);
};

#define LAB_CODEC(number, type, forget)                                                                      \
    static bool decode_##type(const uint8_t *bytes, size_t size, void *message) {                            \
        size_t taken = 0;                                                                                    \
        return lab_cbor_sound(bytes, size) &&                                                                \
               cbor_decode_##type(bytes, size, (struct type *)message, &taken) == ZCBOR_SUCCESS &&           \
               taken == size;                                                                                \
    }                                                                                                        \
    static size_t encode_##type(uint8_t *bytes, size_t room, void *message) {                                \
        struct type *typed = message;                                                                        \
        size_t size = 0;                                                                                     \
        forget;                                                                                              \
        return cbor_encode_##type(bytes, room, typed, &size) == ZCBOR_SUCCESS ? size : 0;                    \
    }
#define LAB_WIRE(number, type) LAB_CODEC(number, type, typed->type##_uintany_count = 0)
LAB_CODEC(0, envelope, (void)typed)
#include "wire_kinds.h"
#undef LAB_WIRE

static const struct codec codecs[] = {
    {0, "envelope", decode_envelope, encode_envelope},
#define LAB_WIRE(number, type) {number, #type, decode_##type, encode_##type},
#include "wire_kinds.h"
#undef LAB_WIRE
};

#define CODEC_COUNT (sizeof codecs / sizeof *codecs)

/* Room for the largest of them. */
union any_message {
    struct envelope envelope;
#define LAB_WIRE(number, type) struct type type;
#include "wire_kinds.h"
#undef LAB_WIRE
};

/* NULL: there is no such kind. */
static inline const struct codec *find_codec(unsigned kind) {
    for (size_t i = 0; i < CODEC_COUNT; i++) {
        if (codecs[i].kind == kind) {
            return &codecs[i];
        }
    }
    return NULL;
}

#endif
