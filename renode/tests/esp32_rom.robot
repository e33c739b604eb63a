*** Settings ***
Documentation       The ESP32's ROM and its processor, seen by firmware. The compiler is that of Zephyr's SDK, or another of the ESP32
...                 that has picolibc: renode-test --variable GCC:...

Resource            ${CURDIR}/esp32c3.resource

Suite Setup         Build And Load Models
Suite Teardown      Teardown
Test Setup          Boot
Test Teardown       Test Teardown


*** Variables ***
${REPL}         ${CURDIR}/../../platforms/esp32.repl
${CHIP}         ESP32D0
${GCC}          xtensa-espressif_esp32_zephyr-elf-gcc
@{FOR CHIP}     -mlongcalls    -specs\=picolibc.specs    -std\=c11    -Os    -ffreestanding    -fno-builtin    -nostartfiles
@{STRICT}       -Wall    -Wextra    -Werror
${ROM}          ${CURDIR}/../rom


*** Test Cases ***
Functions Are Where Programs Look For Them, However Deep The Calls
    Ask    m    memmove aabcdf, strcmp 0, sum 5050

The Processor Has Floating Point
    Ask    f    times 3375, by 1500, less 1

Words Are Compared And Set
    Ask    a    atomic 7 10

Cycles Are Those Of 240 MHz
    ${line}=    Ask    d    delay \\d+
    Should Be True    10000 <= int($line.split()[1]) <= 10100

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

What The ROM Does Not Have Is Said
    Write Char On Uart    x
    Wait For Line On Uart    \\*\\*\\* ROM: 4008[0-9a-f]{4} called 4000fff0.*, which this ROM does not have    treatAsRegex=true


*** Keywords ***
Build And Load Models
    Load Models
    ${found}=    Evaluate    shutil.which($GCC)    modules=shutil
    Skip If    not $found    ${GCC} is not installed
    ${folder}=    Evaluate    tempfile.mkdtemp()    modules=tempfile
    Set Suite Variable    ${FOLDER}    ${folder}
    Compile    -I${ROM}    -I${ROM}/esp32    -T    ${ROM}/esp32/rom.ld
    ...    ${ROM}/esp32/entry.S    ${ROM}/esp32/chip.c    ${ROM}/rom.c    -o    ${folder}/rom.elf
    ${script}=    Run Process    ${GCC}    -E    -P    -undef    -x    c    -I${ROM}/esp32    ${CURDIR}/firmware/esp32.ld
    ...    -o    ${folder}/esp32.ld    stderr=STDOUT
    Should Be Equal As Integers    ${script.rc}    0    ${script.stdout}    values=False
    Compile    -T    ${folder}/esp32.ld    ${CURDIR}/firmware/esp32.c    -o    ${folder}/firmware.elf

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
