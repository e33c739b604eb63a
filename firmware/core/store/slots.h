/* Modules in flash: equal slots, each for one module and the signed half of its package, and the log before
 * them.
 *
 *     │ log, copy 0 │ log, copy 1 │ slot 0 │ slot 1 │ …          slot: │ head │ envelope │ module │
 *
 * Who holds which slot is the owner's to know; a slot that fails to erase or program is remembered as bad and
 * never given out again. One slot at a time is written, from its start to its end; what has been written of
 * it is known after a power cut to the last whole sector.
 */
#ifndef LAB_STORE_SLOTS_H
#define LAB_STORE_SLOTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "identity/identity.h"
#include "lab/port.h"
#include "store/log.h"

#define LAB_SLOTS_MAX 32u
#define LAB_SLOT_NONE 0xffu

/* Ids of the log: two of this file, the rest is the owner's. */
#define LAB_LOG_BAD      0u
#define LAB_LOG_PROGRESS 1u
#define LAB_LOG_FIRST    2u

#define LAB_SHA256_SIZE 32u

/* The start of a slot. */
struct lab_slot_head {
    uint32_t magic;
    uint32_t crc;  /* of the rest of the head and the envelope: tells contents apart, too */
    uint32_t size; /* of the module */
    uint32_t envelope_size;
    uint8_t digest[LAB_SHA256_SIZE]; /* of the module */
};

enum lab_slot_status {
    LAB_SLOT_DONE,
    LAB_SLOT_WORN,   /* it is worn out, and no other is free */
    LAB_SLOT_FAILED, /* the log does not take a record */
};

struct lab_slots {
    const struct lab_port *port;
    const char *problem; /* why nothing can be stored; NULL: it can */
    struct lab_log log;
    uint32_t size; /* of a slot */
    uint8_t count;
    uint8_t last;  /* given out last; the next one is looked for behind it, so that all wear alike */
    uint32_t bad;  /* a bit per slot */
    uint32_t used; /* likewise: those that hold something; the owner's to set before it opens one */

    /* The slot that is being written. */
    uint8_t open;
    uint8_t left_size;
    uint32_t at;                      /* of the slot: where the next unit goes */
    uint32_t module_at;               /* of the slot */
    uint32_t crc;                     /* its head's */
    uint8_t left[LAB_FLASH_UNIT_MAX]; /* what does not fill a unit yet */
};

/* Finds log and slots in the port's flash. `largest` is the module that the slots are to take, if there is no
 * log yet that says how large they are. Sets `problem`. */
void lab_slots_mount(struct lab_slots *slots, const struct lab_port *port, uint32_t largest);

/* The largest module that a slot takes with any envelope. */
uint32_t lab_slots_module_max(const struct lab_slots *slots);

/* A slot that is neither bad nor in `used`; LAB_SLOT_NONE if there is none. */
uint8_t lab_slots_pick(struct lab_slots *slots);

/* Reads a slot's head and whether it, and its envelope, are whole. */
bool lab_slots_head(const struct lab_slots *slots, uint8_t slot, struct lab_slot_head *head);
bool lab_slots_envelope(const struct lab_slots *slots, uint8_t slot, const struct lab_slot_head *head,
                        uint8_t *bytes);
bool lab_slots_module(const struct lab_slots *slots, uint8_t slot, const struct lab_slot_head *head,
                      uint32_t at, uint8_t *bytes, size_t size);

/* Whether the module in the slot has the digest of its head. */
bool lab_slots_check(const struct lab_slots *slots, uint8_t slot, const struct lab_slot_head *head);

/* Begins to write a slot; append and finish are about this one. If it turns out to be worn, what it holds
 * moves to another: `open` says which it is. */
enum lab_slot_status lab_slots_open(struct lab_slots *slots, uint8_t slot, uint32_t size,
                                    const uint8_t *digest, const struct lab_span *envelope);
enum lab_slot_status lab_slots_append(struct lab_slots *slots, const uint8_t *bytes, size_t size);
enum lab_slot_status lab_slots_finish(struct lab_slots *slots);

/* Whether the open slot is for this very package. */
bool lab_slots_same(const struct lab_slots *slots, uint32_t size, const uint8_t *digest,
                    const struct lab_span *envelope);

/* Goes on with a slot that a reset has interrupted; returns how much of the module is in it. If that is
 * nothing, it has to be opened anew. */
uint32_t lab_slots_resume(struct lab_slots *slots, uint8_t slot, const struct lab_slot_head *head);

#endif
