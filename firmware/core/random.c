#include "random.h"

#include <string.h>

#include <mbedtls/platform_util.h>
#include <mbedtls/sha256.h>

static int derive(const uint8_t *digest, const char *purpose, uint8_t *out) {
    uint8_t text[LAB_SEED_SIZE + 8] = {0};
    memcpy(text, digest, LAB_SEED_SIZE);
    memcpy(text + LAB_SEED_SIZE, purpose, strlen(purpose));
    int error = mbedtls_sha256(text, sizeof text, out, 0);
    mbedtls_platform_zeroize(text, sizeof text);
    return error;
}

int lab_random_init(struct lab_random *random, const struct lab_port *port, const uint8_t *seed) {
    struct {
        uint8_t seed[LAB_SEED_SIZE];
        uint8_t last[sizeof port->boot->entropy];
        uint8_t generator[32];
        uint64_t micros;
        uint64_t boots;
    } material;
    memset(&material, 0, sizeof material);
    memcpy(material.seed, seed, sizeof material.seed);
    memcpy(material.last, port->boot->entropy, sizeof material.last);
    port->entropy(port, material.generator, sizeof material.generator);
    material.micros = port->micros(port);
    material.boots = port->boot->boots;

    uint8_t digest[32];
    uint8_t state[32];
    int error = mbedtls_sha256((const uint8_t *)&material, sizeof material, digest, 0);
    if (error == 0) {
        error = derive(digest, "next", port->boot->entropy);
        lab_boot_seal(port->boot);
    }
    if (error == 0) {
        error = derive(digest, "state", state);
    }
    mbedtls_hmac_drbg_init(&random->drbg);
    if (error == 0) {
        const mbedtls_md_info_t *sha256 = mbedtls_md_info_from_type(MBEDTLS_MD_SHA256);
        error = mbedtls_hmac_drbg_seed_buf(&random->drbg, sha256, state, sizeof state);
    }
    mbedtls_platform_zeroize(&material, sizeof material);
    mbedtls_platform_zeroize(digest, sizeof digest);
    mbedtls_platform_zeroize(state, sizeof state);
    return error;
}

int lab_random_bytes(void *context, unsigned char *bytes, size_t size) {
    struct lab_random *random = context;
    while (size > 0) {
        size_t part = size < MBEDTLS_HMAC_DRBG_MAX_REQUEST ? size : MBEDTLS_HMAC_DRBG_MAX_REQUEST;
        int error = mbedtls_hmac_drbg_random(&random->drbg, bytes, part);
        if (error != 0) {
            return error;
        }
        bytes += part;
        size -= part;
    }
    return 0;
}
