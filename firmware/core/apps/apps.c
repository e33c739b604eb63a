#include "apps/apps.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "apps/inspect.h"
#include "apps/internal.h"
#include "text.h"
#include "wamr_platform/interpreter.h"

#define LAB_PAGE 65536u

/* WAMR numbers the operand kinds it calls wasm_valkind_t. */
static const char *kind_name(wasm_valkind_t kind) {
    switch (kind) {
    case WASM_I32:
        return "i32";
    case WASM_I64:
        return "i64";
    case WASM_F32:
        return "f32";
    case WASM_F64:
        return "f64";
    default:
        return "a reference";
    }
}

const char *lab_app_state_name(enum lab_app_state state) {
    static const char *const names[] = {"receiving", "running", "stopped", "failed", "trial"};
    return names[state];
}

const char *lab_log_level_name(enum lab_log_level level) {
    static const char *const names[] = {"debug", "info", "warning", "error"};
    return names[level];
}

enum lab_result lab_apps_say(struct lab_apps *apps, enum lab_result result, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(apps->words, sizeof apps->words, format, arguments);
    va_end(arguments);
    lab_text_clean(apps->words);
    return result;
}

enum lab_result lab_apps_done(struct lab_apps *apps) {
    apps->words[0] = '\0';
    return LAB_DONE;
}

uint32_t lab_apps_memory_free(const struct lab_apps *apps) {
    (void)apps; /* the pool is WAMR's, which has one */
    mem_alloc_info_t info;
    return wasm_runtime_get_mem_alloc_info(&info) ? info.total_free_size : 0;
}

uint32_t lab_apps_module_max(const struct lab_apps *apps) {
    /* Beside the module its translation for the fast interpreter and its data have to fit. */
    uint32_t pool = (uint32_t)(apps->port->pool_size / 2);
    uint32_t slot = lab_slots_module_max(&apps->slots);
    return pool < slot ? pool : slot;
}

static bool runs(const struct lab_app *app) {
    return app->name[0] != '\0' && (app->state == LAB_APP_RUNNING || app->state == LAB_APP_TRIAL);
}

uint32_t lab_apps_running(const struct lab_apps *apps) {
    uint32_t count = 0;
    for (size_t i = 0; i < LAB_APPS_MAX; i++) {
        count += runs(&apps->apps[i]);
    }
    return count;
}

/* ---- the list */

struct lab_app *lab_apps_find(struct lab_apps *apps, const char *name, size_t size) {
    for (size_t i = 0; i < LAB_APPS_MAX; i++) {
        struct lab_app *app = &apps->apps[i];
        if (size > 0 && strlen(app->name) == size && memcmp(app->name, name, size) == 0) {
            return app;
        }
    }
    return NULL;
}

void lab_app_set_state(struct lab_apps *apps, struct lab_app *app, enum lab_app_state state,
                       const char *words) {
    app->state = state;
    if (words != app->words) {
        snprintf(app->words, sizeof app->words, "%s", words);
    }
    app->changed = true;
    apps->sink.changed(apps->sink.context, app);
}

/* Gives back all of the pool that the app holds; its entry in the list stays. */
void lab_app_unload(struct lab_apps *apps, struct lab_app *app) {
    if (app->env != NULL) {
        wasm_runtime_destroy_exec_env(app->env);
    }
    if (app->instance != NULL) {
        wasm_runtime_deinstantiate(app->instance);
    }
    if (app->module != NULL) {
        wasm_runtime_unload(app->module);
    }
    if (app->bytes != NULL) {
        wasm_runtime_free(app->bytes);
    }
    lab_world_release(apps->world, app);
    app->env = NULL;
    app->instance = NULL;
    app->module = NULL;
    app->bytes = NULL;
    app->poll = NULL;
    app->interval = 0;
    app->memory = 0;
    app->instructions = 0;
    app->peak = 0;
}

/* ---- running */

uint32_t lab_app_budget(const struct lab_app *app) {
    uint32_t own = app->manifest.instructions;
    return own > 0 && own < LAB_APP_BUDGET ? own : LAB_APP_BUDGET;
}

static void limit(wasm_exec_env_t env, uint32_t instructions) {
    wasm_runtime_set_instruction_count_limit(env, (int)instructions);
}

/* Notes what a call that has returned took of its `limit`. */
static uint32_t count(struct lab_app *app, uint32_t limit) {
    uint32_t used = limit - (uint32_t)lab_wamr_instructions_left(app->env);
    app->instructions += used;
    app->called = true;
    return used;
}

/* Calls `function` under the budget. On a trap `words` says where and why; the app is still loaded then. */
static enum lab_result run(struct lab_apps *apps, struct lab_app *app, wasm_function_inst_t function,
                           const char *name, uint32_t result_count, wasm_val_t *results,
                           uint32_t argument_count, wasm_val_t *arguments) {
    static const char prefix[] = "Exception: ";
    wasm_runtime_clear_exception(app->instance);
    limit(app->env, lab_app_budget(app));
    apps->current = app;
    apps->allocations_left = LAB_APP_ALLOCATIONS;
    bool fine =
        wasm_runtime_call_wasm_a(app->env, function, result_count, results, argument_count, arguments);
    apps->current = NULL;
    lab_world_flush(apps->world);
    if (fine) {
        uint32_t used = count(app, lab_app_budget(app));
        app->peak = used > app->peak ? used : app->peak;
        return lab_apps_done(apps);
    }
    const char *exception = wasm_runtime_get_exception(app->instance);
    if (exception == NULL) {
        exception = "unknown trap";
    }
    if (strncmp(exception, prefix, sizeof prefix - 1) == 0) {
        exception += sizeof prefix - 1;
    }
    if (strstr(exception, "instruction limit exceeded") != NULL) {
        return lab_apps_say(apps, LAB_BUDGET_EXCEEDED, "%s.%s ran for more than %u instructions", app->name,
                            name, (unsigned)lab_app_budget(app));
    }
    return lab_apps_say(apps, LAB_TRAP, "%s.%s: %s", app->name, name, exception);
}

/* An optional export that must have the form `() -> ()` or, with `result`, `() -> i32`. */
static enum lab_result lookup(struct lab_apps *apps, struct lab_app *app, const char *name, bool result,
                              wasm_function_inst_t *function) {
    *function = wasm_runtime_lookup_function(app->instance, name);
    if (*function == NULL) {
        return lab_apps_done(apps);
    }
    bool form = wasm_func_get_param_count(*function, app->instance) == 0 &&
                wasm_func_get_result_count(*function, app->instance) == (result ? 1u : 0u);
    if (form && result) {
        wasm_valkind_t kind;
        wasm_func_get_result_types(*function, app->instance, &kind);
        form = kind == WASM_I32;
    }
    if (!form) {
        return lab_apps_say(apps, LAB_REFUSED, "export %s must be a function () -> %s", name,
                            result ? "i32" : "()");
    }
    return lab_apps_done(apps);
}

static enum lab_result start(struct lab_apps *apps, struct lab_app *app) {
    wasm_function_inst_t initialize, init;
    enum lab_result result = lookup(apps, app, "_initialize", false, &initialize);
    if (result == LAB_DONE) {
        result = lookup(apps, app, "init", true, &init);
    }
    if (result == LAB_DONE) {
        result = lookup(apps, app, "poll", false, &app->poll);
    }
    if (result == LAB_DONE && initialize != NULL) {
        result = run(apps, app, initialize, "_initialize", 0, NULL, 0, NULL);
    }
    if (result == LAB_DONE && init != NULL) {
        wasm_val_t interval = {.kind = WASM_I32};
        result = run(apps, app, init, "init", 1, &interval, 0, NULL);
        if (result == LAB_DONE && app->poll != NULL) {
            app->interval = (uint32_t)interval.of.i32;
            app->due = apps->port->millis(apps->port) + app->interval;
        }
    }
    return result;
}

static enum lab_result load_error(struct lab_apps *apps, const char *error, uint32_t size,
                                  enum lab_result otherwise) {
    static const char prefix[] = "WASM module ";
    if (strncmp(error, prefix, sizeof prefix - 1) == 0) {
        error += sizeof prefix - 1;
    }
    if (strstr(error, "memory failed") != NULL || strstr(error, "out of memory") != NULL) {
        return lab_apps_say(
            apps, LAB_OUT_OF_MEMORY,
            "not enough memory for a module of %u bytes and its data: %u bytes are free; stop an app, "
            "or link "
            "with a smaller stack and export __heap_base and __data_end",
            (unsigned)size, (unsigned)lab_apps_memory_free(apps));
    }
    return lab_apps_say(apps, otherwise, "%s", error);
}

/* The loader resolves a function only if the contract has it with that signature. */
static enum lab_result check_links(struct lab_apps *apps, wasm_module_t module) {
    int32_t count = wasm_runtime_get_import_count(module);
    for (int32_t i = 0; i < count; i++) {
        wasm_import_t import;
        wasm_runtime_get_import_type(module, i, &import);
        if (!import.linked) {
            return lab_apps_say(apps, LAB_IMPORT_REFUSED,
                                "import %.64s.%.48s has another signature than the contract's",
                                import.module_name, import.name);
        }
    }
    return LAB_DONE;
}

/* What memory.grow may reach, in pages of 64 KiB: what the manifest allows, else half of the pool. 0 would be
 * no limit to WAMR; the first page does not come from memory.grow. */
static uint32_t memory_pages(const struct lab_apps *apps, const struct lab_app *app) {
    uint32_t bytes = app->manifest.memory > 0 ? app->manifest.memory : (uint32_t)(apps->port->pool_size / 2);
    return bytes > LAB_PAGE ? bytes / LAB_PAGE : 1;
}

/* The linear memory the app has begun with may be more than its manifest says. */
static enum lab_result check_memory(struct lab_apps *apps, struct lab_app *app) {
    wasm_memory_inst_t memory = wasm_runtime_get_default_memory(app->instance);
    if (app->manifest.memory == 0 || memory == NULL) {
        return LAB_DONE;
    }
    uint64_t bytes = wasm_memory_get_cur_page_count(memory) * wasm_memory_get_bytes_per_page(memory);
    if (bytes > app->manifest.memory) {
        return lab_apps_say(apps, LAB_OUT_OF_MEMORY, "%u bytes of linear memory: its manifest allows %u",
                            (unsigned)bytes, (unsigned)app->manifest.memory);
    }
    return LAB_DONE;
}

/* Makes a running app of `app->bytes`. */
enum lab_result lab_app_load(struct lab_apps *apps, struct lab_app *app) {
    enum lab_result result =
        app->sequence > 0
            ? lab_module_check(app->bytes, app->size, &app->manifest, apps->words, sizeof apps->words)
            : lab_module_inspect(app->bytes, app->size, &app->manifest, apps->words, sizeof apps->words);
    if (result != LAB_DONE) {
        lab_text_clean(apps->words);
        return result;
    }
    char error[128] = "";
    app->module = wasm_runtime_load(app->bytes, app->size, error, sizeof error);
    if (app->module == NULL) {
        return load_error(apps, error, app->size, LAB_NOT_WASM);
    }
    result = check_links(apps, app->module);
    if (result != LAB_DONE) {
        return result;
    }
    const InstantiationArgs arguments = {
        .default_stack_size = LAB_APP_STACK,
        .max_memory_pages = memory_pages(apps, app),
    };
    app->instance = wasm_runtime_instantiate_ex(app->module, &arguments, error, sizeof error);
    if (app->instance == NULL) {
        return load_error(apps, error, app->size, LAB_REFUSED);
    }
    result = check_memory(apps, app);
    if (result != LAB_DONE) {
        return result;
    }
    app->env = wasm_runtime_create_exec_env(app->instance, LAB_APP_STACK);
    if (app->env == NULL) {
        return load_error(apps, "out of memory", app->size, LAB_OUT_OF_MEMORY);
    }
    return start(apps, app);
}

/* ---- calls from the gateway */

static enum lab_result to_wasm(struct lab_apps *apps, size_t index, const struct lab_value *value,
                               wasm_val_t *argument) {
    unsigned number = (unsigned)index + 1;
    switch (argument->kind) {
    case WASM_I32:
        /* Both readings of 32 bits: WebAssembly's integers have no sign. */
        if (value->is_float || value->integer < INT32_MIN || value->integer > UINT32_MAX) {
            return lab_apps_say(apps, LAB_BAD_ARGUMENTS,
                                "argument %u is an i32: an integer from -2^31 to 2^32-1", number);
        }
        argument->of.i32 = (int32_t)(uint32_t)value->integer;
        return LAB_DONE;
    case WASM_I64:
        if (value->is_float) {
            return lab_apps_say(apps, LAB_BAD_ARGUMENTS, "argument %u is an i64: an integer", number);
        }
        argument->of.i64 = value->integer;
        return LAB_DONE;
    case WASM_F32: {
        double wide = value->is_float ? value->number : (double)value->integer;
        if (isfinite(wide) && fabs(wide) > (double)3.4028234663852886e38f) {
            return lab_apps_say(apps, LAB_BAD_ARGUMENTS, "argument %u is an f32: %g is beyond its range",
                                number, wide);
        }
        argument->of.f32 = (float)wide;
        return LAB_DONE;
    }
    case WASM_F64:
        argument->of.f64 = value->is_float ? value->number : (double)value->integer;
        return LAB_DONE;
    default:
        return lab_apps_say(apps, LAB_BAD_ARGUMENTS, "argument %u is %s, which no message can carry", number,
                            kind_name(argument->kind));
    }
}

static bool from_wasm(const wasm_val_t *result, struct lab_value *value) {
    *value = (struct lab_value){0};
    switch (result->kind) {
    case WASM_I32:
        value->integer = result->of.i32;
        return true;
    case WASM_I64:
        value->integer = result->of.i64;
        return true;
    case WASM_F32:
        value->is_float = true;
        value->number = (double)result->of.f32;
        return true;
    case WASM_F64:
        value->is_float = true;
        value->number = result->of.f64;
        return true;
    default:
        return false;
    }
}

/* The running app of that name, or NULL after saying why not. */
static struct lab_app *running(struct lab_apps *apps, const char *name, size_t name_size) {
    struct lab_app *app = lab_apps_find(apps, name, name_size);
    if (app == NULL) {
        (void)lab_apps_say(apps, LAB_NO_SUCH_APP, "no app of that name is on this device");
        return NULL;
    }
    if (!runs(app)) {
        (void)lab_apps_say(apps, LAB_NO_SUCH_APP, "%s is %s, not running", app->name,
                           lab_app_state_name(app->state));
        return NULL;
    }
    return app;
}

enum lab_result lab_apps_call(struct lab_apps *apps, const char *name, size_t name_size, const char *function,
                              size_t function_size, const struct lab_value *arguments, size_t argument_count,
                              struct lab_value *results, size_t *result_count) {
    size_t room = *result_count;
    *result_count = 0;
    struct lab_app *app = running(apps, name, name_size);
    if (app == NULL) {
        return LAB_NO_SUCH_APP;
    }
    char export[LAB_TOPIC_MAX + 1];
    if (function_size >= sizeof export) {
        return lab_apps_say(apps, LAB_NO_SUCH_FUNCTION, "no export has a name that long");
    }
    memcpy(export, function, function_size);
    export[function_size] = '\0';
    wasm_function_inst_t callee = wasm_runtime_lookup_function(app->instance, export);
    if (callee == NULL) {
        return lab_apps_say(apps, LAB_NO_SUCH_FUNCTION, "%s exports no function %s", app->name, export);
    }
    uint32_t wanted = wasm_func_get_param_count(callee, app->instance);
    uint32_t given = wasm_func_get_result_count(callee, app->instance);
    if (wanted != argument_count) {
        return lab_apps_say(apps, LAB_BAD_ARGUMENTS, "%s.%s takes %u arguments, not %u", app->name, export,
                            (unsigned)wanted, (unsigned)argument_count);
    }
    if (given > room || given > LAB_RESULTS_MAX || wanted > LAB_ARGUMENTS_MAX) {
        return lab_apps_say(apps, LAB_BAD_ARGUMENTS, "%s.%s returns %u values: %u fit into an answer",
                            app->name, export, (unsigned)given, LAB_RESULTS_MAX);
    }
    wasm_valkind_t kinds[LAB_ARGUMENTS_MAX];
    wasm_val_t in[LAB_ARGUMENTS_MAX] = {0};
    wasm_val_t out[LAB_RESULTS_MAX] = {0};
    wasm_func_get_param_types(callee, app->instance, kinds);
    for (size_t i = 0; i < argument_count; i++) {
        in[i].kind = kinds[i];
        enum lab_result result = to_wasm(apps, i, &arguments[i], &in[i]);
        if (result != LAB_DONE) {
            return result;
        }
    }
    enum lab_result result = run(apps, app, callee, export, given, out, wanted, in);
    if (result != LAB_DONE) {
        lab_app_fail(apps, app);
        return result;
    }
    for (size_t i = 0; i < given; i++) {
        if (!from_wasm(&out[i], &results[i])) {
            return lab_apps_say(apps, LAB_BAD_ARGUMENTS,
                                "%s.%s returns a reference, which no message can carry", app->name, export);
        }
    }
    *result_count = given;
    return result;
}

/* ---- commands */

/* Calls an export of the canonical ABI that takes `count` i32 and returns one, or none if `result` is NULL.
 */
static enum lab_result call_flat(struct lab_apps *apps, struct lab_app *app, const char *name, size_t count,
                                 const uint32_t *values, uint32_t *result) {
    wasm_function_inst_t function = wasm_runtime_lookup_function(app->instance, name);
    uint32_t results = result != NULL ? 1 : 0;
    wasm_valkind_t kinds[LAB_ARGUMENTS_MAX] = {0}, kind = WASM_I32;
    bool form = function != NULL && wasm_func_get_param_count(function, app->instance) == count &&
                wasm_func_get_result_count(function, app->instance) == results;
    if (form) {
        wasm_func_get_param_types(function, app->instance, kinds);
        if (results > 0) {
            wasm_func_get_result_types(function, app->instance, &kind);
        }
    }
    wasm_val_t in[LAB_ARGUMENTS_MAX] = {0}, out = {.kind = WASM_I32};
    for (size_t i = 0; form && i < count; i++) {
        form = kinds[i] == WASM_I32;
        in[i].kind = WASM_I32;
        in[i].of.i32 = (int32_t)values[i];
    }
    if (!form || kind != WASM_I32) {
        return lab_apps_say(apps, LAB_NO_SUCH_FUNCTION, "%s exports no %s as the contract has it", app->name,
                            name);
    }
    enum lab_result status = run(apps, app, function, name, results, &out, (uint32_t)count, in);
    if (status == LAB_DONE && result != NULL) {
        *result = (uint32_t)out.of.i32;
    }
    return status;
}

/* A place in the app's memory, or NULL after saying that there is none. */
static uint8_t *place(struct lab_apps *apps, struct lab_app *app, uint32_t address, uint32_t size) {
    if (!wasm_runtime_validate_app_addr(app->instance, address, size)) {
        (void)lab_apps_say(apps, LAB_TRAP, "%s.on-command: an address outside its memory", app->name);
        return NULL;
    }
    return wasm_runtime_addr_app_to_native(app->instance, address);
}

/* list<u8> -> list<u8>: the input goes where the app's cabi_realloc says; what the app returns points to the
 * answer's address and size. */
static enum lab_result command(struct lab_apps *apps, struct lab_app *app, const uint8_t *bytes, size_t size,
                               uint8_t *answer, size_t *answer_size) {
    uint32_t values[4] = {0, 0, 1, (uint32_t)size};
    uint32_t input = 1, at = 0; /* an empty list may be anywhere */
    enum lab_result result = LAB_DONE;
    if (wasm_runtime_lookup_function(app->instance, "on-command") == NULL) {
        /* Known before the app is asked for room: it may well have none, and would end for it. */
        return lab_apps_say(apps, LAB_NO_SUCH_FUNCTION, "%s takes no commands", app->name);
    }
    if (size > 0) {
        result = call_flat(apps, app, "cabi_realloc", 4, values, &input);
        uint8_t *there = result == LAB_DONE ? place(apps, app, input, (uint32_t)size) : NULL;
        if (there == NULL) {
            return result == LAB_DONE ? LAB_TRAP : result;
        }
        memcpy(there, bytes, size);
    }
    values[0] = input;
    values[1] = (uint32_t)size;
    result = call_flat(apps, app, "on-command", 2, values, &at);
    if (result != LAB_DONE) {
        return result;
    }
    const uint8_t *pair = place(apps, app, at, 8);
    if (pair == NULL) {
        return LAB_TRAP;
    }
    memcpy(values, pair, 8); /* both sides are little endian */
    if (values[1] > *answer_size) {
        return lab_apps_say(apps, LAB_TRAP, "%s.on-command: an answer of %u bytes, %u are allowed", app->name,
                            (unsigned)values[1], (unsigned)*answer_size);
    }
    const uint8_t *there = values[1] > 0 ? place(apps, app, values[0], values[1]) : answer;
    if (there == NULL) {
        return LAB_TRAP;
    }
    memmove(answer, there, values[1]);
    *answer_size = values[1];
    if (wasm_runtime_lookup_function(app->instance, "cabi_post_on-command") != NULL) {
        return call_flat(apps, app, "cabi_post_on-command", 1, &at, NULL);
    }
    return lab_apps_done(apps);
}

enum lab_result lab_apps_command(struct lab_apps *apps, const char *name, size_t name_size,
                                 const uint8_t *bytes, size_t size, uint8_t *answer, size_t *answer_size) {
    struct lab_app *app = running(apps, name, name_size);
    enum lab_result result = LAB_NO_SUCH_APP;
    if (app != NULL) {
        result = command(apps, app, bytes, size, answer, answer_size);
    }
    if (result == LAB_TRAP || result == LAB_BUDGET_EXCEEDED) {
        lab_app_fail(apps, app);
    }
    if (result != LAB_DONE) {
        *answer_size = 0;
    }
    return result;
}

/* ---- polling */

/* Polls the app that has been due longest. */
static uint32_t poll(struct lab_apps *apps) {
    uint64_t now = apps->port->millis(apps->port);
    struct lab_app *next = NULL;
    for (size_t i = 0; i < LAB_APPS_MAX; i++) {
        struct lab_app *app = &apps->apps[i];
        if (app->interval > 0 && (next == NULL || app->due < next->due)) {
            next = app;
        }
    }
    if (next == NULL) {
        return UINT32_MAX;
    }
    if (next->due > now) {
        uint64_t wait = next->due - now;
        return wait < UINT32_MAX ? (uint32_t)wait : UINT32_MAX;
    }
    /* The period is kept, unless the app was held up for longer than one: missed polls are not caught up on.
     */
    next->due += next->interval;
    if (next->due <= now) {
        next->due = now + next->interval;
    }
    if (run(apps, next, next->poll, "poll", 0, NULL, 0, NULL) != LAB_DONE) {
        lab_app_fail(apps, next);
    } else if (next->state == LAB_APP_TRIAL && next->polls < UINT16_MAX) {
        next->polls++;
    }
    return 0;
}

uint32_t lab_apps_step(struct lab_apps *apps) {
    uint32_t until_poll = poll(apps);
    uint32_t until_verdict = lab_updates_step(apps);
    return until_poll < until_verdict ? until_poll : until_verdict;
}

/* ---- for natives */

void lab_apps_refuse(struct lab_apps *apps, const char *words) {
    wasm_runtime_set_exception(apps->current->instance, words);
}

/* Canonical ABI: cabi_realloc(old, old size, alignment, new size) -> address. */
uint32_t lab_api_allocate(struct lab_apps *apps, wasm_exec_env_t env, uint32_t size) {
    struct lab_app *app = apps->current;
    wasm_function_inst_t allocate = wasm_runtime_lookup_function(app->instance, "cabi_realloc");
    if (allocate == NULL) {
        lab_apps_refuse(apps, "the app exports no cabi_realloc for what it asked for");
        return 0;
    }
    if (apps->allocations_left == 0) {
        lab_apps_refuse(apps, "too many answers that need cabi_realloc in one call");
        return 0;
    }
    apps->allocations_left--;
    uint32_t values[4] = {0, 0, 1, size};
    limit(env, LAB_APP_ALLOCATION_BUDGET);
    if (!wasm_runtime_call_wasm(env, allocate, 4, values)) {
        return 0;
    }
    (void)count(app, LAB_APP_ALLOCATION_BUDGET);
    limit(env, lab_app_budget(app));
    return values[0];
}

/* ---- what apps say */

void lab_apps_log(struct lab_apps *apps, enum lab_log_level level, const char *text, size_t size) {
    apps->sink.log(apps->sink.context, apps->current->name, level, text, size);
}

void lab_apps_publish(struct lab_apps *apps, const char *topic, size_t topic_size, const uint8_t *payload,
                      size_t payload_size) {
    apps->sink.publish(apps->sink.context, apps->current->name, topic, topic_size, payload, payload_size);
}

/* ---- start */

const char *lab_apps_init(struct lab_apps *apps, const struct lab_port *port,
                          const struct lab_identity *identity, struct lab_world *world,
                          struct lab_apps_sink sink) {
    memset(apps, 0, sizeof *apps);
    apps->port = port;
    apps->identity = identity;
    apps->world = world;
    apps->sink = sink;
    RuntimeInitArgs arguments = {
        .mem_alloc_type = Alloc_With_Pool,
        .mem_alloc_option.pool = {.heap_buf = port->pool, .heap_size = (uint32_t)port->pool_size},
    };
    if (!wasm_runtime_full_init(&arguments)) {
        return "the WASM runtime does not start: the pool for apps is too small";
    }
    /* Neighbours in the table that belong to one interface are registered together. */
    for (size_t first = 0; first < LAB_API_NATIVE_COUNT;) {
        const char *module = lab_api_natives[first].module;
        size_t end = first;
        while (end < LAB_API_NATIVE_COUNT && strcmp(lab_api_natives[end].module, module) == 0) {
            apps->natives[end] = (NativeSymbol){
                lab_api_natives[end].name,
                lab_api_natives[end].function,
                lab_api_natives[end].signature,
                apps,
            };
            end++;
        }
        if (!wasm_runtime_register_natives(module, &apps->natives[first], (uint32_t)(end - first))) {
            return "the WASM runtime has no room for the imports of apps";
        }
        first = end;
    }
    lab_updates_restore(apps);
    return NULL;
}
