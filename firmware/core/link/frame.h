/* Frames on a byte stream: COBS(body | CRC-32(body)) 0x00, docs/protocol.md section 1.
 *
 * Used by the link and by simbus. No state but the caller's, no memory but what it hands in.
 */
#ifndef LAB_LINK_FRAME_H
#define LAB_LINK_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LAB_FRAME_CRC 4u

/* Bytes on the wire, at most, for a body of `size`: the CRC, one COBS code per 254 bytes begun, the
 * delimiter. */
#define LAB_FRAME_WIRE_MAX(size) ((size) + LAB_FRAME_CRC + ((size) + LAB_FRAME_CRC) / 254u + 1u + 1u)

/* Room a reader needs for bodies of up to `size` bytes. */
#define LAB_FRAME_ROOM(size) ((size) + LAB_FRAME_CRC)

/* Builds one frame, piece by piece. */
struct lab_frame_writer {
    uint8_t *wire;
    size_t room;
    size_t size;    /* bytes of `wire` in use */
    size_t code_at; /* where the current block's code goes */
    uint32_t crc;
    bool full; /* it did not fit; the frame is void */
};

void lab_frame_begin(struct lab_frame_writer *writer, uint8_t *wire, size_t room);
void lab_frame_put(struct lab_frame_writer *writer, const void *bytes, size_t size);

/* Returns the bytes to send, delimiter included, or 0 if the frame did not fit. */
size_t lab_frame_end(struct lab_frame_writer *writer);

/* Takes frames out of a byte stream that may hold anything. */
struct lab_frame_reader {
    uint8_t *body;
    size_t room; /* LAB_FRAME_ROOM() of the longest body taken */
    size_t size;
    uint8_t block_left; /* bytes that belong to the current COBS block */
    bool zero_due;      /* the block ends with a zero, unless the frame does */
    bool skip;          /* too long: ignore the rest of it */
    uint32_t dropped;   /* frames that were damaged, cut or too long */
};

void lab_frame_reader_init(struct lab_frame_reader *reader, uint8_t *body, size_t room);

/* Takes bytes up to the end of the next good frame and returns how many. `*body_size` is that frame's body in
 * `reader->body`, valid until the next call, or 0 if all bytes were taken without completing one. */
size_t lab_frame_feed(struct lab_frame_reader *reader, const uint8_t *bytes, size_t size, size_t *body_size);

#endif
