*** Settings ***
Documentation       A new version goes to many boards in batches, and stops by itself where it does harm.
Resource            ../resources/lab.resource
Suite Setup         Create A Fleet With The First Version


*** Test Cases ***
A Healthy Version Reaches Every Board
    ${rollout}=    Start Rollout
    ...    ${APPS}/version-2.wat    name=thing    version=2.0    selector=role=test    batch=2
    Rollout Should End As    ${rollout}    done    confirmed=${4}
    Every Board Should Answer    2

A Version That Fails Stops After Its First Failure
    ${rollout}=    Start Rollout
    ...    ${APPS}/version-2-traps.wat    name=thing    version=3.0    selector=role=test    batch=1
    Rollout Should End As    ${rollout}    paused    rolled-back=${1}    pending=${3}
    Every Board Should Answer    2
    Abort Rollout    ${rollout}

A Board That Is Away Gets It When It Is Back
    Power Off    ${FLEET}[3]
    ${rollout}=    Start Rollout
    ...    ${APPS}/version-1.wat    name=thing    version=4.0    selector=role=test    batch=4
    App Should Be    thing    running    version=4.0    device=${FLEET}[0]
    Power On    ${FLEET}[3]
    Rollout Should End As    ${rollout}    done    confirmed=${4}
    Every Board Should Answer    1


*** Keywords ***
Create A Fleet With The First Version
    ${FLEET}=    Create Fleet    4    native    label=role=test
    Set Suite Variable    ${FLEET}
    ${rollout}=    Start Rollout    ${APPS}/version-1.wat    name=thing    version=1.0
    Rollout Should End As    ${rollout}    done    confirmed=${4}

Every Board Should Answer
    [Arguments]    ${expected}
    FOR    ${device}    IN    @{FLEET}
        ${version}=    Call App    thing    version    device=${device}
        Should Be Equal As Integers    ${version}    ${expected}
    END
