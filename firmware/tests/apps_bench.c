/* The app runtime behind a prompt, for tests/unit/test_firmware_apps.py: one command a line on stdin.
 *
 *     begin NAME SIZE DIGEST        chunk OFFSET FILE FROM SIZE       end
 *     deploy NAME FILE              stop NAME                         call APP FUNCTION [iNUMBER |
 * fNUMBER]... step MS                       free                              list
 *
 * Answers are lines: what apps said meanwhile (`log`, `event`, `changed`), then `= CODE OFFSET WORDS`, after
 * `value` lines for a call. The clock stands still but for `step`. The pool's size is the program's argument.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apps/apps.h"

static uint64_t now_ms;
static struct lab_apps apps;
static char module[1 << 20];

static uint64_t millis(const struct lab_port *port) {
    (void)port;
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

static size_t read_file(const char *name) {
    FILE *file = fopen(name, "rb");
    if (file == NULL) {
        perror(name);
        exit(2);
    }
    size_t size = fread(module, 1, sizeof module, file);
    fclose(file);
    return size;
}

static void answer(enum lab_result result, uint32_t offset) {
    printf("= %d %u %s\n", result, (unsigned)offset, apps.words);
}

static void deploy(const char *name, const char *file) {
    uint32_t size = (uint32_t)read_file(file);
    uint8_t digest[LAB_DIGEST_SIZE];
    uint32_t offset;
    if (mbedtls_sha256((const uint8_t *)module, size, digest, 0) != 0) {
        exit(2);
    }
    enum lab_result result = lab_apps_begin(
        &apps, &(struct lab_deployment){{(const uint8_t *)name, strlen(name)}, size, digest, {0}}, &offset);
    if (result == LAB_DONE) {
        /* An exact copy, so that the sanitizer sees a read past its end. */
        uint8_t *bytes = malloc(size > 0 ? size : 1);
        if (bytes == NULL) {
            exit(2);
        }
        memcpy(bytes, module, size);
        result = lab_apps_chunk(&apps, 0, bytes, size, &offset);
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

static void begin(void) {
    char *name = word();
    uint32_t size = number();
    char *hex = word();
    uint8_t digest[LAB_DIGEST_SIZE];
    for (size_t i = 0; i < sizeof digest; i++) {
        char pair[3] = {hex[2 * i], hex[2 * i + 1], 0};
        digest[i] = (uint8_t)strtoul(pair, NULL, 16);
    }
    uint32_t offset;
    enum lab_result result = lab_apps_begin(
        &apps, &(struct lab_deployment){{(const uint8_t *)name, strlen(name)}, size, digest, {0}}, &offset);
    answer(result, offset);
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
        }
    }
}

int main(int argc, char **argv) {
    static char line[512];
    size_t pool = argc > 1 ? strtoul(argv[1], NULL, 10) : 131072;
    struct lab_port port = {.millis = millis, .pool = aligned_alloc(8, pool), .pool_size = pool};
    struct lab_apps_sink sink = {NULL, on_log, on_publish, on_changed};
    static const struct lab_wiring wiring;
    static struct lab_world world;
    static const struct lab_identity identity = {.development = true};
    port.wiring = &wiring;
    lab_world_init(&world, &port);
    const char *problem = lab_apps_init(&apps, &port, &identity, &world, sink);
    if (problem != NULL) {
        fprintf(stderr, "%s\n", problem);
        return 1;
    }
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
            deploy(name, word());
        } else if (strcmp(command, "stop") == 0) {
            char *name = word();
            answer(lab_apps_stop(&apps, name, strlen(name)), 0);
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
    return 0;
}
