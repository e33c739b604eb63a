*** Settings ***
Documentation       I2C of the STM32F1 to F4 with a BME680 on it; sections are those of RM0090.

Resource            ${CURDIR}/parts.resource
Resource            ${CURDIR}/registers.resource

Suite Setup         Setup
Suite Teardown      Teardown
Test Setup          Attach A Part
Test Teardown       Test Teardown


*** Variables ***
${CR1}              0x40005400
${CR2}              0x40005404
${DR}               0x40005410
${SR1}              0x40005414
${SR2}              0x40005418

${SB}               0x1
${ADDR}             0x2
${BTF}              0x4
${RXNE}             0x40
${TXE}              0x80
${AF}               0x400

${PLATFORM}         i2c: I2C.STM32_I2Cv1 @ sysbus 0x40005400\n\nbme680: Sensors.BME680 @ i2c 0x77


*** Test Cases ***
A Register Is Read After A Repeated Start
    Select Register    0xD0
    Start    0x101
    Address    0xEF
    Should Read    ${SR1}    ${RXNE}
    Write    ${CR1}    0x201                    # STOP
    Should Read    ${DR}    0x61                # the chip's id
    Should Read    ${SR1}    0
    Should Read    ${SR2}    0

A Sender Is Told When It May Go On
    Start    0x101
    Should Read    ${SR2}    0x3                # BUSY, MSL
    Address    0xEE
    Should Read    ${SR1}    ${TXE}
    Should Read    ${SR2}    0x7                # TRA
    Write    ${DR}    0x74
    Should Read    ${SR1}    ${{hex(0x80 | 0x4)}}    # TXE, BTF
    Write    ${DR}    0x24
    Write    ${CR1}    0x201
    Should Read    ${SR1}    0
    Select Register    0x74
    Start    0x101
    Address    0xEF
    Should Read    ${DR}    0x24

Bytes Come As Long As They Are Acknowledged
    Select Register    0xD0
    Start    0x501                              # ACK
    Address    0xEF
    Should Read    ${SR1}    ${{hex(0x40 | 0x4)}}    # data and shift register are full
    Should Read    ${DR}    0x61
    Should Read    ${SR1}    ${{hex(0x40 | 0x4)}}
    Write    ${CR1}    0x1                      # the byte after those two is the last (27.3.3)
    Read    ${DR}
    Should Read    ${SR1}    ${{hex(0x40 | 0x4)}}
    Read    ${DR}
    Should Read    ${SR1}    ${RXNE}
    Read    ${DR}
    Should Read    ${SR1}    0

Two Bytes Come With POS
    Select Register    0xD0
    Start    0xD01                              # ACK, POS
    Address    0xEF    0x801                    # ACK off before ADDR is cleared (27.3.3)
    Should Read    ${SR1}    ${{hex(0x40 | 0x4)}}
    Write    ${CR1}    0xA01
    Should Read    ${DR}    0x61
    Should Read    ${SR1}    ${RXNE}
    Read    ${DR}
    Should Read    ${SR1}    0

Nobody Answers
    Write    ${CR2}    0x100                    # ITERREN
    Start    0x101
    Write    ${DR}    0x20
    Should Read    ${SR1}    ${AF}
    Line Should Be Set    i2c ErrorInterrupt
    Write    ${SR1}    0
    Should Read    ${SR1}    0
    Line Should Be Unset    i2c ErrorInterrupt

Its Interrupts Are Events And Buffers
    Write    ${CR2}    0x200                    # ITEVTEN
    Start    0x101
    Line Should Be Set    i2c EventInterrupt
    Write    ${DR}    0xEE
    Line Should Be Set    i2c EventInterrupt
    Should Read    ${SR2}    0x7
    Line Should Be Unset    i2c EventInterrupt
    Write    ${CR2}    0x600                    # ITBUFEN
    Line Should Be Set    i2c EventInterrupt
    Write    ${CR2}    0x200
    Write    ${DR}    0xD0
    Line Should Be Set    i2c EventInterrupt    # BTF
    Write    ${CR1}    0x201
    Line Should Be Unset    i2c EventInterrupt

A Reset By Software Lets The Bus Go
    Start    0x101
    Write    ${DR}    0xEE
    Write    ${CR1}    0x8000
    Write    ${CR1}    0
    Should Read    ${SR1}    0
    Should Read    ${SR2}    0


*** Keywords ***
Attach A Part
    Reset Emulation
    Load Model    BME680
    Load Model    STM32_I2Cv1
    Execute Command    mach create "i2c"
    Execute Command    machine LoadPlatformDescriptionFromString "${PLATFORM}"
    Write    ${CR1}    1

Start
    [Arguments]    ${control}
    Write    ${CR1}    ${control}
    Should Read    ${SR1}    ${SB}    0x3

Address
    [Documentation]    Sends the address and, having set CR1 meanwhile, reads SR1 and SR2, which begins the data.
    [Arguments]    ${address}    ${control}=${None}
    Write    ${DR}    ${address}
    Should Read    ${SR1}    ${ADDR}    0x3
    IF    $control    Write    ${CR1}    ${control}
    Read    ${SR2}

Select Register
    [Arguments]    ${register}
    Start    0x101
    Address    0xEE
    Write    ${DR}    ${register}
