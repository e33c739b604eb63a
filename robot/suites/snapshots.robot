*** Settings ***
Documentation       A device is kept as it is, and had again: memory, apps, LEDs and what it senses.
Resource            ../resources/lab.resource
Suite Setup         Create Counting Device


*** Test Cases ***
A Device Counts On From Where It Was Saved
    Count Should Be    1
    Count Should Be    2
    Save Snapshot    two
    Count Should Be    3
    Load Snapshot    two
    Count Should Be    3

Its Room And Its LEDs Are As They Were
    Deploy App    alarm
    Set Sensor    dht22.temperature    31.5
    LED Should Be    1    red
    Save Snapshot    hot
    Set Sensor    dht22.temperature    22
    LED Should Be    1    green
    Load Snapshot    hot
    ${temperature}=    Get Sensor    dht22.temperature
    Should Be Equal As Numbers    ${temperature}    31.5
    LED Should Be    1    red    timeout=0 s
    App Should Be    alarm    running

A Removed App Is Back
    Save Snapshot    both
    Remove App    counter
    Load Snapshot    both
    App Should Be    counter    running
    Count Should Be    4

A Snapshot That Is Not There Costs Nothing
    Run Keyword And Expect Error    *there is no snapshot 'cold'*    Load Snapshot    cold
    Count Should Be    5


*** Keywords ***
Create Counting Device
    Create Device    ${BOARD}
    ${device}=    Get Device
    ${can}=    Evaluate    $device['engine'] in ('qemu', 'renode')
    Skip If    not ${can}    engine ${device}[engine] has no snapshots
    Deploy App    ${APPS}/counter.wat

Count Should Be
    [Arguments]    ${expected}
    ${count}=    Call App    counter    count
    Should Be Equal As Integers    ${count}    ${expected}
