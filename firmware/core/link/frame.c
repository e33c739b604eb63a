#include "link/frame.h"

#include "link/crc32.h"

#define BLOCK_FULL 0xffu

static void append(struct lab_frame_writer *writer, uint8_t byte) {
    if (writer->size >= writer->room) {
        writer->full = true;
        return;
    }
    writer->wire[writer->size++] = byte;
}

static void open_block(struct lab_frame_writer *writer) {
    writer->code_at = writer->size;
    append(writer, 1);
}

static void stuff(struct lab_frame_writer *writer, uint8_t byte) {
    if (writer->full) {
        return;
    }
    if (writer->wire[writer->code_at] == BLOCK_FULL) {
        open_block(writer);
    }
    if (byte == 0) {
        open_block(writer);
    } else {
        append(writer, byte);
        writer->wire[writer->code_at]++;
    }
}

void lab_frame_begin(struct lab_frame_writer *writer, uint8_t *wire, size_t room) {
    *writer = (struct lab_frame_writer){.wire = wire, .room = room};
    open_block(writer);
}

void lab_frame_put(struct lab_frame_writer *writer, const void *bytes, size_t size) {
    const uint8_t *at = bytes;
    writer->crc = lab_crc32(writer->crc, at, size);
    for (size_t i = 0; i < size; i++) {
        stuff(writer, at[i]);
    }
}

size_t lab_frame_end(struct lab_frame_writer *writer) {
    uint32_t crc = writer->crc;
    for (int i = 0; i < 4; i++) {
        stuff(writer, (uint8_t)(crc >> (8 * i)));
    }
    append(writer, 0);
    return writer->full ? 0 : writer->size;
}

static void restart(struct lab_frame_reader *reader) {
    reader->size = 0;
    reader->block_left = 0;
    reader->zero_due = false;
    reader->skip = false;
}

void lab_frame_reader_init(struct lab_frame_reader *reader, uint8_t *body, size_t room) {
    *reader = (struct lab_frame_reader){.body = body, .room = room};
}

static void keep(struct lab_frame_reader *reader, uint8_t byte) {
    if (reader->size >= reader->room) {
        reader->skip = true;
        return;
    }
    reader->body[reader->size++] = byte;
}

static void take(struct lab_frame_reader *reader, uint8_t byte) {
    if (reader->block_left > 0) {
        reader->block_left--;
        keep(reader, byte);
        return;
    }
    if (reader->zero_due) {
        keep(reader, 0);
    }
    reader->block_left = (uint8_t)(byte - 1);
    reader->zero_due = byte != BLOCK_FULL;
}

/* The body's size, or 0 if what stands in the buffer is no good frame. */
static size_t finish(struct lab_frame_reader *reader) {
    if (reader->skip || reader->block_left > 0 || reader->size <= LAB_FRAME_CRC) {
        return 0;
    }
    size_t size = reader->size - LAB_FRAME_CRC;
    const uint8_t *tail = reader->body + size;
    uint32_t sent =
        (uint32_t)tail[0] | (uint32_t)tail[1] << 8 | (uint32_t)tail[2] << 16 | (uint32_t)tail[3] << 24;
    return sent == lab_crc32(0, reader->body, size) ? size : 0;
}

size_t lab_frame_feed(struct lab_frame_reader *reader, const uint8_t *bytes, size_t size, size_t *body_size) {
    *body_size = 0;
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] != 0) {
            if (!reader->skip) {
                take(reader, bytes[i]);
            }
            continue;
        }
        /* Two delimiters in a row hold no frame, not a damaged one. */
        bool empty = reader->size == 0 && !reader->zero_due && reader->block_left == 0 && !reader->skip;
        size_t body = empty ? 0 : finish(reader);
        if (!empty && body == 0) {
            reader->dropped++;
        }
        restart(reader);
        if (body > 0) {
            *body_size = body;
            return i + 1;
        }
    }
    return size;
}
