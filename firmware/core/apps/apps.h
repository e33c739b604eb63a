/* The WASM apps of a device: up to LAB_APPS_MAX side by side in one pool of memory, run by WAMR, kept in
 * flash.
 *
 * One instance a process, since WAMR keeps its pool and its table of natives in statics. Nothing is allocated
 * outside the pool; what an app holds of it is all given back when it stops or fails.
 *
 * An app is a core module. It may export `_initialize` and `init` (called once, in this order; `init` returns
 * how often `poll` is wanted, in ms, 0 for never), `poll`, and whatever lab_apps_call() is to reach. Each
 * call into an app ends after LAB_APP_BUDGET instructions at the latest, sooner if its manifest says so. The
 * one call that natives make back into the app, of its `cabi_realloc`, has a small budget of its own, and
 * there can be LAB_APP_ALLOCATIONS of them in a call.
 */
#ifndef LAB_APPS_H
#define LAB_APPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <wasm_export.h>

#include "apps/contract.h"
#include "apps/manifest.h"
#include "apps/results.h"
#include "identity/identity.h"
#include "lab/port.h"
#include "package/package.h"
#include "store/slots.h"
#include "world/world.h"

/* As in wire.cddl. */
#define LAB_APPS_MAX      8u
#define LAB_DIGEST_SIZE   32u
#define LAB_TOPIC_MAX     64u
#define LAB_PAYLOAD_MAX   1024u
#define LAB_LOG_TEXT_MAX  512u
#define LAB_ARGUMENTS_MAX 8u
#define LAB_RESULTS_MAX   4u
#define LAB_COMMAND_MAX   256u

/* The trial of a module without a package. */
#define LAB_TRIAL_POLLS 3u
#define LAB_TRIAL_MS    10000u

/* How long a trial that has passed waits for the gateway after its time. */
#define LAB_TRIAL_GRACE_MS 30000u

/* Why an app failed, or a request was refused; the wire takes 200. */
#define LAB_WORDS_MAX 156u

/* WASM instructions a call may take. */
#ifndef LAB_APP_BUDGET
#define LAB_APP_BUDGET 10000000
#endif

#define LAB_APP_ALLOCATIONS       64u
#define LAB_APP_ALLOCATION_BUDGET 20000

/* WAMR's stack of one app: locals, operands and frames of nested calls. */
#ifndef LAB_APP_STACK
#define LAB_APP_STACK 4096u
#endif

enum lab_app_state {
    LAB_APP_RECEIVING = 0,
    LAB_APP_RUNNING = 1,
    LAB_APP_STOPPED = 2,
    LAB_APP_FAILED = 3,
    LAB_APP_TRIAL = 4,
};

enum lab_log_level { LAB_LOG_DEBUG = 0, LAB_LOG_INFO = 1, LAB_LOG_WARNING = 2, LAB_LOG_ERROR = 3 };

struct lab_app {
    char name[LAB_NAME_MAX + 1]; /* empty: this entry is free */
    enum lab_app_state state;
    uint8_t digest[LAB_DIGEST_SIZE];
    uint32_t size;                 /* of the module */
    uint32_t memory;               /* of the pool */
    char words[LAB_WORDS_MAX + 1]; /* why it failed; or why `rejected_digest` was given up */
    bool changed;                  /* since the owner last cleared this */
    bool called;                   /* likewise */
    uint32_t sequence;             /* of its package; 0: not signed */
    char version[LAB_APP_VERSION_MAX + 1];

    /* What flash knows of it (updates.c) */
    uint8_t record;   /* its id in the log; 0: none */
    uint8_t slot;     /* confirmed */
    uint8_t trial;    /* on trial */
    uint8_t incoming; /* being received */
    bool stopped;     /* somebody asked for it */
    bool rejected;    /* a version was given up, this one: */
    uint8_t rejected_digest[LAB_DIGEST_SIZE];
    uint32_t highest; /* sequence number that it has confirmed or had on trial */

    uint16_t polls;       /* passed while on trial */
    uint16_t trial_polls; /* wanted */
    uint32_t trial_ms;

    /* WASM instructions since it was loaded, as WAMR counts them against the budget */
    uint32_t peak;         /* of one call that returned */
    uint64_t instructions; /* of all of those, and of each `cabi_realloc` in them */

    uint64_t trial_until;

    struct lab_manifest manifest;
    uint8_t *bytes; /* the module; WAMR works in it, so it lives as long as `module` */
    wasm_module_t module;
    wasm_module_inst_t instance;
    wasm_exec_env_t env;
    wasm_function_inst_t poll;
    uint32_t interval; /* ms between polls, 0: none */
    uint64_t due;
};

/* A module on its way to a slot. What was running under its name goes on until the last byte is checked. */
struct lab_transfer {
    struct lab_app *app; /* NULL: none */
    bool held;           /* it is here already: nothing needs to come */
    uint32_t size;
    uint32_t received;
};

/* Where an app's words go. Texts are not terminated. */
struct lab_apps_sink {
    void *context;
    void (*log)(void *context, const char *app, enum lab_log_level level, const char *text, size_t size);
    void (*publish)(void *context, const char *app, const char *topic, size_t topic_size,
                    const uint8_t *payload, size_t payload_size);
    /* The app's state changed. */
    void (*changed)(void *context, const struct lab_app *app);
};

struct lab_value {
    bool is_float;
    int64_t integer;
    double number;
};

struct lab_apps {
    const struct lab_port *port;
    const struct lab_identity *identity;
    struct lab_apps_sink sink;
    struct lab_world *world;
    struct lab_slots slots;
    bool connected;            /* to the gateway; the owner's to set before each step */
    struct lab_app *current;   /* whose code runs */
    unsigned allocations_left; /* calls of cabi_realloc that the running call may still cause */
    struct lab_transfer transfer;
    char words[LAB_WORDS_MAX + 1]; /* about the last request; empty if there is nothing to say */
    struct lab_app apps[LAB_APPS_MAX];
    NativeSymbol natives[LAB_API_NATIVE_COUNT]; /* WAMR sorts them in place */
};

/* Starts the apps that flash holds; one that was on trial is given up. Returns NULL, or in words why apps
 * cannot run. */
const char *lab_apps_init(struct lab_apps *apps, const struct lab_port *port,
                          const struct lab_identity *identity, struct lab_world *world,
                          struct lab_apps_sink sink);

/* What a gateway says of a module that it is about to send. Nothing is terminated. */
struct lab_deployment {
    struct lab_span name;
    uint32_t size;
    const uint8_t *digest;
    struct lab_span envelope; /* of its package; empty: not signed */
};

/* Takes a module into flash: begin, chunks in order, end. `*offset` is the one expected next, also after an
 * error. A begin that repeats the transfer under way resumes it, also after a reset. */
enum lab_result lab_apps_begin(struct lab_apps *apps, const struct lab_deployment *deployment,
                               uint32_t *offset);
enum lab_result lab_apps_chunk(struct lab_apps *apps, uint32_t at, const uint8_t *bytes, size_t size,
                               uint32_t *offset);

/* Checks the digest, ends what ran under that name, starts the new module on trial. If it does not start,
 * what was there before runs again. */
enum lab_result lab_apps_end(struct lab_apps *apps);

/* Ends an app and frees its memory; it stays listed as stopped, and stopped, until it is deployed again. */
enum lab_result lab_apps_stop(struct lab_apps *apps, const char *name, size_t name_size);

/* Ends an app and frees its flash; its sequence number stays. */
enum lab_result lab_apps_remove(struct lab_apps *apps, const char *name, size_t name_size);

/* Calls an export. `*result_count` is the room in `results`, then how many there are. */
enum lab_result lab_apps_call(struct lab_apps *apps, const char *name, size_t name_size, const char *function,
                              size_t function_size, const struct lab_value *arguments, size_t argument_count,
                              struct lab_value *results, size_t *result_count);

/* Gives bytes to an app's `on-command`; `*answer_size` is the room in `answer`, then what it answered. */
enum lab_result lab_apps_command(struct lab_apps *apps, const char *name, size_t name_size,
                                 const uint8_t *bytes, size_t size, uint8_t *answer, size_t *answer_size);

/* Polls the app that has been due longest, and ends trials; returns the milliseconds until the next is,
 * UINT32_MAX for never.
 */
uint32_t lab_apps_step(struct lab_apps *apps);

uint32_t lab_apps_memory_free(const struct lab_apps *apps);

/* Bytes of the largest module taken. */
uint32_t lab_apps_module_max(const struct lab_apps *apps);

uint32_t lab_apps_running(const struct lab_apps *apps);

/* WASM instructions that one call of it may take. */
uint32_t lab_app_budget(const struct lab_app *app);

/* For lab_api_*: what the running app says, and to end it for what the contract does not allow. */
void lab_apps_refuse(struct lab_apps *apps, const char *words);
void lab_apps_log(struct lab_apps *apps, enum lab_log_level level, const char *text, size_t size);
void lab_apps_publish(struct lab_apps *apps, const char *topic, size_t topic_size, const uint8_t *payload,
                      size_t payload_size);

const char *lab_app_state_name(enum lab_app_state state);
const char *lab_log_level_name(enum lab_log_level level);

#endif
