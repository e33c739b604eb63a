*** Settings ***
Documentation       Apps are signed, sent to a board, run on trial there, and answer calls.
Resource            ../resources/lab.resource
Suite Setup         Create Device    ${BOARD}


*** Test Cases ***
A Deployed Function Is Computed On The Device
    Deploy App    ${EXAMPLES}/fib
    ${value}=    Call App    fib    fib    ${20}
    Should Be Equal As Integers    ${value}    6765

Two Apps Run Side By Side
    Deploy App    ${APPS}/version-1.wat    name=counter
    App Should Be    fib    running
    App Should Be    counter    running

Stopping One Leaves The Other
    Stop App    fib
    App Should Be    fib    stopped
    ${value}=    Call App    counter    version
    Should Be Equal As Integers    ${value}    1

A Function That Is Not There Is Said To Be Missing
    Run Keyword And Expect Error    *exports no function nothing*    Call App    counter    nothing

A Confirmed App Starts By Itself After A Power Cut
    Power Cut
    App Should Be    counter    running
    App Should Be    fib    stopped

A Removed App Is Gone
    Remove App    counter
    App Should Be    counter    absent
