*** Settings ***
Documentation       An update that does not prove healthy goes back by itself to the version before it.
Resource            ../resources/lab.resource
Suite Setup         Create Device    ${BOARD}


*** Test Cases ***
The First Version Runs
    ${first}=    Deploy App    ${APPS}/version-1.wat    name=thing    version=1.0
    Set Suite Variable    ${FIRST}    ${first}
    The Version Should Answer    1

An Update That Fails Its Trial Is Rolled Back
    Deploying Should Fail    ${APPS}/version-2-traps.wat    *unreachable*    name=thing    version=2.0-bad
    App Should Be    thing    running    version=1.0
    The Version Should Answer    1

An Update That Never Answers Is Rolled Back
    Deploying Should Fail    ${APPS}/endless-loop.wat    *instructions*    name=thing    version=2.0-slow
    The Version Should Answer    1

A Healthy Update Is Confirmed
    Deploy App    ${APPS}/version-2.wat    name=thing    version=2.0
    App Should Be    thing    running    version=2.0
    The Version Should Answer    2

It Is Still The New Version After A Power Cut
    Power Cut
    App Should Be    thing    running    version=2.0
    The Version Should Answer    2

An Older Package Is Not Taken Again
    ${old}=    Sign App    ${APPS}/version-1.wat    name=thing    version=1.0    sequence=1
    Deploying Should Fail    ${old}    *sequence*
    The Version Should Answer    2


*** Keywords ***
The Version Should Answer
    [Arguments]    ${expected}
    ${version}=    Call App    thing    version
    Should Be Equal As Integers    ${version}    ${expected}
