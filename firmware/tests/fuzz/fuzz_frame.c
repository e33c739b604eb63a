/* The deframer on any stream of bytes: how the stream is cut does not matter, and what comes out goes in
 * again. */
#include "fuzz.h"
#include "link/frame.h"

#define LIMIT 64u

static uint32_t dropped;

/* Writes each body that the stream holds, its size first, to `bodies`; the stream comes in pieces of `step`
 * bytes. */
static size_t deframe(const uint8_t *data, size_t size, size_t step, uint8_t *bodies) {
    uint8_t body[LAB_FRAME_ROOM(LIMIT)];
    struct lab_frame_reader reader;
    lab_frame_reader_init(&reader, body, sizeof body);
    size_t used = 0;
    for (size_t at = 0; at < size;) {
        size_t piece = step < size - at ? step : size - at;
        size_t found;
        size_t taken = lab_frame_feed(&reader, data + at, piece, &found);
        PROMISE(taken > 0 && taken <= piece);
        PROMISE(found <= LIMIT);
        if (found > 0) {
            bodies[used] = (uint8_t)found;
            memcpy(bodies + used + 1, body, found);
            used += 1 + found;
        } else {
            PROMISE(taken == piece);
        }
        at += taken;
    }
    dropped = reader.dropped;
    return used;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    /* A body needs more bytes on the wire than here. */
    uint8_t *whole = malloc(size + 1), *pieces = malloc(size + 1);
    PROMISE(whole != NULL && pieces != NULL);
    size_t used = deframe(data, size, size, whole);
    uint32_t dropped_whole = dropped;
    PROMISE(deframe(data, size, 1, pieces) == used && memcmp(whole, pieces, used) == 0);
    PROMISE(dropped == dropped_whole);

    for (size_t at = 0; at < used; at += 1 + whole[at]) {
        uint8_t wire[LAB_FRAME_WIRE_MAX(LIMIT)];
        struct lab_frame_writer writer;
        lab_frame_begin(&writer, wire, sizeof wire);
        lab_frame_put(&writer, whole + at + 1, whole[at]);
        size_t sent = lab_frame_end(&writer);
        PROMISE(sent > 0 && memchr(wire, 0, sent) == wire + sent - 1);
        uint8_t back[2 + LIMIT];
        PROMISE(deframe(wire, sent, sent, back) == 1u + whole[at]);
        PROMISE(memcmp(back, whole + at, 1u + whole[at]) == 0);
        PROMISE(dropped == 0);
    }
    free(whole);
    free(pieces);
    return 0;
}
