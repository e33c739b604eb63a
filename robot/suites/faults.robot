*** Settings ***
Documentation       What goes wrong on the way is put right by itself, and nothing wrong is taken for right.
Resource            ../resources/lab.resource
Suite Setup         Create Device    ${BOARD}
Test Teardown       Clear Faults


*** Test Cases ***
A Deployment Survives A Line That Corrupts Bytes
    Set Fault    link.corrupt    rate=0.0001    seed=1
    Deploy App    alarm    confirmed=False
    App Should Be    alarm    running

A Cut Line Is Noticed, And Forgotten When It Is Whole Again
    Set Heartbeat    1 s
    Set Fault    link.cut
    Wait For Event    device.unreachable    timeout=30 s
    Clear Faults
    Wait Until Connected

A Gateway That Crashed Is Found Again
    Set Fault    gateway.down    duration=2 s    device=gateway.lab
    Device Should Be    disconnected
    Wait Until Connected

A Sensor That Does Not Answer Turns Its LED Off
    Set Sensor    dht22.temperature    22
    LED Should Be    1    green
    Set Fault    sensor.fail    part=dht22    how=unplugged
    LED Should Be    1    off

A Killed Emulator Is Said To Have Crashed
    [Teardown]    Run Keyword If    '${TEST STATUS}' != 'SKIP'    Power On
    Skip Unless Fault Is Possible    machine.kill
    Set Fault    machine.kill
    Device Should Be    crashed

A Slow Line Still Works
    Set Fault    link.slow    baud=38400
    Deploy App    ${EXAMPLES}/fib
    ${value}=    Call App    fib    fib    ${20}
    Should Be Equal As Integers    ${value}    6765
