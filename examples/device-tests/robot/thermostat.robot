*** Settings ***
Documentation       A fan keeps a room below 28 °C: LED 0 is blue while it runs and green while it rests.
Library             lab.testing.LabLibrary
Suite Setup         A Device That Runs Our App


*** Variables ***
${BOARD}    native


*** Test Cases ***
The Fan Rests In A Cool Room
    Set Sensor    dht22.temperature    20
    LED Should Be    0    green

The Fan Runs In A Warm Room
    Set Sensor    dht22.temperature    29
    LED Should Be    0    blue

Without A Sensor The Light Is Red
    Set Sensor    dht22.fault    unplugged
    LED Should Be    0    red


*** Keywords ***
A Device That Runs Our App
    Create Device    ${BOARD}
    Deploy App    ${CURDIR}/../app
