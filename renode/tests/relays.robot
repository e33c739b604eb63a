*** Settings ***
Documentation       A relay and a buzzer, on while their pin is high or low.

Resource            ${CURDIR}/parts.resource

Suite Setup         Build Firmware
Suite Teardown      Teardown
Test Setup          Boot Parts
Test Teardown       Test Teardown


*** Variables ***
${BUZZER}       sysbus.gpioPortA.buzzer
${RELAY}        sysbus.gpioPortA.relay


*** Test Cases ***
A Buzzer Counts Its Beeps
    Part Property Should Be    ${BUZZER} Total    0x00000000
    Ask    z    beeped
    Part Property Should Be    ${BUZZER} Total    0x00000003
    Part Property Should Be    ${BUZZER} On    False
    ${text}=    Execute Command    ${BUZZER} Intervals
    ${lengths}=    Evaluate
    ...    [round(1000 * (float(e) - float(s)), 1) for s, e in (i.split("-") for i in $text.split())]
    Should Be Equal    ${{[2.0, 2.0, 2.0]}}    ${lengths}

A Relay Stays On Until A Reset
    Ask    r    relay on
    Part Property Should Be    ${RELAY} On    True
    Execute Command    machine Reset
    Part Property Should Be    ${RELAY} On    False
    Part Property Should Be    ${RELAY} Total    0x00000001
    Part Property Should Be    ${BUZZER} On    False

Who Pulls Its Plug Switches It Off
    Ask    r    relay on
    Execute Command    ${RELAY} Fault Unplugged
    Part Property Should Be    ${RELAY} On    False

An Unplugged Buzzer Is Silent
    Execute Command    ${BUZZER} Fault Unplugged
    Ask    z    beeped
    Part Property Should Be    ${BUZZER} Total    0x00000000
