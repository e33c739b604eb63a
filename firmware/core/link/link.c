#include "link/link.h"

#include <string.h>

#define OPEN_INTERVAL_MS 1000u
#define SYNC_INTERVAL_MS 250u
#define SYNC_TRIES       20u

enum type {
    TYPE_OPEN = 1,
    TYPE_ACCEPT = 2,
    TYPE_DATA = 3,
    TYPE_CREDIT = 4,
    TYPE_CLOSE = 5,
    TYPE_SYNC = 6,
    TYPE_CONSOLE = 7,
};

static uint16_t get16(const uint8_t *at) {
    return (uint16_t)(at[0] | at[1] << 8);
}

static uint32_t get32(const uint8_t *at) {
    return (uint32_t)get16(at) | (uint32_t)get16(at + 2) << 16;
}

static void put16(uint8_t *at, uint16_t value) {
    at[0] = (uint8_t)value;
    at[1] = (uint8_t)(value >> 8);
}

static void put32(uint8_t *at, uint32_t value) {
    put16(at, (uint16_t)value);
    put16(at + 2, (uint16_t)(value >> 16));
}

static size_t min(size_t a, size_t b) {
    return a < b ? a : b;
}

/* ---- sending ---- */

static void transmit(struct lab_link *link, enum type type, uint16_t connection, uint16_t sequence,
                     const void *payload, size_t size) {
    uint8_t header[LAB_LINK_HEADER] = {(uint8_t)type};
    put16(header + 1, connection);
    put16(header + 3, sequence);
    struct lab_frame_writer writer;
    lab_frame_begin(&writer, link->tx, sizeof link->tx);
    lab_frame_put(&writer, header, sizeof header);
    lab_frame_put(&writer, payload, size);
    link->tx_at = 0;
    link->tx_size = lab_frame_end(&writer);
}

static bool busy(const struct lab_link *link) {
    return link->tx_at < link->tx_size;
}

/* Puts the most urgent control frame into `tx` if that is free. */
static void transmit_due(struct lab_link *link) {
    if (busy(link)) {
        return;
    }
    if (link->close_due) {
        link->close_due = false;
        transmit(link, TYPE_CLOSE, link->closing, 0, &link->closing_reason, 1);
    } else if (link->open_due) {
        link->open_due = false;
        uint8_t payload[5] = {LAB_LINK_VERSION};
        put32(payload + 1, LAB_LINK_WINDOW);
        transmit(link, TYPE_OPEN, link->connection, 0, payload, sizeof payload);
    } else if (link->credit_due) {
        link->credit_due = false;
        /* What was read is free again: rx_total - rx_count have left the buffer. */
        link->rx_limit = link->rx_total - (uint32_t)link->rx_count + LAB_LINK_WINDOW;
        uint8_t payload[4];
        put32(payload, link->rx_limit);
        transmit(link, TYPE_CREDIT, link->connection, 0, payload, sizeof payload);
    } else if (link->sync_due) {
        link->sync_due = false;
        transmit(link, TYPE_SYNC, link->connection, link->tx_sequence, NULL, 0);
    }
}

static void answer_close(struct lab_link *link, uint16_t connection, enum lab_link_close reason) {
    link->close_due = true;
    link->closing = connection;
    link->closing_reason = (uint8_t)reason;
}

static void enter_closed(struct lab_link *link, uint8_t reason, const uint8_t *text, size_t size) {
    link->state = LAB_LINK_CLOSED;
    link->close_reason = reason;
    size = min(size, LAB_LINK_TEXT_MAX);
    for (size_t i = 0; i < size; i++) {
        link->close_text[i] = (char)(text[i] < ' ' || text[i] == 0x7f ? '?' : text[i]);
    }
    link->close_text[size] = '\0';
    link->open_due = link->sync_due = link->credit_due = link->starved = false;
    link->sync_at = 0;
}

static void fail(struct lab_link *link, enum lab_link_close reason) {
    answer_close(link, link->connection, reason);
    enter_closed(link, (uint8_t)reason, NULL, 0);
}

/* ---- receiving ---- */

static void on_data(struct lab_link *link, uint16_t sequence, const uint8_t *payload, size_t size) {
    if (sequence != link->rx_sequence) {
        fail(link, LAB_CLOSE_FRAME_LOST);
        return;
    }
    if ((int32_t)(link->rx_total + (uint32_t)size - link->rx_limit) > 0) {
        fail(link, LAB_CLOSE_OVERRUN);
        return;
    }
    link->rx_sequence++;
    link->rx_total += (uint32_t)size;
    size_t tail = (link->rx_head + link->rx_count) % LAB_LINK_WINDOW;
    size_t first = min(size, LAB_LINK_WINDOW - tail);
    memcpy(link->rx + tail, payload, first);
    memcpy(link->rx, payload + first, size - first);
    link->rx_count += size;
}

static void on_credit(struct lab_link *link, uint32_t limit, uint64_t now) {
    if ((int32_t)(limit - link->tx_limit) > 0) {
        link->tx_limit = limit;
        link->starved = false;
    }
    if (link->syncs > 0) {
        /* The other side is there and has all we sent; ask again only if it still takes nothing. */
        link->syncs = 0;
        link->sync_at = link->starved ? now + SYNC_INTERVAL_MS : 0;
    }
}

static void on_frame(struct lab_link *link, size_t size, uint64_t now) {
    if (size < LAB_LINK_HEADER) {
        link->malformed++;
        return;
    }
    uint8_t type = link->body[0];
    uint16_t connection = get16(link->body + 1);
    uint16_t sequence = get16(link->body + 3);
    const uint8_t *payload = link->body + LAB_LINK_HEADER;
    size -= LAB_LINK_HEADER;

    bool ours = connection == link->connection && link->state != LAB_LINK_CLOSED;
    bool open = ours && link->state == LAB_LINK_OPEN;
    switch (type) {
    case TYPE_ACCEPT:
        if (ours && !open && size >= 4) {
            link->state = LAB_LINK_OPEN;
            link->tx_limit = get32(payload);
        }
        break;
    case TYPE_DATA:
        if (open) {
            on_data(link, sequence, payload, size);
        } else if (!ours) {
            answer_close(link, connection, LAB_CLOSE_UNKNOWN_CONNECTION);
        }
        break;
    case TYPE_CREDIT:
        if (open && size >= 4) {
            on_credit(link, get32(payload), now);
        }
        break;
    case TYPE_CLOSE:
        if (size < 1) {
            link->malformed++;
        } else if (link->state != LAB_LINK_CLOSED && (ours || connection == 0)) {
            enter_closed(link, payload[0], payload + 1, size - 1);
        }
        break;
    case TYPE_SYNC:
        if (open && sequence == link->rx_sequence) {
            link->credit_due = true;
        } else if (open) {
            fail(link, LAB_CLOSE_FRAME_LOST);
        } else if (!ours) {
            answer_close(link, connection, LAB_CLOSE_UNKNOWN_CONNECTION);
        }
        break;
    case TYPE_CONSOLE:
        for (size_t i = 0; i < size && link->typed_count < LAB_LINK_TYPED_MAX; i++) {
            link->typed[(link->typed_head + link->typed_count++) % LAB_LINK_TYPED_MAX] = payload[i];
        }
        break;
    default:
        break;
    }
}

/* ---- the owner's side ---- */

void lab_link_init(struct lab_link *link) {
    memset(link, 0, sizeof *link);
    lab_frame_reader_init(&link->reader, link->body, sizeof link->body);
    /* A lone delimiter, so that noise before it belongs to no frame. */
    link->tx[0] = 0;
    link->tx_size = 1;
}

void lab_link_open(struct lab_link *link, uint16_t connection, uint64_t now) {
    link->state = LAB_LINK_OPENING;
    link->connection = connection;
    link->close_text[0] = '\0';
    link->tx_sequence = link->rx_sequence = 0;
    link->tx_total = link->tx_limit = link->rx_total = 0;
    link->rx_limit = LAB_LINK_WINDOW;
    link->rx_head = link->rx_count = 0;
    link->sync_at = 0;
    link->syncs = 0;
    link->starved = link->sync_due = link->credit_due = false;
    link->open_due = true;
    link->open_at = now + OPEN_INTERVAL_MS;
}

void lab_link_close(struct lab_link *link, enum lab_link_close reason) {
    if (link->state != LAB_LINK_CLOSED) {
        fail(link, reason);
    }
}

bool lab_link_input(struct lab_link *link, const uint8_t *bytes, size_t size, uint64_t now) {
    bool any = false;
    while (size > 0) {
        size_t body;
        size_t taken = lab_frame_feed(&link->reader, bytes, size, &body);
        bytes += taken;
        size -= taken;
        if (body > 0) {
            on_frame(link, body, now);
            any = true;
        }
    }
    return any;
}

static uint32_t until(uint64_t due, uint64_t now) {
    return due > now ? (uint32_t)(due - now) : 0;
}

uint32_t lab_link_tick(struct lab_link *link, uint64_t now) {
    uint32_t wait = UINT32_MAX;
    if (link->state == LAB_LINK_OPENING) {
        if (now >= link->open_at) {
            link->open_due = true;
            link->open_at = now + OPEN_INTERVAL_MS;
        }
        wait = until(link->open_at, now);
    } else if (link->state == LAB_LINK_OPEN && link->sync_at != 0) {
        if (now >= link->sync_at) {
            if (link->syncs >= SYNC_TRIES) {
                fail(link, LAB_CLOSE_NO_ANSWER);
            } else {
                link->syncs++;
                link->sync_due = true;
                link->sync_at = now + SYNC_INTERVAL_MS;
            }
        }
        if (link->sync_at != 0) {
            wait = until(link->sync_at, now);
        }
    }
    transmit_due(link);
    return wait;
}

const uint8_t *lab_link_output(struct lab_link *link, size_t *size) {
    transmit_due(link);
    *size = link->tx_size - link->tx_at;
    return link->tx + link->tx_at;
}

void lab_link_sent(struct lab_link *link, size_t size) {
    link->tx_at += size;
}

size_t lab_link_read(struct lab_link *link, uint8_t *bytes, size_t size) {
    size = min(size, link->rx_count);
    size_t first = min(size, LAB_LINK_WINDOW - link->rx_head);
    memcpy(bytes, link->rx + link->rx_head, first);
    memcpy(bytes + first, link->rx, size - first);
    link->rx_head = (link->rx_head + size) % LAB_LINK_WINDOW;
    link->rx_count -= size;
    uint32_t freed = link->rx_total - (uint32_t)link->rx_count + LAB_LINK_WINDOW - link->rx_limit;
    if (link->state == LAB_LINK_OPEN && freed >= LAB_LINK_WINDOW / 2) {
        link->credit_due = true;
    }
    return size;
}

size_t lab_link_write(struct lab_link *link, const uint8_t *bytes, size_t size, uint64_t now) {
    transmit_due(link);
    if (link->state != LAB_LINK_OPEN || size == 0 || busy(link)) {
        return 0;
    }
    size = min(min(size, LAB_LINK_PAYLOAD_MAX), link->tx_limit - link->tx_total);
    if (size == 0) {
        link->starved = true;
        if (link->sync_at == 0) {
            link->sync_at = now + SYNC_INTERVAL_MS;
        }
        return 0;
    }
    transmit(link, TYPE_DATA, link->connection, link->tx_sequence++, bytes, size);
    link->tx_total += (uint32_t)size;
    link->sync_at = now + SYNC_INTERVAL_MS;
    link->syncs = 0;
    return size;
}

size_t lab_link_console_read(struct lab_link *link, uint8_t *bytes, size_t size) {
    size = min(size, link->typed_count);
    for (size_t i = 0; i < size; i++) {
        bytes[i] = link->typed[link->typed_head];
        link->typed_head = (link->typed_head + 1) % LAB_LINK_TYPED_MAX;
    }
    link->typed_count -= size;
    return size;
}

size_t lab_link_console_write(struct lab_link *link, const uint8_t *bytes, size_t size) {
    transmit_due(link);
    if (size == 0 || busy(link)) {
        return 0;
    }
    size = min(size, LAB_LINK_PAYLOAD_MAX);
    transmit(link, TYPE_CONSOLE, 0, 0, bytes, size);
    return size;
}

uint32_t lab_link_dropped(const struct lab_link *link) {
    return link->reader.dropped + link->malformed;
}

const char *lab_link_close_name(uint8_t reason) {
    static const char *const names[] = {
        "done",           "frame lost",     "gateway unreachable", "no such connection",
        "bridge started", "window overrun", "version not spoken",  "no answer",
    };
    return reason < sizeof names / sizeof *names ? names[reason] : "unknown reason";
}
