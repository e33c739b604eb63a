*** Settings ***
Documentation       STM32 QUADSPI with a NOR flash behind it; sections are those of RM0385.

Resource            ${CURDIR}/parts.resource
Resource            ${CURDIR}/registers.resource

Suite Setup         Setup
Suite Teardown      Teardown
Test Setup          Attach A Flash
Test Teardown       Test Teardown


*** Variables ***
${CR}               0xA0001000
${SR}               0xA0001008
${FCR}              0xA000100C
${DLR}              0xA0001010
${CCR}              0xA0001014
${AR}               0xA0001018
${ABR}              0xA000101C
${DR}               0xA0001020

# Instruction, address of three bytes and data, each on one line (14.5.6).
${INSTRUCTION}      0x00000100
${ADDRESS}          0x00002400
${DATA}             0x01000000
${READ}             0x04000000
${PLATFORM}         quadspi: SPI.STM32_QUADSPI @ sysbus 0xA0001000\n\nflash: Miscellaneous.NorFlash @ quadspi { id: 0x20BA18 }


*** Test Cases ***
An Instruction Alone Is Sent When It Is Written
    Begin    0x06    ${INSTRUCTION}
    Should Read    ${SR}    0x2    0x2          # TCF
    Write    ${FCR}    0x2
    Should Read    ${SR}    0    0x2
    Status Of The Flash Should Be    0x02

Data Are Read Through The FIFO
    Write    ${DLR}    2
    Begin    0x9F    ${INSTRUCTION}    ${DATA}    ${READ}
    Should Read    ${SR}    0x300    0x3F00     # FLEVEL
    Byte Should Be    0x20
    Byte Should Be    0xBA
    Should Read    ${SR}    0x100    0x3F00
    Byte Should Be    0x18
    Should Read    ${SR}    0    0x3F04         # nothing, and FTF says so

An Address Begins The Command That Has One
    Program    0x001234    0x44332211
    Write    ${DLR}    3
    Begin    0x03    ${INSTRUCTION}    ${ADDRESS}    ${DATA}    ${READ}
    Should Read    ${SR}    0    0x3F02
    Write    ${AR}    0x001234
    Should Read    ${DR}    0x44332211

Dummy Cycles And Alternate Bytes Are Sent
    Program    0x000000    0x44332211
    Write    ${DLR}    1
    Begin    0x0B    ${INSTRUCTION}    ${ADDRESS}    ${DATA}    ${READ}    ${{hex(8 << 18)}}
    Write    ${AR}    0x000001
    Byte Should Be    0x22
    Byte Should Be    0x33
    Begin    0x03    ${INSTRUCTION}    ${ADDRESS}    ${DATA}    ${READ}    ${{hex(16 << 18)}}    # two bytes are lost
    Write    ${AR}    0x000000
    Byte Should Be    0x33
    Byte Should Be    0x44
    Write    ${ABR}    0x000002                 # three bytes that the flash takes for the address
    Begin    0x03    ${INSTRUCTION}    ${DATA}    ${READ}    ${{hex(1 << 14 | 2 << 16)}}
    Byte Should Be    0x33

A Write Waits For Its Data
    Begin    0x06    ${INSTRUCTION}
    Write    ${FCR}    0x2
    Write    ${DLR}    3
    Begin    0x02    ${INSTRUCTION}    ${ADDRESS}    ${DATA}
    Write    ${AR}    0
    Should Read    ${SR}    0x4    0x6          # FTF: there is room; TCF not yet
    Execute Command    sysbus WriteByte ${DR} 0x11
    Execute Command    sysbus WriteWord ${DR} 0x3322
    Should Read    ${SR}    0x4    0x6
    Execute Command    sysbus WriteByte ${DR} 0x44
    Should Read    ${SR}    0x2    0x6
    Write    ${DLR}    3
    Begin    0x03    ${INSTRUCTION}    ${ADDRESS}    ${DATA}    ${READ}
    Write    ${AR}    0
    Should Read    ${DR}    0x44332211

The FIFO Shows 32 Bytes At Most
    Write    ${DLR}    63
    Begin    0x9F    ${INSTRUCTION}    ${DATA}    ${READ}
    Should Read    ${SR}    0x2000    0x3F00

An Abort Empties The FIFO
    Write    ${DLR}    7
    Begin    0x9F    ${INSTRUCTION}    ${DATA}    ${READ}
    Write    ${CR}    0x3
    Should Read    ${SR}    0    0x3F00
    Should Read    ${CR}    0x1

Its Interrupts Are Completion And Threshold
    Write    ${CR}    0x20001                   # TCIE
    Begin    0x06    ${INSTRUCTION}
    Line Should Be Set    quadspi IRQ
    Write    ${FCR}    0x2
    Line Should Be Unset    quadspi IRQ
    Write    ${CR}    0x40101                   # FTIE, two bytes
    Write    ${DLR}    2
    Begin    0x9F    ${INSTRUCTION}    ${DATA}    ${READ}
    Line Should Be Set    quadspi IRQ
    Write    ${FCR}    0x2
    Byte Should Be    0x20
    Line Should Be Set    quadspi IRQ
    Byte Should Be    0xBA
    Line Should Be Unset    quadspi IRQ

What Is Not Modelled Is Said
    Create Log Tester    0
    Begin    0x05    ${INSTRUCTION}    ${DATA}    0x08000000
    Wait For Log Entry    mode Polling is not modelled
    Should Read    ${SR}    0    0x2

A Reset Clears It
    Write    ${CR}    0x20001
    Begin    0x06    ${INSTRUCTION}
    Execute Command    machine Reset
    Should Read    ${SR}    0    0x2
    Should Read    ${CR}    0
    Line Should Be Unset    quadspi IRQ


*** Keywords ***
Attach A Flash
    Reset Emulation
    Load Model    NorFlash
    Load Model    STM32_QUADSPI
    Execute Command    mach create "quadspi"
    Execute Command    machine LoadPlatformDescriptionFromString "${PLATFORM}"
    Write    ${CR}    1

Begin
    [Documentation]    Writes an instruction with the phases that go with it.
    [Arguments]    ${code}    @{phases}
    Write    ${CCR}    ${{hex(int($code, 16) | sum(int(phase, 16) for phase in $phases))}}

Program
    [Documentation]    Programs four bytes.
    [Arguments]    ${where}    ${word}
    Begin    0x06    ${INSTRUCTION}
    Write    ${DLR}    3
    Begin    0x02    ${INSTRUCTION}    ${ADDRESS}    ${DATA}
    Write    ${AR}    ${where}
    Write    ${DR}    ${word}
    Should Read    ${SR}    0x2    0x2
    Write    ${FCR}    0x2

Byte Should Be
    [Arguments]    ${expected}
    ${said}=    Execute Command    sysbus ReadByte ${DR}
    Should Be Equal As Integers    ${said.strip()}    ${expected}

Status Of The Flash Should Be
    [Arguments]    ${expected}
    Write    ${DLR}    0
    Begin    0x05    ${INSTRUCTION}    ${DATA}    ${READ}
    Byte Should Be    ${expected}
