#include "identity/identity.h"

#include <stdbool.h>
#include <string.h>

#include <wire_decode.h>

#include "cbor.h"
#include "link/crc32.h"

#define MAGIC_SIZE  4u
#define HEADER_SIZE 8u
#define CRC_SIZE    4u
#define VERSION     1u

static uint32_t get32(const uint8_t *at) {
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static struct lab_span span(const struct zcbor_string *string) {
    return (struct lab_span){string->value, string->len};
}

static bool copy_text(char *out, size_t room, const struct zcbor_string *text) {
    if (text->len >= room || memchr(text->value, '\0', text->len) != NULL) {
        return false;
    }
    memcpy(out, text->value, text->len);
    out[text->len] = '\0';
    return true;
}

const char *lab_identity_parse(struct lab_identity *identity, const uint8_t *blob, size_t size) {
    memset(identity, 0, sizeof *identity);
    if (blob == NULL || size < HEADER_SIZE + CRC_SIZE || memcmp(blob, "LABI", MAGIC_SIZE) != 0) {
        return "no identity is provisioned";
    }
    if (size > LAB_IDENTITY_MAX) {
        size = LAB_IDENTITY_MAX;
    }
    size_t length = get32(blob + MAGIC_SIZE);
    if (length > size - HEADER_SIZE - CRC_SIZE) {
        return "the identity's length is beyond its end";
    }
    const uint8_t *map = blob + HEADER_SIZE;
    if (get32(map + length) != lab_crc32(0, map, length)) {
        return "the identity is damaged: its CRC is wrong";
    }
    struct identity cbor;
    size_t taken;
    if (!lab_cbor_sound(map, length) || cbor_decode_identity(map, length, &cbor, &taken) != ZCBOR_SUCCESS ||
        taken != length) {
        return "the identity is not of the form that wire.cddl describes";
    }
    if (cbor.identity_version_m != VERSION) {
        return "the identity has a version this firmware does not know";
    }
    if (!copy_text(identity->device, sizeof identity->device, &cbor.identity_device_m) ||
        !copy_text(identity->gateway, sizeof identity->gateway, &cbor.identity_gateway_name_m)) {
        return "the identity holds a name that is none";
    }
    identity->ca = span(&cbor.identity_ca_certificate_m);
    identity->certificate = span(&cbor.identity_certificate_m);
    identity->key = span(&cbor.identity_private_key_m);
    identity->seed = span(&cbor.identity_seed_m);
    identity->unix_s = cbor.identity_unix_s_m;
    identity->publisher_count = cbor.identity_publisher_key_m_l_publisher_key_m_count;
    for (size_t i = 0; i < identity->publisher_count; i++) {
        identity->publishers[i] = span(&cbor.identity_publisher_key_m_l_publisher_key_m[i]);
    }
    identity->vendor = span(&cbor.identity_vendor_m);
    identity->board_class = span(&cbor.identity_board_class_m);
    identity->development = cbor.identity_development_m != 0;
    return NULL;
}
