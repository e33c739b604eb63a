*** Settings ***
Documentation       The gateway may go away: apps run on, and devices come back by themselves.
Resource            ../resources/lab.resource
Suite Setup         Start A Board With An App


*** Test Cases ***
A Restarted Gateway Finds The Device Again
    Restart Gateway
    Wait For Event    device.connected    timeout=30 s
    App Should Be    fib    running

A Crash Of The Gateway Is Survived
    Stop Gateway
    Device Should Be    disconnected
    Start Gateway
    Wait Until Connected
    App Should Be    fib    running

Confirmed Apps Start Without A Gateway
    Stop Gateway
    Reset Device    wait=False
    Wait For Line On Uart    fib    timeout=30 s
    Start Gateway
    Wait Until Connected
    ${value}=    Call App    fib    fib    ${20}
    Should Be Equal As Integers    ${value}    6765


*** Keywords ***
Start A Board With An App
    Create Device    ${BOARD}
    Deploy App    ${EXAMPLES}/fib
