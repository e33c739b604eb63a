*** Settings ***
Documentation       Watchdogs of the STM32 (sections are those of RM0385) and of the nRF52840.

Resource            ${CURDIR}/parts.resource
Resource            ${CURDIR}/registers.resource

Suite Setup         Setup
Suite Teardown      Teardown
Test Setup          Load Watchdogs
Test Teardown       Test Teardown


*** Variables ***
${KR}               0x40003000
${PR}               0x40003004
${RLR}              0x40003008
${CSR}              0x40023874
${BITTEN}           0x20000000
${STM32}            SEPARATOR=\n
...                 rcc: Memory.ArrayMemory @ sysbus 0x40023800 { size: 0x400 }
...                 iwdg: Timers.STM32_IWDG @ sysbus 0x40003000 { rcc: rcc }

${CRV}              0x40010504
${RESETREAS}        0x40000400
${NRF}              SEPARATOR=\n
...                 power: Memory.ArrayMemory @ sysbus 0x40000000 { size: 0x1000 }
...                 wdt: Timers.NRF52840_WDT @ sysbus 0x40010000 { power: power }

${CPU}              SEPARATOR=\n
...                 nvic: IRQControllers.NVIC @ sysbus 0xE000E000 { -> cpu@0 }
...                 cpu: CPU.CortexM @ sysbus { cpuType: \\"cortex-m4\\"; nvic: nvic }


*** Test Cases ***
It Bites Who Does Not Feed It, And Says So
    Make Machine    ${STM32}
    Start Watchdog Of A Second
    Let Time Pass    0.9
    Write    ${KR}    0xAAAA
    Let Time Pass    0.9
    Should Read    ${CSR}    0    ${BITTEN}
    Let Time Pass    0.2
    Should Read    ${CSR}    ${BITTEN}    ${BITTEN}
    Execute Command    machine Reset
    Should Read    ${CSR}    ${BITTEN}    ${BITTEN}
    Write    ${CSR}    0x01000000               # RMVF
    Should Read    ${CSR}    0    ${BITTEN}

A Reset Stops It
    Make Machine    ${STM32}
    Start Watchdog Of A Second
    Execute Command    machine Reset
    Should Read    ${RLR}    0xFFF
    Let Time Pass    2
    Should Read    ${CSR}    0    ${BITTEN}

Without Its Key Nothing Changes
    Make Machine    ${STM32}
    Write    ${RLR}    1
    Should Read    ${RLR}    0xFFF
    Write    ${KR}    0x5555
    Write    ${RLR}    1
    Should Read    ${RLR}    1
    Write    ${KR}    0xAAAA
    Write    ${RLR}    2
    Should Read    ${RLR}    1

It Waits For A Debugger
    Make Machine    ${STM32}\n${CPU}
    Execute Command    cpu IsHalted true
    Start Watchdog Of A Second
    Let Time Pass    3
    Should Read    ${CSR}    0    ${BITTEN}

The nRF's Bites, And Says So
    Make Machine    ${NRF}
    Write    ${CRV}    32767                    # a second
    Write    0x40010508    1                    # RREN
    Write    0x40010000    1
    Let Time Pass    0.9
    Write    0x40010600    0x6E524635
    Let Time Pass    0.9
    Should Read    ${RESETREAS}    0
    Let Time Pass    0.2
    Should Read    ${RESETREAS}    0x2
    Write    ${RESETREAS}    0x2
    Should Read    ${RESETREAS}    0    0x2

The nRF's Waits For A Debugger
    Make Machine    ${NRF}\n${CPU}
    Execute Command    cpu IsHalted true
    Write    ${CRV}    32767
    Write    0x40010000    1
    Let Time Pass    3
    Should Read    ${RESETREAS}    0


*** Keywords ***
Load Watchdogs
    Reset Emulation
    FOR    ${model}    IN    ResetCause    STM32_IWDG    NRF52840_WDT
        Load Model    ${model}
    END

Make Machine
    [Arguments]    ${platform}
    Execute Command    mach create "watched"
    Execute Command    machine LoadPlatformDescriptionFromString "${platform}"

Start Watchdog Of A Second
    Write    ${KR}    0x5555
    Write    ${PR}    3                         # 32 kHz / 32
    Write    ${RLR}    999
    Write    ${KR}    0xCCCC
