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

A Killed Emulator Is Said To Have Crashed
    [Teardown]    Run Keyword If    '${TEST STATUS}' != 'SKIP'    Power On
    Skip Unless Fault Is Possible    machine.kill
    Set Fault    machine.kill
    Device Should Be    crashed
