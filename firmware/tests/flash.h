/* NOR flash for tests: counts, wears out, and loses power in the middle of an operation. It ends the program
 * when a byte is programmed that has not been erased: no port has to stand that.
 *
 * One a program. The memory is the test's, so that it can be shared with another process.
 */
#ifndef LAB_TESTS_FLASH_H
#define LAB_TESTS_FLASH_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lab/port.h"

#define FLASH_SECTORS_MAX 512u

/* How far an operation gets when the power is cut in it. */
enum flash_cut {
    CUT_BEFORE, /* nothing is done */
    CUT_HALF,   /* the first half is */
    CUT_RAGGED, /* program: the first half, and of the next byte some bits; erase: the second half */
    CUT_ALMOST, /* program: all but the last byte; erase: all, but every byte keeps a bit */
    CUT_KINDS,
};

static struct {
    uint8_t *bytes;
    uint32_t operations; /* programs and erases so far */
    uint32_t cut_at;     /* the operation that power does not outlast, from 1; 0: none */
    enum flash_cut cut;
    void (*power_cut)(void);
    bool worn[FLASH_SECTORS_MAX];
    uint64_t programmed, erased; /* bytes */
} flash;

static inline void flash_inside(const struct lab_port *port, uint32_t address, size_t size, uint32_t unit) {
    if (size > port->flash_geometry.size || address > port->flash_geometry.size - size ||
        address % unit != 0 || size % unit != 0) {
        fprintf(stderr, "flash: %zu bytes at %u\n", size, (unsigned)address);
        abort();
    }
}

static inline bool flash_cut_now(void) {
    return ++flash.operations == flash.cut_at;
}

static inline enum lab_bus_status flash_read(const struct lab_port *port, uint32_t address, uint8_t *bytes,
                                             size_t size) {
    flash_inside(port, address, size, 1);
    memcpy(bytes, flash.bytes + address, size);
    return LAB_BUS_DONE;
}

static inline enum lab_bus_status flash_program(const struct lab_port *port, uint32_t address,
                                                const uint8_t *bytes, size_t size) {
    flash_inside(port, address, size, port->flash_geometry.program);
    uint8_t *at = flash.bytes + address;
    for (size_t i = 0; i < size; i++) {
        if (at[i] != 0xff) {
            fprintf(stderr, "flash: programmed over what is at %u\n", (unsigned)(address + i));
            abort();
        }
    }
    if (flash_cut_now()) {
        size_t done = flash.cut == CUT_BEFORE ? 0 : flash.cut == CUT_ALMOST ? size - 1 : size / 2;
        memcpy(at, bytes, done);
        if (flash.cut == CUT_RAGGED) {
            at[done] &= bytes[done] | 0x55;
        }
        flash.power_cut();
    }
    memcpy(at, bytes, size);
    flash.programmed += size;
    if (flash.worn[address / port->flash_geometry.sector]) {
        at[size / 2] ^= 1; /* a cell that does not do as it is told */
        return size % 2 == 0 ? LAB_BUS_DONE : LAB_BUS_POWER_FAILED;
    }
    return LAB_BUS_DONE;
}

static inline enum lab_bus_status flash_erase(const struct lab_port *port, uint32_t address) {
    uint32_t sector = port->flash_geometry.sector;
    flash_inside(port, address, sector, sector);
    uint8_t *at = flash.bytes + address;
    if (flash_cut_now()) {
        switch (flash.cut) {
        case CUT_HALF:
            memset(at, 0xff, sector / 2);
            break;
        case CUT_RAGGED:
            memset(at + sector / 2, 0xff, sector / 2);
            break;
        case CUT_ALMOST:
            for (uint32_t i = 0; i < sector; i++) {
                at[i] |= 0xfb;
            }
            break;
        default:
            break;
        }
        flash.power_cut();
    }
    memset(at, 0xff, sector);
    flash.erased += sector;
    return LAB_BUS_DONE;
}

#endif
