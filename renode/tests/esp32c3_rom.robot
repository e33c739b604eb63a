*** Settings ***
Documentation       The ESP32-C3's ROM, the loader of ELF sections and the processor's interrupts, seen by firmware.

Resource            ${CURDIR}/esp32c3.resource

Suite Setup         Build And Load Models
Suite Teardown      Teardown
Test Setup          Boot
Test Teardown       Test Teardown


*** Variables ***
${GCC}          riscv64-unknown-elf-gcc
@{FOR CHIP}     -march\=rv32imc    -misa-spec\=2.2    -mabi\=ilp32    -specs\=picolibc.specs    -std\=c11    -Os
...             -ffreestanding    -fno-builtin    -mno-relax    -nostartfiles    -Wl,--no-relax
@{STRICT}       -Wall    -Wextra    -Werror
${ROM}          ${CURDIR}/../rom


*** Test Cases ***
Functions Are Where Programs Look For Them
    Ask    m    memmove aabcdf, strcmp 0, times 3375, crc32 cbf43926

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


*** Keywords ***
Build And Load Models
    Load Models
    ${found}=    Evaluate    shutil.which($GCC)    modules=shutil
    Skip If    not $found    ${GCC} is not installed
    ${folder}=    Evaluate    tempfile.mkdtemp()    modules=tempfile
    Set Suite Variable    ${FOLDER}    ${folder}
    Compile    -I${ROM}    -I${ROM}/esp32c3    -T    ${ROM}/esp32c3/rom.ld
    ...    ${ROM}/esp32c3/entry.S    ${ROM}/esp32c3/chip.c    ${ROM}/rom.c    -o    ${folder}/rom.elf
    ${script}=    Run Process    ${GCC}    -E    -P    -undef    -x    c    -I${ROM}/esp32c3    ${CURDIR}/firmware/esp32c3.ld
    ...    -o    ${folder}/esp32c3.ld    stderr=STDOUT
    Should Be Equal As Integers    ${script.rc}    0    ${script.stdout}    values=False
    Compile    -T    ${folder}/esp32c3.ld    ${CURDIR}/firmware/esp32c3.c    -o    ${folder}/firmware.elf

Compile
    [Arguments]    @{arguments}
    ${result}=    Run Process    ${GCC}    @{FOR CHIP}    @{STRICT}    @{arguments}    stderr=STDOUT
    Should Be Equal As Integers    ${result.rc}    0    ${result.stdout}    values=False

Boot
    Reset Emulation
    Execute Command    mach create "chip"
    Execute Command    machine LoadPlatformDescription @${REPL}
    Execute Command    sysbus LoadELF @${FOLDER}/rom.elf
    Execute Command    macro reset "sysbus LoadELFSections @${FOLDER}/firmware.elf; cpu Boot \\"start\\""
    Execute Command    runMacro $reset
    Create Terminal Tester    sysbus.uart0    timeout=2    defaultPauseEmulation=True
    Start Emulation
    Wait For Line On Uart    ready

Ask
    [Documentation]    Sends the firmware a letter and returns the line it answers with.
    [Arguments]    ${letter}    ${answer}
    Write Char On Uart    ${letter}
    ${result}=    Wait For Line On Uart    ${answer}    treatAsRegex=true
    # Renode 1.16.0 calls it "line", 1.16.1 "Line".
    ${line}=    Evaluate    {key.lower(): value for key, value in $result.items()}["line"]
    RETURN    ${line}
