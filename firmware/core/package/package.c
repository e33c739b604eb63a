#include "package/package.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <mbedtls/sha256.h>
#include <psa/crypto.h>
#include <wire_decode.h>

#include "cbor.h"

#define VERSION        1u
#define KID_SIZE       8u
#define SIGNATURE_SIZE 64u
#define SHA256_SIZE    32u

/* RFC 8949, section 3.1, and RFC 9052: tag 18, a list of four; the protected header, {1: -7, 4: kid}, as a
 * byte string; the empty unprotected header. */
#define PROTECTED_HEAD 0x4du
#define BYTES_1        0x58u
#define BYTES_2        0x59u
static const uint8_t opening[] = {0xd2, 0x84, PROTECTED_HEAD, 0xa2, 0x01, 0x26, 0x04, 0x48};
#define PROTECTED_AT   3u
#define PROTECTED_SIZE (sizeof opening - PROTECTED_AT + KID_SIZE)
#define UNPROTECTED    0xa0u
/* RFC 9052, section 4.4: Sig_structure is ["Signature1", protected, external data, payload]. */
static const uint8_t context[] = {0x84, 0x6a, 'S', 'i', 'g', 'n',           'a',
                                  't',  'u',  'r', 'e', '1', PROTECTED_HEAD};
static const uint8_t external[] = {0x40};

_Static_assert(PROTECTED_SIZE == (PROTECTED_HEAD & 0x1fu), "the protected header's length is its head's");

struct sign1 {
    const uint8_t *protected; /* PROTECTED_SIZE bytes */
    const uint8_t *kid;
    struct lab_span whole_payload; /* with the head of its byte string */
    struct lab_span payload;
    const uint8_t *signature;
};

/* False if the bytes are not of the one form. */
static bool take_apart(struct sign1 *sign1, const uint8_t *bytes, size_t size) {
    const size_t fixed = sizeof opening + KID_SIZE + 1;
    if (size > LAB_ENVELOPE_MAX || size < fixed + 3 || memcmp(bytes, opening, sizeof opening) != 0 ||
        bytes[fixed - 1] != UNPROTECTED) {
        return false;
    }
    sign1->protected = bytes + PROTECTED_AT;
    sign1->kid = bytes + sizeof opening;
    const uint8_t *head = bytes + fixed;
    size_t length, head_size;
    if (head[0] == BYTES_1 && head[1] >= 24) {
        length = head[1];
        head_size = 2;
    } else if (head[0] == BYTES_2 && head[1] > 0) {
        length = (size_t)head[1] << 8 | head[2];
        head_size = 3;
    } else {
        return false;
    }
    if (size != fixed + head_size + length + 2 + SIGNATURE_SIZE) {
        return false;
    }
    sign1->payload = (struct lab_span){head + head_size, length};
    sign1->whole_payload = (struct lab_span){head, head_size + length};
    sign1->signature = head + head_size + length + 2;
    return sign1->signature[-2] == BYTES_1 && sign1->signature[-1] == SIGNATURE_SIZE;
}

static bool is_key(const struct lab_span *key, const uint8_t *kid) {
    uint8_t digest[SHA256_SIZE];
    return mbedtls_sha256(key->bytes, key->size, digest, 0) == 0 && memcmp(digest, kid, KID_SIZE) == 0;
}

static bool hash(const struct sign1 *sign1, uint8_t *digest) {
    mbedtls_sha256_context sha256;
    mbedtls_sha256_init(&sha256);
    bool fine = mbedtls_sha256_starts(&sha256, 0) == 0 &&
                mbedtls_sha256_update(&sha256, context, sizeof context) == 0 &&
                mbedtls_sha256_update(&sha256, sign1->protected, PROTECTED_SIZE) == 0 &&
                mbedtls_sha256_update(&sha256, external, sizeof external) == 0 &&
                mbedtls_sha256_update(&sha256, sign1->whole_payload.bytes, sign1->whole_payload.size) == 0 &&
                mbedtls_sha256_finish(&sha256, digest) == 0;
    mbedtls_sha256_free(&sha256);
    return fine;
}

static psa_status_t check(const struct lab_span *key, const uint8_t *digest, const uint8_t *signature) {
    psa_key_attributes_t attributes = PSA_KEY_ATTRIBUTES_INIT;
    psa_set_key_type(&attributes, PSA_KEY_TYPE_ECC_PUBLIC_KEY(PSA_ECC_FAMILY_SECP_R1));
    psa_set_key_algorithm(&attributes, PSA_ALG_ECDSA(PSA_ALG_SHA_256));
    psa_set_key_usage_flags(&attributes, PSA_KEY_USAGE_VERIFY_HASH);
    psa_key_id_t id;
    psa_status_t status = psa_import_key(&attributes, key->bytes, key->size, &id);
    if (status == PSA_SUCCESS) {
        status = psa_verify_hash(id, PSA_ALG_ECDSA(PSA_ALG_SHA_256), digest, SHA256_SIZE, signature,
                                 SIGNATURE_SIZE);
        (void)psa_destroy_key(id);
    }
    return status;
}

enum lab_result lab_package_verify(const struct lab_identity *identity, const uint8_t *envelope, size_t size,
                                   char *words, size_t room) {
    struct sign1 sign1;
    if (!take_apart(&sign1, envelope, size)) {
        snprintf(words, room,
                 "the envelope is no COSE_Sign1 of the form that devices take: sign it with lab sign");
        return LAB_BAD_SIGNATURE;
    }
    const struct lab_span *key = NULL;
    for (size_t i = 0; i < identity->publisher_count && key == NULL; i++) {
        if (is_key(&identity->publishers[i], sign1.kid)) {
            key = &identity->publishers[i];
        }
    }
    if (key == NULL) {
        snprintf(words, room,
                 "signed by key %02x%02x%02x%02x..., which is none of the %u publishers this device knows",
                 sign1.kid[0], sign1.kid[1], sign1.kid[2], sign1.kid[3], (unsigned)identity->publisher_count);
        return LAB_BAD_SIGNATURE;
    }
    uint8_t digest[SHA256_SIZE];
    psa_status_t status =
        hash(&sign1, digest) ? check(key, digest, sign1.signature) : PSA_ERROR_GENERIC_ERROR;
    if (status == PSA_SUCCESS) {
        return LAB_DONE;
    }
    if (status == PSA_ERROR_INVALID_SIGNATURE) {
        snprintf(words, room, "the signature does not match: the package was changed after it was signed");
    } else {
        snprintf(words, room, "the signature could not be checked: PSA error %d", (int)status);
    }
    return LAB_BAD_SIGNATURE;
}

static struct lab_span span(const struct zcbor_string *string) {
    return (struct lab_span){string->value, string->len};
}

enum lab_result lab_package_read(struct lab_package *package, const uint8_t *envelope, size_t size,
                                 char *words, size_t room) {
    struct sign1 sign1;
    struct package cbor;
    size_t taken;
    if (!take_apart(&sign1, envelope, size) || !lab_cbor_sound(sign1.payload.bytes, sign1.payload.size) ||
        cbor_decode_package(sign1.payload.bytes, sign1.payload.size, &cbor, &taken) != ZCBOR_SUCCESS ||
        taken != sign1.payload.size || cbor.package_version_m != VERSION || cbor.package_sequence_m == 0) {
        snprintf(words, room, "the signed part is not a package of version 1 with a sequence number above 0");
        return LAB_MALFORMED;
    }
    *package = (struct lab_package){
        .name = span(&cbor.package_app_m),
        .version = span(&cbor.package_app_version_m),
        .sequence = cbor.package_sequence_m,
        .vendor = span(&cbor.package_vendor_m),
        .class_count = cbor.package_board_class_m_l_board_class_m_count,
        .size = cbor.package_module_size_m,
        .digest = cbor.package_digest_m.value,
        .trial_polls = cbor.package_trial_polls_m,
        .trial_ms = cbor.package_trial_time_m,
    };
    for (size_t i = 0; i < package->class_count; i++) {
        package->classes[i] = span(&cbor.package_board_class_m_l_board_class_m[i]);
    }
    return lab_manifest_fill(&package->manifest, &cbor.package_manifest_m, words, room);
}

static bool same(const struct lab_span *a, const struct lab_span *b) {
    return a->size == b->size && memcmp(a->bytes, b->bytes, a->size) == 0;
}

enum lab_result lab_package_suits(const struct lab_package *package, const struct lab_identity *identity,
                                  char *words, size_t room) {
    const struct lab_span *vendor = &identity->vendor, *class = &identity->board_class;
    bool suits = package->class_count == 0;
    for (size_t i = 0; i < package->class_count; i++) {
        suits |= same(&package->classes[i], class);
    }
    if (!same(&package->vendor, vendor)) {
        snprintf(words, room, "for devices of vendor %.*s: this one is of %.*s", (int)package->vendor.size,
                 (const char *)package->vendor.bytes, (int)vendor->size, (const char *)vendor->bytes);
        return LAB_WRONG_CLASS;
    }
    if (!suits) {
        snprintf(words, room, "for other board classes (%.*s%s): this device is a %.*s",
                 (int)package->classes[0].size, (const char *)package->classes[0].bytes,
                 package->class_count > 1 ? ", ..." : "", (int)class->size, (const char *)class->bytes);
        return LAB_WRONG_CLASS;
    }
    return LAB_DONE;
}
