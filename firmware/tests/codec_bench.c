/* The C codec behind a pipe, for tests/fuzz: each request is `size:u32 kind:u8 CBOR` (little endian, codecs.h
 * has the kinds), each answer `size:u32` and what the codec says that it understood; size 0: it refuses.
 *
 * Kind 255 is the deframer: the rest is a stream, the answer the bodies in it, each with its size:u16 in
 * front, and the number of frames dropped as u32. Called with an argument it prints its table and ends.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codecs.h"
#include "link/link.h"

#define FRAMES 255u
#define ROOM   (1u << 20)

static uint8_t out[ROOM];

static size_t deframe(const uint8_t *stream, size_t size) {
    static uint8_t body[LAB_FRAME_ROOM(LAB_LINK_BODY_MAX)];
    struct lab_frame_reader reader;
    lab_frame_reader_init(&reader, body, sizeof body);
    size_t used = 0;
    for (size_t at = 0; at < size;) {
        size_t found;
        at += lab_frame_feed(&reader, stream + at, size - at, &found);
        if (found > 0) {
            out[used++] = (uint8_t)found;
            out[used++] = (uint8_t)(found >> 8);
            memcpy(out + used, body, found);
            used += found;
        }
    }
    memcpy(out + used, &reader.dropped, sizeof reader.dropped);
    return used + sizeof reader.dropped;
}

static size_t answer(uint8_t kind, const uint8_t *bytes, size_t size) {
    static union any_message message;
    if (kind == FRAMES) {
        return deframe(bytes, size);
    }
    const struct codec *codec = find_codec(kind);
    return codec != NULL && codec->decode(bytes, size, &message) ? codec->encode(out, sizeof out, &message)
                                                                 : 0;
}

int main(int argc, char **argv) {
    (void)argv;
    for (size_t i = 0; argc > 1 && i < CODEC_COUNT; i++) {
        printf("%u %s\n", codecs[i].kind, codecs[i].name);
    }
    uint32_t size;
    while (argc == 1 && fread(&size, sizeof size, 1, stdin) == 1) {
        uint8_t *bytes = size > 0 && size <= ROOM / 2 ? malloc(size) : NULL;
        if (bytes == NULL || fread(bytes, 1, size, stdin) != size) {
            fputs("a request is cut short, empty or too long\n", stderr);
            return 2;
        }
        /* Its own copy, so that the sanitizer sees a read past the end. */
        uint32_t said = (uint32_t)answer(bytes[0], bytes + 1, size - 1);
        fwrite(&said, sizeof said, 1, stdout);
        fwrite(out, 1, said, stdout);
        fflush(stdout);
        free(bytes);
    }
    return 0;
}
