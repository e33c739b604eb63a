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

#include "apps/results.h"

/* Whether the contract has the function `name` in the interface `module`; texts are not terminated. */
typedef bool lab_contract(const char *module, size_t module_size, const char *name, size_t name_size);

/* Returns LAB_DONE if the module may be loaded; else `words` says why not. */
enum lab_result lab_module_inspect(const uint8_t *bytes, size_t size, lab_contract *has, char *words,
                                   size_t room);

#endif
