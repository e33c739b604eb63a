/* The start of the ROM: the functions that table.h describes, at their addresses.
 *
 * A function's place has room for a jump, which reaches 128 KiB. From the lower half of the ROM three leaps lead to the code behind
 * the last function; they land where no function of the chip's ROM begins. */
#define RESET_VECTOR 0x40000400
#define MISSING      0x40000500
#define STACK_TOP    0x3ffe3f20
#define ISLAND_1     0x4001b2a0
#define ISLAND_2     0x4002ffe0
#define ISLAND_3     0x4004f570
#define ROM_END      0x40064c00

#define ATOMIC_INTERNAL 0x15 /* ATOMCTL: S32C1I is done by the processor, whatever the memory */
#define PS_WOE          0x40000
#define PS_UM           0x20
#define PS_INTLEVEL_MAX 0xf
#define CALLINC_SHIFT   16
#define ROM_REGION      0x40000000 /* a return address has the window's increment in its two highest bits */
#define REGION_BITS     30

    .section .entry, "ax"
    .begin no-transform
    .set next, 0x40000000

/* What nothing begins at calls `missing` (CALL0, whose operand counts words from the next one), and never comes back. */
.macro fill address
    .rept (\address - next) / 4
    .word (((MISSING - next - 4) >> 2 & 0x3ffff) << 6) | 5
    .set next, next + 4
    .endr
.endm

.macro leap target
    j \target
    .byte 0
    .set next, next + 4
.endm

.macro far address name
    .if \address < ISLAND_1
    fill \address
    leap \name\()_1
    .endif
.endm

.macro island address label target
    .if \address < ISLAND_1
\label:
    leap \target
    .endif
.endm

.macro near address function
    .if \address > ISLAND_3
    fill \address
    leap \function
    .endif
.endm

/* The vectors until a program has its own: how registers are saved below the stack pointer and fetched back when the windows are
 * used up (Xtensa Instruction Set Architecture Reference Manual, Windowed Register Option). */
    .org 0x00
window_overflow_4:
    s32e a0, a5, -16
    s32e a1, a5, -12
    s32e a2, a5, -8
    s32e a3, a5, -4
    rfwo
    .org 0x40
window_underflow_4:
    l32e a0, a5, -16
    l32e a1, a5, -12
    l32e a2, a5, -8
    l32e a3, a5, -4
    rfwu
    .org 0x80
window_overflow_8:
    s32e a0, a9, -16
    l32e a0, a1, -12
    s32e a1, a9, -12
    s32e a2, a9, -8
    s32e a3, a9, -4
    s32e a4, a0, -32
    s32e a5, a0, -28
    s32e a6, a0, -24
    s32e a7, a0, -20
    rfwo
    .org 0xc0
window_underflow_8:
    l32e a0, a9, -16
    l32e a1, a9, -12
    l32e a2, a9, -8
    l32e a7, a1, -12
    l32e a3, a9, -4
    l32e a4, a7, -32
    l32e a5, a7, -28
    l32e a6, a7, -24
    l32e a7, a7, -20
    rfwu
    .org 0x100
window_overflow_12:
    s32e a0, a13, -16
    l32e a0, a1, -12
    s32e a1, a13, -12
    s32e a2, a13, -8
    s32e a3, a13, -4
    s32e a4, a0, -48
    s32e a5, a0, -44
    s32e a6, a0, -40
    s32e a7, a0, -36
    s32e a8, a0, -32
    s32e a9, a0, -28
    s32e a10, a0, -24
    s32e a11, a0, -20
    rfwo
    .org 0x140
window_underflow_12:
    l32e a0, a13, -16
    l32e a1, a13, -12
    l32e a2, a13, -8
    l32e a11, a1, -12
    l32e a3, a13, -4
    l32e a4, a11, -48
    l32e a5, a11, -44
    l32e a6, a11, -40
    l32e a7, a11, -36
    l32e a8, a11, -32
    l32e a9, a11, -28
    l32e a10, a11, -24
    l32e a11, a11, -20
    rfwu
    .org 0x180
    .set next, 0x40000180

    far RESET_VECTOR, reset
    far MISSING, missing
#define ROM(address, name, function) far address, name;
#include "table.h"
#undef ROM

    fill ISLAND_1
    island RESET_VECTOR, reset_1, reset_2
    island MISSING, missing_1, missing_2
#define ROM(address, name, function) island address, name##_1, name##_2;
#include "table.h"
#undef ROM

    fill ISLAND_2
    island RESET_VECTOR, reset_2, reset_3
    island MISSING, missing_2, missing_3
#define ROM(address, name, function) island address, name##_2, name##_3;
#include "table.h"
#undef ROM

    fill ISLAND_3
    island RESET_VECTOR, reset_3, reset
    island MISSING, missing_3, missing
#define ROM(address, name, function) island address, name##_3, function;
#include "table.h"
#undef ROM

#define ROM(address, name, function) near address, function;
#include "table.h"
#undef ROM
    fill ROM_END
    .end no-transform

    .text
    .literal_position
/* Renode leaves the program's address in EXCSAVE1, as the boot loader would have found it. What a reset leaves undefined gets the
 * values that programs rely on. */
    .align 4
    .global reset
reset:
    movi a0, 0
    wsr.windowbase a0
    rsync
    movi a0, 1
    wsr.windowstart a0
    rsync
    movi a0, 0
    wsr.intenable a0
    movi a0, ATOMIC_INTERNAL
    wsr.atomctl a0
    movi a0, -1
    wsr.cpenable a0
    movi a0, PS_WOE | PS_UM | PS_INTLEVEL_MAX
    wsr.ps a0
    rsync
    movi a0, 0
    movi a1, STACK_TOP
    movi a2, rom_bss_start
    movi a3, rom_bss_end
1:
    bgeu a2, a3, 2f
    s32i a0, a2, 0
    addi a2, a2, 4
    j 1b
2:
    movi a4, rom_init
    callx4 a4
    rsr.excsave1 a4
    callx4 a4

/* a0 is behind the word that called: one byte short of the next. */
    .align 4
missing:
    rsr.ps a2
    extui a2, a2, CALLINC_SHIFT, 2
    mov a3, a4
    beqi a2, 1, 1f
    mov a3, a8
    beqi a2, 2, 1f
    mov a3, a12
1:
    slli a3, a3, 32 - REGION_BITS
    srli a3, a3, 32 - REGION_BITS
    movi a4, ROM_REGION
    or a7, a3, a4
    addi a6, a0, -3
    movi a4, rom_missing
    callx4 a4

    .align 4
    .global nothing
nothing:
    entry a1, 16
    movi a2, 0
    retw
