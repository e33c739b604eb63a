/* A log of small records in flash that survives a power cut at any moment: after one, every record is as it
 * was before the write that was cut short, or as it is after.
 *
 *     copy 0: │ head │ record │ record │ … │ blank │      copy 1: │ the one before, or blank │
 *
 * A record replaces the earlier one of its id. Each has a CRC-32, so that one that was cut short does not
 * count. When a copy is full, or ends in something cut short, what is valid moves to the other copy, and that
 * copy's head, which carries the higher sequence number and a CRC of its own, is programmed last.
 *
 * Nothing is taken for blank because it reads as such but the end of a copy that the log has erased itself.
 */
#ifndef LAB_STORE_LOG_H
#define LAB_STORE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lab/port.h"

#define LAB_LOG_IDS        34u
#define LAB_LOG_RECORD_MAX 256u

/* The smallest copy: all ids at the lengths in use, and room to append. */
#define LAB_LOG_COPY_MIN 8192u

/* Port's flash: what is programmed together is at most this. */
#define LAB_FLASH_UNIT_MAX 32u

/* Bytes read at a time: as many as one request on the simbus carries. */
#define LAB_FLASH_PIECE 384u

struct lab_log {
    const struct lab_port *port;
    uint32_t size;     /* of a copy; copy 0 is at address 0, copy 1 behind it */
    uint32_t layout;   /* a number that the owner keeps in the heads */
    uint32_t sequence; /* of the copy in use; 0: there is none yet */
    uint8_t current;
    uint32_t end;             /* where the next record goes; `size`: into the other copy */
    uint16_t at[LAB_LOG_IDS]; /* the valid record of each id, in units of 4 bytes; 0: none */
};

/* Finds what the log holds; `layout` is for a log that is not there yet. False if the flash does not answer.
 */
bool lab_log_mount(struct lab_log *log, const struct lab_port *port, uint32_t copy_size, uint32_t layout);

/* Copies the record of that id; returns its size, 0 if there is none or it does not fit. */
size_t lab_log_read(const struct lab_log *log, unsigned id, uint8_t *bytes, size_t room);

/* Writes the record of that id, LAB_LOG_RECORD_MAX bytes at most; empty: there is none from now on. False if
 * the flash fails: then all records are as they were. */
bool lab_log_write(struct lab_log *log, unsigned id, const uint8_t *bytes, size_t size);

/* Programs bytes and reads them back; address and size are multiples of the unit. LAB_BUS_TIMEOUT: the flash
 * does not answer; anything else but LAB_BUS_DONE: it is worn there. */
enum lab_bus_status lab_flash_program(const struct lab_port *port, uint32_t address, const uint8_t *bytes,
                                      size_t size);

/* Size rounded up to whole units of the port's flash. */
uint32_t lab_flash_units(const struct lab_port *port, uint32_t size);

#endif
