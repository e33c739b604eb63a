/* The device's end of the link: one connection at a time, flow control, loss turned into a clean close.
 *
 * docs/protocol.md, section 1. Does no I/O and keeps no clock: the owner brings bytes and the time in
 * milliseconds and takes bytes away. RAM: LAB_LINK_WINDOW + 2.3 KB, all of it in the struct.
 */
#ifndef LAB_LINK_LINK_H
#define LAB_LINK_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "link/frame.h"

/* Bytes of a connection that may be on their way to the device. A port may choose its own. */
#ifndef LAB_LINK_WINDOW
#define LAB_LINK_WINDOW 4096u
#endif

#define LAB_LINK_VERSION     1u
#define LAB_LINK_HEADER      5u
#define LAB_LINK_PAYLOAD_MAX 1024u
#define LAB_LINK_BODY_MAX    (LAB_LINK_HEADER + LAB_LINK_PAYLOAD_MAX)
#define LAB_LINK_TEXT_MAX    64u
#define LAB_LINK_TYPED_MAX   64u /* console input waiting, on a board with one UART */

enum lab_link_state {
    LAB_LINK_CLOSED,  /* what had arrived before can still be read */
    LAB_LINK_OPENING, /* OPEN is repeated until it is answered */
    LAB_LINK_OPEN,
};

enum lab_link_close {
    LAB_CLOSE_DONE = 0,
    LAB_CLOSE_FRAME_LOST = 1,
    LAB_CLOSE_UNREACHABLE = 2,
    LAB_CLOSE_UNKNOWN_CONNECTION = 3,
    LAB_CLOSE_BRIDGE_STARTED = 4,
    LAB_CLOSE_OVERRUN = 5,
    LAB_CLOSE_VERSION = 6,
    LAB_CLOSE_NO_ANSWER = 7,
};

struct lab_link {
    enum lab_link_state state;
    uint16_t connection;

    /* Why it is closed; whether the other side said so. */
    uint8_t close_reason;
    char close_text[LAB_LINK_TEXT_MAX + 1];

    /* Sending. Totals and limits count bytes since the connection opened, modulo 2^32. */
    uint16_t tx_sequence;
    uint32_t tx_total;
    uint32_t tx_limit;
    uint64_t open_at; /* when OPEN goes out again */
    uint64_t sync_at; /* when SYNC goes out; 0: not due */
    uint8_t syncs;    /* unanswered */
    bool starved;     /* there was data to send and no credit */

    /* Frames that wait for `tx` to be free. */
    bool open_due, sync_due, credit_due, close_due;
    uint16_t closing; /* the connection close_due is about */
    uint8_t closing_reason;

    /* Receiving. */
    uint16_t rx_sequence;
    uint32_t rx_total;
    uint32_t rx_limit;
    size_t rx_head, rx_count;
    uint32_t malformed; /* good frames that make no sense */
    struct lab_frame_reader reader;

    size_t typed_head, typed_count;
    uint8_t typed[LAB_LINK_TYPED_MAX];

    size_t tx_at, tx_size;
    uint8_t tx[LAB_FRAME_WIRE_MAX(LAB_LINK_BODY_MAX)];
    uint8_t rx[LAB_LINK_WINDOW];
    uint8_t body[LAB_FRAME_ROOM(LAB_LINK_BODY_MAX)];
};

void lab_link_init(struct lab_link *link);

/* Opens connection `connection` (random, not 0); what was open before is gone. */
void lab_link_open(struct lab_link *link, uint16_t connection, uint64_t now);

/* Ends the connection and tells the other side. */
void lab_link_close(struct lab_link *link, enum lab_link_close reason);

/* Bytes that arrived on the UART. Returns whether they completed a frame: only then is there anything new. */
bool lab_link_input(struct lab_link *link, const uint8_t *bytes, size_t size, uint64_t now);

/* Does what the time asks for; returns the milliseconds until it asks again, UINT32_MAX for never. */
uint32_t lab_link_tick(struct lab_link *link, uint64_t now);

/* Bytes that are to leave by the UART (`*size`, 0: none), and how many of them did. */
const uint8_t *lab_link_output(struct lab_link *link, size_t *size);
void lab_link_sent(struct lab_link *link, size_t size);

/* The connection's stream. Both return how many bytes, 0 for "not now". */
size_t lab_link_read(struct lab_link *link, uint8_t *bytes, size_t size);
size_t lab_link_write(struct lab_link *link, const uint8_t *bytes, size_t size, uint64_t now);

/* The console of a board with one UART: its text travels beside the connection. */
size_t lab_link_console_read(struct lab_link *link, uint8_t *bytes, size_t size);
size_t lab_link_console_write(struct lab_link *link, const uint8_t *bytes, size_t size);

/* Frames lost or senseless since the start. */
uint32_t lab_link_dropped(const struct lab_link *link);

/* In words, e.g. "frame lost". */
const char *lab_link_close_name(uint8_t reason);

#endif
