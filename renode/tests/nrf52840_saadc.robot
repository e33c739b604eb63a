*** Settings ***
Documentation       A potentiometer on the converter of the nRF52840; sections are those of its product specification.

Resource            ${CURDIR}/parts.resource
Resource            ${CURDIR}/registers.resource

Suite Setup         Setup
Suite Teardown      Teardown
Test Setup          Attach It
Test Teardown       Test Teardown


*** Variables ***
${START}            0x40007000
${SAMPLE}           0x40007004
${END}              0x40007104
${INTENSET}         0x40007304
${INTENCLR}         0x40007308
${ENABLE}           0x40007500
${PSELP}            0x40007510
${CONFIG}           0x40007518
${RESOLUTION}       0x400075F0
${PTR}              0x4000762C
${MAXCNT}           0x40007630
${AMOUNT}           0x40007634
${QUARTERS}         0x1200                      # gain 1/4, a quarter of the supply as reference
${PLATFORM}         SEPARATOR=\n
...                 ram: Memory.MappedMemory @ sysbus 0x20000000 { size: 0x1000 }
...                 saadc: Analog.NRF52840_SAADC @ sysbus 0x40007000
...                 pot: Sensors.Potentiometer @ saadc 1


*** Test Cases ***
A Voltage Is A Share Of The Supply
    [Template]    Converter Should Read
    # V       12 bits
    0         0
    1.65      2048
    3.3       4095

The Internal Reference Is 0.6 V
    [Template]    Converter Should Read
    # V       12 bits    GAIN, 1/6
    1.8       2048       0x0
    3.3       3755       0x0

It Has Four Resolutions
    [Template]    Converter Should Read
    1.65      128        ${QUARTERS}    0
    1.65      512        ${QUARTERS}    1
    1.65      8192       ${QUARTERS}    3

Samples Go To Memory Until It Is Full
    Execute Command    sysbus.saadc.pot Voltage 3.3
    Prepare    ${QUARTERS}    2
    Write    0x40007520    3                    # a second channel, AIN2: nothing is there
    Write    ${MAXCNT}    3
    Write    ${START}    1
    Write    ${SAMPLE}    1
    Should Read    ${AMOUNT}    2
    Should Read    ${END}    0
    Write    ${SAMPLE}    1
    Should Read    ${AMOUNT}    3
    Should Read    ${END}    1
    Should Read    0x20000100    0x00000FFF
    Should Read    0x20000104    0x00000FFF

Its End Interrupts
    Prepare    ${QUARTERS}    2
    Write    ${INTENSET}    0x2
    Write    ${START}    1
    Line Should Be Unset    saadc IRQ
    Write    ${SAMPLE}    1
    Line Should Be Set    saadc IRQ
    Write    ${END}    0
    Line Should Be Unset    saadc IRQ
    Write    ${INTENCLR}    0x2
    Should Read    ${INTENSET}    0

Nothing Is Sampled While It Is Off
    Prepare    ${QUARTERS}    2
    Write    ${ENABLE}    0
    Write    ${START}    1
    Write    ${SAMPLE}    1
    Should Read    ${AMOUNT}    0
    Should Read    ${END}    0


*** Keywords ***
Attach It
    Reset Emulation
    Load Model    Potentiometer
    Load Model    NRF52840_SAADC
    Execute Command    mach create "saadc"
    Execute Command    machine LoadPlatformDescriptionFromString "${PLATFORM}"

Prepare
    [Documentation]    Channel 0 samples AIN1 once, into memory.
    [Arguments]    ${settings}    ${bits}
    Write    ${ENABLE}    1
    Write    ${PSELP}    2
    Write    ${CONFIG}    ${settings}
    Write    ${RESOLUTION}    ${bits}
    Write    ${PTR}    0x20000100
    Write    ${MAXCNT}    1

Converter Should Read
    [Arguments]    ${volts}    ${value}    ${settings}=${QUARTERS}    ${bits}=2
    Execute Command    sysbus.saadc.pot Voltage ${volts}
    Prepare    ${settings}    ${bits}
    Write    ${START}    1
    Write    ${SAMPLE}    1
    Should Read    0x20000100    ${value}    0xFFFF
