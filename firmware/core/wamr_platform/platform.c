/* The services WAMR's core calls. It runs in one thread, from the pool the core gives it, and prints nothing.
 */
#include "platform_api_vmcore.h"
#include "wasm_export.h"

/* The lowest address the native stack may use; ports on bare metal define it in their linker script. */
extern uint8_t lab_stack_limit[] __attribute__((weak));

int bh_platform_init(void) {
    return 0;
}

void bh_platform_destroy(void) {
}

uint8 *os_thread_get_stack_boundary(void) {
    return lab_stack_limit;
}

korp_tid os_self_thread(void) {
    return 0;
}

/* Linear memories: from the pool like everything else. WAMR expects them zeroed. */

void *os_mmap(void *hint, size_t size, int prot, int flags, os_file_handle file) {
    (void)hint;
    (void)prot;
    (void)flags;
    (void)file;
    if (size > UINT32_MAX) {
        return NULL;
    }
    void *memory = wasm_runtime_malloc((uint32)size);
    if (memory != NULL) {
        memset(memory, 0, size);
    }
    return memory;
}

void os_munmap(void *memory, size_t size) {
    (void)size;
    wasm_runtime_free(memory);
}

void *os_mremap(void *old_memory, size_t old_size, size_t new_size) {
    if (new_size > UINT32_MAX) {
        return NULL;
    }
    uint8 *memory = wasm_runtime_realloc(old_memory, (uint32)new_size);
    if (memory != NULL && new_size > old_size) {
        memset(memory + old_size, 0, new_size - old_size);
    }
    return memory;
}

int os_mprotect(void *memory, size_t size, int prot) {
    (void)memory;
    (void)size;
    (void)prot;
    return 0;
}

/* One thread: nothing to lock. */

int os_mutex_init(korp_mutex *mutex) {
    *mutex = 0;
    return BHT_OK;
}

int os_mutex_destroy(korp_mutex *mutex) {
    (void)mutex;
    return BHT_OK;
}

int os_mutex_lock(korp_mutex *mutex) {
    (void)mutex;
    return BHT_OK;
}

int os_mutex_unlock(korp_mutex *mutex) {
    (void)mutex;
    return BHT_OK;
}

/* WAMR tells its caller what went wrong in the caller's own buffer; its log says it a second time. */

int os_printf(const char *format, ...) {
    (void)format;
    return 0;
}

int os_vprintf(const char *format, va_list arguments) {
    (void)format;
    (void)arguments;
    return 0;
}

void lab_wamr_log(uint32 level, const char *file, int line, const char *format, ...) {
    (void)level;
    (void)file;
    (void)line;
    (void)format;
}

/* Named by code that no path reaches: WAMR is started with Alloc_With_Pool, and its C API is not built. */

void *os_malloc(unsigned size) {
    (void)size;
    return NULL;
}

void *os_realloc(void *memory, unsigned size) {
    (void)memory;
    (void)size;
    return NULL;
}

void os_free(void *memory) {
    (void)memory;
}

void wasm_trap_delete(void *trap);
void wasm_trap_delete(void *trap) {
    (void)trap;
}
