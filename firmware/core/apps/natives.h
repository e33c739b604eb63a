/* What apps may import: one table, in the words of wit/ (package lab:device). */
#ifndef LAB_APPS_NATIVES_H
#define LAB_APPS_NATIVES_H

#include <stdbool.h>
#include <stddef.h>

struct lab_native {
    const char *module;    /* as in a core module's import, e.g. "lab:device/log@0.1.0" */
    const char *name;      /* e.g. "write" */
    void *function;        /* takes a wasm_exec_env_t first */
    const char *signature; /* WAMR's notation; `*~` is a checked pointer and its length */
};

extern const struct lab_native lab_natives[];
#define LAB_NATIVE_COUNT 3u

/* Whether the table has it; texts are not terminated (lab_contract of apps/inspect.h). */
bool lab_native_exists(const char *module, size_t module_size, const char *name, size_t name_size);

#endif
