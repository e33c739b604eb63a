#include "session/outbox.h"

#include <string.h>

/* A note is stored as this header, then app, topic and body. */
struct header {
    uint64_t uptime;
    uint16_t size; /* of header and texts */
    uint16_t body_size;
    uint8_t kind;
    uint8_t level;
    uint8_t app_size;
    uint8_t topic_size;
};

static struct header first(const struct lab_outbox *outbox) {
    struct header header;
    memcpy(&header, outbox->bytes, sizeof header);
    return header;
}

void lab_outbox_pop(struct lab_outbox *outbox) {
    size_t size = first(outbox).size;
    outbox->used -= size;
    memmove(outbox->bytes, outbox->bytes + size, outbox->used);
}

void lab_outbox_put(struct lab_outbox *outbox, const struct lab_note *note) {
    size_t size = sizeof(struct header) + note->app_size + note->topic_size + note->body_size;
    if (size > LAB_OUTBOX_SIZE || note->app_size > UINT8_MAX || note->topic_size > UINT8_MAX) {
        outbox->dropped++;
        return;
    }
    while (LAB_OUTBOX_SIZE - outbox->used < size) {
        lab_outbox_pop(outbox);
        outbox->dropped++;
    }
    struct header header = {
        .uptime = note->uptime,
        .size = (uint16_t)size,
        .body_size = (uint16_t)note->body_size,
        .kind = (uint8_t)note->kind,
        .level = note->level,
        .app_size = (uint8_t)note->app_size,
        .topic_size = (uint8_t)note->topic_size,
    };
    uint8_t *at = outbox->bytes + outbox->used;
    memcpy(at, &header, sizeof header);
    at += sizeof header;
    memcpy(at, note->app, note->app_size);
    at += note->app_size;
    if (note->topic_size > 0) {
        memcpy(at, note->topic, note->topic_size);
        at += note->topic_size;
    }
    if (note->body_size > 0) {
        memcpy(at, note->body, note->body_size);
    }
    outbox->used += size;
}

bool lab_outbox_peek(const struct lab_outbox *outbox, struct lab_note *note) {
    if (outbox->used == 0) {
        return false;
    }
    struct header header = first(outbox);
    const uint8_t *app = outbox->bytes + sizeof header;
    const uint8_t *topic = app + header.app_size;
    *note = (struct lab_note){
        .kind = (enum lab_note_kind)header.kind,
        .level = header.level,
        .uptime = header.uptime,
        .app = (const char *)app,
        .app_size = header.app_size,
        .topic = (const char *)topic,
        .topic_size = header.topic_size,
        .body = topic + header.topic_size,
        .body_size = header.body_size,
    };
    return true;
}
