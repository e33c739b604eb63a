/* The link's state machine: a host that says anything, in frames and between them, and an owner that does
 * anything. */
#include "fuzz.h"
#include "link/link.h"

static struct lab_link link_;
static uint64_t now;

/* What leaves is frames, none of them damaged. */
static struct lab_frame_reader host;
static uint8_t host_body[LAB_FRAME_ROOM(LAB_LINK_BODY_MAX)];

/* What has arrived and has not been read; and the streams' next bytes, since the device writes 0, 1, 2, ...
 */
static uint8_t arrived[LAB_LINK_WINDOW];
static size_t arrived_count;
static uint8_t written, left;

static void left_in_order(size_t body) {
    if (host_body[0] != 3 || host_body[1] != (uint8_t)link_.connection ||
        host_body[2] != (uint8_t)(link_.connection >> 8)) {
        return;
    }
    for (size_t i = LAB_LINK_HEADER; i < body; i++) {
        PROMISE(host_body[i] == left++);
    }
}

static void drain(size_t most) {
    size_t size;
    const uint8_t *bytes = lab_link_output(&link_, &size);
    size = most < size ? most : size;
    uint8_t *copy = exact(bytes, size);
    for (size_t at = 0; at < size;) {
        size_t body;
        at += lab_frame_feed(&host, copy + at, size - at, &body);
        PROMISE(body == 0 || (body >= LAB_LINK_HEADER && host_body[0] >= 1 && host_body[0] <= 7));
        if (body > 0) {
            left_in_order(body);
        }
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
    uint32_t before = link_.rx_total;
    (void)lab_link_input(&link_, wire, sent, now);
    size_t more = link_.rx_total - before;
    PROMISE(more <= LAB_LINK_WINDOW - arrived_count);
    if (more > 0) {
        PROMISE(more == size - LAB_LINK_HEADER);
        memcpy(arrived + arrived_count, body + LAB_LINK_HEADER, more);
        arrived_count += more;
    }
}

static size_t hear(size_t size) {
    uint8_t *bytes = exact(arrived, size);
    size = lab_link_read(&link_, bytes, size);
    PROMISE(size <= arrived_count && memcmp(bytes, arrived, size) == 0);
    arrived_count -= size;
    memmove(arrived, arrived + size, arrived_count);
    free(bytes);
    return size;
}

/* A number that was not used before: whatever still waits to leave is of another. */
static void open_another(uint8_t step) {
    lab_link_open(&link_, (uint16_t)(link_.connection + 1u + step % 16u), now);
    arrived_count = 0;
    written = left = 0;
}

/* A frame of the connection there is, which no mutation would find: type, sequence ahead of the one that is
 * due, payload. With 0x80 in the type the payload is not in the input, which could not hold what a window
 * does. */
static void say_ours(struct input *input) {
    uint8_t type = take8(input);
    uint8_t body[LAB_LINK_BODY_MAX] = {type & 0x7fu};
    uint16_t sequence = (uint16_t)(link_.rx_sequence + take8(input) % 4);
    size_t size = take16(input) % (LAB_LINK_PAYLOAD_MAX + 1u);
    body[1] = (uint8_t)link_.connection;
    body[2] = (uint8_t)(link_.connection >> 8);
    body[3] = (uint8_t)sequence;
    body[4] = (uint8_t)(sequence >> 8);
    if (type & 0x80u) {
        for (size_t i = 0; i < size; i++) {
            body[LAB_LINK_HEADER + i] = (uint8_t)(i * 7);
        }
    } else {
        const uint8_t *payload = take(input, &size);
        memcpy(body + LAB_LINK_HEADER, payload, size);
    }
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
        uint32_t before = link_.rx_total;
        (void)lab_link_input(&link_, copy, size, now);
        free(copy);
        if (link_.rx_total != before) { /* it held a good frame; what was in it is not known here */
            open_another(0);
        }
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
        (void)hear(take16(input) % (LAB_LINK_WINDOW + 1u));
        break;
    case 5: {
        size = take16(input) % (sizeof bytes + 1);
        for (size_t i = 0; i < size; i++) {
            bytes[i] = (uint8_t)(written + i);
        }
        size_t taken = lab_link_write(&link_, bytes, size, now);
        PROMISE(taken <= size);
        written = (uint8_t)(written + taken);
        break;
    }
    case 6:
        open_another(take8(input));
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
    link_.connection = 0x1233;
    open_another(0);
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
    (void)lab_link_input(&link_, (const uint8_t *)"", 1, now); /* ends what noise began */
    open_another(0);
    for (int i = 0; i < 3; i++) {
        drain(SIZE_MAX);
    }
    const uint8_t low = (uint8_t)link_.connection, high = (uint8_t)(link_.connection >> 8);
    const uint8_t accept[] = {2, low, high, 0, 0, 16, 0, 0, 0};
    const uint8_t hello[] = {3, low, high, 0, 0, 'h', 'i'};
    say(accept, sizeof accept);
    say(hello, sizeof hello);
    PROMISE(hear(LAB_LINK_WINDOW) == 2);
    PROMISE(lab_link_write(&link_, (const uint8_t *)"\0\1", 2, now) == 2);
    drain(SIZE_MAX);
    PROMISE(left == 2);
    return 0;
}
