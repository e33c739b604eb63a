/* What an app may touch and use up: the custom section `lab:manifest` of its module (manifest in wire.cddl).
 *
 * A module without one gets what touches nothing outside itself: log, clock, publish, kv, system-info.
 */
#ifndef LAB_APPS_MANIFEST_H
#define LAB_APPS_MANIFEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "apps/results.h"

#define LAB_MANIFEST_SECTION "lab:manifest"

struct lab_manifest {
    bool present;
    uint32_t natives;      /* a bit per entry of lab_api_natives */
    uint8_t i2c[16];       /* a bit per 7-bit address */
    uint32_t memory;       /* bytes of linear memory, 0: no limit of its own */
    uint32_t instructions; /* of one call, 0: no limit of its own */
};

/* As zcbor reads it (wire_types.h). */
struct manifest;

/* Takes over what the CBOR says. Returns LAB_DONE, or why not in `words`. */
enum lab_result lab_manifest_fill(struct lab_manifest *manifest, const struct manifest *cbor, char *words,
                                  size_t room);

/* `section` NULL: the module has none. Returns LAB_DONE, or why not in `words`. */
enum lab_result lab_manifest_read(struct lab_manifest *manifest, const uint8_t *section, size_t size,
                                  char *words, size_t room);

bool lab_manifest_allows_native(const struct lab_manifest *manifest, size_t native);
bool lab_manifest_allows_i2c(const struct lab_manifest *manifest, uint8_t address);

#endif
