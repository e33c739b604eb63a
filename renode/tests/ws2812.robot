*** Settings ***
Documentation       WS2812 strips, one on a pin and one on an SPI.

Resource            ${CURDIR}/parts.resource

Suite Setup         Build Firmware
Suite Teardown      Teardown
Test Setup          Boot Parts
Test Teardown       Test Teardown


*** Variables ***
${PIN STRIP}    sysbus.gpioPortA.pinStrip
${SPI STRIP}    sysbus.spi2.spiStrip


*** Test Cases ***
Colours Arrive By Pin
    Part Property Should Be    ${PIN STRIP} Pixels    000000 000000 000000
    Ask    p    strip by pin
    Part Property Should Be    ${PIN STRIP} Pixels    ff0000 00ff00 000081
    Part Property Should Be    ${PIN STRIP} Writes    0x00000001

Colours Arrive By Spi
    Ask    s    strip by spi
    Part Property Should Be    ${SPI STRIP} Pixels    ff0000 00ff00 000081
    Part Property Should Be    ${SPI STRIP} GetPixel 2    000081
    Part Property Should Be    ${PIN STRIP} Writes    0x00000000

Every Write Is Whole Though Time Is Dealt Out Coarsely
    Execute Command    emulation SetGlobalQuantum "0.01"
    FOR    ${strip}    ${letter}    ${word}    IN    ${SPI STRIP}    s    spi    ${PIN STRIP}    p    pin
        FOR    ${i}    IN RANGE    1    4
            Ask    ${letter}    strip by ${word}
            Part Property Should Be    ${strip} Pixels    ff0000 00ff00 000081
            Part Property Should Be    ${strip} Writes    0x0000000${i}
        END
    END

A Short Write Leaves The Rest
    Ask    p    strip by pin
    Ask    P    strip by pin
    Part Property Should Be    ${PIN STRIP} Pixels    ff0000 00ff00 000081
    Part Property Should Be    ${PIN STRIP} Writes    0x00000002

An Unplugged Strip Hears Nothing
    Execute Command    ${PIN STRIP} Fault Unplugged
    Ask    p    strip by pin
    Part Property Should Be    ${PIN STRIP} Writes    0x00000000
    Execute Command    ${PIN STRIP} Fault None
    Ask    p    strip by pin
    Part Property Should Be    ${PIN STRIP} Pixels    ff0000 00ff00 000081

There Are As Many Leds As There Are
    Should Refuse    ${PIN STRIP} GetPixel 3    There is no LED 3: the strip has 3
