/* The natives of apps/contract.c with a runtime of one app, for tests/unit/test_contract_natives.py. Its
 * memory is a block of the heap, so that ASan sees each byte that is touched beside it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apps/contract.h"

#define MEMORY 4096u

static uint8_t *memory;
static const char *exception;
static uint32_t
    touched; /* what the firmware's functions were given, so that reading it is not optimised away */

void *wasm_runtime_get_function_attachment(wasm_exec_env_t env) {
    return env;
}

wasm_module_inst_t wasm_runtime_get_module_inst(wasm_exec_env_t env) {
    return (wasm_module_inst_t)env;
}

void wasm_runtime_set_exception(wasm_module_inst_t instance, const char *words) {
    (void)instance;
    exception = words;
}

bool wasm_runtime_validate_app_addr(wasm_module_inst_t instance, uint64_t address, uint64_t size) {
    bool valid = address <= MEMORY && size <= MEMORY - address;
    if (!valid) {
        wasm_runtime_set_exception(instance, "out of bounds memory access");
    }
    return valid;
}

void *wasm_runtime_addr_app_to_native(wasm_module_inst_t instance, uint64_t address) {
    (void)instance;
    return memory + address;
}

/* As hostile as an app: sometimes at the very end of memory, beyond it, or nowhere. */
uint32_t lab_api_allocate(struct lab_apps *apps, wasm_exec_env_t env, uint32_t size) {
    (void)apps;
    (void)env;
    switch (rand() % 4) {
    case 0:
        return 0;
    case 1:
        return MEMORY - 1;
    default:
        return MEMORY - size;
    }
}

static void touch(const void *bytes, size_t size) {
    for (size_t i = 0; i < size; i++) {
        touched += ((const uint8_t *)bytes)[i];
    }
}

#include "functions.h" /* lab_api_*, written by the test from contract.h */

static const uint32_t interesting[] = {
    0,          1,          2,          3,      7,          255,        256,        MEMORY - 256, MEMORY - 12,
    MEMORY - 8, MEMORY - 4, MEMORY - 1, MEMORY, MEMORY + 1, 0x7fffffff, 0x80000000, 0xfffffff0,   0xffffffff};

static uint32_t hostile(void) {
    return rand() % 3 ? interesting[(size_t)rand() % (sizeof interesting / sizeof interesting[0])]
                      : (uint32_t)rand() % (MEMORY + 16);
}

typedef uint64_t native8(wasm_exec_env_t, uint32_t, uint32_t, uint32_t, uint32_t, uint32_t, uint32_t,
                         uint32_t, uint32_t);
typedef void log_native(wasm_exec_env_t, uint32_t, uint32_t, uint32_t);

static void *native(const char *module, const char *name) {
    for (size_t i = 0; i < LAB_API_NATIVE_COUNT; i++) {
        if (strcmp(lab_api_natives[i].module, module) == 0 && strcmp(lab_api_natives[i].name, name) == 0) {
            return lab_api_natives[i].function;
        }
    }
    abort();
}

/* Call every native with arguments that no honest app would give. */
static void attack(unsigned seed, unsigned rounds) {
    unsigned refused = 0;
    srand(seed);
    for (unsigned round = 0; round < rounds; round++) {
        for (size_t i = 0; i < MEMORY; i += 97) {
            memory[i] = (uint8_t)rand();
        }
        const struct lab_api_native *one = &lab_api_natives[(size_t)rand() % LAB_API_NATIVE_COUNT];
        exception = NULL;
        ((native8 *)one->function)((wasm_exec_env_t)memory, hostile(), hostile(), hostile(), hostile(),
                                   hostile(), hostile(), hostile(), hostile());
        refused += exception != NULL;
    }
    printf("%u refused\n", refused);
}

/* Each line is a text in hexadecimal; says whether it was taken for UTF-8. */
static void judge_texts(void) {
    log_native *write_log = (log_native *)native("lab:device/log@0.1.0", "write");
    char line[1024];
    while (fgets(line, sizeof line, stdin)) {
        uint32_t size = 0;
        for (const char *at = line; sscanf(at, "%2hhx", &memory[MEMORY - 256 + size]) == 1; at += 2) {
            size++;
        }
        memmove(memory + MEMORY - size, memory + MEMORY - 256, size);
        exception = NULL;
        write_log((wasm_exec_env_t)memory, 0, MEMORY - size, size);
        printf("%s\n", exception ? exception : "taken");
    }
}

int main(int argc, char **argv) {
    memory = calloc(1, MEMORY);
    if (argc > 2) {
        attack((unsigned)atoi(argv[1]), (unsigned)atoi(argv[2]));
    } else {
        judge_texts();
    }
    free(memory);
    return 0;
}
