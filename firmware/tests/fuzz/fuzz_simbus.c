/* The bus over frames: a host that answers anything, or nothing, to every request. */
#include "fuzz.h"
#include "lab/simbus.h"

static struct input input;
static struct lab_simbus bus;
static uint64_t now;

/* The host's bytes that wait to be read. */
static uint8_t waiting[LAB_FRAME_WIRE_MAX(LAB_SIMBUS_BODY + 64u)];
static size_t waiting_at, waiting_size;

/* The payload of the last answer to the request that was open. */
static uint8_t told[LAB_SIMBUS_BODY + 64u];
static size_t told_size;

static struct lab_frame_reader host;
static uint8_t host_body[LAB_FRAME_ROOM(LAB_SIMBUS_BODY)];

static void answer(const uint8_t *body, size_t size) {
    struct lab_frame_writer writer;
    lab_frame_begin(&writer, waiting, sizeof waiting);
    lab_frame_put(&writer, body, size);
    waiting_at = 0;
    waiting_size = lab_frame_end(&writer);
}

static size_t bus_read(const struct lab_port *port, enum lab_stream stream, uint8_t *bytes, size_t size) {
    (void)port;
    (void)stream;
    if (waiting_at == waiting_size || size == 0) {
        return 0;
    }
    bytes[0] = waiting[waiting_at++];
    return 1;
}

/* A request has left: the input says what comes back. */
static size_t bus_write(const struct lab_port *port, enum lab_stream stream, const uint8_t *bytes,
                        size_t size) {
    (void)port;
    (void)stream;
    for (size_t at = 0; at < size;) {
        size_t body;
        at += lab_frame_feed(&host, bytes + at, size - at, &body);
        if (body == 0) {
            continue;
        }
        PROMISE(body >= 2);
        uint8_t reply[LAB_SIMBUS_BODY + 64u];
        uint8_t how = take8(&input);
        size_t payload = how & 0x40u ? take16(&input) % (sizeof reply - 3u) : how % 16u;
        const uint8_t *content = take(&input, &payload);
        if (how & 0x80u) { /* any frame, an edge among them */
            memcpy(reply, content, payload);
            answer(reply, payload);
        } else if (how & 0x20u) { /* noise */
            memcpy(waiting, content, payload);
            waiting_at = 0;
            waiting_size = payload;
        } else {
            reply[0] = host_body[0];
            reply[1] = host_body[1] | 0x80u;
            reply[2] = how & 0x10u ? take8(&input) : 0;
            memcpy(reply + 3, content, payload);
            memcpy(told, content, payload);
            told_size = payload;
            answer(reply, 3 + payload);
        }
    }
    PROMISE(host.dropped == 0);
    return size;
}

static uint64_t millis(const struct lab_port *port) {
    (void)port;
    return now;
}

static void idle(const struct lab_port *port, uint32_t max_ms) {
    (void)port;
    now += max_ms;
}

static void feed(const struct lab_port *port) {
    (void)port;
}

static const struct lab_port port = {
    .simbus = &bus,
    .read = bus_read,
    .write = bus_write,
    .millis = millis,
    .idle = idle,
    .feed = feed,
};

static void request(void) {
    uint8_t out[LAB_SIMBUS_DATA + 8u] = {0};
    size_t size = take16(&input) % (LAB_SIMBUS_DATA + 8u);
    size_t room = take8(&input);
    uint8_t *in = exact(out, size); /* as many bytes as are asked for, and not one more */
    struct lab_pulse *pulses = malloc((room + 1) * sizeof *pulses);
    PROMISE(pulses != NULL);
    bool level;
    uint16_t value;
    uint8_t pin;
    enum lab_bus_status status = LAB_BUS_DONE;
    switch (take8(&input) % 10) {
    case 0:
        status = lab_simbus_i2c(&port, 0x77, out, room, in, size);
        PROMISE(status != LAB_BUS_DONE || (told_size == size && memcmp(in, told, size) == 0));
        break;
    case 1: {
        size_t count = room;
        status = lab_simbus_pulses(&port, 4, 1000, pulses, &count);
        PROMISE(count <= room);
        break;
    }
    case 2:
        status = lab_simbus_strip(&port, 0, out, size);
        break;
    case 3:
        status = lab_simbus_gpio_write(&port, 1, true);
        break;
    case 4:
        status = lab_simbus_gpio_read(&port, 1, &level);
        PROMISE(status != LAB_BUS_DONE || (told_size == 1 && level == (told[0] != 0)));
        break;
    case 5:
        status = lab_simbus_adc_read(&port, 1, &value);
        PROMISE(status != LAB_BUS_DONE || (told_size == 2 && value == (told[0] | told[1] << 8)));
        break;
    case 6:
        status = lab_simbus_flash_read(&port, 0, in, size);
        break;
    case 7:
        status = lab_simbus_flash_program(&port, 0, out, sizeof out);
        break;
    case 8:
        status = lab_simbus_flash_erase(&port, 0);
        break;
    default:
        (void)lab_simbus_edge(&port, &pin, &level);
        break;
    }
    PROMISE(status <= LAB_BUS_POWER_FAILED);
    PROMISE(bus.edge_count <= LAB_SIMBUS_EDGES);
    free(in);
    free(pulses);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    input = (struct input){data, size};
    now = 0;
    waiting_at = waiting_size = 0;
    lab_frame_reader_init(&host, host_body, sizeof host_body);
    lab_simbus_start(&port);
    while (input.left > 0) {
        request();
    }
    return 0;
}
