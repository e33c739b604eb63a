*** Settings ***
Documentation       What a module does wrong ends that module; the board and its other apps go on.
Resource            ../resources/lab.resource
Suite Setup         Start A Board With A Well Behaved App
Test Teardown       The Well Behaved App Should Still Answer


*** Test Cases ***
An Endless Loop Is Ended
    Deploying Should Fail    ${APPS}/endless-loop.wat    *more than * instructions*    name=hostile

Reading Beyond Its Memory Ends It
    Deploying Should Fail    ${APPS}/out-of-bounds.wat    *out of bounds memory access*    name=hostile

A Function Outside The Contract Is Not Linked
    Deploying Should Fail    ${APPS}/foreign-import.wat    *env*system*    name=hostile

Memory Beyond The Limit Is Not Given
    Deploying Should Fail    ${APPS}/eats-memory.wat    *unreachable*    name=hostile

What Is No Module Is Refused
    Deploying Should Fail    ${APPS}/not-a-module.wasm    *not WebAssembly*    name=hostile

A Package Of A Stranger Is Refused
    ${package}=    Sign App    ${APPS}/version-1.wat    name=hostile    publisher=stranger
    Deploying Should Fail    ${package}    *publisher*


*** Keywords ***
Start A Board With A Well Behaved App
    Create Device    ${BOARD}
    Deploy App    ${EXAMPLES}/fib

The Well Behaved App Should Still Answer
    ${value}=    Call App    fib    fib    ${10}
    Should Be Equal As Integers    ${value}    55
    Device Should Be    connected
