*** Settings ***
Documentation       Only a device with a certificate of this lab that was not revoked has a session.
Resource            ../resources/lab.resource
Suite Setup         Create Device    ${BOARD}


*** Test Cases ***
A Client Without A Certificate Is Refused
    Connecting Should Be Refused    No Certificate

A Client With A Certificate Of Another Lab Is Refused
    Connecting Should Be Refused    Stranger

A Client That Speaks Only TLS 1.2 Is Refused
    Connecting Should Be Refused    Old TLS

A Revoked Device Is Cut Off And Stays Out
    Revoke Certificate
    Wait For Event    device.disconnected
    Restart Gateway
    Gateway Sessions Should Be    0
    Device Should Be    disconnected
