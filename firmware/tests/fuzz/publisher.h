/* A publisher whose signatures are good: what a device does with a package that nobody has forged, whatever
 * is in it. Its key is in this file, so it is good for nothing else.
 */
#ifndef LAB_TESTS_FUZZ_PUBLISHER_H
#define LAB_TESTS_FUZZ_PUBLISHER_H

#include <mbedtls/platform.h>
#include <mbedtls/sha256.h>
#include <psa/crypto.h>

#include "fuzz.h"

#define ENVELOPE_MORE 88u /* bytes of an envelope besides its payload, at most */

static uint8_t publisher_point[65];
static psa_key_id_t publisher_key;

/* Asked by PSA, which blinds what it computes with it. */
psa_status_t mbedtls_psa_external_get_random(mbedtls_psa_external_random_context_t *context, uint8_t *output,
                                             size_t output_size, size_t *output_length) {
    (void)context;
    memset(output, 0x5a, output_size);
    *output_length = output_size;
    return PSA_SUCCESS;
}

static void publisher_start(void) {
    static const uint8_t scalar[32] = {[0 ... 31] = 0x42};
    size_t size;
    psa_key_attributes_t attributes = PSA_KEY_ATTRIBUTES_INIT;
    psa_set_key_type(&attributes, PSA_KEY_TYPE_ECC_KEY_PAIR(PSA_ECC_FAMILY_SECP_R1));
    psa_set_key_algorithm(&attributes, PSA_ALG_ECDSA(PSA_ALG_SHA_256));
    psa_set_key_usage_flags(&attributes, PSA_KEY_USAGE_SIGN_HASH);
    PROMISE(mbedtls_platform_set_calloc_free(calloc, free) == 0);
    PROMISE(psa_crypto_init() == PSA_SUCCESS);
    PROMISE(psa_import_key(&attributes, scalar, sizeof scalar, &publisher_key) == PSA_SUCCESS);
    PROMISE(psa_export_public_key(publisher_key, publisher_point, sizeof publisher_point, &size) ==
            PSA_SUCCESS);
    PROMISE(size == sizeof publisher_point);
}

/* Puts a COSE_Sign1 around a payload (docs/protocol.md, section 5); returns its size. `signature`: 64 bytes,
 * or NULL for a good one. */
static size_t publisher_wrap(uint8_t *envelope, const uint8_t *point, const uint8_t *payload, size_t size,
                             const uint8_t *signature) {
    static const uint8_t opening[] = {0xd2, 0x84, 0x4d, 0xa2, 0x01, 0x26, 0x04, 0x48};
    uint8_t digest[32];
    PROMISE(mbedtls_sha256(point, sizeof publisher_point, digest, 0) == 0);
    memcpy(envelope, opening, sizeof opening);
    size_t at = sizeof opening;
    memcpy(envelope + at, digest, 8);
    at += 8;
    envelope[at++] = 0xa0;
    size_t payload_at = at;
    envelope[at++] = size > 255 ? 0x59 : 0x58;
    if (size > 255) {
        envelope[at++] = (uint8_t)(size >> 8);
    }
    envelope[at++] = (uint8_t)size;
    memcpy(envelope + at, payload, size);
    at += size;
    size_t payload_end = at;
    envelope[at++] = 0x58;
    envelope[at++] = 64;
    if (signature != NULL) {
        memcpy(envelope + at, signature, 64);
        return at + 64;
    }
    /* The Sig_structure (RFC 9052, section 4.4): context, protected header, no external data, payload. */
    mbedtls_sha256_context sha256;
    mbedtls_sha256_init(&sha256);
    PROMISE(mbedtls_sha256_starts(&sha256, 0) == 0);
    PROMISE(mbedtls_sha256_update(&sha256, (const uint8_t *)"\x84\x6aSignature1", 12) == 0);
    PROMISE(mbedtls_sha256_update(&sha256, envelope + 2, 14) == 0);
    PROMISE(mbedtls_sha256_update(&sha256, (const uint8_t *)"\x40", 1) == 0);
    PROMISE(mbedtls_sha256_update(&sha256, envelope + payload_at, payload_end - payload_at) == 0);
    PROMISE(mbedtls_sha256_finish(&sha256, digest) == 0);
    mbedtls_sha256_free(&sha256);
    size_t made;
    PROMISE(psa_sign_hash(publisher_key, PSA_ALG_ECDSA(PSA_ALG_SHA_256), digest, sizeof digest, envelope + at,
                          64, &made) == PSA_SUCCESS);
    PROMISE(made == 64);
    return at + 64;
}

#endif
