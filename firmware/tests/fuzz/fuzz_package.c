/* The signed half of a package. An input is a byte, then an envelope as it is, or (byte even) the payload
 * that a COSE_Sign1 is put around. With 2 in the byte its key is one that the device knows; with 4 the
 * signature is good too, and then not any more when two bytes that came first have changed one of the
 * envelope's.
 */
#include "cbor.h"
#include "package/package.h"
#include "publisher.h"

static bool inside(const struct lab_span *span, const uint8_t *bytes, size_t size) {
    return span->bytes >= bytes && span->size <= size && span->bytes + span->size <= bytes + size;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const uint8_t stranger[sizeof publisher_point] = {4}, nonsense[64] = {[0 ... 63] = 0x55};
    struct input input = {data, size};
    uint8_t how = take8(&input);
    bool good = (how & 7u) == 6u;
    uint16_t where = good ? take16(&input) : 0;
    uint8_t change = good ? take8(&input) : 0;
    if (good) {
        if (input.left < 24 || input.left > LAB_ENVELOPE_MAX - ENVELOPE_MORE) {
            return 0; /* no claims are that short, no envelope is that long */
        }
        publisher_start();
    }
    const uint8_t *known = good ? publisher_point : (const uint8_t[sizeof publisher_point]){4, 2};
    struct lab_identity identity = {
        .publishers[0] = {known, sizeof publisher_point},
        .publisher_count = 1,
        .vendor = {(const uint8_t *)"lab", 3},
        .board_class = {(const uint8_t *)"lab", 3},
    };
    size_t envelope_size = input.left;
    uint8_t *envelope;
    if (how & 1u) {
        envelope = exact(input.at, input.left);
    } else {
        uint8_t *whole = malloc(input.left + ENVELOPE_MORE);
        PROMISE(whole != NULL);
        envelope_size =
            publisher_wrap(whole, how & 2u ? known : stranger, input.at, input.left, good ? NULL : nonsense);
        envelope = exact(whole, envelope_size);
        free(whole);
    }

    char words[161] = "";
    /* Where PSA has not been started no signature is good. */
    enum lab_result verdict = lab_package_verify(&identity, envelope, envelope_size, words, sizeof words);
    PROMISE(verdict == (good ? LAB_DONE : LAB_BAD_SIGNATURE));
    PROMISE((words[0] == '\0') == good);
    if (good && change != 0) {
        envelope[where % envelope_size] ^= change;
        PROMISE(lab_package_verify(&identity, envelope, envelope_size, words, sizeof words) ==
                LAB_BAD_SIGNATURE);
        envelope[where % envelope_size] ^= change;
    }
    if (good) {
        PROMISE(psa_destroy_key(publisher_key) == PSA_SUCCESS);
        mbedtls_psa_crypto_free();
    }
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
