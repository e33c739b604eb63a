*** Settings ***
Documentation       The ESP32's ROM and its processor, seen by firmware. The compiler is that of Zephyr's SDK, or another of the ESP32
...                 that has picolibc: renode-test --variable GCC:...

Resource            ${CURDIR}/esp32_family.resource

Suite Setup         Build ROM And Firmware    esp32
Suite Teardown      Teardown
Test Setup          Boot
Test Teardown       Test Teardown


*** Variables ***
${REPL}         ${CURDIR}/../../platforms/esp32.repl
${CHIP}         ESP32D0
${GCC}          xtensa-espressif_esp32_zephyr-elf-gcc
@{FOR CHIP}     -mlongcalls    -specs\=picolibc.specs    -std\=c11    -Os    -ffreestanding    -fno-builtin    -nostartfiles


*** Test Cases ***
Functions Are Where Programs Look For Them
    Ask    m    memmove aabcdf, memset --bcdf, memcmp 1
    Ask    s    strcmp 1, strlen 3, strstr cdef, strupr CDE
    Ask    n    sorted 321, text -42, number 31, by ccf668fd, left 320, signed -1000000, times 3375

Functions Lead Signals To Pins
    Ask    p    pins set at 40 MHz
    Should Read    0x3FF44020    0x20    0x20    # GPIO_ENABLE
    Should Read    0x3FF44544    ${{3 | 1 << 9}}    # FUNC5_OUT_SEL, inverted
    Should Read    0x3FF4414C    ${{6 | 1 << 6 | 1 << 7}}    # FUNC7_IN_SEL

Calls May Be Deeper Than There Are Windows
    Ask    w    sum 5050

The Processor Has Floating Point
    Ask    f    times 3375, by 1500, less 1

Words Are Compared And Set
    Ask    a    atomic 7 10

Cycles Are Those Of 240 MHz
    ${line}=    Ask    d    delay \\d+ slow \\d+
    Should Be True    10000 <= int($line.split()[1]) <= 10100
    Should Be True    1485 <= int($line.split()[3]) <= 1530    ${line}    # by the RTC's clock

A Timer Matches
    ${line}=    Ask    t    timer \\d+
    Should Be True    1000 <= int($line.split()[1]) <= 1100

Software Interrupts The Processor
    Ask    i    interrupt 1 0

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
    Wait For Line On Uart    \\*\\*\\* ROM: 4008[0-9a-f]{4} called 4000fff0 not_in_the_rom, which this ROM does not have    treatAsRegex=true
