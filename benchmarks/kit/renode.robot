*** Settings ***
Documentation       Renode's own runner; it starts Renode before the test.


*** Test Cases ***
First Line
    Execute Command    mach create
    Execute Command    machine LoadPlatformDescription @${CURDIR}/mps2-an385.repl
    Execute Command    sysbus LoadELF @${ELF}
    Create Terminal Tester    sysbus.uart0    timeout=60
    Start Emulation
    Wait For Line On Uart    lab-firmware
