*** Settings ***
Documentation       Renode's own keywords work on a board of the lab, beside the lab's.
Resource            ../resources/lab.resource
Suite Setup         Start A Board And Reach Renode


*** Test Cases ***
Renode Knows The Board By Its Name
    ${counter}=    Renode.Execute Command    cpu PC    machine=${DEVICE}
    Should Match Regexp    ${counter}    0x[0-9A-Fa-f]+
    Run Keyword And Expect Error    *no-such-board*    Renode.Execute Command    cpu PC    machine=no-such-board

Renode Sees The Console Of A Board That Boots
    Renode.Create Terminal Tester    sysbus.${CONSOLE}    machine=${DEVICE}    timeout=30
    Reset Device    wait=False
    Renode.Wait For Line On Uart    reason reset
    Wait Until Connected

Renode's Refusal Is A Failure Of The Keyword
    Run Keyword And Expect Error    *no-such-command*    Renode.Execute Command    no-such-command
    Device Should Be    connected


*** Keywords ***
Start A Board And Reach Renode
    ${DEVICE}=    Create Device    ${BOARD}
    Set Suite Variable    ${DEVICE}
    ${uri}=    Get Renode Remote
    Import Library    Remote    ${uri}    AS    Renode
    ${CONSOLE}=    Evaluate    lab.boards.load($BOARD).renode.console
    Set Suite Variable    ${CONSOLE}
