#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "link/crc32.h"
#include "link/frame.h"

#define BODY_MAX 1029u

static uint8_t wire[LAB_FRAME_WIRE_MAX(BODY_MAX)];
static uint8_t room[LAB_FRAME_ROOM(BODY_MAX)];

static size_t encode(const uint8_t *body, size_t size) {
    struct lab_frame_writer writer;
    lab_frame_begin(&writer, wire, sizeof wire);
    lab_frame_put(&writer, body, size / 2);
    lab_frame_put(&writer, body + size / 2, size - size / 2);
    return lab_frame_end(&writer);
}

static void crc_check_value(void) {
    /* The catalogue's check value of CRC-32/ISO-HDLC. */
    CHECK_EQUAL(lab_crc32(0, "123456789", 9), 0xcbf43926);
    CHECK_EQUAL(lab_crc32(lab_crc32(0, "1234", 4), "56789", 5), 0xcbf43926);
}

static void known_frame(void) {
    /* COBS of 11 00 22 and a CRC without zeros. */
    static const uint8_t body[] = {0x11, 0x00, 0x22};
    uint32_t crc = lab_crc32(0, body, sizeof body);
    size_t size = encode(body, sizeof body);
    CHECK_EQUAL(size, 9);
    CHECK_EQUAL(wire[0], 2);
    CHECK_EQUAL(wire[1], 0x11);
    CHECK_EQUAL(wire[2], 6);
    CHECK_EQUAL(wire[3], 0x22);
    CHECK_EQUAL(wire[4], crc & 0xff);
    CHECK_EQUAL(wire[8], 0);
}

static void every_size_round_trips(void) {
    static uint8_t body[BODY_MAX];
    for (size_t size = 1; size <= BODY_MAX; size++) {
        for (unsigned pattern = 0; pattern < 3; pattern++) {
            for (size_t i = 0; i < size; i++) {
                body[i] = pattern == 0 ? 0 : pattern == 1 ? 0xff : (uint8_t)(i % 255);
            }
            size_t on_wire = encode(body, size);
            CHECK(on_wire > 0 && on_wire <= LAB_FRAME_WIRE_MAX(size));
            CHECK(memchr(wire, 0, on_wire) == wire + on_wire - 1);
            struct lab_frame_reader reader;
            lab_frame_reader_init(&reader, room, sizeof room);
            size_t got;
            CHECK_EQUAL(lab_frame_feed(&reader, wire, on_wire, &got), on_wire);
            CHECK_EQUAL(got, size);
            CHECK(memcmp(room, body, size) == 0);
            CHECK_EQUAL(reader.dropped, 0);
        }
    }
}

static void too_small_a_buffer(void) {
    static const uint8_t body[300] = {1};
    for (size_t given = 0; given < LAB_FRAME_WIRE_MAX(sizeof body); given++) {
        uint8_t *out = malloc(given + 1);
        struct lab_frame_writer writer;
        lab_frame_begin(&writer, out, given);
        lab_frame_put(&writer, body, sizeof body);
        size_t size = lab_frame_end(&writer);
        CHECK(size <= given);
        free(out);
    }
}

static void damage_drops_one_frame(void) {
    static const uint8_t body[] = {5, 6, 7, 8, 0, 9};
    struct lab_frame_reader reader;
    lab_frame_reader_init(&reader, room, sizeof room);
    size_t size = encode(body, sizeof body);
    for (size_t at = 0; at + 1 < size; at++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            encode(body, sizeof body);
            wire[at] ^= (uint8_t)(1u << bit);
            uint32_t before = reader.dropped;
            size_t got;
            size_t taken = 0;
            while (taken < size) {
                taken += lab_frame_feed(&reader, wire + taken, size - taken, &got);
                CHECK_EQUAL(got, 0);
            }
            CHECK(reader.dropped > before);
            encode(body, sizeof body);
            lab_frame_feed(&reader, wire, size, &got);
            CHECK_EQUAL(got, sizeof body);
        }
    }
}

static void too_long_a_frame(void) {
    struct lab_frame_reader reader;
    lab_frame_reader_init(&reader, room, LAB_FRAME_ROOM(100));
    static const uint8_t body[101] = {1};
    size_t size = encode(body, sizeof body);
    size_t got;
    lab_frame_feed(&reader, wire, size, &got);
    CHECK_EQUAL(got, 0);
    CHECK_EQUAL(reader.dropped, 1);
    size = encode(body, 100);
    lab_frame_feed(&reader, wire, size, &got);
    CHECK_EQUAL(got, 100);
}

static void delimiters_alone_are_no_frames(void) {
    struct lab_frame_reader reader;
    lab_frame_reader_init(&reader, room, sizeof room);
    static const uint8_t zeros[64];
    size_t got;
    CHECK_EQUAL(lab_frame_feed(&reader, zeros, sizeof zeros, &got), sizeof zeros);
    CHECK_EQUAL(got, 0);
    CHECK_EQUAL(reader.dropped, 0);
}

static void garbage_is_survived(void) {
    struct lab_frame_reader reader;
    lab_frame_reader_init(&reader, room, sizeof room);
    srand(1);
    for (int round = 0; round < 20000; round++) {
        uint8_t noise[64];
        for (size_t i = 0; i < sizeof noise; i++) {
            noise[i] = (uint8_t)(rand() % 16 == 0 ? 0 : rand());
        }
        for (size_t at = 0; at < sizeof noise;) {
            size_t got;
            size_t taken = lab_frame_feed(&reader, noise + at, sizeof noise - at, &got);
            CHECK(taken > 0);
            at += taken;
        }
    }
    static const uint8_t zero;
    static const uint8_t body[] = {1, 2, 3};
    size_t got;
    lab_frame_feed(&reader, &zero, 1, &got);
    size_t size = encode(body, sizeof body);
    lab_frame_feed(&reader, wire, size, &got);
    CHECK_EQUAL(got, sizeof body);
}

int main(void) {
    RUN(crc_check_value);
    RUN(known_frame);
    RUN(every_size_round_trips);
    RUN(too_small_a_buffer);
    RUN(damage_drops_one_frame);
    RUN(too_long_a_frame);
    RUN(delimiters_alone_are_no_frames);
    RUN(garbage_is_survived);
    return REPORT();
}
