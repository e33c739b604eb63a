/* The start of the ROM: the reset vector, and the table of functions, 4 bytes each, that table.h describes. */
#define STACK_TOP        0x3fcde710

    .section .entry, "ax"
    .option norvc
    .global rom_start
rom_start:
    .set next, 0x40000000

.macro rom address function
    .rept (\address - next) / 4
    jal t0, missing
    .endr
    j \function
    .set next, \address + 4
.endm

    rom 0x40000000 reset
#define ROM(address, name, function) rom address function;
#include "table.h"
    .rept (0x40002000 - next) / 4
    jal t0, missing
    .endr

    .text
    .option rvc
/* Renode leaves the program's address in a0 and its global pointer in gp, as the boot loader would have found them. */
reset:
    la sp, STACK_TOP
    mv s0, a0
    la t0, rom_bss_start
    la t1, rom_bss_end
1:
    bgeu t0, t1, 2f
    sw zero, 0(t0)
    addi t0, t0, 4
    j 1b
2:
    call rom_init
    jr s0

/* t0 is behind the entry that was called. */
missing:
    addi a0, t0, -4
    mv a1, ra
    j rom_missing

    .global nothing
nothing:
    li a0, 0
    ret
