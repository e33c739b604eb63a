*** Settings ***
Documentation       Our library: the board also gets keys and connects to a gateway before the test has it.
Library             lab.testing.LabLibrary


*** Test Cases ***
First Line
    Create Device    mps2-an385
    Wait For Line On Uart    lab-firmware
