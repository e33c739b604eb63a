/* The identity blob. An input is a byte, then the blob as it is, or (byte even) what a header and a CRC are
 * put around. */
#include "cbor.h"
#include "fuzz.h"
#include "identity/identity.h"
#include "link/crc32.h"

static void put32(uint8_t *at, uint32_t value) {
    for (unsigned i = 0; i < 4; i++) {
        at[i] = (uint8_t)(value >> (8 * i));
    }
}

static bool inside(const struct lab_span *span, const uint8_t *blob, size_t size) {
    return span->bytes >= blob && span->size <= size && span->bytes + span->size <= blob + size;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct input input = {data, size};
    bool raw = take8(&input) & 1u;
    size_t room = input.left + (raw ? 0 : 12);
    uint8_t *blob = malloc(room > 0 ? room : 1);
    PROMISE(blob != NULL);
    if (raw) {
        memcpy(blob, input.at, input.left);
    } else {
        memcpy(blob, "LABI", 4);
        put32(blob + 4, (uint32_t)input.left);
        memcpy(blob + 8, input.at, input.left);
        put32(blob + 8 + input.left, lab_crc32(0, input.at, input.left));
    }
    struct lab_identity identity;
    if (lab_identity_parse(&identity, blob, room) == NULL) {
        PROMISE(raw || lab_cbor_sound(input.at, input.left));
        PROMISE(strlen(identity.device) >= 1 && strlen(identity.device) <= LAB_NAME_MAX);
        PROMISE(strlen(identity.gateway) >= 1 && strlen(identity.gateway) <= LAB_GATEWAY_NAME_MAX);
        PROMISE(inside(&identity.ca, blob, room) && inside(&identity.certificate, blob, room));
        PROMISE(inside(&identity.key, blob, room) && inside(&identity.seed, blob, room));
        PROMISE(identity.seed.size == 32);
    }
    free(blob);
    return 0;
}
