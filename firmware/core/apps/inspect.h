/* A first look into a module, before the runtime gets to see it: what it is, what it imports, what runs by
 * itself.
 *
 * Reads untrusted bytes and only the sections it needs; that a module is valid is the runtime's to find out.
 */
#ifndef LAB_APPS_INSPECT_H
#define LAB_APPS_INSPECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "apps/manifest.h"
#include "apps/results.h"

/* Reads the module's manifest. Returns LAB_DONE if the module may be loaded: all it imports is in the
 * contract and in its manifest. Else `words` says why not. */
enum lab_result lab_module_inspect(const uint8_t *bytes, size_t size, struct lab_manifest *manifest,
                                   char *words, size_t room);

/* The same with a manifest that is known already; the module's own counts for nothing. */
enum lab_result lab_module_check(const uint8_t *bytes, size_t size, const struct lab_manifest *manifest,
                                 char *words, size_t room);

#endif
