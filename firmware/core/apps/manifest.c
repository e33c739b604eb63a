#include "apps/manifest.h"

#include <stdio.h>
#include <string.h>

#include <wire_decode.h>

#include "apps/contract.h"
#include "cbor.h"

#define VERSION 1u
#define PREFIX  "lab:device/"

_Static_assert(LAB_API_NATIVE_COUNT <= 32, "struct lab_manifest has a bit for each native");

/* Whether native `index` is a function of the interface of that short name: "log" is lab:device/log@0.1.0. */
static bool belongs(size_t index, const char *name, size_t size) {
    const char *own = lab_api_natives[index].module + strlen(PREFIX);
    return strncmp(own, name, size) == 0 && own[size] == '@';
}

/* False if there is no such interface. */
static bool allow(struct lab_manifest *manifest, const char *name, size_t size) {
    uint32_t before = manifest->natives;
    for (size_t i = 0; i < LAB_API_NATIVE_COUNT; i++) {
        if (belongs(i, name, size)) {
            manifest->natives |= 1u << i;
        }
    }
    return manifest->natives != before;
}

enum lab_result lab_manifest_fill(struct lab_manifest *manifest, const struct manifest *cbor, char *words,
                                  size_t room) {
    memset(manifest, 0, sizeof *manifest);
    if (cbor->manifest_version_m != VERSION) {
        snprintf(words, room, "the manifest has version %u: this firmware knows 1",
                 (unsigned)cbor->manifest_version_m);
        return LAB_MALFORMED;
    }
    manifest->present = true;
    for (size_t i = 0; i < cbor->manifest_interfaces_m.interfaces_interface_m_count; i++) {
        struct zcbor_string name = cbor->manifest_interfaces_m.interfaces_interface_m[i];
        if (!allow(manifest, (const char *)name.value, name.len)) {
            snprintf(words, room, "the manifest lists %.*s, which is no interface of the contract",
                     (int)name.len, (const char *)name.value);
            return LAB_IMPORT_REFUSED;
        }
    }
    for (size_t i = 0; i < cbor->manifest_i2c_addresses_m.i2c_addresses_i2c_address_m_count; i++) {
        uint32_t address = cbor->manifest_i2c_addresses_m.i2c_addresses_i2c_address_m[i] & 0x7fu;
        manifest->i2c[address / 8] |= (uint8_t)(1u << address % 8);
    }
    manifest->memory = cbor->manifest_memory_limit_m;
    manifest->instructions = cbor->manifest_instructions_m;
    return LAB_DONE;
}

enum lab_result lab_manifest_read(struct lab_manifest *manifest, const uint8_t *section, size_t size,
                                  char *words, size_t room) {
    static const char *const harmless[] = {"log", "clock", "publish", "kv", "system-info"};
    if (section == NULL) {
        memset(manifest, 0, sizeof *manifest);
        for (size_t i = 0; i < sizeof harmless / sizeof *harmless; i++) {
            (void)allow(manifest, harmless[i], strlen(harmless[i]));
        }
        return LAB_DONE;
    }
    struct manifest cbor;
    size_t taken;
    if (!lab_cbor_sound(section, size) ||
        cbor_decode_manifest(section, size, &cbor, &taken) != ZCBOR_SUCCESS || taken != size) {
        snprintf(words, room, "the section " LAB_MANIFEST_SECTION " is not a manifest of version 1");
        return LAB_MALFORMED;
    }
    return lab_manifest_fill(manifest, &cbor, words, room);
}

bool lab_manifest_allows_native(const struct lab_manifest *manifest, size_t native) {
    return manifest->natives >> native & 1u;
}

bool lab_manifest_allows_i2c(const struct lab_manifest *manifest, uint8_t address) {
    return address < 128 && (manifest->i2c[address / 8] >> address % 8 & 1u);
}
