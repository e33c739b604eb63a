*** Settings ***
Documentation       DHT22 on one wire, its pulses timed by firmware in virtual time.

Resource            ${CURDIR}/parts.resource

Suite Setup         Build Firmware
Suite Teardown      Teardown
Test Setup          Boot Parts
Test Teardown       Test Teardown


*** Variables ***
${PART}     sysbus.gpioPortA.dht22


*** Test Cases ***
Values Come Out As They Were Set
    [Template]    Sensor Should Give
    # °C       %        tenths of both
    22         45       220     450
    -10.1      65.2     -101    652
    80         100      800     1000
    -40        0        -400    0
    0          0.1      0       1

A Measurement Lasts Two Seconds
    Ask    d    dht22 bus=0 status=0 T=220 .*
    Execute Command    ${PART} Temperature 35
    Ask    d    dht22 bus=0 status=0 T=220 .*
    Let The Last Measurement Age
    Ask    d    dht22 bus=0 status=0 T=350 .*

A Start Pulse That Is Too Short Is Ignored
    Ask    D    dht22 bus=3 status=1 .* pulses=0
    Ask    d    dht22 bus=0 status=0 .*

Faults Show On The Wire
    Execute Command    ${PART} Fault BadChecksum
    Ask    d    dht22 bus=0 status=4 .* pulses=41
    Execute Command    ${PART} Fault Unplugged
    Ask    d    dht22 bus=3 status=1 .* pulses=0
    Execute Command    ${PART} Fault Stuck
    Ask    d    dht22 bus=2 status=1 .* pulses=0
    Execute Command    ${PART} Fault None
    Ask    d    dht22 bus=0 status=0 .* pulses=41

A Value The Part Cannot Report Is Refused
    Should Refuse    ${PART} Temperature 80.1    outside the part's range: -40 to 80
    Should Refuse    ${PART} Humidity -1    outside the part's range: 0 to 100


*** Keywords ***
Let The Last Measurement Age
    Execute Command    pause
    Execute Command    emulation RunFor "2"

Sensor Should Give
    [Documentation]    Sets the world and lets the firmware read the sensor, once its last measurement is old.
    [Arguments]    ${celsius}    ${percent}    ${t}    ${h}
    Execute Command    ${PART} Temperature ${celsius}
    Execute Command    ${PART} Humidity ${percent}
    Let The Last Measurement Age
    Ask    d    dht22 bus=0 status=0 T=${t} H=${h} pulses=41
