/* The link's state machine: a host that says anything, in frames and between them, and an owner that does
 * anything. */
#include "fuzz.h"
#include "link/link.h"

static struct lab_link link_;
static uint64_t now;

/* What leaves is frames, none of them damaged. */
static struct lab_frame_reader host;
static uint8_t host_body[LAB_FRAME_ROOM(LAB_LINK_BODY_MAX)];

static void drain(size_t most) {
    size_t size;
    const uint8_t *bytes = lab_link_output(&link_, &size);
    size = most < size ? most : size;
    uint8_t *copy = exact(bytes, size);
    for (size_t at = 0; at < size;) {
        size_t body;
        at += lab_frame_feed(&host, copy + at, size - at, &body);
        PROMISE(body == 0 || (body >= LAB_LINK_HEADER && host_body[0] >= 1 && host_body[0] <= 7));
    }
    PROMISE(host.dropped == 0);
    free(copy);
    lab_link_sent(&link_, size);
}

static void say(const uint8_t *body, size_t size) {
    uint8_t wire[LAB_FRAME_WIRE_MAX(LAB_LINK_BODY_MAX)];
    struct lab_frame_writer writer;
    lab_frame_begin(&writer, wire, sizeof wire);
    lab_frame_put(&writer, body, size);
    size_t sent = lab_frame_end(&writer);
    PROMISE(sent > 0 || size > LAB_LINK_BODY_MAX);
    (void)lab_link_input(&link_, wire, sent, now);
}

/* A frame of the connection there is, which no mutation would find: type, sequence ahead of the one that is
 * due, payload. */
static void say_ours(struct input *input) {
    uint8_t body[LAB_LINK_BODY_MAX] = {take8(input)};
    uint16_t sequence = (uint16_t)(link_.rx_sequence + take8(input) % 4);
    size_t size = take16(input) % (LAB_LINK_PAYLOAD_MAX + 1u);
    const uint8_t *payload = take(input, &size);
    body[1] = (uint8_t)link_.connection;
    body[2] = (uint8_t)(link_.connection >> 8);
    body[3] = (uint8_t)sequence;
    body[4] = (uint8_t)(sequence >> 8);
    memcpy(body + LAB_LINK_HEADER, payload, size);
    say(body, LAB_LINK_HEADER + size);
}

static void step(struct input *input) {
    uint8_t bytes[LAB_LINK_PAYLOAD_MAX];
    size_t size = 0;
    switch (take8(input) % 11) {
    case 0: { /* anything at all */
        size = take8(input);
        const uint8_t *noise = take(input, &size);
        uint8_t *copy = exact(noise, size);
        (void)lab_link_input(&link_, copy, size, now);
        free(copy);
        break;
    }
    case 1: { /* any good frame */
        size = take8(input);
        const uint8_t *body = take(input, &size);
        say(body, size);
        break;
    }
    case 2:
        say_ours(input);
        break;
    case 3:
        now += take16(input);
        (void)lab_link_tick(&link_, now);
        break;
    case 4:
        size = lab_link_read(&link_, bytes, take16(input) % (sizeof bytes + 1));
        break;
    case 5: {
        size = take16(input) % (sizeof bytes + 1);
        memset(bytes, take8(input), size);
        PROMISE(lab_link_write(&link_, bytes, size, now) <= size);
        break;
    }
    case 6:
        lab_link_open(&link_, (uint16_t)(take16(input) | 1u), now);
        break;
    case 7:
        lab_link_close(&link_, LAB_CLOSE_DONE);
        break;
    case 8:
        size = take8(input);
        PROMISE(lab_link_console_read(&link_, bytes, size) <= size);
        break;
    case 9:
        memset(bytes, 'x', sizeof bytes);
        (void)lab_link_console_write(&link_, bytes, take16(input) % (sizeof bytes + 1));
        break;
    default:
        drain(take16(input));
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct input input = {data, size};
    now = 1000;
    lab_link_init(&link_);
    lab_frame_reader_init(&host, host_body, sizeof host_body);
    lab_link_open(&link_, 0x1234, now);
    while (input.left > 0) {
        step(&input);
        PROMISE(link_.rx_count <= LAB_LINK_WINDOW && link_.rx_head < LAB_LINK_WINDOW);
        PROMISE(link_.typed_count <= LAB_LINK_TYPED_MAX);
        PROMISE(link_.tx_at <= link_.tx_size && link_.tx_size <= sizeof link_.tx);
        PROMISE(strlen(link_.close_text) <= LAB_LINK_TEXT_MAX);
        PROMISE(lab_link_close_name(link_.close_reason) != NULL);
        if (link_.state == LAB_LINK_OPEN) {
            PROMISE((int32_t)(link_.rx_limit - link_.rx_total) >= 0);
        }
    }
    /* Whatever came before: it opens, and one frame each way arrives. */
    drain(SIZE_MAX);
    lab_link_open(&link_, 0x4321, now);
    (void)lab_link_input(&link_, (const uint8_t *)"", 1, now); /* ends what noise began */
    for (int i = 0; i < 3; i++) {
        drain(SIZE_MAX);
    }
    static const uint8_t accept[] = {2, 0x21, 0x43, 0, 0, 16, 0, 0, 0};
    static const uint8_t hello[] = {3, 0x21, 0x43, 0, 0, 'h', 'i'};
    say(accept, sizeof accept);
    say(hello, sizeof hello);
    uint8_t bytes[4];
    PROMISE(lab_link_read(&link_, bytes, sizeof bytes) == 2 && memcmp(bytes, "hi", 2) == 0);
    PROMISE(lab_link_write(&link_, bytes, 2, now) == 2);
    return 0;
}
