/* The app runtime behind a prompt, for tests/unit/test_firmware_{apps,updates}.py: one command a line on
 * stdin.
 *
 *     provision [PUBLISHER]...      development 0|1                   connected 0|1
 *     begin NAME SIZE DIGEST [ENVELOPE]   chunk OFFSET FILE FROM SIZE   end
 *     deploy NAME FILE [ENVELOPE]   stop NAME      remove NAME        call APP FUNCTION [iNUMBER |
 * fNUMBER]... step MS    free    list    reset    slots    worn SECTOR    written
 *
 * Keys and digests are hex, ENVELOPE is a file. Answers are lines: what apps said meanwhile (`log`, `event`,
 * `changed`), then `= CODE OFFSET WORDS`, after `value` lines for a call. The clock stands still but for
 * `step`. The flash is a model (flash.h) that `reset` keeps. The pool's size is the program's argument.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mbedtls/memory_buffer_alloc.h>
#include <psa/crypto.h>

#include "apps/apps.h"
#include "flash.h"
#include "slots.h"

#define FLASH_SIZE   0x00100000u
#define FLASH_SECTOR 4096u

static uint64_t now_ms;
static struct lab_apps apps;
static struct lab_world world;
static struct lab_boot boot;
static struct lab_port port;
static struct lab_identity identity = {
    .vendor = {(const uint8_t *)"lab", 3},
    .board_class = {(const uint8_t *)"bench", 5},
    .development = true,
};
static char module[1 << 20];
static uint8_t envelope[4096];

static uint64_t millis(const struct lab_port *self) {
    (void)self;
    return now_ms;
}

static void on_log(void *context, const char *app, enum lab_log_level level, const char *text, size_t size) {
    (void)context;
    printf("log %s %s ", app, lab_log_level_name(level));
    for (size_t i = 0; i < size; i++) {
        printf("%02x", (unsigned char)text[i]);
    }
    printf("\n");
}

static void on_publish(void *context, const char *app, const char *topic, size_t topic_size,
                       const uint8_t *payload, size_t payload_size) {
    (void)context;
    unsigned sum = 0; /* touches every byte, for the sanitizer */
    for (size_t i = 0; i < payload_size; i++) {
        sum += payload[i];
    }
    printf("event %s %.*s %zu %u\n", app, (int)topic_size, topic, payload_size, sum);
}

static void on_changed(void *context, const struct lab_app *app) {
    (void)context;
    printf("changed %s %s %s\n", app->name, lab_app_state_name(app->state), app->words);
}

static void feed(const struct lab_port *self) {
    (void)self;
}

static size_t read_whole(const char *name, void *bytes, size_t room) {
    FILE *file = fopen(name, "rb");
    if (file == NULL) {
        perror(name);
        exit(2);
    }
    size_t size = fread(bytes, 1, room, file);
    fclose(file);
    return size;
}

static size_t read_file(const char *name) {
    return read_whole(name, module, sizeof module);
}

/* An exact copy, so that the sanitizer sees a read past its end. */
static uint8_t *copy_of(const void *bytes, size_t size) {
    uint8_t *copy = malloc(size > 0 ? size : 1);
    if (copy == NULL) {
        exit(2);
    }
    memcpy(copy, bytes, size);
    return copy;
}

/* Of the package in that file; none if there is no name. */
static enum lab_result begin_with(const char *name, uint32_t size, const uint8_t *digest, const char *file,
                                  uint32_t *offset) {
    size_t envelope_size = file != NULL ? read_whole(file, envelope, sizeof envelope) : 0;
    uint8_t *copy = copy_of(envelope, envelope_size);
    struct lab_deployment deployment = {
        {(const uint8_t *)name, strlen(name)}, size, digest, {copy, envelope_size}};
    enum lab_result result = lab_apps_begin(&apps, &deployment, offset);
    free(copy);
    return result;
}

static void answer(enum lab_result result, uint32_t offset) {
    printf("= %d %u %s\n", result, (unsigned)offset, apps.words);
}

static void deploy(const char *name, const char *file, const char *package) {
    uint32_t size = (uint32_t)read_file(file);
    uint8_t digest[LAB_DIGEST_SIZE];
    uint32_t offset;
    if (mbedtls_sha256((const uint8_t *)module, size, digest, 0) != 0) {
        exit(2);
    }
    enum lab_result result = begin_with(name, size, digest, package, &offset);
    if (result == LAB_DONE && offset < size) {
        uint8_t *bytes = copy_of(module + offset, size - offset);
        result = lab_apps_chunk(&apps, offset, bytes, size - offset, &offset);
        free(bytes);
    }
    if (result == LAB_DONE) {
        result = lab_apps_end(&apps);
    }
    answer(result, offset);
}

static void call(char *app, char *function) {
    struct lab_value arguments[LAB_ARGUMENTS_MAX];
    struct lab_value results[LAB_RESULTS_MAX];
    size_t count = 0;
    size_t result_count = LAB_RESULTS_MAX;
    for (char *word; (word = strtok(NULL, " \n")) != NULL && count < LAB_ARGUMENTS_MAX; count++) {
        arguments[count] = (struct lab_value){
            .is_float = word[0] == 'f',
            .integer = strtoll(word + 1, NULL, 10),
            .number = strtod(word + 1, NULL),
        };
    }
    enum lab_result result = lab_apps_call(&apps, app, strlen(app), function, strlen(function), arguments,
                                           count, results, &result_count);
    for (size_t i = 0; i < result_count; i++) {
        if (results[i].is_float) {
            printf("value %.17g\n", results[i].number);
        } else {
            printf("value %" PRId64 "\n", results[i].integer);
        }
    }
    answer(result, 0);
}

static char *word(void) {
    char *next = strtok(NULL, " \n");
    if (next == NULL) {
        fputs("a word is missing\n", stderr);
        exit(2);
    }
    return next;
}

static uint32_t number(void) {
    return (uint32_t)strtoul(word(), NULL, 10);
}

static void from_hex(const char *hex, uint8_t *bytes, size_t size) {
    for (size_t i = 0; i < size; i++) {
        char pair[3] = {hex[2 * i], hex[2 * i + 1], 0};
        bytes[i] = (uint8_t)strtoul(pair, NULL, 16);
    }
}

static void begin(void) {
    char *name = word();
    uint32_t size = number();
    uint8_t digest[LAB_DIGEST_SIZE];
    from_hex(word(), digest, sizeof digest);
    uint32_t offset;
    enum lab_result result = begin_with(name, size, digest, strtok(NULL, " \n"), &offset);
    answer(result, offset);
}

static void provision(void) {
    static uint8_t keys[LAB_PUBLISHERS_MAX][65];
    char *hex;
    identity.publisher_count = 0;
    while ((hex = strtok(NULL, " \n")) != NULL && identity.publisher_count < LAB_PUBLISHERS_MAX) {
        uint8_t *key = keys[identity.publisher_count];
        from_hex(hex, key, sizeof keys[0]);
        identity.publishers[identity.publisher_count++] = (struct lab_span){key, sizeof keys[0]};
    }
}

static void chunk(void) {
    uint32_t at = number();
    read_file(word());
    uint32_t from = number();
    uint32_t size = number();
    uint32_t offset;
    enum lab_result result = lab_apps_chunk(&apps, at, (const uint8_t *)module + from, size, &offset);
    answer(result, offset);
}

static void list(void) {
    for (size_t i = 0; i < LAB_APPS_MAX; i++) {
        const struct lab_app *app = &apps.apps[i];
        if (app->name[0] != '\0') {
            printf("app %s %s %u %u %s\n", app->name, lab_app_state_name(app->state), (unsigned)app->size,
                   (unsigned)app->memory, app->words);
            printf("has %s %u %s %02x%02x %02x%02x\n", app->name, (unsigned)app->sequence, app->version,
                   app->digest[0], app->digest[1], app->rejected ? app->rejected_digest[0] : 0,
                   app->rejected ? app->rejected_digest[1] : 0);
        }
    }
}

static void start(void) {
    static const struct lab_wiring wiring;
    struct lab_apps_sink sink = {NULL, on_log, on_publish, on_changed};
    lab_boot_start(&boot, LAB_BOOT_UNKNOWN);
    port.wiring = &wiring;
    port.boot = &boot;
    lab_world_init(&world, &port);
    const char *problem = lab_apps_init(&apps, &port, &identity, &world, sink);
    if (problem != NULL) {
        fprintf(stderr, "%s\n", problem);
        exit(1);
    }
    apps.connected = true;
}

int main(int argc, char **argv) {
    static char line[2048];
    static uint8_t heap[32768];
    size_t pool = argc > 1 ? strtoul(argv[1], NULL, 10) : 131072;
    port = (struct lab_port){
        .millis = millis,
        .feed = feed,
        .pool = aligned_alloc(8, pool),
        .pool_size = pool,
        .flash_geometry = {.size = FLASH_SIZE, .sector = FLASH_SECTOR, .program = 1},
        .flash_read = flash_read,
        .flash_program = flash_program,
        .flash_erase = flash_erase,
    };
    flash.bytes = malloc(FLASH_SIZE);
    if (port.pool == NULL || flash.bytes == NULL) {
        return 2;
    }
    memset(flash.bytes, 0, FLASH_SIZE); /* nothing says that new flash is blank */
    mbedtls_memory_buffer_alloc_init(heap, sizeof heap);
    if (psa_crypto_init() != PSA_SUCCESS) {
        return 2;
    }
    start();
    setvbuf(stdout, NULL, _IOLBF, 0);
    while (fgets(line, sizeof line, stdin) != NULL) {
        char *command = strtok(line, " \n");
        if (command == NULL) {
            continue;
        }
        apps.words[0] = '\0';
        if (strcmp(command, "begin") == 0) {
            begin();
        } else if (strcmp(command, "chunk") == 0) {
            chunk();
        } else if (strcmp(command, "end") == 0) {
            answer(lab_apps_end(&apps), 0);
        } else if (strcmp(command, "deploy") == 0) {
            char *name = word();
            char *file = word();
            deploy(name, file, strtok(NULL, " \n"));
        } else if (strcmp(command, "stop") == 0) {
            char *name = word();
            answer(lab_apps_stop(&apps, name, strlen(name)), 0);
        } else if (strcmp(command, "remove") == 0) {
            char *name = word();
            answer(lab_apps_remove(&apps, name, strlen(name)), 0);
        } else if (strcmp(command, "provision") == 0) {
            provision();
            answer(LAB_DONE, (uint32_t)identity.publisher_count);
        } else if (strcmp(command, "development") == 0) {
            identity.development = number() != 0;
            answer(LAB_DONE, 0);
        } else if (strcmp(command, "connected") == 0) {
            apps.connected = number() != 0;
            answer(LAB_DONE, 0);
        } else if (strcmp(command, "reset") == 0) {
            wasm_runtime_destroy();
            start();
            answer(LAB_DONE, 0);
        } else if (strcmp(command, "slots") == 0) {
            answer(LAB_DONE, slots_taken(&apps));
        } else if (strcmp(command, "worn") == 0) {
            flash.worn[number() % FLASH_SECTORS_MAX] = true;
            answer(LAB_DONE, 0);
        } else if (strcmp(command, "written") == 0) {
            answer(LAB_DONE, (uint32_t)flash.programmed);
        } else if (strcmp(command, "call") == 0) {
            char *app = word();
            call(app, word());
        } else if (strcmp(command, "step") == 0) {
            now_ms += number();
            uint32_t wait;
            while ((wait = lab_apps_step(&apps)) == 0) {
            }
            answer(LAB_DONE, wait);
        } else if (strcmp(command, "free") == 0) {
            answer(LAB_DONE, lab_apps_memory_free(&apps));
        } else if (strcmp(command, "list") == 0) {
            list();
            answer(LAB_DONE, 0);
        } else {
            fprintf(stderr, "unknown command %s\n", command);
            return 2;
        }
    }
    wasm_runtime_destroy();
    free(port.pool);
    free(flash.bytes);
    return 0;
}
