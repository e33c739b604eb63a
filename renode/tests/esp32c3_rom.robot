*** Settings ***
Documentation       The ESP32-C3's ROM, the loader of ELF sections and the processor's interrupts, seen by firmware.

Resource            ${CURDIR}/esp32_family.resource

Suite Setup         Build ROM And Firmware    esp32c3
Suite Teardown      Teardown
Test Setup          Boot
Test Teardown       Test Teardown


*** Variables ***
${GCC}          riscv64-unknown-elf-gcc
@{FOR CHIP}     -march\=rv32imc    -misa-spec\=2.2    -mabi\=ilp32    -specs\=picolibc.specs    -std\=c11    -Os
...             -ffreestanding    -fno-builtin    -mno-relax    -nostartfiles    -Wl,--no-relax


*** Test Cases ***
Functions Are Where Programs Look For Them
    Ask    m    memmove aabcdf, memset --bcdf, memcmp 1
    Ask    s    strcmp 1, strlen 3, strstr cdef, strupr CDE
    Ask    n    sorted 321, text -42, number 31, by ccf668fd, left 320, signed -1000000, times 3375
    Ask    e    crc32 cbf43926

Functions Lead Signals To Pins
    Ask    p    pins set at 40 MHz
    Should Read    0x60004020    0x20    0x20    # GPIO_ENABLE
    Should Read    0x60004568    ${{3 | 1 << 8}}    # FUNC5_OUT_SEL, inverted
    Should Read    0x60004170    ${{6 | 1 << 5 | 1 << 6}}    # FUNC7_IN_SEL

Interrupts Come Each Millisecond
    ${line}=    Ask    d    ticks \\d+
    ${ticks}=    Evaluate    int($line.split()[1])
    Should Be True    9 <= ${ticks} <= 11

Interrupts Have The Numbers That The Matrix Gave Them
    Ask    d    ticks \\d+
    Ask    i    tick 80000003 letter 80000004

The Processor Counts
    Ask    c    cycles [1-9]\\d*

A Reset Loads Data Again And Leaves The Rest
    Ask    k    initialized 1000 kept 0 reason 1
    Ask    k    initialized 1001 kept 1 reason 1
    Write Char On Uart    r
    Wait For Line On Uart    ready
    Ask    k    initialized 1000 kept 2 reason 12

What The ROM Does Not Have Is Said, After A Reset Too
    Write Char On Uart    r
    Wait For Line On Uart    ready
    Write Char On Uart    x
    Wait For Line On Uart    \\*\\*\\* ROM: 4038[0-9a-f]{4} called 40000014 not_in_the_rom, which this ROM does not have    treatAsRegex=true

A File That Is No ELF Is Refused
    Run Keyword And Expect Error    *is no ELF of 32 bits*
    ...    Execute Command    sysbus LoadELFSections @${CURDIR}/esp32c3.robot
