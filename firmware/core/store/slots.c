#include "store/slots.h"

#include <string.h>

#include <mbedtls/sha256.h>

#include "link/crc32.h"
#include "package/package.h"

#define MAGIC 0x3150424cu /* "LBP1" */
#define BLANK 0xffu

/* Every app may have one, and one app two. */
#define SLOTS_WANTED 9u
#define SLOTS_LEAST  2u

/* How far the open slot is, as the log has it. */
struct progress {
    uint32_t crc; /* of the slot's head */
    uint32_t slot;
    uint32_t at; /* of the slot: whole sectors */
};

static uint32_t base(const struct lab_slots *slots, uint8_t slot) {
    return 2 * slots->log.size + slot * slots->size;
}

static uint32_t whole(uint32_t size, uint32_t unit) {
    return (size + unit - 1) / unit * unit;
}

static uint32_t module_at(const struct lab_slots *slots, uint32_t envelope_size) {
    return lab_flash_units(slots->port, (uint32_t)sizeof(struct lab_slot_head) + envelope_size);
}

static const char *mount(struct lab_slots *slots, const struct lab_port *port, uint32_t largest) {
    const struct lab_flash_geometry *flash = &port->flash_geometry;
    if (flash->size == 0 || port->flash_read == NULL) {
        return "this board has no flash for apps";
    }
    uint32_t copy = whole(LAB_LOG_COPY_MIN, flash->sector);
    if (flash->program > LAB_FLASH_UNIT_MAX || flash->size < 2 * copy + SLOTS_LEAST * flash->sector) {
        return "this board's flash is too small or too coarse for apps";
    }
    uint32_t room = flash->size - 2 * copy;
    slots->port = port;
    slots->size = whole(module_at(slots, LAB_ENVELOPE_MAX) + largest, flash->sector);
    if (room / slots->size < SLOTS_WANTED) {
        slots->size = room / SLOTS_WANTED / flash->sector * flash->sector;
    }
    if (slots->size < flash->sector) {
        slots->size = flash->sector;
    }
    if (!lab_log_mount(&slots->log, port, copy, slots->size)) {
        return "the flash does not answer";
    }
    /* What was there before a change of the firmware stays where it is. */
    slots->size = slots->log.layout;
    if (slots->size < flash->sector || slots->size % flash->sector != 0 || room / slots->size < SLOTS_LEAST) {
        return "the flash holds the apps of another board: erase it";
    }
    uint32_t count = room / slots->size;
    slots->count = (uint8_t)(count < LAB_SLOTS_MAX ? count : LAB_SLOTS_MAX);
    (void)lab_log_read(&slots->log, LAB_LOG_BAD, (uint8_t *)&slots->bad, sizeof slots->bad);
    return NULL;
}

void lab_slots_mount(struct lab_slots *slots, const struct lab_port *port, uint32_t largest) {
    *slots = (struct lab_slots){.open = LAB_SLOT_NONE};
    slots->problem = mount(slots, port, largest);
}

uint32_t lab_slots_module_max(const struct lab_slots *slots) {
    uint32_t head = slots->problem == NULL ? module_at(slots, LAB_ENVELOPE_MAX) : 0;
    return slots->size > head && slots->problem == NULL ? slots->size - head : 0;
}

uint8_t lab_slots_pick(struct lab_slots *slots) {
    for (uint8_t i = 1; i <= slots->count; i++) {
        uint8_t slot = (uint8_t)((slots->last + i) % slots->count);
        if (!((slots->used | slots->bad) >> slot & 1u)) {
            slots->last = slot;
            return slot;
        }
    }
    return LAB_SLOT_NONE;
}

/* ---- reading */

static bool read(const struct lab_slots *slots, uint32_t address, void *bytes, size_t size) {
    return size == 0 || slots->port->flash_read(slots->port, address, bytes, size) == LAB_BUS_DONE;
}

static uint32_t start_crc(const struct lab_slot_head *head) {
    return lab_crc32(0, &head->size, sizeof *head - offsetof(struct lab_slot_head, size));
}

bool lab_slots_head(const struct lab_slots *slots, uint8_t slot, struct lab_slot_head *head) {
    uint32_t at = base(slots, slot);
    if (slot >= slots->count || !read(slots, at, head, sizeof *head) || head->magic != MAGIC ||
        head->envelope_size > LAB_ENVELOPE_MAX ||
        head->size > slots->size - module_at(slots, head->envelope_size)) {
        return false;
    }
    uint32_t crc = start_crc(head);
    uint8_t part[LAB_FLASH_PIECE];
    for (uint32_t done = 0; done < head->envelope_size;) {
        uint32_t size = head->envelope_size - done < sizeof part ? head->envelope_size - done : sizeof part;
        if (!read(slots, at + (uint32_t)sizeof *head + done, part, size)) {
            return false;
        }
        crc = lab_crc32(crc, part, size);
        done += size;
    }
    return crc == head->crc;
}

bool lab_slots_envelope(const struct lab_slots *slots, uint8_t slot, const struct lab_slot_head *head,
                        uint8_t *bytes) {
    return read(slots, base(slots, slot) + (uint32_t)sizeof *head, bytes, head->envelope_size);
}

bool lab_slots_module(const struct lab_slots *slots, uint8_t slot, const struct lab_slot_head *head,
                      uint32_t at, uint8_t *bytes, size_t size) {
    return read(slots, base(slots, slot) + module_at(slots, head->envelope_size) + at, bytes, size);
}

bool lab_slots_check(const struct lab_slots *slots, uint8_t slot, const struct lab_slot_head *head) {
    mbedtls_sha256_context sha256;
    uint8_t part[LAB_FLASH_PIECE], digest[LAB_SHA256_SIZE];
    mbedtls_sha256_init(&sha256);
    bool fine = mbedtls_sha256_starts(&sha256, 0) == 0;
    for (uint32_t at = 0; fine && at < head->size;) {
        uint32_t size = head->size - at < sizeof part ? head->size - at : sizeof part;
        fine = lab_slots_module(slots, slot, head, at, part, size) &&
               mbedtls_sha256_update(&sha256, part, size) == 0;
        at += size;
    }
    fine = fine && mbedtls_sha256_finish(&sha256, digest) == 0 &&
           memcmp(digest, head->digest, sizeof digest) == 0;
    mbedtls_sha256_free(&sha256);
    return fine;
}

/* ---- writing */

static enum lab_slot_status note_progress(struct lab_slots *slots) {
    struct progress progress = {slots->crc, slots->open, slots->at};
    return lab_log_write(&slots->log, LAB_LOG_PROGRESS, (const uint8_t *)&progress, sizeof progress)
               ? LAB_SLOT_DONE
               : LAB_SLOT_FAILED;
}

/* Programs whole units that do not cross the end of a sector; a sector is erased when its first bytes come.
 */
static enum lab_bus_status program(struct lab_slots *slots, const uint8_t *bytes, size_t size) {
    uint32_t address = base(slots, slots->open) + slots->at;
    enum lab_bus_status status = LAB_BUS_DONE;
    if (slots->at % slots->port->flash_geometry.sector == 0) {
        status = slots->port->flash_erase(slots->port, address);
    }
    if (status == LAB_BUS_DONE) {
        status = lab_flash_program(slots->port, address, bytes, size);
    }
    if (status == LAB_BUS_DONE) {
        slots->at += (uint32_t)size;
    }
    return status;
}

/* Copies what `from` holds into the open slot. */
static enum lab_bus_status copy(struct lab_slots *slots, uint8_t from, uint32_t size) {
    uint8_t part[256]; /* a power of two, as sectors and units are */
    enum lab_bus_status status = LAB_BUS_DONE;
    while (status == LAB_BUS_DONE && slots->at < size) {
        uint32_t length = size - slots->at < sizeof part ? size - slots->at : sizeof part;
        if (!read(slots, base(slots, from) + slots->at, part, length)) {
            return LAB_BUS_TIMEOUT;
        }
        status = program(slots, part, length);
        slots->port->feed(slots->port);
    }
    return status;
}

/* The open slot has failed: remembers that, and goes on in another with what it holds. */
static enum lab_slot_status relocate(struct lab_slots *slots) {
    uint8_t from = slots->open;
    uint32_t size = slots->at;
    enum lab_bus_status status;
    do {
        slots->bad |= (uint32_t)1 << slots->open;
        if (!lab_log_write(&slots->log, LAB_LOG_BAD, (const uint8_t *)&slots->bad, sizeof slots->bad)) {
            return LAB_SLOT_FAILED;
        }
        slots->open = lab_slots_pick(slots);
        slots->at = 0;
        if (slots->open == LAB_SLOT_NONE) {
            return LAB_SLOT_WORN;
        }
        status = copy(slots, from, size);
    } while (status != LAB_BUS_DONE && status != LAB_BUS_TIMEOUT);
    return status == LAB_BUS_DONE ? LAB_SLOT_DONE : LAB_SLOT_FAILED;
}

static enum lab_slot_status write(struct lab_slots *slots, const uint8_t *bytes, size_t size) {
    uint32_t sector = slots->port->flash_geometry.sector;
    enum lab_slot_status status = LAB_SLOT_DONE;
    while (status == LAB_SLOT_DONE && size > 0) {
        uint32_t room = sector - slots->at % sector;
        size_t part = room < size ? room : size;
        switch (program(slots, bytes, part)) {
        case LAB_BUS_DONE:
            bytes += part;
            size -= part;
            status = part == room ? note_progress(slots) : LAB_SLOT_DONE;
            break;
        case LAB_BUS_TIMEOUT:
            status = LAB_SLOT_FAILED;
            break;
        default:
            status = relocate(slots);
            break;
        }
    }
    return status;
}

enum lab_slot_status lab_slots_append(struct lab_slots *slots, const uint8_t *bytes, size_t size) {
    uint32_t unit = lab_flash_units(slots->port, 1);
    if (slots->left_size > 0) {
        size_t part = unit - slots->left_size < size ? unit - slots->left_size : size;
        memcpy(slots->left + slots->left_size, bytes, part);
        slots->left_size += (uint8_t)part;
        bytes += part;
        size -= part;
        if (slots->left_size < unit) {
            return LAB_SLOT_DONE;
        }
        slots->left_size = 0;
        enum lab_slot_status status = write(slots, slots->left, unit);
        if (status != LAB_SLOT_DONE) {
            return status;
        }
    }
    size_t units = size / unit * unit;
    enum lab_slot_status status = write(slots, bytes, units);
    if (status == LAB_SLOT_DONE && size > units) {
        slots->left_size = (uint8_t)(size - units);
        memcpy(slots->left, bytes + units, slots->left_size);
    }
    return status;
}

enum lab_slot_status lab_slots_finish(struct lab_slots *slots) {
    if (slots->left_size == 0) {
        return LAB_SLOT_DONE;
    }
    uint32_t unit = lab_flash_units(slots->port, 1);
    memset(slots->left + slots->left_size, BLANK, unit - slots->left_size);
    slots->left_size = 0;
    return write(slots, slots->left, unit);
}

static void start(struct lab_slots *slots, uint8_t slot, const struct lab_slot_head *head) {
    slots->open = slot;
    slots->at = 0;
    slots->left_size = 0;
    slots->crc = head->crc;
    slots->module_at = module_at(slots, head->envelope_size);
}

static struct lab_slot_head head_of(uint32_t size, const uint8_t *digest, const struct lab_span *envelope) {
    struct lab_slot_head head = {.magic = MAGIC, .size = size, .envelope_size = (uint32_t)envelope->size};
    memcpy(head.digest, digest, sizeof head.digest);
    head.crc = start_crc(&head);
    if (envelope->size > 0) {
        head.crc = lab_crc32(head.crc, envelope->bytes, envelope->size);
    }
    return head;
}

bool lab_slots_same(const struct lab_slots *slots, uint32_t size, const uint8_t *digest,
                    const struct lab_span *envelope) {
    return slots->open != LAB_SLOT_NONE && slots->crc == head_of(size, digest, envelope).crc;
}

enum lab_slot_status lab_slots_open(struct lab_slots *slots, uint8_t slot, uint32_t size,
                                    const uint8_t *digest, const struct lab_span *envelope) {
    struct lab_slot_head head = head_of(size, digest, envelope);
    start(slots, slot, &head);
    enum lab_slot_status status = lab_slots_append(slots, (const uint8_t *)&head, sizeof head);
    if (status == LAB_SLOT_DONE && envelope->size > 0) {
        status = lab_slots_append(slots, envelope->bytes, envelope->size);
    }
    return status == LAB_SLOT_DONE ? lab_slots_finish(slots) : status;
}

uint32_t lab_slots_resume(struct lab_slots *slots, uint8_t slot, const struct lab_slot_head *head) {
    struct progress progress;
    start(slots, slot, head);
    if (lab_log_read(&slots->log, LAB_LOG_PROGRESS, (uint8_t *)&progress, sizeof progress) ==
            sizeof progress &&
        progress.crc == head->crc && progress.slot == slot && progress.at > slots->module_at &&
        progress.at <= slots->module_at + lab_flash_units(slots->port, head->size)) {
        slots->at = progress.at;
        uint32_t received = progress.at - slots->module_at;
        return received < head->size ? received : head->size;
    }
    return 0;
}
