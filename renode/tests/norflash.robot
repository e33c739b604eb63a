*** Settings ***
Documentation       A NOR flash behind SPI, spoken to byte by byte as a controller does; no firmware.

Library             Collections
Resource            ${CURDIR}/parts.resource

Suite Setup         Setup
Suite Teardown      Teardown
Test Setup          Attach A Flash
Test Teardown       Test Teardown


*** Variables ***
${FLASH}            sysbus.spi.flash
${PLATFORM}         spi: SPI.STM32SPI @ sysbus 0x40013000\n\nflash: Miscellaneous.NorFlash @ spi { id: 0xC22817 }


*** Test Cases ***
It Says What It Is
    ${answer}=    Command    9F 00 00 00
    Should Be Equal    ${answer}    00 C2 28 17

It Says What It Can
    ${answer}=    Command    5A 00 00 00 00 00 00 00 00
    Should End With    ${answer}    53 46 44 50

An Erased Flash Is All Ones
    Cells Should Be    00 00 00    FF FF FF FF

Programming Clears Bits, And Only An Erase Sets Them
    Command    06
    Command    02 00 10 00 F0 0F
    Cells Should Be    00 10 00    F0 0F FF FF
    Command    06
    Command    02 00 10 00 0F FF
    Cells Should Be    00 10 00    00 0F FF FF
    Command    06
    Command    20 00 1A BC
    Cells Should Be    00 10 00    FF FF FF FF

Nothing Is Written That Was Not Enabled
    Command    02 00 00 00 00
    Cells Should Be    00 00 00    FF FF FF FF
    Command    06
    ${status}=    Command    05 00
    Should End With    ${status}    02
    Command    04
    Command    20 00 00 00
    Part Property Should Be    ${FLASH} Erases    0x00000000

A Page Wraps
    Command    06
    Command    02 00 00 FE 01 02 03
    Cells Should Be    00 00 FE    01 02 FF FF
    Cells Should Be    00 00 00    03 FF FF FF

Contents Outlive A Reset
    Command    06
    Command    02 00 00 00 A5
    Execute Command    machine Reset
    Cells Should Be    00 00 00    A5 FF FF FF

A Size That Has No Sectors Is Refused
    Should Refuse
    ...    machine LoadPlatformDescriptionFromString "odd: Miscellaneous.NorFlash @ none { id: 1; size: 100 }"
    ...    multiple of 4096


*** Keywords ***
Attach A Flash
    Reset Emulation
    Load Model    NorFlash
    Execute Command    mach create "flash"
    Execute Command    machine LoadPlatformDescriptionFromString "${PLATFORM}"

Command
    [Documentation]    Shifts bytes out, ends the transfer, returns the bytes that came in.
    [Arguments]    ${bytes}
    @{answers}=    Create List
    FOR    ${byte}    IN    @{bytes.split()}
        ${answer}=    Execute Command    ${FLASH} Transmit 0x${byte}
        ${value}=    Evaluate    format(int($answer.strip(), 16), "02X")
        Append To List    ${answers}    ${value}
    END
    Execute Command    ${FLASH} FinishTransmission
    ${text}=    Evaluate    " ".join($answers)
    RETURN    ${text}

Cells Should Be
    [Arguments]    ${address}    ${expected}
    ${answer}=    Command    03 ${address} 00 00 00 00
    Should End With    ${answer}    ${expected}
