/* Why the board started, kept in memory that a warm reset leaves alone.
 *
 * A port places one `struct lab_boot` in a section its start-up code neither clears nor copies (`.noinit`)
 * and calls lab_boot_start() once, before lab_core_init(). A fault handler calls lab_boot_fault() and then
 * resets; both functions are safe there: no locks, no heap, no stdio, under 100 bytes of stack.
 */
#ifndef LAB_BOOT_H
#define LAB_BOOT_H

#include <stdint.h>

/* The values of `boot-reason` in wire.cddl. */
enum lab_boot_reason {
    LAB_BOOT_POWER_ON = 0,
    LAB_BOOT_RESET = 1, /* reset button, debugger */
    LAB_BOOT_WATCHDOG = 2,
    LAB_BOOT_HARD_FAULT = 3,
    LAB_BOOT_STACK_OVERFLOW = 4,
    LAB_BOOT_REQUESTED = 5, /* by the gateway or on the console */
    LAB_BOOT_PANIC = 6,     /* the firmware found itself in a state that cannot be */
    LAB_BOOT_UNKNOWN = 7,
};

#define LAB_BOOT_DETAIL_MAX 160u

/* Only lab_boot_*() and core/random.c write to it. */
struct lab_boot {
    uint32_t magic;
    uint32_t boots;   /* since power-on, this one included */
    uint32_t reason;  /* enum lab_boot_reason: of this boot; after lab_boot_fault(), of the next */
    uint32_t pending; /* nonzero between lab_boot_fault() and the next lab_boot_start() */
    char detail[LAB_BOOT_DETAIL_MAX + 1]; /* pc, lr, fault registers or words; always terminated */
    uint8_t entropy[32];                  /* replaced at every start, see core/random.h */
    uint32_t check;                       /* CRC-32 of all before */
};

/* Begins a boot: what lab_boot_fault() left becomes the reason of this boot.
 *
 * Without it the reason is `hardware`, what the reset-cause register says; a port without such a register
 * passes LAB_BOOT_UNKNOWN, and gets LAB_BOOT_RESET if the record survived and LAB_BOOT_POWER_ON if not.
 */
void lab_boot_start(struct lab_boot *boot, enum lab_boot_reason hardware);

/* Notes why the next boot will happen; `detail` is cut at LAB_BOOT_DETAIL_MAX bytes. The first note wins. */
void lab_boot_fault(struct lab_boot *boot, enum lab_boot_reason reason, const char *detail);

/* Brings the check up to date after a change of `entropy`. */
void lab_boot_seal(struct lab_boot *boot);

/* The word for it: "power-on", "hard-fault", ... */
const char *lab_boot_reason_name(enum lab_boot_reason reason);

#endif
