/* The decoders of every message. An input is a kind (0: the envelope, codecs.h) and the CBOR of its body. */
#include "codecs.h"
#include "fuzz.h"

#define ROOM 8192u

static void check(const struct codec *codec, const uint8_t *bytes, size_t size) {
    static union any_message message, again;
    static uint8_t first[ROOM], second[ROOM];
    uint8_t *copy = exact(bytes, size);
    memset(&message, 0xa5, sizeof message);
    if (codec->decode(copy, size, &message)) {
        /* What was understood can be said, and is understood the same. */
        size_t said = codec->encode(first, sizeof first, &message);
        PROMISE(said > 0);
        PROMISE(codec->decode(first, said, &again));
        PROMISE(codec->encode(second, sizeof second, &again) == said && memcmp(first, second, said) == 0);
    }
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const struct codec *codec = size > 0 ? find_codec(data[0]) : NULL;
    if (codec == NULL) {
        return -1;
    }
    check(codec, data + 1, size - 1);
    struct envelope envelope;
    if (codec->kind == 0 && codec->decode(data + 1, size - 1, &envelope)) {
        const struct codec *inner = find_codec(envelope.envelope_kind);
        if (inner != NULL) {
            check(inner, envelope.envelope_body.value, envelope.envelope_body.len);
        }
    }
    return 0;
}
