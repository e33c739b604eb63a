/* The signed half of a package. An input is a byte, then an envelope as it is, or (byte even) the payload
 * that a COSE_Sign1 is put around; with 2 in the byte its key is one that the device knows. */
#include <mbedtls/sha256.h>

#include "cbor.h"
#include "fuzz.h"
#include "package/package.h"

#define KEY_SIZE 65u

static const uint8_t opening[] = {0xd2, 0x84, 0x4d, 0xa2, 0x01, 0x26, 0x04, 0x48};

static uint8_t *wrap(const struct input *payload, const uint8_t *kid, size_t *size) {
    size_t at = 0;
    uint8_t *envelope = malloc(sizeof opening + 8 + 4 + payload->left + 66);
    PROMISE(envelope != NULL);
    memcpy(envelope, opening, sizeof opening);
    at += sizeof opening;
    memcpy(envelope + at, kid, 8);
    at += 8;
    envelope[at++] = 0xa0;
    envelope[at++] = payload->left > 255 ? 0x59 : 0x58;
    if (payload->left > 255) {
        envelope[at++] = (uint8_t)(payload->left >> 8);
    }
    envelope[at++] = (uint8_t)payload->left;
    memcpy(envelope + at, payload->at, payload->left);
    at += payload->left;
    envelope[at++] = 0x58;
    envelope[at++] = 64;
    memset(envelope + at, 0x55, 64);
    *size = at + 64;
    uint8_t *copy = exact(envelope, *size);
    free(envelope);
    return copy;
}

static bool inside(const struct lab_span *span, const uint8_t *bytes, size_t size) {
    return span->bytes >= bytes && span->size <= size && span->bytes + span->size <= bytes + size;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const uint8_t key[KEY_SIZE] = {4};
    uint8_t digest[32];
    PROMISE(mbedtls_sha256(key, sizeof key, digest, 0) == 0);
    struct lab_identity identity = {
        .publishers[0] = {key, sizeof key},
        .publisher_count = 1,
        .vendor = {(const uint8_t *)"lab", 3},
        .board_class = {(const uint8_t *)"lab", 3},
    };
    struct input input = {data, size};
    uint8_t how = take8(&input);
    if (!(how & 2u)) {
        digest[0] ^= 1;
    }
    size_t envelope_size = input.left;
    uint8_t *envelope = how & 1u ? exact(input.at, input.left) : wrap(&input, digest, &envelope_size);

    char words[161] = "";
    /* PSA has not been started: no signature is ever good. */
    PROMISE(lab_package_verify(&identity, envelope, envelope_size, words, sizeof words) == LAB_BAD_SIGNATURE);
    PROMISE(words[0] != '\0');
    words[0] = '\0';
    struct lab_package package;
    enum lab_result result = lab_package_read(&package, envelope, envelope_size, words, sizeof words);
    PROMISE((result == LAB_DONE) == (words[0] == '\0'));
    if (result == LAB_DONE) {
        PROMISE((how & 1u) || lab_cbor_sound(input.at, input.left));
        PROMISE(package.sequence > 0 && package.class_count <= LAB_CLASSES_MAX);
        PROMISE(inside(&package.name, envelope, envelope_size) && package.name.size <= LAB_NAME_MAX);
        PROMISE(inside(&package.version, envelope, envelope_size) &&
                package.version.size <= LAB_APP_VERSION_MAX);
        PROMISE(package.digest >= envelope && package.digest + 32 <= envelope + envelope_size);
        PROMISE((lab_package_suits(&package, &identity, words, sizeof words) == LAB_DONE) ==
                (words[0] == '\0'));
    }
    free(envelope);
    return 0;
}
