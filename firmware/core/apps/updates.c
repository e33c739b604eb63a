/* How apps come in, prove themselves and stay: docs/protocol.md, section 5. */
#include <stdio.h>
#include <string.h>

#include <mbedtls/sha256.h>

#include "apps/internal.h"
#include "text.h"

/* ---- what the log keeps of an app */

#define FLAG_STOPPED  1u
#define FLAG_REJECTED 2u

/* Followed by the name, the rejected digest if there is one, and the words. */
struct record {
    uint8_t flags;
    uint8_t slot;
    uint8_t trial;
    uint8_t incoming;
    uint32_t highest;
    uint8_t name_size;
    uint8_t words_size;
    uint16_t zero;
};

#define RECORD_HEAD 12u

_Static_assert(sizeof(struct record) == RECORD_HEAD, "as it is in flash");
_Static_assert(RECORD_HEAD + LAB_NAME_MAX + LAB_DIGEST_SIZE + LAB_WORDS_MAX <= LAB_LOG_RECORD_MAX,
               "a record holds all there can be");

static bool valid_name(const char *name, size_t size) {
    if (size < 1 || size > LAB_NAME_MAX) {
        return false;
    }
    for (size_t i = 0; i < size; i++) {
        char c = name[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && c != '.' && c != '_' && c != '-') {
            return false;
        }
    }
    return true;
}

static bool holds_nothing(const struct lab_app *app) {
    return app->slot == LAB_SLOT_NONE && app->trial == LAB_SLOT_NONE && app->incoming == LAB_SLOT_NONE &&
           !app->rejected;
}

/* Writes down what is to survive of an app; of one that holds nothing, its sequence number. */
static bool persist(struct lab_apps *apps, struct lab_app *app) {
    uint8_t bytes[LAB_LOG_RECORD_MAX];
    struct record record = {
        .flags = (uint8_t)((app->stopped ? FLAG_STOPPED : 0) | (app->rejected ? FLAG_REJECTED : 0)),
        .slot = app->slot,
        .trial = app->trial,
        .incoming = app->incoming,
        .highest = app->highest,
        .name_size = (uint8_t)strlen(app->name),
        .words_size = (uint8_t)(app->rejected ? strlen(app->words) : 0),
    };
    size_t size = RECORD_HEAD;
    memcpy(bytes, &record, RECORD_HEAD);
    memcpy(bytes + size, app->name, record.name_size);
    size += record.name_size;
    if (app->rejected) {
        memcpy(bytes + size, app->rejected_digest, LAB_DIGEST_SIZE);
        size += LAB_DIGEST_SIZE;
    }
    memcpy(bytes + size, app->words, record.words_size);
    size += record.words_size;
    if (holds_nothing(app) && app->highest == 0) {
        size = 0;
    }
    return lab_log_write(&apps->slots.log, app->record, bytes, size);
}

/* Fills in what the log has under an id; false if that is no app. */
static bool recall(const struct lab_apps *apps, uint8_t id, struct lab_app *app) {
    uint8_t bytes[LAB_LOG_RECORD_MAX];
    struct record record;
    size_t size = lab_log_read(&apps->slots.log, id, bytes, sizeof bytes);
    if (size < RECORD_HEAD) {
        return false;
    }
    memcpy(&record, bytes, RECORD_HEAD);
    const bool rejected = record.flags & FLAG_REJECTED;
    const uint8_t *at = bytes + RECORD_HEAD;
    if (!valid_name((const char *)at, record.name_size) ||
        size != RECORD_HEAD + record.name_size + (rejected ? LAB_DIGEST_SIZE : 0) + record.words_size) {
        return false;
    }
    memset(app, 0, sizeof *app);
    app->record = id;
    app->slot = record.slot;
    app->trial = record.trial;
    app->incoming = record.incoming;
    app->stopped = record.flags & FLAG_STOPPED;
    app->rejected = rejected;
    app->highest = record.highest;
    memcpy(app->name, at, record.name_size);
    at += record.name_size;
    if (rejected) {
        memcpy(app->rejected_digest, at, LAB_DIGEST_SIZE);
        at += LAB_DIGEST_SIZE;
    }
    /* Other firmware may have kept longer ones. */
    memcpy(app->words, at, record.words_size < LAB_WORDS_MAX ? record.words_size : LAB_WORDS_MAX);
    return true;
}

/* Gives a new entry of the list its record: the one that remembers its sequence number, else a free one. */
static bool enroll(struct lab_apps *apps, struct lab_app *app, const char *name, size_t name_size) {
    uint8_t free = 0;
    uint32_t highest = 0;
    for (uint8_t id = LAB_LOG_FIRST; id < LAB_LOG_IDS; id++) {
        if (apps->slots.log.at[id] == 0) {
            free = free != 0 ? free : id;
        } else if (recall(apps, id, app) && strlen(app->name) == name_size &&
                   memcmp(app->name, name, name_size) == 0) {
            free = id;
            highest = app->highest;
            break;
        }
    }
    *app = (struct lab_app){
        .record = free,
        .highest = highest,
        .slot = LAB_SLOT_NONE,
        .trial = LAB_SLOT_NONE,
        .incoming = LAB_SLOT_NONE,
    };
    memcpy(app->name, name, name_size);
    return free != 0;
}

static uint32_t used(const struct lab_apps *apps) {
    uint32_t slots = 0;
    for (size_t i = 0; i < LAB_APPS_MAX; i++) {
        const struct lab_app *app = &apps->apps[i];
        if (app->name[0] != '\0') {
            const uint8_t held[] = {app->slot, app->trial, app->incoming};
            for (size_t j = 0; j < sizeof held; j++) {
                slots |= held[j] < LAB_SLOTS_MAX ? (uint32_t)1 << held[j] : 0;
            }
        }
    }
    return slots;
}

/* ---- from flash into the pool */

/* What the package in a slot says of the app. */
static enum lab_result take_package(struct lab_apps *apps, struct lab_app *app, uint8_t slot,
                                    const struct lab_slot_head *head) {
    app->sequence = 0;
    app->version[0] = '\0';
    app->trial_polls = LAB_TRIAL_POLLS;
    app->trial_ms = LAB_TRIAL_MS;
    if (head->envelope_size == 0) {
        return apps->identity->development
                   ? LAB_DONE
                   : lab_apps_say(apps, LAB_UNSIGNED,
                                  "not signed, and this is no development device any more");
    }
    uint8_t *envelope = wasm_runtime_malloc(head->envelope_size);
    if (envelope == NULL) {
        return lab_apps_say(apps, LAB_OUT_OF_MEMORY, "not enough memory to read its package");
    }
    struct lab_package package;
    enum lab_result result = LAB_IO_ERROR;
    if (lab_slots_envelope(&apps->slots, slot, head, envelope)) {
        result = lab_package_read(&package, envelope, head->envelope_size, apps->words, sizeof apps->words);
    } else {
        (void)lab_apps_say(apps, result, "its package cannot be read from flash");
    }
    if (result == LAB_DONE) {
        app->sequence = package.sequence;
        app->manifest = package.manifest;
        app->trial_polls = (uint16_t)package.trial_polls;
        app->trial_ms = package.trial_ms;
        app->version[lab_text_copy(app->version, LAB_APP_VERSION_MAX, package.version.bytes,
                                   package.version.size)] = '\0';
    }
    wasm_runtime_free(envelope);
    return result;
}

/* Makes the entry say what is in a slot. */
static void show(struct lab_apps *apps, struct lab_app *app, uint8_t slot) {
    struct lab_slot_head head;
    if (lab_slots_head(&apps->slots, slot, &head)) {
        memcpy(app->digest, head.digest, sizeof app->digest);
        app->size = head.size;
        (void)take_package(apps, app, slot, &head);
    }
}

static bool has_digest(const uint8_t *bytes, size_t size, const uint8_t *digest) {
    uint8_t own[LAB_DIGEST_SIZE];
    return mbedtls_sha256(bytes, size, own, 0) == 0 && memcmp(own, digest, sizeof own) == 0;
}

/* Loads and starts what is in a slot. */
static enum lab_result launch(struct lab_apps *apps, struct lab_app *app, uint8_t slot) {
    struct lab_slot_head head;
    if (!lab_slots_head(&apps->slots, slot, &head)) {
        return lab_apps_say(apps, LAB_IO_ERROR, "its slot in flash is damaged: deploy it again");
    }
    memcpy(app->digest, head.digest, sizeof app->digest);
    app->size = head.size;
    enum lab_result result = take_package(apps, app, slot, &head);
    if (result != LAB_DONE) {
        return result;
    }
    uint32_t before = lab_apps_memory_free(apps);
    app->bytes = wasm_runtime_malloc(head.size > 0 ? head.size : 1);
    if (app->bytes == NULL) {
        return lab_apps_say(apps, LAB_OUT_OF_MEMORY,
                            "a module of %u bytes: %u bytes are free, not all in one piece",
                            (unsigned)head.size, (unsigned)before);
    }
    if (!lab_slots_module(&apps->slots, slot, &head, 0, app->bytes, head.size) ||
        !has_digest(app->bytes, head.size, head.digest)) {
        return lab_apps_say(apps, LAB_IO_ERROR, "its module in flash is damaged: deploy it again");
    }
    result = lab_app_load(apps, app);
    app->memory = before - lab_apps_memory_free(apps);
    return result;
}

/* Starts the confirmed version, if there is one that is to run. The app's words stay, unless it does not
 * start. */
static enum lab_result start_confirmed(struct lab_apps *apps, struct lab_app *app) {
    enum lab_result result = LAB_DONE;
    if (app->stopped) {
        if (app->slot != LAB_SLOT_NONE) {
            show(apps, app, app->slot);
        }
        lab_app_set_state(apps, app, LAB_APP_STOPPED, app->words);
    } else if (app->slot == LAB_SLOT_NONE) {
        lab_app_set_state(apps, app, LAB_APP_FAILED, app->words);
    } else if ((result = launch(apps, app, app->slot)) == LAB_DONE) {
        lab_app_set_state(apps, app, LAB_APP_RUNNING, app->words);
    } else {
        lab_app_unload(apps, app);
        lab_app_set_state(apps, app, LAB_APP_FAILED, apps->words);
    }
    return result;
}

/* ---- trial */

/* Ends the trial without success: `words` says why. What was confirmed before runs again. */
static void give_up(struct lab_apps *apps, struct lab_app *app, const char *words) {
    lab_app_unload(apps, app);
    app->trial = LAB_SLOT_NONE;
    app->rejected = true;
    memcpy(app->rejected_digest, app->digest, LAB_DIGEST_SIZE);
    snprintf(app->words, sizeof app->words, "%s", words);
    /* If flash does not take this, the next start finds a trial that a reset has ended, and comes to the
     * same. */
    (void)persist(apps, app);
    (void)start_confirmed(apps, app);
}

static void confirm(struct lab_apps *apps, struct lab_app *app) {
    uint8_t before = app->slot;
    app->slot = app->trial;
    app->trial = LAB_SLOT_NONE;
    app->rejected = false;
    if (persist(apps, app)) {
        lab_app_set_state(apps, app, LAB_APP_RUNNING, "");
        return;
    }
    app->slot = before;
    give_up(apps, app, "it could not be confirmed: the flash takes no record any more");
}

/* Polls that have to pass: no more than fit into its time, none if it is not polled. */
static uint32_t polls_wanted(const struct lab_app *app) {
    uint32_t fit = app->interval > 0 ? app->trial_ms / app->interval : 0;
    return app->trial_polls < fit ? app->trial_polls : fit;
}

/* When there is something to decide about an app on trial next. */
static uint64_t judge(struct lab_apps *apps, struct lab_app *app) {
    uint64_t now = apps->port->millis(apps->port);
    uint32_t wanted = polls_wanted(app);
    bool passed = wanted > 0 ? app->polls >= wanted : now >= app->trial_until;
    if (passed && apps->connected) {
        confirm(apps, app);
        return now;
    }
    uint64_t limit = app->trial_until + (passed ? LAB_TRIAL_GRACE_MS : 0);
    if (now < limit) {
        return limit;
    }
    if (passed) {
        (void)lab_apps_say(apps, LAB_DONE, "the gateway was not heard for %u s after its trial",
                           (unsigned)(LAB_TRIAL_GRACE_MS / 1000));
        give_up(apps, app, apps->words);
    } else if (wanted > 0) {
        (void)lab_apps_say(apps, LAB_DONE, "only %u of %u polls in its trial of %u ms", (unsigned)app->polls,
                           (unsigned)wanted, (unsigned)app->trial_ms);
        give_up(apps, app, apps->words);
    }
    return now;
}

uint32_t lab_updates_step(struct lab_apps *apps) {
    uint64_t now = apps->port->millis(apps->port);
    uint32_t wait = UINT32_MAX;
    for (size_t i = 0; i < LAB_APPS_MAX; i++) {
        struct lab_app *app = &apps->apps[i];
        if (app->name[0] != '\0' && app->state == LAB_APP_TRIAL) {
            uint64_t due = judge(apps, app);
            uint32_t until = due <= now ? 0 : due - now < UINT32_MAX ? (uint32_t)(due - now) : UINT32_MAX;
            wait = until < wait ? until : wait;
        }
    }
    return wait;
}

void lab_app_fail(struct lab_apps *apps, struct lab_app *app) {
    if (app->state == LAB_APP_TRIAL) {
        give_up(apps, app, apps->words);
        /* The start after it has had words of its own. */
        memcpy(apps->words, app->words, sizeof apps->words);
        return;
    }
    lab_app_unload(apps, app);
    lab_app_set_state(apps, app, LAB_APP_FAILED, apps->words);
}

/* ---- receiving */

static void forget(struct lab_apps *apps, struct lab_app *app) {
    app->slot = app->trial = app->incoming = LAB_SLOT_NONE;
    app->rejected = app->stopped = false;
    (void)persist(apps, app); /* at worst it is listed again after a reset */
    app->name[0] = '\0';
}

/* Frees the slot of the transfer under way. */
static void abandon_transfer(struct lab_apps *apps) {
    struct lab_app *app = apps->transfer.app;
    bool held = apps->transfer.held;
    apps->transfer = (struct lab_transfer){0};
    if (app == NULL || held) {
        return;
    }
    apps->slots.open = LAB_SLOT_NONE;
    app->incoming = LAB_SLOT_NONE;
    if (app->state == LAB_APP_RECEIVING) {
        forget(apps, app);
    } else {
        (void)persist(apps, app);
    }
}

static struct lab_app *find_room(struct lab_apps *apps) {
    struct lab_app *room = NULL;
    for (size_t i = 0; i < LAB_APPS_MAX; i++) {
        struct lab_app *app = &apps->apps[i];
        if (app->name[0] == '\0') {
            return app;
        }
        if (room == NULL && (app->state == LAB_APP_STOPPED || app->state == LAB_APP_FAILED)) {
            room = app;
        }
    }
    if (room != NULL) {
        forget(apps, room);
    }
    return room;
}

/* What is wrong with a transfer that flash did not take. */
static enum lab_result flash_error(struct lab_apps *apps, enum lab_slot_status status) {
    if (status == LAB_SLOT_WORN) {
        return lab_apps_say(apps, LAB_FLASH_FULL, "a slot is worn out, and no other is free: remove an app");
    }
    return lab_apps_say(apps, LAB_IO_ERROR,
                        "the flash does not answer, or takes no record any more: it is worn out");
}

/* Whether a module may come in: what docs/protocol.md, section 5, has checked before a byte is stored, in its
 * order.
 */
static enum lab_result admit(struct lab_apps *apps, const struct lab_deployment *deployment,
                             struct lab_package *package) {
    const struct lab_span *envelope = &deployment->envelope;
    if (envelope->size == 0) {
        *package = (struct lab_package){0};
        if (apps->identity->development) {
            return LAB_DONE;
        }
        return lab_apps_say(apps, LAB_UNSIGNED,
                            "not signed: this is no development device, sign the app with lab sign");
    }
    char *words = apps->words;
    const size_t room = sizeof apps->words;
    enum lab_result result = lab_package_verify(apps->identity, envelope->bytes, envelope->size, words, room);
    if (result == LAB_DONE) {
        result = lab_package_read(package, envelope->bytes, envelope->size, words, room);
    }
    if (result == LAB_DONE &&
        (package->name.size != deployment->name.size || package->size != deployment->size ||
         memcmp(package->name.bytes, deployment->name.bytes, package->name.size) != 0 ||
         memcmp(package->digest, deployment->digest, LAB_DIGEST_SIZE) != 0)) {
        result =
            lab_apps_say(apps, LAB_BAD_ARGUMENTS, "the package is of another module: %.*s, %u bytes",
                         (int)package->name.size, (const char *)package->name.bytes, (unsigned)package->size);
    }
    if (result == LAB_DONE) {
        result = lab_package_suits(package, apps->identity, words, room);
    }
    lab_text_clean(words);
    return result;
}

/* Whether a slot of the app has this very package, from its first to its last byte. */
static bool has(const struct lab_app *app, const struct lab_deployment *deployment, uint32_t sequence) {
    return (app->slot != LAB_SLOT_NONE || app->trial != LAB_SLOT_NONE) && app->sequence == sequence &&
           memcmp(app->digest, deployment->digest, LAB_DIGEST_SIZE) == 0;
}

/* A version that was given up may be tried again; any other has to be newer than all that ran. */
static bool is_old(const struct lab_app *app, const struct lab_deployment *deployment, uint32_t sequence) {
    bool again = app->rejected && sequence == app->highest &&
                 memcmp(app->rejected_digest, deployment->digest, LAB_DIGEST_SIZE) == 0;
    return deployment->envelope.size > 0 && sequence <= app->highest && !again;
}

static enum lab_result refuse_old(struct lab_apps *apps, const struct lab_app *app, uint32_t sequence) {
    return lab_apps_say(apps, LAB_OLD_SEQUENCE, "sequence number %u is old: this device has had %u",
                        (unsigned)sequence, (unsigned)app->highest);
}

/* The app's entry in the list, a new one if there is none. */
static enum lab_result find_or_list(struct lab_apps *apps, const struct lab_deployment *deployment,
                                    uint32_t sequence, struct lab_app **found) {
    const char *name = (const char *)deployment->name.bytes;
    struct lab_app *app = lab_apps_find(apps, name, deployment->name.size);
    *found = app;
    if (app != NULL) {
        return LAB_DONE;
    }
    app = find_room(apps);
    if (app == NULL) {
        return lab_apps_say(apps, LAB_TOO_MANY_APPS,
                            "%u apps are on this device, and no more fit: stop or remove one first",
                            LAB_APPS_MAX);
    }
    enum lab_result result = LAB_DONE;
    if (!enroll(apps, app, name, deployment->name.size)) {
        result = lab_apps_say(apps, LAB_FLASH_FULL, "the flash has no room to remember another app's name");
    } else if (is_old(app, deployment, sequence)) {
        result = refuse_old(apps, app, sequence);
    }
    if (result != LAB_DONE) {
        app->name[0] = '\0';
        return result;
    }
    app->state = LAB_APP_RECEIVING;
    memcpy(app->digest, deployment->digest, LAB_DIGEST_SIZE);
    app->size = deployment->size;
    *found = app;
    return LAB_DONE;
}

/* Opens a slot for a module that comes from its start. */
static enum lab_result open_slot(struct lab_apps *apps, struct lab_app *app,
                                 const struct lab_deployment *deployment) {
    struct lab_slots *slots = &apps->slots;
    app->incoming = LAB_SLOT_NONE;
    slots->used = used(apps);
    uint8_t slot = lab_slots_pick(slots);
    if (slot == LAB_SLOT_NONE) {
        return lab_apps_say(apps, LAB_FLASH_FULL,
                            "all %u slots for apps are taken or worn out: remove an app", slots->count);
    }
    enum lab_slot_status status =
        lab_slots_open(slots, slot, deployment->size, deployment->digest, &deployment->envelope);
    if (status == LAB_SLOT_DONE) {
        app->incoming = slots->open;
        status = persist(apps, app) ? LAB_SLOT_DONE : LAB_SLOT_FAILED;
    }
    return status == LAB_SLOT_DONE ? LAB_DONE : flash_error(apps, status);
}

enum lab_result lab_apps_begin(struct lab_apps *apps, const struct lab_deployment *deployment,
                               uint32_t *offset) {
    struct lab_transfer *transfer = &apps->transfer;
    *offset = 0;
    if (!valid_name((const char *)deployment->name.bytes, deployment->name.size)) {
        return lab_apps_say(apps, LAB_BAD_ARGUMENTS, "an app's name is 1 to 32 of A-Z a-z 0-9 . _ -");
    }
    struct lab_package package;
    enum lab_result result = admit(apps, deployment, &package);
    if (result != LAB_DONE) {
        return result;
    }
    if (apps->slots.problem != NULL) {
        lab_updates_restore(apps);
    }
    if (apps->slots.problem != NULL) {
        return lab_apps_say(apps, LAB_FLASH_FULL, "%s", apps->slots.problem);
    }
    if (deployment->size > lab_apps_module_max(apps)) {
        return lab_apps_say(apps, LAB_TOO_LARGE, "a module of %u bytes: this device takes %u",
                            (unsigned)deployment->size, (unsigned)lab_apps_module_max(apps));
    }
    struct lab_app *app = lab_apps_find(apps, (const char *)deployment->name.bytes, deployment->name.size);
    if (app != NULL && has(app, deployment, package.sequence)) {
        abandon_transfer(apps);
        *transfer = (struct lab_transfer){app, true, deployment->size, deployment->size};
        *offset = deployment->size;
        return lab_apps_done(apps);
    }
    if (app != NULL && is_old(app, deployment, package.sequence)) {
        return refuse_old(apps, app, package.sequence);
    }
    bool same = app != NULL && transfer->app == app && !transfer->held &&
                lab_slots_same(&apps->slots, deployment->size, deployment->digest, &deployment->envelope);
    if (same && apps->slots.at >= apps->slots.module_at) {
        *offset = transfer->received;
        return lab_apps_done(apps);
    }
    abandon_transfer(apps);
    result = find_or_list(apps, deployment, package.sequence, &app);
    if (result != LAB_DONE) {
        return result;
    }
    *transfer = (struct lab_transfer){.app = app, .size = deployment->size};
    result = open_slot(apps, app, deployment);
    if (result != LAB_DONE) {
        char words[sizeof apps->words];
        memcpy(words, apps->words, sizeof words);
        abandon_transfer(apps);
        memcpy(apps->words, words, sizeof words);
        return result;
    }
    if (app->state == LAB_APP_RECEIVING) {
        lab_app_set_state(apps, app, LAB_APP_RECEIVING, "");
    }
    return lab_apps_done(apps);
}

/* After bytes went to the open slot. */
static enum lab_result took(struct lab_apps *apps, enum lab_slot_status status) {
    struct lab_app *app = apps->transfer.app;
    if (status == LAB_SLOT_DONE && app->incoming != apps->slots.open) {
        app->incoming = apps->slots.open; /* the other one was worn out */
        status = persist(apps, app) ? LAB_SLOT_DONE : LAB_SLOT_FAILED;
    }
    if (status != LAB_SLOT_DONE) {
        abandon_transfer(apps);
        return flash_error(apps, status);
    }
    return lab_apps_done(apps);
}

enum lab_result lab_apps_chunk(struct lab_apps *apps, uint32_t at, const uint8_t *bytes, size_t size,
                               uint32_t *offset) {
    struct lab_transfer *transfer = &apps->transfer;
    *offset = transfer->received;
    if (transfer->app == NULL) {
        return lab_apps_say(apps, LAB_WRONG_OFFSET, "no transfer is under way: begin one");
    }
    if (at != transfer->received) {
        return lab_apps_say(apps, LAB_WRONG_OFFSET, "offset %u, expected %u", (unsigned)at,
                            (unsigned)transfer->received);
    }
    if (size > transfer->size - transfer->received) {
        return lab_apps_say(apps, LAB_TOO_LARGE, "%u bytes at offset %u of a module of %u", (unsigned)size,
                            (unsigned)at, (unsigned)transfer->size);
    }
    if (size == 0) {
        return lab_apps_done(apps);
    }
    transfer->received += (uint32_t)size;
    enum lab_result result = took(apps, lab_slots_append(&apps->slots, bytes, size));
    *offset = transfer->received;
    return result;
}

/* Starts again what the device had already, if it does not run. */
static enum lab_result start_held(struct lab_apps *apps, struct lab_app *app) {
    apps->transfer = (struct lab_transfer){0};
    app->changed = true; /* whoever asked waits for its status */
    if (app->state == LAB_APP_RUNNING || app->state == LAB_APP_TRIAL) {
        return lab_apps_done(apps);
    }
    app->stopped = false;
    if (!persist(apps, app)) {
        return flash_error(apps, LAB_SLOT_FAILED);
    }
    lab_app_unload(apps, app);
    app->words[0] = '\0';
    return start_confirmed(apps, app);
}

enum lab_result lab_apps_end(struct lab_apps *apps) {
    struct lab_transfer *transfer = &apps->transfer;
    struct lab_app *app = transfer->app;
    if (app == NULL) {
        return lab_apps_say(apps, LAB_WRONG_OFFSET, "no transfer is under way: begin one");
    }
    if (transfer->received != transfer->size) {
        return lab_apps_say(apps, LAB_WRONG_OFFSET, "%u of %u bytes have arrived",
                            (unsigned)transfer->received, (unsigned)transfer->size);
    }
    if (transfer->held) {
        return start_held(apps, app);
    }
    enum lab_result result = took(apps, lab_slots_finish(&apps->slots));
    if (result != LAB_DONE) {
        return result;
    }
    struct lab_slot_head head;
    if (!lab_slots_head(&apps->slots, app->incoming, &head) ||
        !lab_slots_check(&apps->slots, app->incoming, &head)) {
        abandon_transfer(apps);
        return lab_apps_say(apps, LAB_DIGEST_MISMATCH,
                            "the SHA-256 of what was stored is not the one announced");
    }
    /* The flash knows of the trial before the module runs: whatever happens next, there is a way back. */
    uint8_t trial = app->trial;
    bool stopped = app->stopped;
    app->trial = app->incoming;
    app->incoming = LAB_SLOT_NONE;
    app->stopped = false;
    if (!persist(apps, app)) {
        app->trial = trial;
        app->stopped = stopped;
        app->incoming = apps->slots.open;
        abandon_transfer(apps);
        return flash_error(apps, LAB_SLOT_FAILED);
    }
    apps->slots.open = LAB_SLOT_NONE;
    *transfer = (struct lab_transfer){0};
    lab_app_unload(apps, app);
    result = launch(apps, app, app->trial);
    if (app->sequence > app->highest) {
        app->highest = app->sequence;
    }
    app->polls = 0;
    app->trial_until = apps->port->millis(apps->port) + app->trial_ms;
    app->state = LAB_APP_TRIAL;
    if (result != LAB_DONE) {
        lab_app_fail(apps, app);
        return result;
    }
    lab_app_set_state(apps, app, LAB_APP_TRIAL, "");
    return lab_apps_done(apps);
}

/* ---- stopping */

enum lab_result lab_apps_stop(struct lab_apps *apps, const char *name, size_t name_size) {
    struct lab_app *app = lab_apps_find(apps, name, name_size);
    if (app == NULL) {
        return lab_apps_say(apps, LAB_NO_SUCH_APP, "no app of that name is on this device");
    }
    if (apps->transfer.app == app) {
        abandon_transfer(apps);
    }
    if (app->name[0] == '\0' || app->state == LAB_APP_STOPPED) {
        return lab_apps_done(apps);
    }
    app->stopped = true;
    if (app->state == LAB_APP_TRIAL) {
        give_up(apps, app, "stopped during its trial");
        return lab_apps_done(apps);
    }
    lab_app_unload(apps, app);
    bool written = persist(apps, app);
    lab_app_set_state(apps, app, LAB_APP_STOPPED, "");
    return written ? lab_apps_done(apps) : flash_error(apps, LAB_SLOT_FAILED);
}

enum lab_result lab_apps_remove(struct lab_apps *apps, const char *name, size_t name_size) {
    struct lab_app *app = lab_apps_find(apps, name, name_size);
    if (app == NULL) {
        return lab_apps_say(apps, LAB_NO_SUCH_APP, "no app of that name is on this device");
    }
    if (apps->transfer.app == app) {
        abandon_transfer(apps);
    }
    if (app->name[0] != '\0') {
        lab_app_unload(apps, app);
        forget(apps, app);
    }
    return lab_apps_done(apps);
}

/* ---- after a reset */

/* Goes on with a transfer that the reset has interrupted. */
static void resume(struct lab_apps *apps, struct lab_app *app) {
    struct lab_slot_head head;
    if (apps->transfer.app != NULL || !lab_slots_head(&apps->slots, app->incoming, &head)) {
        app->incoming = LAB_SLOT_NONE;
        return;
    }
    apps->transfer = (struct lab_transfer){
        .app = app,
        .size = head.size,
        .received = lab_slots_resume(&apps->slots, app->incoming, &head),
    };
    if (app->slot == LAB_SLOT_NONE && app->trial == LAB_SLOT_NONE && !app->rejected) {
        memcpy(app->digest, head.digest, LAB_DIGEST_SIZE);
        app->size = head.size;
    }
}

static void restore(struct lab_apps *apps, struct lab_app *app) {
    if (app->incoming != LAB_SLOT_NONE) {
        resume(apps, app);
    }
    if (app->rejected) {
        memcpy(app->digest, app->rejected_digest, LAB_DIGEST_SIZE);
    }
    if (app->trial != LAB_SLOT_NONE) {
        show(apps, app, app->trial);
        app->highest = app->sequence > app->highest ? app->sequence : app->highest;
        (void)lab_apps_say(apps, LAB_DONE, "a reset during its trial: %s%s%.100s",
                           lab_boot_reason_name((enum lab_boot_reason)apps->port->boot->reason),
                           apps->port->boot->detail[0] != '\0' ? ": " : "", apps->port->boot->detail);
        give_up(apps, app, apps->words);
    } else if (app->slot != LAB_SLOT_NONE || app->rejected || app->stopped) {
        (void)start_confirmed(apps, app);
    } else if (app->incoming != LAB_SLOT_NONE) {
        app->state = LAB_APP_RECEIVING;
    } else {
        app->name[0] = '\0';
    }
}

void lab_updates_restore(struct lab_apps *apps) {
    /* A flash that is a model on a busy host may be late for the first question. */
    for (unsigned tries = 3; tries > 0; tries--) {
        lab_slots_mount(&apps->slots, apps->port, (uint32_t)(apps->port->pool_size / 2));
        if (apps->slots.problem == NULL) {
            break;
        }
    }
    if (apps->slots.problem != NULL) {
        return;
    }
    size_t count = 0;
    for (uint8_t id = LAB_LOG_FIRST; id < LAB_LOG_IDS && count < LAB_APPS_MAX; id++) {
        struct lab_app *app = &apps->apps[count];
        if (recall(apps, id, app) && !holds_nothing(app)) {
            restore(apps, app);
            count += app->name[0] != '\0';
        } else {
            app->name[0] = '\0';
        }
    }
    apps->words[0] = '\0';
}
