*** Settings ***
Documentation       The alarm app watches a room: LED 1 shows its temperature, the buzzer says when it is too hot.
Resource            ../resources/lab.resource
Suite Setup         Start The Alarm


*** Test Cases ***
A Comfortable Room Is Green
    Set Sensor    dht22.temperature    22
    LED Should Be    1    green
    Buzzer Should Not Have Beeped

A Warm Room Is Orange
    Set Sensor    dht22.temperature    27
    LED Should Be    1    orange

A Hot Room Is Red, And It Beeps Three Times
    Set Sensor    dht22.temperature    31.5
    LED Should Be    1    red
    Buzzer Should Have Beeped    3
    Wait For Log    the room is too hot    app=alarm

The Alarm Ends Only Well Below Its Limit
    Set Sensor    dht22.temperature    28.5
    Wait Until The Sensor Was Read Again
    LED Should Be    1    red
    Set Sensor    dht22.temperature    27.5
    LED Should Be    1    orange

A Cold Room Is Blue
    Set Sensor    dht22.temperature    14
    LED Should Be    1    blue

Without A Sensor There Is No Colour
    Set Sensor    dht22.fault    unplugged
    LED Should Be    1    off
    Set Sensor    dht22.fault    none
    LED Should Be    1    blue


*** Keywords ***
Start The Alarm
    Create Device    ${BOARD}
    Deploy App    alarm    confirmed=False

Wait Until The Sensor Was Read Again
    Wait For Sensor To Be Read    dht22    times=2
