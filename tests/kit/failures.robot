*** Settings ***
Documentation       Every keyword that judges must be able to say no, in words that help.
Library             lab.testing.LabLibrary
Suite Setup         Start


*** Variables ***
${SOON}     300 ms


*** Test Cases ***
An LED Of Another Colour
    Run Keyword And Expect Error    LED 1 is #000000, not red (#ff0000)*    LED Should Be    1    red    timeout=${SOON}
    Run Keyword And Expect Error    *no colour*    LED Should Be    1    reddish
    Run Keyword And Expect Error    *LEDs 0 to*    LED Should Be    99    red

A Silent Buzzer
    Run Keyword And Expect Error    *not 1 beeps*    Buzzer Should Have Beeped    timeout=${SOON}

A Line That Nobody Says
    Run Keyword And Expect Error    *end of its console*    Wait For Line On Uart    nobody says this    timeout=${SOON}

A Line That Comes Before The One Awaited
    Write Line To Uart    status
    Run Keyword And Expect Error    *before anything to*
    ...    Wait For Line On Uart    nobody says this    not_matching=connected    timeout=5 s

A State It Is Not In
    Run Keyword And Expect Error    *not crashed*    Device Should Be    crashed    timeout=${SOON}

An App It Does Not Have
    Run Keyword And Expect Error    missing is absent*    App Should Be    missing    running    timeout=${SOON}

An Event That Does Not Come
    Run Keyword And Expect Error    *no event app.event*    Wait For Event    app.event    timeout=${SOON}

A Good App Is Not Refused
    ${fine}=    Set Variable    ${CURDIR}/../../robot/resources/apps/version-1.wat
    Run Keyword And Expect Error    *took*    Deploying Should Fail    ${fine}    *
    Run Keyword And Expect Error    *but not for*
    ...    Deploying Should Fail    ${CURDIR}/../../robot/resources/apps/foreign-import.wat    too large

A Device That Is Not There
    Run Keyword And Expect Error    *has no device 'nobody'*    Reset Device    device=nobody

A Part That Is Not There
    Run Keyword And Expect Error    *    Set Sensor    dht99.temperature    20

Sessions That Are Not There
    Run Keyword And Expect Error    *not 7 sessions*    Gateway Sessions Should Be    7    timeout=${SOON}


*** Keywords ***
Start
    Create Device    native
