*** Settings ***
Documentation       The panel shows in a browser what a board does, as it does it.
Resource            ../resources/lab.resource
Library             ../resources/PanelLibrary.py
Suite Setup         Start A Board With The Alarm And Look At It


*** Test Cases ***
The Fleet Shows The Board
    Go To    /
    Page Should Show    desk
    Page Should Show    connected

A Slider Heats The Room And The LED Turns Red
    Go To    /devices/desk
    LED On The Page Should Be    1    green
    Move Slider    dht22.temperature    31.5
    LED On The Page Should Be    1    red
    Page Should Show    the room is too hot

What The Command Line Changes Is Seen At Once
    Run Lab    sensor    desk    dht22.temperature\=14
    LED On The Page Should Be    1    blue

A Board That Is Off Is Shown As Off
    Go To    /
    Run Lab    down    desk
    Page Should Show    off


*** Keywords ***
Start A Board With The Alarm And Look At It
    Run Lab    up    --board    ${BOARD}    --name    desk
    Run Lab    deploy    alarm    --all
    Open Panel
