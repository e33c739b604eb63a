/* Cuts the power at every program and erase of an update, a confirm, a rollback, a remove and more, in each
 * of the ways of flash.h, starts again, and requires: what was confirmed runs, old or new; what did not pass
 * its trial does not; the next update succeeds; neither slots nor memory are lost.
 *
 *     power_cut FOLDER 0|1    with NAME.wasm and NAME.cose for each of `packages`, and the publisher's
 * public.key
 *
 * Each life of the device is a process of its own that shares the flash with the next. After MCUboot's
 * simulator (boot/bootutil's sim/), which does this to a boot loader.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <mbedtls/memory_buffer_alloc.h>
#include <mbedtls/sha256.h>
#include <psa/crypto.h>

#include "apps/apps.h"
#include "flash.h"
#include "slots.h"

#define FLASH_SIZE 0x00040000u
#define POOL_SIZE  65536u
#define CHUNK      3584u
#define POLL_MS    100u

enum { EXIT_FINE = 0, EXIT_WRONG = 1, EXIT_CUT = 42 };

/* ---- what is deployed: each exports `version`, which returns its place in this list */

enum which { NONE, V1, V2, V3, V4, BAD, OTHER, PACKAGES };

static const char *const names[PACKAGES] = {"", "v1", "v2", "v3", "v4", "bad", "other"};

static struct {
    uint8_t module[32768], envelope[LAB_ENVELOPE_MAX], digest[LAB_DIGEST_SIZE];
    size_t size, envelope_size;
} packages[PACKAGES];

static size_t read_file(const char *folder, const char *name, const char *suffix, uint8_t *bytes,
                        size_t room) {
    char path[512];
    snprintf(path, sizeof path, "%s/%s.%s", folder, name, suffix);
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        perror(path);
        exit(2);
    }
    size_t size = fread(bytes, 1, room, file);
    fclose(file);
    return size;
}

/* ---- the device */

static uint64_t now_ms;
static struct lab_apps apps;
static struct lab_boot boot;
static uint8_t publisher[65];
static const struct lab_identity identity = {
    .publishers = {{publisher, sizeof publisher}},
    .publisher_count = 1,
    .vendor = {(const uint8_t *)"lab", 3},
    .board_class = {(const uint8_t *)"test", 4},
};
static _Alignas(8) uint8_t pool[POOL_SIZE];
static struct lab_port port;

static uint64_t millis(const struct lab_port *self) {
    (void)self;
    return now_ms;
}

static void feed(const struct lab_port *self) {
    (void)self;
}

static void on_log(void *context, const char *app, enum lab_log_level level, const char *text, size_t size) {
    (void)context, (void)app, (void)level, (void)text, (void)size;
}

static void on_publish(void *context, const char *app, const char *topic, size_t topic_size,
                       const uint8_t *payload, size_t size) {
    (void)context, (void)app, (void)topic, (void)topic_size, (void)payload, (void)size;
}

static void on_changed(void *context, const struct lab_app *app) {
    (void)context, (void)app;
}

static void power_cut(void) {
    _exit(EXIT_CUT);
}

#define REQUIRE(condition)                                                                                   \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            fprintf(stderr, "power_cut.c:%d: not true: %s (the device says: %s)\n", __LINE__, #condition,    \
                    apps.words);                                                                             \
            _exit(EXIT_WRONG);                                                                               \
        }                                                                                                    \
    } while (0)

static void start(void) {
    static struct lab_world world;
    static uint8_t heap[32768];
    static const struct lab_wiring wiring;
    const struct lab_apps_sink sink = {NULL, on_log, on_publish, on_changed};
    mbedtls_memory_buffer_alloc_init(heap, sizeof heap);
    REQUIRE(psa_crypto_init() == PSA_SUCCESS);
    lab_boot_start(&boot, LAB_BOOT_UNKNOWN);
    port.boot = &boot;
    port.wiring = &wiring;
    lab_world_init(&world, &port);
    REQUIRE(lab_apps_init(&apps, &port, &identity, &world, sink) == NULL);
    apps.connected = true;
}

static const char *app_of(enum which which) {
    return which == OTHER ? "other" : "app";
}

static enum lab_result begin(enum which which, uint32_t *offset) {
    const char *name = app_of(which);
    const struct lab_deployment deployment = {
        {(const uint8_t *)name, strlen(name)},
        (uint32_t)packages[which].size,
        packages[which].digest,
        {packages[which].envelope, packages[which].envelope_size},
    };
    return lab_apps_begin(&apps, &deployment, offset);
}

/* Chunks up to `end`; the device says where to go on. */
static enum lab_result send(enum which which, uint32_t offset, uint32_t end) {
    enum lab_result result = LAB_DONE;
    while (result == LAB_DONE && offset < end) {
        uint32_t size = end - offset < CHUNK ? end - offset : CHUNK;
        result = lab_apps_chunk(&apps, offset, packages[which].module + offset, size, &offset);
    }
    return result;
}

static enum lab_result deploy(enum which which) {
    uint32_t offset;
    enum lab_result result = begin(which, &offset);
    if (result == LAB_DONE) {
        result = send(which, offset, (uint32_t)packages[which].size);
    }
    return result == LAB_DONE ? lab_apps_end(&apps) : result;
}

static struct lab_app *find(const char *name) {
    for (size_t i = 0; i < LAB_APPS_MAX; i++) {
        if (strcmp(apps.apps[i].name, name) == 0) {
            return &apps.apps[i];
        }
    }
    return NULL;
}

/* Lets a trial come to its end. */
static void judge(void) {
    for (unsigned i = 0; i < 50; i++) {
        now_ms += POLL_MS;
        while (lab_apps_step(&apps) == 0) {
        }
    }
}

/* What runs under a name. */
static enum which version(const char *name) {
    struct lab_value result;
    size_t count = 1;
    return lab_apps_call(&apps, name, strlen(name), "version", 7, NULL, 0, &result, &count) == LAB_DONE
               ? (enum which)result.integer
               : NONE;
}

static void install(enum which which) {
    REQUIRE(deploy(which) == LAB_DONE);
    judge();
    REQUIRE(version(app_of(which)) == which && find(app_of(which))->state == LAB_APP_RUNNING);
}

/* ---- what happens to it: `prepare` without cuts, `act` with a cut at every operation */

static void prepare_nothing(void) {
}

static void prepare_v1(void) {
    install(V1);
}

static void act_install(void) {
    install(V1);
}

static void act_update(void) {
    install(V2);
}

/* So many records that the log moves to its other copy during the update. */
static void prepare_full_log(void) {
    install(V1);
    while (apps.slots.log.end + 100 < apps.slots.log.size) {
        REQUIRE(lab_apps_stop(&apps, "app", 3) == LAB_DONE);
        REQUIRE(deploy(V1) == LAB_DONE);
    }
}

/* All slots but the confirmed ones have a sector that does not keep what is programmed, but for the last two.
 */
static void prepare_worn(void) {
    install(V1);
}

static void wear(void) {
    const uint32_t per_slot = apps.slots.size / port.flash_geometry.sector;
    const uint32_t first = 2 * apps.slots.log.size / port.flash_geometry.sector;
    for (uint32_t slot = 0; slot + 2 < apps.slots.count; slot++) {
        if (slot != find("app")->slot && slot != find("other")->slot) {
            flash.worn[first + slot * per_slot + slot % 3] = true;
        }
    }
}

static void act_update_worn(void) {
    wear();
    install(V2);
}

static void act_roll_back(void) {
    REQUIRE(deploy(BAD) == LAB_DONE);
    judge();
    REQUIRE(version("app") == V1 && find("app")->rejected);
}

static void prepare_trial(void) {
    install(V1);
    REQUIRE(deploy(V2) == LAB_DONE);
    REQUIRE(find("app")->state == LAB_APP_TRIAL);
}

/* The start alone, which finds a trial that a reset has ended. */
static void act_start(void) {
    REQUIRE(version("app") == V1 && find("app")->rejected);
}

static void prepare_two_on_trial(void) {
    install(V1);
}

static void act_replace_trial(void) {
    REQUIRE(deploy(V2) == LAB_DONE);
    install(V3);
}

static void prepare_half(void) {
    uint32_t offset;
    install(V1);
    REQUIRE(begin(V2, &offset) == LAB_DONE && offset == 0);
    REQUIRE(send(V2, 0, 2 * CHUNK) == LAB_DONE);
}

static void act_resume(void) {
    uint32_t offset;
    REQUIRE(begin(V2, &offset) == LAB_DONE);
    install(V2);
}

static void act_other_instead(void) {
    install(V3);
}

static void act_stop(void) {
    REQUIRE(lab_apps_stop(&apps, "app", 3) == LAB_DONE);
}

static void prepare_stopped(void) {
    install(V1);
    REQUIRE(lab_apps_stop(&apps, "app", 3) == LAB_DONE);
}

static void act_start_again(void) {
    REQUIRE(deploy(V1) == LAB_DONE);
    REQUIRE(version("app") == V1);
}

static void act_remove(void) {
    REQUIRE(lab_apps_remove(&apps, "app", 3) == LAB_DONE);
}

#define MAY(which) (1u << (which))

static const struct scenario {
    const char *name;
    void (*prepare)(void);
    void (*act)(void);
    unsigned may;     /* run after a cut: a bit per version */
    unsigned must;    /* likewise when nothing was cut */
    enum which again; /* what the gateway would send once more after a cut */
} scenarios[] = {
    {"install", prepare_nothing, act_install, MAY(NONE) | MAY(V1), MAY(V1), V1},
    {"update", prepare_v1, act_update, MAY(V1) | MAY(V2), MAY(V2), V2},
    {"update that moves the log", prepare_full_log, act_update, MAY(V1) | MAY(V2), MAY(V2), V2},
    {"update with worn slots", prepare_worn, act_update_worn, MAY(V1) | MAY(V2), MAY(V2), V2},
    {"rollback on a trap", prepare_v1, act_roll_back, MAY(V1), MAY(V1), NONE},
    {"rollback after a reset", prepare_trial, act_start, MAY(V1), MAY(V1), V2},
    {"update of what is on trial", prepare_two_on_trial, act_replace_trial, MAY(V1) | MAY(V3), MAY(V3), V3},
    {"resumed transfer", prepare_half, act_resume, MAY(V1) | MAY(V2), MAY(V2), V2},
    {"transfer that gives way", prepare_half, act_other_instead, MAY(V1) | MAY(V3), MAY(V3), V3},
    {"stop", prepare_v1, act_stop, MAY(NONE) | MAY(V1), MAY(NONE), NONE},
    {"start again", prepare_stopped, act_start_again, MAY(NONE) | MAY(V1), MAY(V1), V1},
    {"remove", prepare_v1, act_remove, MAY(NONE) | MAY(V1), MAY(NONE), NONE},
};

/* ---- lives */

static uint32_t *free_at_end; /* of the pool, with what check() leaves on the device; shared */

static unsigned records(void) {
    unsigned count = 0;
    for (unsigned id = LAB_LOG_FIRST; id < LAB_LOG_IDS; id++) {
        count += apps.slots.log.at[id] != 0;
    }
    return count;
}

/* The life after the cut. `again`: the gateway sends once more what was cut short, which goes on where it
 * was. */
static void check(unsigned may, enum which again) {
    start();
    enum which runs = version("app");
    REQUIRE(may & MAY(runs));
    REQUIRE(version("other") == OTHER);
    /* What it has confirmed it remembers, also when it is gone. */
    struct lab_app *app = find("app");
    uint32_t offset;
    if (runs > V1) {
        REQUIRE(begin(V1, &offset) == LAB_OLD_SEQUENCE);
    }
    if (app == NULL && records() == 2) {
        REQUIRE(begin(V1, &offset) == LAB_OLD_SEQUENCE);
    }
    if (again != NONE && runs != again) {
        install(again);
    }
    install(V4);
    REQUIRE(slots_taken(&apps) == 2 && records() == 2 && version("other") == OTHER);
    if (*free_at_end == 0) {
        *free_at_end = lab_apps_memory_free(&apps);
    }
    REQUIRE(lab_apps_memory_free(&apps) == *free_at_end);
}

static int life(void (*body)(void), unsigned may, enum which again) {
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        if (body != NULL) {
            start();
            body();
        } else {
            check(may, again);
        }
        _exit(EXIT_FINE);
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status)) {
        return EXIT_WRONG;
    }
    return WEXITSTATUS(status);
}

static void prepare_other(void) {
    install(OTHER);
}

static void *shared(size_t size) {
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        perror("mmap");
        exit(2);
    }
    return memory;
}

static unsigned long cut_everywhere(const struct scenario *scenario) {
    static uint8_t before[FLASH_SIZE];
    memset(flash.bytes, 0, FLASH_SIZE); /* nothing says that new flash is blank */
    flash.cut_at = 0;
    if (life(prepare_other, 0, NONE) != EXIT_FINE || life(scenario->prepare, 0, NONE) != EXIT_FINE) {
        fprintf(stderr, "%s: could not be prepared\n", scenario->name);
        exit(1);
    }
    memcpy(before, flash.bytes, FLASH_SIZE);
    unsigned long cuts = 0;
    for (flash.cut_at = 1;; flash.cut_at++) {
        for (flash.cut = 0; flash.cut < CUT_KINDS; flash.cut++) {
            memcpy(flash.bytes, before, FLASH_SIZE);
            int end = life(scenario->act, 0, NONE);
            uint32_t at = flash.cut_at;
            flash.cut_at = 0;
            enum which again = flash.cut % 2 == 0 ? scenario->again : NONE;
            int after = end == EXIT_WRONG
                            ? EXIT_WRONG
                            : life(NULL, end == EXIT_CUT ? scenario->may : scenario->must, again);
            if (after != EXIT_FINE) {
                fprintf(stderr, "%s: power cut at operation %u, kind %d\n", scenario->name, (unsigned)at,
                        (int)flash.cut);
                exit(1);
            }
            flash.cut_at = at;
            if (end == EXIT_FINE) {
                return cuts;
            }
            cuts++;
        }
    }
}

int main(int argc, char **argv) {
    static const struct lab_flash_geometry geometries[] = {
        {.size = FLASH_SIZE, .sector = 4096, .program = 1},
        {.size = FLASH_SIZE, .sector = 2048, .program = 32},
    };
    const unsigned kind = argc == 3 ? (unsigned)atoi(argv[2]) : UINT32_MAX;
    if (kind >= sizeof geometries / sizeof *geometries) {
        return 2;
    }
    for (enum which which = V1; which < PACKAGES; which++) {
        packages[which].size =
            read_file(argv[1], names[which], "wasm", packages[which].module, sizeof packages[which].module);
        packages[which].envelope_size = read_file(argv[1], names[which], "cose", packages[which].envelope,
                                                  sizeof packages[which].envelope);
        if (mbedtls_sha256(packages[which].module, packages[which].size, packages[which].digest, 0) != 0) {
            return 2;
        }
    }
    (void)read_file(argv[1], "public", "key", publisher, sizeof publisher);
    flash.bytes = shared(FLASH_SIZE);
    flash.power_cut = power_cut;
    free_at_end = shared(sizeof *free_at_end);
    port = (struct lab_port){
        .millis = millis,
        .feed = feed,
        .pool = pool,
        .pool_size = sizeof pool,
        .flash_geometry = geometries[kind],
        .flash_read = flash_read,
        .flash_program = flash_program,
        .flash_erase = flash_erase,
    };
    unsigned long total = 0;
    for (size_t s = 0; s < sizeof scenarios / sizeof *scenarios; s++) {
        unsigned long cuts = cut_everywhere(&scenarios[s]);
        printf("sector %u, unit %u, %s: %lu cuts\n", (unsigned)port.flash_geometry.sector,
               (unsigned)port.flash_geometry.program, scenarios[s].name, cuts);
        total += cuts;
    }
    printf("%lu power cuts survived\n", total);
    return 0;
}
