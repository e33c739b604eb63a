#include "store/log.h"

#include <string.h>

#include "link/crc32.h"

#define MAGIC 0x3153424cu /* "LBS1" */
#define BLANK 0xffu

struct head {
    uint32_t magic;
    uint32_t sequence;
    uint32_t layout;
    uint32_t crc; /* of all before */
};

struct record {
    uint32_t crc; /* of the rest and the contents */
    uint8_t id;
    uint8_t zero;
    uint16_t size; /* of the contents, which follow */
};

#define CHECKED(record) ((const uint8_t *)(record) + sizeof(uint32_t))
#define CHECKED_SIZE    (sizeof(struct record) - sizeof(uint32_t))

_Static_assert(sizeof(struct head) == 16 && sizeof(struct record) == 8, "as they are in flash");

uint32_t lab_flash_units(const struct lab_port *port, uint32_t size) {
    uint32_t unit = port->flash_geometry.program > 4 ? port->flash_geometry.program : 4;
    return (size + unit - 1) / unit * unit;
}

enum lab_bus_status lab_flash_program(const struct lab_port *port, uint32_t address, const uint8_t *bytes,
                                      size_t size) {
    enum lab_bus_status status = port->flash_program(port, address, bytes, size);
    uint8_t back[LAB_FLASH_PIECE];
    while (status == LAB_BUS_DONE && size > 0) {
        size_t part = size < sizeof back ? size : sizeof back;
        status = port->flash_read(port, address, back, part);
        if (status == LAB_BUS_DONE && memcmp(back, bytes, part) != 0) {
            return LAB_BUS_STUCK;
        }
        address += (uint32_t)part;
        bytes += part;
        size -= part;
    }
    return status;
}

/* ---- reading a copy from its start to its end */

struct reader {
    const struct lab_port *port;
    uint32_t next, end; /* addresses */
    bool failed;
    size_t used, held;
    uint8_t bytes[LAB_FLASH_PIECE];
};

static bool get(struct reader *reader, void *out, size_t size) {
    uint8_t *at = out;
    while (size > 0) {
        if (reader->used == reader->held) {
            size_t left = reader->end - reader->next;
            reader->used = 0;
            reader->held = left < sizeof reader->bytes ? left : sizeof reader->bytes;
            if (left == 0) {
                return false;
            }
            if (reader->port->flash_read(reader->port, reader->next, reader->bytes, reader->held) !=
                LAB_BUS_DONE) {
                reader->failed = true;
                reader->held = 0;
                return false;
            }
            reader->next += (uint32_t)reader->held;
        }
        size_t part = reader->held - reader->used < size ? reader->held - reader->used : size;
        memcpy(at, reader->bytes + reader->used, part);
        reader->used += part;
        at += part;
        size -= part;
    }
    return true;
}

static bool is_blank(const void *bytes, size_t size) {
    const uint8_t *at = bytes;
    while (size > 0 && *at == BLANK) {
        at++;
        size--;
    }
    return size == 0;
}

/* Goes through the rest of a record; whether it is whole. */
static bool whole(struct reader *reader, const struct record *record, size_t padding) {
    if (record->id >= LAB_LOG_IDS || record->size > LAB_LOG_RECORD_MAX) {
        return false;
    }
    uint32_t crc = lab_crc32(0, CHECKED(record), CHECKED_SIZE);
    for (size_t left = record->size + padding; left > 0;) {
        uint8_t part[32];
        size_t size = left < sizeof part ? left : sizeof part;
        if (!get(reader, part, size)) {
            return false;
        }
        left -= size;
        crc = lab_crc32(crc, part,
                        left >= padding         ? size
                        : left + size > padding ? left + size - padding
                                                : 0);
    }
    return crc == record->crc;
}

/* Notes where the valid records of the copy in use are, and where the next may go. */
static bool scan(struct lab_log *log) {
    uint32_t base = log->current * log->size;
    uint32_t first = lab_flash_units(log->port, sizeof(struct head));
    struct reader reader = {.port = log->port, .next = base + first, .end = base + log->size};
    struct record record;
    uint32_t at = first;
    while (get(&reader, &record, sizeof record) && !is_blank(&record, sizeof record)) {
        uint32_t size = lab_flash_units(log->port, sizeof record + record.size);
        if (!whole(&reader, &record, size - sizeof record - record.size)) {
            log->end = log->size;
            return !reader.failed;
        }
        log->at[record.id] = record.size > 0 ? (uint16_t)(at / 4) : 0;
        at += size;
    }
    log->end = at;
    uint8_t rest[32];
    for (uint32_t left = at + sizeof record < log->size ? log->size - at - sizeof record : 0; left > 0;) {
        size_t part = left < sizeof rest ? left : sizeof rest;
        if (!get(&reader, rest, part)) {
            return !reader.failed;
        }
        if (!is_blank(rest, part)) {
            log->end = log->size;
            break;
        }
        left -= (uint32_t)part;
    }
    return !reader.failed;
}

bool lab_log_mount(struct lab_log *log, const struct lab_port *port, uint32_t copy_size, uint32_t layout) {
    *log =
        (struct lab_log){.port = port, .size = copy_size, .layout = layout, .current = 1, .end = copy_size};
    for (uint8_t copy = 0; copy < 2; copy++) {
        struct head head;
        if (port->flash_read(port, copy * copy_size, (uint8_t *)&head, sizeof head) != LAB_BUS_DONE) {
            return false;
        }
        if (head.magic == MAGIC && head.crc == lab_crc32(0, &head, offsetof(struct head, crc)) &&
            head.sequence > log->sequence) {
            log->sequence = head.sequence;
            log->layout = head.layout;
            log->current = copy;
        }
    }
    return log->sequence == 0 || scan(log);
}

size_t lab_log_read(const struct lab_log *log, unsigned id, uint8_t *bytes, size_t room) {
    struct record record;
    uint32_t address = log->current * log->size + log->at[id] * 4u;
    if (log->at[id] == 0 ||
        log->port->flash_read(log->port, address, (uint8_t *)&record, sizeof record) != LAB_BUS_DONE ||
        record.size > room ||
        log->port->flash_read(log->port, address + sizeof record, bytes, record.size) != LAB_BUS_DONE) {
        return 0;
    }
    return record.size;
}

/* ---- writing */

/* The space a record takes, 0 if it could not be programmed. */
static uint32_t put(const struct lab_log *log, uint32_t address, unsigned id, const uint8_t *bytes,
                    size_t size) {
    uint8_t whole[sizeof(struct record) + LAB_LOG_RECORD_MAX + LAB_FLASH_UNIT_MAX];
    struct record record = {.id = (uint8_t)id, .size = (uint16_t)size};
    uint32_t taken = lab_flash_units(log->port, (uint32_t)(sizeof record + size));
    record.crc = lab_crc32(lab_crc32(0, CHECKED(&record), CHECKED_SIZE), bytes, size);
    memset(whole, BLANK, sizeof whole);
    memcpy(whole, &record, sizeof record);
    if (size > 0) {
        memcpy(whole + sizeof record, bytes, size);
    }
    return lab_flash_program(log->port, address, whole, taken) == LAB_BUS_DONE ? taken : 0;
}

static bool erase(const struct lab_log *log, uint32_t base) {
    uint32_t sector = log->port->flash_geometry.sector;
    for (uint32_t at = base; at < base + log->size; at += sector) {
        if (log->port->flash_erase(log->port, at) != LAB_BUS_DONE) {
            return false;
        }
    }
    return true;
}

/* Writes what is valid, with the record of `id` replaced, into the other copy, and makes it the one in use.
 */
static bool move(struct lab_log *log, unsigned id, const uint8_t *bytes, size_t size) {
    struct lab_log next = *log;
    next.current = log->current ^ 1u;
    next.sequence = log->sequence + 1;
    uint32_t base = next.current * log->size;
    struct head head = {.magic = MAGIC, .sequence = next.sequence, .layout = log->layout};
    head.crc = lab_crc32(0, &head, offsetof(struct head, crc));
    uint8_t first[LAB_FLASH_UNIT_MAX];
    uint32_t first_size = lab_flash_units(log->port, sizeof head);
    memset(first, BLANK, sizeof first);
    memcpy(first, &head, sizeof head);
    next.end = first_size;
    if (!erase(log, base)) {
        return false;
    }
    for (unsigned each = 0; each < LAB_LOG_IDS; each++) {
        uint8_t copy[LAB_LOG_RECORD_MAX];
        const uint8_t *contents = each == id ? bytes : copy;
        size_t length = each == id ? size : lab_log_read(log, each, copy, sizeof copy);
        next.at[each] = 0;
        if (length == 0) {
            if (each != id && log->at[each] != 0) {
                return false; /* it is there and cannot be read */
            }
            continue;
        }
        if (lab_flash_units(log->port, (uint32_t)(sizeof(struct record) + length)) > log->size - next.end) {
            return false;
        }
        uint32_t taken = put(log, base + next.end, each, contents, length);
        if (taken == 0) {
            return false;
        }
        next.at[each] = (uint16_t)(next.end / 4);
        next.end += taken;
    }
    if (lab_flash_program(log->port, base, first, first_size) != LAB_BUS_DONE) {
        return false;
    }
    *log = next;
    return true;
}

bool lab_log_write(struct lab_log *log, unsigned id, const uint8_t *bytes, size_t size) {
    uint32_t taken = lab_flash_units(log->port, (uint32_t)(sizeof(struct record) + size));
    if (taken <= log->size - log->end) {
        uint32_t at = log->end;
        log->end = log->size; /* if it fails, what is there now is of no use */
        if (put(log, log->current * log->size + at, id, bytes, size) == taken) {
            log->end = at + taken;
            log->at[id] = size > 0 ? (uint16_t)(at / 4) : 0;
            return true;
        }
    }
    return move(log, id, bytes, size);
}
