/* Log lines and events on their way to the gateway: kept while there is no session, sent in order when there
 * is one.
 *
 * Bounded: what does not fit pushes out the oldest, which is counted.
 */
#ifndef LAB_SESSION_OUTBOX_H
#define LAB_SESSION_OUTBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Holds at least one event of the largest size. */
#ifndef LAB_OUTBOX_SIZE
#define LAB_OUTBOX_SIZE 2048u
#endif

enum lab_note_kind { LAB_NOTE_LOG, LAB_NOTE_EVENT };

/* A log line (`body` is its text, `app` is empty for the firmware's own) or an event (`body` is its payload).
 */
struct lab_note {
    enum lab_note_kind kind;
    uint8_t level; /* of a log line */
    uint64_t uptime;
    const char *app;
    size_t app_size;
    const char *topic; /* of an event */
    size_t topic_size;
    const uint8_t *body;
    size_t body_size;
};

struct lab_outbox {
    uint32_t dropped; /* since the owner last set it to 0 */
    size_t used;
    uint8_t bytes[LAB_OUTBOX_SIZE];
};

/* Copies the note in. One larger than the outbox is dropped itself. */
void lab_outbox_put(struct lab_outbox *outbox, const struct lab_note *note);

/* Looks at the oldest note; false if there is none. Its pointers are valid until the next put or pop. */
bool lab_outbox_peek(const struct lab_outbox *outbox, struct lab_note *note);
void lab_outbox_pop(struct lab_outbox *outbox);

#endif
