*** Settings ***
Documentation       What start-up code waits for in the power controller of an STM32F7; sections are those of RM0385.

Resource            ${CURDIR}/parts.resource
Resource            ${CURDIR}/registers.resource

Suite Setup         Setup
Suite Teardown      Teardown
Test Setup          Attach It
Test Teardown       Test Teardown


*** Variables ***
${CR1}          0x40007000
${CSR1}         0x40007004
${CR2}          0x40007008


*** Test Cases ***
The Regulator Is Ready
    Should Read    ${CR1}    0xC000             # the highest scale (4.4.1)
    Should Read    ${CSR1}    0x4000            # VOSRDY

Over-drive Is Ready Once It Is On
    Write    ${CR1}    0x1C000                  # ODEN
    Should Read    ${CSR1}    0x14000           # ODRDY
    Write    ${CR1}    0x3C000                  # ODSWEN
    Should Read    ${CSR1}    0x34000           # ODSWRDY
    Write    ${CR1}    0xC000
    Should Read    ${CSR1}    0x4000

A Reset Switches Over-drive Off
    Write    ${CR1}    0x3C000
    Write    ${CR2}    0x100
    Execute Command    machine Reset
    Should Read    ${CR1}    0xC000
    Should Read    ${CSR1}    0x4000
    Should Read    ${CR2}    0


*** Keywords ***
Attach It
    Reset Emulation
    Load Model    STM32F7_PWR
    Execute Command    mach create "pwr"
    Execute Command    machine LoadPlatformDescriptionFromString "pwr: Miscellaneous.STM32F7_PWR @ sysbus 0x40007000"
