/* What the core asks of a board. A port is one `const struct lab_port` plus its start-up code.
 *
 * Every function gets the port itself, so that one process can hold several. None is called from an
 * interrupt, and none may call back into the core. Functions marked "may be NULL" stand for hardware the
 * board lacks; the core then answers LAB_BUS_UNSUPPORTED on its behalf. A board whose engine has no sensors
 * of its own points the bus functions at their namesakes in core/simbus.h and gives LAB_SIMBUS a UART.
 *
 * Start-up, in this order: clocks and memory; lab_boot_start(); streams; lab_core_init(); lab_core_run().
 */
#ifndef LAB_PORT_H
#define LAB_PORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lab/boot.h"

enum lab_stream {
    LAB_CONSOLE, /* text, for people */
    LAB_LINK,    /* frames to the gateway (docs/protocol.md, section 1) */
    LAB_SIMBUS,  /* frames to the part models; absent on real hardware */
    LAB_STREAM_COUNT,
};

/* The statuses of a simbus answer; a real bus reports with the same words. */
enum lab_bus_status {
    LAB_BUS_DONE = 0,
    LAB_BUS_NACK = 1,  /* nobody answers at that address */
    LAB_BUS_STUCK = 2, /* a line is held down */
    LAB_BUS_TIMEOUT = 3,
    LAB_BUS_UNSUPPORTED = 4,
    LAB_BUS_BAD_ARGUMENT = 5,
    LAB_BUS_POWER_FAILED = 6,
};

/* One pulse of a single-wire sensor: low, then high, in microseconds. */
struct lab_pulse {
    uint16_t low_us;
    uint16_t high_us;
};

/* Flash for what must survive a power cut. Addresses count from 0; `size` 0 means there is none. */
struct lab_flash_geometry {
    uint32_t size;    /* bytes, a multiple of `sector` */
    uint32_t sector;  /* bytes an erase sets to 0xff */
    uint32_t program; /* bytes that must be programmed together: address and length are multiples of it */
};

struct lab_simbus;

/* What is attached where, for the interfaces that name no pin. */
struct lab_wiring {
    uint8_t dht22_pin;
    uint8_t buzzer_pin;
    bool buzzer_active_low;
    uint8_t fan_pin;
    uint8_t strip;
    uint16_t leds; /* on the strip */
    uint8_t bme680_address;
};

struct lab_port {
    const char *board;       /* its name in platforms/, e.g. "mps2-an385" */
    const uint8_t *build_id; /* the 20 bytes of the ELF's GNU build-id note, without the note's header */
    const uint8_t
        *identity;        /* the provisioning blob (docs/protocol.md, section 4): 4096 readable bytes, ... */
    size_t identity_size; /* ... or as many as there are; whether they are valid is the core's to find out */
    uint8_t *pool;        /* memory for apps, 8-byte aligned, the core's alone from lab_core_init() on */
    size_t pool_size;
    struct lab_boot *boot; /* after lab_boot_start() */
    struct lab_flash_geometry flash_geometry;
    bool one_uart; /* there is no LAB_CONSOLE: its text travels in frames on LAB_LINK */
    const struct lab_wiring *wiring;
    struct lab_simbus *simbus; /* state of core/simbus.c, or NULL on a board that has real buses */

    /* Take up to `size` bytes that have arrived; never waits, returns how many (0: none). A port buffers at
     * least LAB_LINK_WINDOW + 1024 bytes of LAB_LINK (the core may compute for 200 ms without reading) and
     * 128 of LAB_CONSOLE; a full buffer leaves bytes in the hardware rather than drop what it has. */
    size_t (*read)(const struct lab_port *port, enum lab_stream stream, uint8_t *bytes, size_t size);

    /* Send up to `size` bytes; never waits, returns how many were taken, which may be 0. */
    size_t (*write)(const struct lab_port *port, enum lab_stream stream, const uint8_t *bytes, size_t size);

    /* Time since start; never goes back. */
    uint64_t (*millis)(const struct lab_port *port);
    uint64_t (*micros)(const struct lab_port *port);

    /* Sleep until `max_ms` have passed, a byte has arrived on any stream, or a stream that refused bytes
     * takes them again. Returns at once if a stream has unread bytes. May return early. UINT32_MAX: no limit.
     */
    void (*idle)(const struct lab_port *port, uint32_t max_ms);

    /* Up to `size` truly random bytes; returns how many, 0 on a board without a generator. */
    size_t (*entropy)(const struct lab_port *port, uint8_t *bytes, size_t size);

    /* Warm reset: memory that survives one survives. Does not return. */
    void (*reset)(const struct lab_port *port);

    /* Tell the watchdog that the main loop turns. The period is 8 s or more; a bite shows as
     * LAB_BOOT_WATCHDOG. */
    void (*feed)(const struct lab_port *port);

    /* Buses and pins; each may be NULL. Blocking, for 1100 ms at most. */

    /* Write, then (repeated start) read; either part may be empty. `address` is the 7-bit one. */
    enum lab_bus_status (*i2c)(const struct lab_port *port, uint8_t address, const uint8_t *out,
                               size_t out_size, uint8_t *in, size_t in_size);

    /* Hold `pin` low for `start_low_us`, release it and time what the sensor answers; `*count` is the room in
     * `pulses`, then the number seen. */
    enum lab_bus_status (*pulses)(const struct lab_port *port, uint8_t pin, uint16_t start_low_us,
                                  struct lab_pulse *pulses, size_t *count);

    /* Shift bytes out to LED strip `strip` in the order they leave the pin. */
    enum lab_bus_status (*strip)(const struct lab_port *port, uint8_t strip, const uint8_t *bytes,
                                 size_t size);

    enum lab_bus_status (*gpio_write)(const struct lab_port *port, uint8_t pin, bool level);
    enum lab_bus_status (*gpio_read)(const struct lab_port *port, uint8_t pin, bool *level);

    /* Take the oldest edge of an input pin, with the level after it; false if there is none. A port keeps
     * some until they are asked for, and ends idle() when one comes. */
    bool (*gpio_edge)(const struct lab_port *port, uint8_t *pin, bool *level);

    /* 12 bits, whatever the converter's own width. */
    enum lab_bus_status (*adc_read)(const struct lab_port *port, uint8_t channel, uint16_t *value);

    /* Address and size as in `flash_geometry`. LAB_BUS_TIMEOUT: it does not answer now; any other failure to
     * program or erase is taken for wear, and the place is not used again. */
    enum lab_bus_status (*flash_read)(const struct lab_port *port, uint32_t address, uint8_t *bytes,
                                      size_t size);
    enum lab_bus_status (*flash_program)(const struct lab_port *port, uint32_t address, const uint8_t *bytes,
                                         size_t size);
    enum lab_bus_status (*flash_erase)(const struct lab_port *port, uint32_t address);
};

#endif
