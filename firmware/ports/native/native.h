/* The native port: the same firmware core as a Linux process, one a device. */
#ifndef LAB_NATIVE_H
#define LAB_NATIVE_H

#include <stdbool.h>
#include <stdint.h>

#include "lab/port.h"

/* ---- board.c: streams, clock and flash */

/* What the functions of board_functions() work on. -1: there is no such stream or file. */
struct board {
    int streams[LAB_STREAM_COUNT];
    int flash;
    bool refused[LAB_STREAM_COUNT]; /* the last write did not go through whole */
    uint64_t started_ns;
    volatile uint32_t fed; /* counts calls of `feed` */
};

extern struct board board;

/* Starts the clock, and sets in `port` every function this board has. */
void board_functions(struct lab_port *port);

/* ---- reset.c: what survives a reset, and what causes one */

/* The record of the boot before, or a new one. `carried` is the descriptor that --warm names, -1 at power-on.
 */
struct lab_boot *reset_record(int carried);

/* From now on the program restarts itself with these arguments, and crashes, SIGHUP (the reset button) and
 * eight seconds of computing without a `feed` lead to it. */
void reset_arm(int argc, char **argv);

/* Warm reset: the program replaces itself; streams stay open and the boot record stays in memory. */
_Noreturn void reset_now(void);

#endif
