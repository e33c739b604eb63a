*** Settings ***
Documentation       Gateway nodes run plugins in a sandbox, show what they find, and tell their hub.
Library             ../resources/NodeLibrary.py
Suite Setup         Start A Hub And A Spoke


*** Test Cases ***
The Hub Shows The Readings Of Both
    Set Node Sensor    spoke    dht22.temperature    24.5
    Reading Should Be    hub    dht22    temperature    22
    Reading Should Be    spoke    dht22    temperature    24.5
    Page Should Show    hub    spoke

A Hot Room Turns An LED Red And Beeps
    Set Node Sensor    spoke    dht22.temperature    31.5
    Node LED Should Be    spoke    1    red
    Node Should Have Beeped    spoke    3

A Plugin With Another Limit Acts Without A Restart
    Node LED Should Be    hub    1    green
    Build Plugin    dht22    HIGH_ALARM=20.0
    Node LED Should Be    hub    1    red
    Node Should Have Beeped    hub    3
    Node Should Not Have Been Restarted    hub

A Spoke That Was Away Is Taken In Again
    Stop Node    spoke
    Start Node    spoke
    Set Node Sensor    spoke    dht22.temperature    18.5
    Reading Should Be    spoke    dht22    temperature    18.5


*** Keywords ***
Start A Hub And A Spoke
    Build Plugin    dht22
    Build Plugin    dashboard
    Start Node    hub
    Start Node    spoke
