*** Settings ***
Documentation       A board boots, proves who it is over mutual TLS, and is found again after a reset.
Resource            ../resources/lab.resource
Suite Setup         Create Device    ${BOARD}


*** Test Cases ***
It Says What It Is And Connects
    ${device}=    Get Device
    Should Be Equal    ${device}[state]    connected
    Should Be Equal    ${device}[board]    ${BOARD}

It Answers On Its Console
    Write Line To Uart    status
    Wait For Line On Uart    connected

It Is Back After A Reset
    Reset Device
    Wait For Line On Uart    connected    timeout=30 s
    Device Should Be    connected

It Is Back After A Power Cut
    Power Cut
    Device Should Be    connected

It Gives Signs Of Life
    Set Heartbeat    1 s
    Wait For Event    device.heartbeat
    Wait For Event    device.heartbeat
