#include "lab/simbus.h"

#include <string.h>

const struct lab_wiring lab_simbus_wiring = {
    .dht22_pin = 4,
    .buzzer_pin = 5,
    .buzzer_active_low = true,
    .fan_pin = 6,
    .strip = 0,
    .leds = 11,
    .bme680_address = 0x77,
};

enum operation {
    I2C = 0x01,
    PULSES = 0x02,
    STRIP = 0x03,
    GPIO_WRITE = 0x04,
    GPIO_READ = 0x05,
    ADC_READ = 0x06,
    FLASH_READ = 0x07,
    FLASH_PROGRAM = 0x08,
    FLASH_ERASE = 0x09,
    RESET = 0x0a,
    GPIO_CHANGED = 0x40,
    ANSWER = 0x80,
};

/* sequence, operation, status */
#define ANSWER_HEADER 3u
#define PULSE_SIZE    4u
#define ARGUMENTS_MAX 6u

/* A request: its arguments, then bytes that stay where they are. */
struct request {
    enum operation operation;
    uint8_t arguments[ARGUMENTS_MAX];
    size_t argument_size;
    const uint8_t *data;
    size_t data_size;
};

/* The payload of an answer, in the reader's buffer: valid until the stream is read again. */
struct answer {
    const uint8_t *data;
    size_t size;
};

static void add8(struct request *request, uint8_t value) {
    request->arguments[request->argument_size++] = value;
}

static void add16(struct request *request, uint16_t value) {
    add8(request, (uint8_t)value);
    add8(request, (uint8_t)(value >> 8));
}

static void add32(struct request *request, uint32_t value) {
    add16(request, (uint16_t)value);
    add16(request, (uint16_t)(value >> 16));
}

static uint16_t get16(const uint8_t *bytes) {
    return (uint16_t)(bytes[0] | bytes[1] << 8);
}

static bool expired(const struct lab_port *port, uint64_t start) {
    return port->millis(port) - start >= LAB_SIMBUS_TIMEOUT_MS;
}

static void wait(const struct lab_port *port) {
    port->feed(port);
    port->idle(port, 50);
}

static bool send_bytes(const struct lab_port *port, const uint8_t *bytes, size_t size) {
    uint64_t start = port->millis(port);
    while (size > 0) {
        size_t taken = port->write(port, LAB_SIMBUS, bytes, size);
        bytes += taken;
        size -= taken;
        if (size > 0) {
            if (expired(port, start)) {
                return false;
            }
            if (taken == 0) {
                wait(port);
            }
        }
    }
    return true;
}

static bool send_request(const struct lab_port *port, const struct request *request) {
    struct lab_simbus *bus = port->simbus;
    const uint8_t header[] = {bus->sequence, (uint8_t)request->operation};
    struct lab_frame_writer writer;
    lab_frame_begin(&writer, bus->wire, sizeof bus->wire);
    lab_frame_put(&writer, header, sizeof header);
    lab_frame_put(&writer, request->arguments, request->argument_size);
    lab_frame_put(&writer, request->data, request->data_size);
    size_t size = lab_frame_end(&writer);
    return size > 0 && send_bytes(port, bus->wire, size);
}

static void note_edge(struct lab_simbus *bus, const uint8_t *body, size_t size) {
    if (size < 4) {
        return;
    }
    if (bus->edge_count == LAB_SIMBUS_EDGES) {
        bus->edges_lost++;
        return;
    }
    bus->edges[bus->edge_count++] = (struct lab_simbus_edge){.pin = body[2], .level = body[3] != 0};
}

/* The next frame that has already arrived and is not an edge; its size, or 0. Reads byte by byte, so that
 * nothing behind the frame is taken from the stream and lost. */
static size_t next_frame(const struct lab_port *port) {
    struct lab_simbus *bus = port->simbus;
    uint8_t byte;
    while (port->read(port, LAB_SIMBUS, &byte, 1) == 1) {
        size_t size;
        lab_frame_feed(&bus->reader, &byte, 1, &size);
        if (size >= 2 && bus->body[1] == GPIO_CHANGED) {
            note_edge(bus, bus->body, size);
        } else if (size > 0) {
            return size;
        }
    }
    return 0;
}

/* Ask, and wait for the answer to this very question: one that comes after its time is not taken for the
 * next. */
static enum lab_bus_status transact(const struct lab_port *port, const struct request *request,
                                    struct answer *answer) {
    struct lab_simbus *bus = port->simbus;
    uint64_t start = port->millis(port);
    *answer = (struct answer){0};
    bus->sequence++;
    if (!send_request(port, request)) {
        bus->timeouts++;
        return LAB_BUS_TIMEOUT;
    }
    for (;;) {
        size_t size = next_frame(port);
        if (size >= ANSWER_HEADER && bus->body[0] == bus->sequence &&
            bus->body[1] == ((uint8_t)request->operation | ANSWER)) {
            *answer = (struct answer){bus->body + ANSWER_HEADER, size - ANSWER_HEADER};
            uint8_t status = bus->body[2];
            return status <= LAB_BUS_POWER_FAILED ? (enum lab_bus_status)status : LAB_BUS_UNSUPPORTED;
        }
        if (size > 0) {
            continue;
        }
        if (expired(port, start)) {
            bus->timeouts++;
            return LAB_BUS_TIMEOUT;
        }
        wait(port);
    }
}

/* An answer that says "done" and is shorter than it must be is as good as none. */
static enum lab_bus_status transact_exact(const struct lab_port *port, const struct request *request,
                                          struct answer *answer, size_t size) {
    enum lab_bus_status status = transact(port, request, answer);
    return status == LAB_BUS_DONE && answer->size != size ? LAB_BUS_TIMEOUT : status;
}

void lab_simbus_start(const struct lab_port *port) {
    struct lab_simbus *bus = port->simbus;
    *bus = (struct lab_simbus){0};
    lab_frame_reader_init(&bus->reader, bus->body, sizeof bus->body);
    static const uint8_t delimiter = 0;
    if (send_bytes(port, &delimiter, 1)) {
        send_request(port, &(struct request){.operation = RESET});
    }
}

bool lab_simbus_edge(const struct lab_port *port, uint8_t *pin, bool *level) {
    struct lab_simbus *bus = port->simbus;
    while (next_frame(port) > 0) {
        /* an answer that came too late */
    }
    if (bus->edge_count == 0) {
        return false;
    }
    *pin = bus->edges[0].pin;
    *level = bus->edges[0].level;
    bus->edge_count--;
    memmove(bus->edges, bus->edges + 1, bus->edge_count * sizeof bus->edges[0]);
    return true;
}

enum lab_bus_status lab_simbus_i2c(const struct lab_port *port, uint8_t address, const uint8_t *out,
                                   size_t out_size, uint8_t *in, size_t in_size) {
    if (out_size > LAB_SIMBUS_DATA || in_size > LAB_SIMBUS_DATA) {
        return LAB_BUS_BAD_ARGUMENT;
    }
    struct request request = {.operation = I2C, .data = out, .data_size = out_size};
    struct answer answer;
    add8(&request, address);
    add16(&request, (uint16_t)in_size);
    enum lab_bus_status status = transact_exact(port, &request, &answer, in_size);
    if (status == LAB_BUS_DONE && in_size > 0) {
        memcpy(in, answer.data, in_size);
    }
    return status;
}

enum lab_bus_status lab_simbus_pulses(const struct lab_port *port, uint8_t pin, uint16_t start_low_us,
                                      struct lab_pulse *pulses, size_t *count) {
    size_t room = *count < LAB_SIMBUS_DATA / PULSE_SIZE ? *count : LAB_SIMBUS_DATA / PULSE_SIZE;
    struct request request = {.operation = PULSES};
    struct answer answer;
    add8(&request, pin);
    add16(&request, start_low_us);
    add8(&request, (uint8_t)room);
    enum lab_bus_status status = transact(port, &request, &answer);
    size_t seen = answer.size / PULSE_SIZE;
    *count = status != LAB_BUS_DONE ? 0 : seen < room ? seen : room;
    for (size_t i = 0; i < *count; i++) {
        const uint8_t *at = answer.data + i * PULSE_SIZE;
        pulses[i] = (struct lab_pulse){.low_us = get16(at), .high_us = get16(at + 2)};
    }
    return status;
}

enum lab_bus_status lab_simbus_strip(const struct lab_port *port, uint8_t strip, const uint8_t *bytes,
                                     size_t size) {
    if (size > LAB_SIMBUS_DATA) {
        return LAB_BUS_BAD_ARGUMENT;
    }
    struct request request = {.operation = STRIP, .data = bytes, .data_size = size};
    struct answer answer;
    add8(&request, strip);
    return transact(port, &request, &answer);
}

enum lab_bus_status lab_simbus_gpio_write(const struct lab_port *port, uint8_t pin, bool level) {
    struct request request = {.operation = GPIO_WRITE};
    struct answer answer;
    add8(&request, pin);
    add8(&request, level);
    return transact(port, &request, &answer);
}

enum lab_bus_status lab_simbus_gpio_read(const struct lab_port *port, uint8_t pin, bool *level) {
    struct request request = {.operation = GPIO_READ};
    struct answer answer;
    add8(&request, pin);
    enum lab_bus_status status = transact_exact(port, &request, &answer, 1);
    if (status == LAB_BUS_DONE) {
        *level = answer.data[0] != 0;
    }
    return status;
}

enum lab_bus_status lab_simbus_adc_read(const struct lab_port *port, uint8_t channel, uint16_t *value) {
    struct request request = {.operation = ADC_READ};
    struct answer answer;
    add8(&request, channel);
    enum lab_bus_status status = transact_exact(port, &request, &answer, 2);
    if (status == LAB_BUS_DONE) {
        *value = get16(answer.data);
    }
    return status;
}

static size_t piece(size_t size) {
    return size < LAB_SIMBUS_DATA ? size : LAB_SIMBUS_DATA;
}

enum lab_bus_status lab_simbus_flash_read(const struct lab_port *port, uint32_t address, uint8_t *bytes,
                                          size_t size) {
    while (size > 0) {
        size_t now = piece(size);
        struct request request = {.operation = FLASH_READ};
        struct answer answer;
        add32(&request, address);
        add16(&request, (uint16_t)now);
        enum lab_bus_status status = transact_exact(port, &request, &answer, now);
        if (status != LAB_BUS_DONE) {
            return status;
        }
        memcpy(bytes, answer.data, now);
        address += (uint32_t)now;
        bytes += now;
        size -= now;
    }
    return LAB_BUS_DONE;
}

enum lab_bus_status lab_simbus_flash_program(const struct lab_port *port, uint32_t address,
                                             const uint8_t *bytes, size_t size) {
    while (size > 0) {
        size_t now = piece(size);
        struct request request = {.operation = FLASH_PROGRAM, .data = bytes, .data_size = now};
        struct answer answer;
        add32(&request, address);
        enum lab_bus_status status = transact(port, &request, &answer);
        if (status != LAB_BUS_DONE) {
            return status;
        }
        address += (uint32_t)now;
        bytes += now;
        size -= now;
    }
    return LAB_BUS_DONE;
}

enum lab_bus_status lab_simbus_flash_erase(const struct lab_port *port, uint32_t address) {
    struct request request = {.operation = FLASH_ERASE};
    struct answer answer;
    add32(&request, address);
    return transact(port, &request, &answer);
}
