/* A module on its way into the device: looked into, loaded by WAMR, started, polled, called, commanded,
 * ended. */
#include <mbedtls/sha256.h>

#include "apps/apps.h"
#include "apps/inspect.h"
#include "flash.h"
#include "fuzz.h"

#define POOL         131072u
#define FLASH_SIZE   0x00100000u
#define FLASH_SECTOR 4096u

static uint64_t now;
static size_t heard; /* bytes that apps said, so that the sanitizer sees each read */

static uint64_t millis(const struct lab_port *port) {
    (void)port;
    return now;
}

static void on_log(void *context, const char *app, enum lab_log_level level, const char *text, size_t size) {
    (void)context;
    heard += strlen(app) + level;
    for (size_t i = 0; i < size; i++) {
        heard += (uint8_t)text[i];
    }
}

static void on_publish(void *context, const char *app, const char *topic, size_t topic_size,
                       const uint8_t *payload, size_t payload_size) {
    on_log(context, app, LAB_LOG_INFO, topic, topic_size);
    on_log(context, app, LAB_LOG_INFO, (const char *)payload, payload_size);
}

static void on_changed(void *context, const struct lab_app *app) {
    (void)context;
    heard += strlen(app->words);
}

static struct lab_apps apps;
static struct lab_world world;
static uint32_t free_at_start;

static void start(void) {
    static const struct lab_wiring wiring;
    static const struct lab_identity identity = {.development = true};
    static _Alignas(8) uint8_t pool[POOL];
    static uint8_t cells[FLASH_SIZE];
    static struct lab_boot boot;
    static struct lab_port port = {
        .millis = millis,
        .pool = pool,
        .pool_size = POOL,
        .boot = &boot,
        .wiring = &wiring,
        .flash_geometry = {.size = FLASH_SIZE, .sector = FLASH_SECTOR, .program = 1},
        .flash_read = flash_read,
        .flash_program = flash_program,
        .flash_erase = flash_erase,
    };
    flash.bytes = cells;
    static const struct lab_apps_sink sink = {NULL, on_log, on_publish, on_changed};
    lab_world_init(&world, &port);
    PROMISE(lab_apps_init(&apps, &port, &identity, &world, sink) == NULL);
    free_at_start = lab_apps_memory_free(&apps);
}

/* Every export, with as many arguments as it takes, up to the limit. */
static void call_everything(const wasm_module_t module) {
    char names[8][LAB_TOPIC_MAX];
    int32_t count = wasm_runtime_get_export_count(module);
    count = count < 8 ? count : 8;
    for (int32_t i = 0; i < count; i++) {
        wasm_export_t export;
        wasm_runtime_get_export_type(module, i, &export);
        snprintf(names[i], sizeof names[i], "%s", export.name);
    }
    static const struct lab_value arguments[LAB_ARGUMENTS_MAX] = {
        {.integer = 1}, {.integer = -1}, {.integer = 65536}};
    for (int32_t i = 0; i < count; i++) {
        for (size_t given = 0; given <= 3; given++) {
            struct lab_value results[LAB_RESULTS_MAX];
            size_t result_count = LAB_RESULTS_MAX;
            (void)lab_apps_call(&apps, "app", 3, names[i], strlen(names[i]), arguments, given, results,
                                &result_count);
            PROMISE(result_count <= LAB_RESULTS_MAX);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static bool started;
    if (!started) {
        started = true;
        start();
    }
    uint8_t digest[LAB_DIGEST_SIZE];
    uint32_t offset;
    PROMISE(mbedtls_sha256(data, size, digest, 0) == 0);
    const struct lab_deployment deployment = {{(const uint8_t *)"app", 3}, (uint32_t)size, digest, {0}};
    if (lab_apps_begin(&apps, &deployment, &offset) != LAB_DONE) {
        return -1;
    }
    PROMISE(lab_apps_chunk(&apps, 0, data, size, &offset) == LAB_DONE && offset == size);

    PROMISE(lab_apps_chunk(&apps, offset, digest, 1, &offset) != LAB_DONE);

    char words[LAB_WORDS_MAX + 1] = "";
    struct lab_manifest manifest;
    enum lab_result looked = lab_module_inspect(data, size, &manifest, words, sizeof words);
    PROMISE((looked == LAB_DONE) == (words[0] == '\0'));
    enum lab_result result = lab_apps_end(&apps);
    PROMISE(looked == LAB_DONE || result == looked);
    PROMISE(memchr(apps.words, '\0', sizeof apps.words) != NULL);
    if (result == LAB_DONE) {
        now += apps.apps[0].interval;
        (void)lab_apps_step(&apps);
        call_everything(apps.apps[0].module);
        uint8_t answer[LAB_COMMAND_MAX];
        size_t answered = sizeof answer;
        (void)lab_apps_command(&apps, "app", 3, (const uint8_t *)"fuzz", 4, answer, &answered);
        PROMISE(answered <= sizeof answer);
    }
    (void)lab_apps_stop(&apps, "app", 3);
    /* What an app held is given back, whatever became of it. */
    PROMISE(lab_apps_memory_free(&apps) == free_at_start);
    return 0;
}
