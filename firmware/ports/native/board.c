#include "native.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lab/simbus.h"

#define FLASH_SECTOR 4096u

struct board board = {.streams = {-1, -1, -1}, .flash = -1};

static struct lab_simbus simbus;

static uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* ---- streams */

/* The other end is gone: whoever ran this board has ended, and so does it. */
_Noreturn static void unplugged(void) {
    _exit(0);
}

static size_t moved(ssize_t result) {
    if (result > 0) {
        return (size_t)result;
    }
    if (result < 0 && (errno == EAGAIN || errno == EINTR)) {
        return 0;
    }
    unplugged();
}

static size_t stream_read(const struct lab_port *port, enum lab_stream stream, uint8_t *bytes, size_t size) {
    (void)port;
    if (board.streams[stream] < 0 || size == 0) {
        return 0;
    }
    return moved(read(board.streams[stream], bytes, size));
}

static size_t stream_write(const struct lab_port *port, enum lab_stream stream, const uint8_t *bytes,
                           size_t size) {
    (void)port;
    if (board.streams[stream] < 0 || size == 0) {
        return size;
    }
    size_t taken = moved(write(board.streams[stream], bytes, size));
    board.refused[stream] = taken < size;
    return taken;
}

static void idle(const struct lab_port *port, uint32_t max_ms) {
    (void)port;
    struct pollfd fds[LAB_STREAM_COUNT];
    for (int i = 0; i < LAB_STREAM_COUNT; i++) {
        short events = board.refused[i] ? POLLIN | POLLOUT : POLLIN;
        fds[i] = (struct pollfd){.fd = board.streams[i], .events = events};
    }
    poll(fds, LAB_STREAM_COUNT, max_ms > INT32_MAX ? -1 : (int)max_ms);
}

/* ---- time, randomness, watchdog */

static uint64_t micros(const struct lab_port *port) {
    (void)port;
    return (now_ns() - board.started_ns) / 1000u;
}

static uint64_t millis(const struct lab_port *port) {
    return micros(port) / 1000u;
}

static size_t entropy(const struct lab_port *port, uint8_t *bytes, size_t size) {
    (void)port;
    ssize_t got = getrandom(bytes, size, 0);
    return got > 0 ? (size_t)got : 0;
}

static void reset(const struct lab_port *port) {
    (void)port;
    reset_now();
}

static void feed(const struct lab_port *port) {
    (void)port;
    board.fed++;
}

/* ---- flash: a file that behaves like NOR flash, where programming only clears bits */

static bool inside(const struct lab_port *port, uint32_t address, size_t size) {
    return size <= port->flash_geometry.size && address <= port->flash_geometry.size - size;
}

static enum lab_bus_status flash_read(const struct lab_port *port, uint32_t address, uint8_t *bytes,
                                      size_t size) {
    if (!inside(port, address, size)) {
        return LAB_BUS_BAD_ARGUMENT;
    }
    return pread(board.flash, bytes, size, address) == (ssize_t)size ? LAB_BUS_DONE : LAB_BUS_TIMEOUT;
}

static enum lab_bus_status flash_program(const struct lab_port *port, uint32_t address, const uint8_t *bytes,
                                         size_t size) {
    uint8_t cells[256];
    if (!inside(port, address, size)) {
        return LAB_BUS_BAD_ARGUMENT;
    }
    while (size > 0) {
        size_t part = size < sizeof cells ? size : sizeof cells;
        enum lab_bus_status status = flash_read(port, address, cells, part);
        if (status != LAB_BUS_DONE) {
            return status;
        }
        for (size_t i = 0; i < part; i++) {
            cells[i] &= bytes[i];
        }
        if (pwrite(board.flash, cells, part, address) != (ssize_t)part) {
            return LAB_BUS_TIMEOUT;
        }
        address += (uint32_t)part;
        bytes += part;
        size -= part;
    }
    return LAB_BUS_DONE;
}

static enum lab_bus_status flash_erase(const struct lab_port *port, uint32_t address) {
    uint8_t blank[FLASH_SECTOR];
    if (address % FLASH_SECTOR != 0 || !inside(port, address, FLASH_SECTOR)) {
        return LAB_BUS_BAD_ARGUMENT;
    }
    memset(blank, 0xff, sizeof blank);
    return pwrite(board.flash, blank, sizeof blank, address) == (ssize_t)sizeof blank ? LAB_BUS_DONE
                                                                                      : LAB_BUS_TIMEOUT;
}

void board_functions(struct lab_port *port) {
    board.started_ns = now_ns();
    for (int i = 0; i < LAB_STREAM_COUNT; i++) {
        if (board.streams[i] >= 0) {
            fcntl(board.streams[i], F_SETFL, fcntl(board.streams[i], F_GETFL) | O_NONBLOCK);
        }
    }
    port->read = stream_read;
    port->write = stream_write;
    port->millis = millis;
    port->micros = micros;
    port->idle = idle;
    port->entropy = entropy;
    port->reset = reset;
    port->feed = feed;
    port->wiring = &lab_simbus_wiring;
    if (board.streams[LAB_SIMBUS] >= 0) {
        port->simbus = &simbus;
        port->i2c = lab_simbus_i2c;
        port->pulses = lab_simbus_pulses;
        port->strip = lab_simbus_strip;
        port->gpio_write = lab_simbus_gpio_write;
        port->gpio_read = lab_simbus_gpio_read;
        port->gpio_edge = lab_simbus_edge;
        port->adc_read = lab_simbus_adc_read;
    }
    struct stat file;
    if (board.flash >= 0 && fstat(board.flash, &file) == 0) {
        port->flash_geometry = (struct lab_flash_geometry){
            .size = (uint32_t)file.st_size / FLASH_SECTOR * FLASH_SECTOR,
            .sector = FLASH_SECTOR,
            .program = 1,
        };
        port->flash_read = flash_read;
        port->flash_program = flash_program;
        port->flash_erase = flash_erase;
    }
}
