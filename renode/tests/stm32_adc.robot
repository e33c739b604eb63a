*** Settings ***
Documentation       A potentiometer on the converter of an STM32F4 or F7; sections are those of RM0385.

Resource            ${CURDIR}/parts.resource
Resource            ${CURDIR}/registers.resource

Suite Setup         Setup
Suite Teardown      Teardown
Test Setup          Attach It
Test Teardown       Test Teardown


*** Variables ***
${SR}               0x40012000
${CR1}              0x40012004
${CR2}              0x40012008
${SQR1}             0x4001202C
${SQR3}             0x40012034
${DR}               0x4001204C
${PLATFORM}         adc: Analog.STM32_ADCInputs @ sysbus 0x40012000\n\npot: Sensors.Potentiometer @ adc 3


*** Test Cases ***
A Voltage Is Read When It Is Asked For
    [Template]    Converter Should Read
    # V       of 4095
    0         0
    1.65      2048
    3.3       4095
    0.001     1

An Input Without A Part Reads Nothing
    Execute Command    sysbus.adc.pot Voltage 3.3
    Convert    4
    Should Read    ${DR}    0
    Convert    3
    Should Read    ${DR}    4095

The End Of A Conversion Interrupts
    Write    ${CR1}    0x20                     # EOCIE
    Convert    3
    Line Should Be Set    adc IRQ
    Read    ${DR}
    Line Should Be Unset    adc IRQ

A Reset Leaves It Where It Stands
    Execute Command    sysbus.adc.pot Voltage 3.3
    Execute Command    machine Reset
    Convert    3
    Should Read    ${DR}    4095

A Value The Part Cannot Have Is Refused
    Should Refuse    sysbus.adc.pot Voltage 3.4    outside the part's range: 0 to 3.3 V
    Should Refuse    sysbus.adc.pot Voltage -1    outside the part's range: 0 to 3.3 V

An Input Has One Part
    Should Refuse
    ...    machine LoadPlatformDescriptionFromString "other: Sensors.Potentiometer @ adc 3"
    ...    no free input 3


*** Keywords ***
Attach It
    Reset Emulation
    Load Model    Potentiometer
    Load Model    STM32_ADCInputs
    Execute Command    mach create "adc"
    Execute Command    machine LoadPlatformDescriptionFromString "${PLATFORM}"

Convert
    [Documentation]    One conversion of one input, started by software (15.3.6).
    [Arguments]    ${input}
    Write    ${SQR1}    0
    Write    ${SQR3}    ${input}
    Write    ${CR2}    0x1
    Write    ${CR2}    0x40000001               # SWSTART
    Should Read    ${SR}    0    0x2
    Let Time Pass    0.001
    Should Read    ${SR}    0x2    0x2          # EOC

Converter Should Read
    [Arguments]    ${volts}    ${value}
    Execute Command    sysbus.adc.pot Voltage ${volts}
    Convert    3
    Should Read    ${DR}    ${value}
    Should Read    ${SR}    0    0x2
