#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "link/link.h"

/* The host's end, by hand: what it says is built here, what the device says is taken apart here. */

enum { OPEN = 1, ACCEPT, DATA, CREDIT, CLOSE, SYNC, CONSOLE };

struct heard {
    uint8_t type;
    uint16_t connection;
    uint16_t sequence;
    uint8_t payload[LAB_LINK_PAYLOAD_MAX];
    size_t size;
};

static struct lab_link link_;
static uint64_t now;
static struct lab_frame_reader host;
static uint8_t host_room[LAB_FRAME_ROOM(LAB_LINK_BODY_MAX)];

static void say(uint8_t type, uint16_t connection, uint16_t sequence, const void *payload, size_t size) {
    uint8_t wire[LAB_FRAME_WIRE_MAX(LAB_LINK_BODY_MAX)];
    uint8_t header[] = {type, (uint8_t)connection, (uint8_t)(connection >> 8), (uint8_t)sequence,
                        (uint8_t)(sequence >> 8)};
    struct lab_frame_writer writer;
    lab_frame_begin(&writer, wire, sizeof wire);
    lab_frame_put(&writer, header, sizeof header);
    lab_frame_put(&writer, payload, size);
    lab_link_input(&link_, wire, lab_frame_end(&writer), now);
}

static void say_number(uint8_t type, uint16_t connection, uint32_t number) {
    uint8_t payload[] = {(uint8_t)number, (uint8_t)(number >> 8), (uint8_t)(number >> 16),
                         (uint8_t)(number >> 24)};
    say(type, connection, 0, payload, sizeof payload);
}

/* The next frame the device sends now; false if it sends none. */
static bool hear(struct heard *heard) {
    memset(heard, 0, sizeof *heard);
    lab_link_tick(&link_, now);
    for (;;) {
        size_t size, body;
        const uint8_t *bytes = lab_link_output(&link_, &size);
        if (size == 0) {
            return false;
        }
        /* One byte at a time: a UART that takes little must not matter. */
        lab_frame_feed(&host, bytes, 1, &body);
        lab_link_sent(&link_, 1);
        if (body > 0) {
            heard->type = host_room[0];
            heard->connection = (uint16_t)(host_room[1] | host_room[2] << 8);
            heard->sequence = (uint16_t)(host_room[3] | host_room[4] << 8);
            heard->size = body - LAB_LINK_HEADER;
            memcpy(heard->payload, host_room + LAB_LINK_HEADER, heard->size);
            return true;
        }
    }
}

static bool hear_type(struct heard *heard, uint8_t type) {
    bool any = hear(heard);
    CHECK(any);
    CHECK_EQUAL(any ? heard->type : 0, type);
    return any && heard->type == type;
}

static void silent(void) {
    struct heard heard;
    CHECK(!hear(&heard));
}

static uint32_t number_of(const struct heard *heard, size_t at) {
    return (uint32_t)heard->payload[at] | (uint32_t)heard->payload[at + 1] << 8 |
           (uint32_t)heard->payload[at + 2] << 16 | (uint32_t)heard->payload[at + 3] << 24;
}

static void start(void) {
    now = 1000;
    lab_link_init(&link_);
    lab_frame_reader_init(&host, host_room, sizeof host_room);
}

static void start_open(uint32_t window) {
    struct heard heard;
    start();
    lab_link_open(&link_, 0x1234, now);
    hear_type(&heard, OPEN);
    say_number(ACCEPT, 0x1234, window);
    CHECK_EQUAL(link_.state, LAB_LINK_OPEN);
}

static void close_with(uint8_t reason) {
    struct heard heard;
    CHECK_EQUAL(link_.state, LAB_LINK_CLOSED);
    CHECK_EQUAL(link_.close_reason, reason);
    hear_type(&heard, CLOSE);
    CHECK_EQUAL(heard.connection, 0x1234);
    CHECK_EQUAL(heard.payload[0], reason);
}

static void starts_with_a_delimiter(void) {
    start();
    size_t size;
    const uint8_t *bytes = lab_link_output(&link_, &size);
    CHECK_EQUAL(size, 1);
    CHECK_EQUAL(bytes[0], 0);
}

static void open_is_repeated_until_answered(void) {
    struct heard heard;
    start();
    lab_link_open(&link_, 0x1234, now);
    hear_type(&heard, OPEN);
    CHECK_EQUAL(heard.connection, 0x1234);
    CHECK_EQUAL(heard.payload[0], LAB_LINK_VERSION);
    CHECK_EQUAL(number_of(&heard, 1), LAB_LINK_WINDOW);
    now += 999;
    silent();
    CHECK_EQUAL(lab_link_tick(&link_, now), 1);
    now += 1;
    hear_type(&heard, OPEN);
    CHECK_EQUAL(heard.connection, 0x1234);
    say_number(ACCEPT, 0x4321, 100);
    CHECK_EQUAL(link_.state, LAB_LINK_OPENING);
    say_number(ACCEPT, 0x1234, 100);
    CHECK_EQUAL(link_.state, LAB_LINK_OPEN);
    now += 5000;
    silent();
}

static void data_both_ways(void) {
    struct heard heard;
    uint8_t bytes[10];
    start_open(1000);
    CHECK_EQUAL(lab_link_write(&link_, (const uint8_t *)"hello", 5, now), 5);
    CHECK_EQUAL(lab_link_write(&link_, (const uint8_t *)"more", 4, now), 0); /* the first has not left */
    hear_type(&heard, DATA);
    CHECK_EQUAL(heard.sequence, 0);
    CHECK(heard.size == 5 && memcmp(heard.payload, "hello", 5) == 0);
    CHECK_EQUAL(lab_link_write(&link_, (const uint8_t *)"more", 4, now), 4);
    hear_type(&heard, DATA);
    CHECK_EQUAL(heard.sequence, 1);
    say(DATA, 0x1234, 0, "abc", 3);
    say(DATA, 0x1234, 1, "def", 3);
    CHECK_EQUAL(lab_link_read(&link_, bytes, 4), 4);
    CHECK(memcmp(bytes, "abcd", 4) == 0);
    CHECK_EQUAL(lab_link_read(&link_, bytes, sizeof bytes), 2);
    CHECK_EQUAL(lab_link_read(&link_, bytes, sizeof bytes), 0);
}

static void a_lost_frame_closes(void) {
    start_open(1000);
    say(DATA, 0x1234, 0, "abc", 3);
    say(DATA, 0x1234, 2, "def", 3);
    uint8_t bytes[10];
    CHECK_EQUAL(lab_link_read(&link_, bytes, sizeof bytes), 3); /* what came before it is there */
    close_with(LAB_CLOSE_FRAME_LOST);
    silent();
}

static void a_lost_last_frame_shows_at_sync(void) {
    struct heard heard;
    start_open(1000);
    say(SYNC, 0x1234, 0, NULL, 0);
    hear_type(&heard, CREDIT);
    CHECK_EQUAL(number_of(&heard, 0), LAB_LINK_WINDOW);
    say(SYNC, 0x1234, 1, NULL, 0);
    close_with(LAB_CLOSE_FRAME_LOST);
}

static void sequences_wrap(void) {
    start_open(0xffffffff);
    uint8_t byte;
    struct heard heard;
    for (uint32_t i = 0; i < 0x10010; i++) {
        say(DATA, 0x1234, (uint16_t)i, "x", 1);
        CHECK_EQUAL(lab_link_read(&link_, &byte, 1), 1);
        while (hear(&heard)) {
            CHECK_EQUAL(heard.type, CREDIT);
        }
    }
    CHECK_EQUAL(link_.state, LAB_LINK_OPEN);
}

static void window_and_credit(void) {
    struct heard heard;
    static uint8_t bytes[LAB_LINK_WINDOW];
    start_open(1000);
    for (uint16_t i = 0; i < LAB_LINK_WINDOW / 1024; i++) {
        say(DATA, 0x1234, i, bytes, 1024);
    }
    silent();
    CHECK_EQUAL(lab_link_read(&link_, bytes, LAB_LINK_WINDOW / 2 - 1), LAB_LINK_WINDOW / 2 - 1);
    silent();
    lab_link_read(&link_, bytes, 1);
    hear_type(&heard, CREDIT);
    CHECK_EQUAL(number_of(&heard, 0), LAB_LINK_WINDOW + LAB_LINK_WINDOW / 2);
    say(DATA, 0x1234, 4, bytes, 1024);
    say(DATA, 0x1234, 5, bytes, 1024);
    CHECK_EQUAL(link_.state, LAB_LINK_OPEN);
    say(DATA, 0x1234, 6, bytes, 1);
    close_with(LAB_CLOSE_OVERRUN);
}

static void no_credit_no_data(void) {
    struct heard heard;
    start_open(3);
    CHECK_EQUAL(lab_link_write(&link_, (const uint8_t *)"hello", 5, now), 3);
    hear_type(&heard, DATA);
    CHECK_EQUAL(heard.size, 3);
    CHECK_EQUAL(lab_link_write(&link_, (const uint8_t *)"lo", 2, now), 0);
    say_number(CREDIT, 0x1234, 2); /* limits do not shrink */
    CHECK_EQUAL(lab_link_write(&link_, (const uint8_t *)"lo", 2, now), 0);
    say_number(CREDIT, 0x1234, 100);
    CHECK_EQUAL(lab_link_write(&link_, (const uint8_t *)"lo", 2, now), 2);
}

static void sync_after_silence_and_its_end(void) {
    struct heard heard;
    start_open(1000);
    lab_link_write(&link_, (const uint8_t *)"x", 1, now);
    hear_type(&heard, DATA);
    now += 249;
    silent();
    now += 1;
    hear_type(&heard, SYNC);
    CHECK_EQUAL(heard.sequence, 1);
    say_number(CREDIT, 0x1234, 1000);
    now += 10000;
    silent(); /* answered: once is enough */

    lab_link_write(&link_, (const uint8_t *)"y", 1, now);
    hear_type(&heard, DATA);
    for (int i = 0; i < 20; i++) {
        now += 250;
        hear_type(&heard, SYNC);
    }
    now += 250;
    lab_link_tick(&link_, now);
    close_with(LAB_CLOSE_NO_ANSWER);
}

static void starved_it_asks(void) {
    struct heard heard;
    start_open(0);
    CHECK_EQUAL(lab_link_write(&link_, (const uint8_t *)"x", 1, now), 0);
    now += 250;
    hear_type(&heard, SYNC);
    say_number(CREDIT, 0x1234, 0);
    now += 250;
    hear_type(&heard, SYNC);
    say_number(CREDIT, 0x1234, 1);
    CHECK_EQUAL(lab_link_write(&link_, (const uint8_t *)"x", 1, now), 1);
}

static void strangers_are_told(void) {
    struct heard heard;
    start_open(1000);
    say(DATA, 0x9999, 0, "abc", 3);
    hear_type(&heard, CLOSE);
    CHECK_EQUAL(heard.connection, 0x9999);
    CHECK_EQUAL(heard.payload[0], LAB_CLOSE_UNKNOWN_CONNECTION);
    say(CLOSE, 0x9999, 0, "\0", 1);
    CHECK_EQUAL(link_.state, LAB_LINK_OPEN);
}

static void the_host_closes(void) {
    static const char text[] = "\2no \x1b[31m route";
    start_open(1000);
    say(DATA, 0x1234, 0, "bye", 3);
    say(CLOSE, 0x1234, 0, text, sizeof text - 1);
    CHECK_EQUAL(link_.state, LAB_LINK_CLOSED);
    CHECK_EQUAL(link_.close_reason, LAB_CLOSE_UNREACHABLE);
    CHECK(strcmp(link_.close_text, "no ?[31m route") == 0);
    silent();
    uint8_t bytes[8];
    CHECK_EQUAL(lab_link_read(&link_, bytes, sizeof bytes), 3);
    silent();

    static const uint8_t bridge_started = LAB_CLOSE_BRIDGE_STARTED;
    start_open(1000);
    say(CLOSE, 0, 0, &bridge_started, 1);
    CHECK_EQUAL(link_.state, LAB_LINK_CLOSED);
}

static void a_new_connection_starts_afresh(void) {
    struct heard heard;
    uint8_t bytes[8];
    start_open(1000);
    say(DATA, 0x1234, 0, "old", 3);
    lab_link_open(&link_, 0x4444, now);
    CHECK_EQUAL(lab_link_read(&link_, bytes, sizeof bytes), 0);
    hear_type(&heard, OPEN);
    say_number(ACCEPT, 0x4444, 10);
    say(DATA, 0x4444, 0, "new", 3);
    CHECK_EQUAL(lab_link_read(&link_, bytes, sizeof bytes), 3);
    lab_link_write(&link_, (const uint8_t *)"x", 1, now);
    hear_type(&heard, DATA);
    CHECK_EQUAL(heard.sequence, 0);
}

static void console_beside_the_connection(void) {
    struct heard heard;
    uint8_t bytes[100];
    static const uint8_t flood[200] = {'x'};
    start();
    say(CONSOLE, 0, 0, "help\n", 5);
    CHECK_EQUAL(lab_link_console_read(&link_, bytes, 2), 2);
    CHECK_EQUAL(lab_link_console_read(&link_, bytes, 100), 3);
    say(CONSOLE, 0, 0, flood, sizeof flood);
    CHECK_EQUAL(lab_link_console_read(&link_, bytes, 100), LAB_LINK_TYPED_MAX);
    hear(&heard);
    CHECK_EQUAL(lab_link_console_write(&link_, (const uint8_t *)"boot", 4), 4);
    hear_type(&heard, CONSOLE);
    CHECK(heard.size == 4 && memcmp(heard.payload, "boot", 4) == 0);
}

static void senseless_frames_are_survived(void) {
    struct heard heard;
    start_open(1000);
    say(77, 0x1234, 0, "?", 1); /* a type of a later version */
    silent();
    srand(2);
    for (int i = 0; i < 200000; i++) {
        uint8_t payload[40];
        for (size_t j = 0; j < sizeof payload; j++) {
            payload[j] = (uint8_t)rand();
        }
        uint16_t connection = rand() % 2 ? link_.connection : (uint16_t)(rand() % 3);
        say((uint8_t)(rand() % 9), connection, (uint16_t)(rand() % 4), payload,
            (size_t)rand() % sizeof payload);
        CHECK(link_.rx_count <= LAB_LINK_WINDOW);
        if (rand() % 4 == 0) {
            lab_link_read(&link_, payload, (size_t)rand() % sizeof payload);
            lab_link_write(&link_, payload, (size_t)rand() % sizeof payload, now);
        }
        now += (uint64_t)rand() % 100;
        while (hear(&heard)) {
        }
        if (link_.state == LAB_LINK_CLOSED) {
            lab_link_open(&link_, (uint16_t)(1 + rand() % 3), now);
        }
    }
}

int main(void) {
    RUN(starts_with_a_delimiter);
    RUN(open_is_repeated_until_answered);
    RUN(data_both_ways);
    RUN(a_lost_frame_closes);
    RUN(a_lost_last_frame_shows_at_sync);
    RUN(sequences_wrap);
    RUN(window_and_credit);
    RUN(no_credit_no_data);
    RUN(sync_after_silence_and_its_end);
    RUN(starved_it_asks);
    RUN(strangers_are_told);
    RUN(the_host_closes);
    RUN(a_new_connection_starts_afresh);
    RUN(console_beside_the_connection);
    RUN(senseless_frames_are_survived);
    return REPORT();
}
