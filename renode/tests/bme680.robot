*** Settings ***
Documentation       BME680 at register level, read by the lab's driver (Bosch's integer compensation).

Resource            ${CURDIR}/parts.resource

Suite Setup         Build Firmware
Suite Teardown      Teardown
Test Setup          Boot Parts
Test Teardown       Test Teardown


*** Test Cases ***
Values Come Out As They Were Set
    [Template]    Driver Should Read
    # °C      %       hPa         Ω
    22        45      1013.25     50000
    31.5      60.2    998.4       12000
    -40       0.5     300         1000
    -12.34    88      700         8000000
    85        100     1100        200000

Its Filter Follows Slowly
    Ask    f    bme680 status=0 T=2200 .*
    Execute Command    sysbus.i2c1.bme680 Temperature 30
    FOR    ${expected}    IN    2400    2550    2662    # 22 °C, and what a quarter of the way to 30 makes of it
        ${line}=    Ask    f    bme680 status=0 .*
        Should Be True    abs(int(re.search(r"T=(\\d+)", $line)[1]) - ${expected}) <= 2    ${line}
    END

A Measurement Takes Its Time In Virtual Time
    # 23 conversions and the heater's 150 ms: 1000 + 23 * 1963 + 9 * 477 + 150000 µs.
    ${line}=    Ask    b    bme680 status=0 .*
    ${ms}=    Fetch From Right    ${line}    ms=
    Should Be True    195 <= ${ms} <= 205    ${line}

The Heater Must Be Hot For Gas
    Ask    b    bme680 status=0 .* G=[1-9]\\d* .*
    # 5 ms of heating: the sensor says that it is not stable, and the driver reports no resistance.
    Ask    g    bme680 status=0 .* G=0 .*

An Absent Part Does Not Answer
    Execute Command    sysbus.i2c1.bme680 Fault Nack
    Ask    b    bme680 status=1
    Execute Command    sysbus.i2c1.bme680 Fault Stuck
    Ask    b    bme680 status=1
    Execute Command    sysbus.i2c1.bme680 Fault None
    Ask    b    bme680 status=0 .*

A Value The Part Cannot Report Is Refused
    Should Refuse    sysbus.i2c1.bme680 Temperature 85.1    outside the part's range: -40 to 85
    Should Refuse    sysbus.i2c1.bme680 Pressure 299    outside the part's range: 300 to 1100
    Part Property Should Be    sysbus.i2c1.bme680 Temperature    22

A Reset Keeps The World
    Execute Command    sysbus.i2c1.bme680 Temperature 30
    Execute Command    machine Reset
    Wait For Line On Uart    ready
    Ask    b    bme680 status=0 T=(2999|3000|3001) .*


*** Keywords ***
Driver Should Read
    [Documentation]    Sets the world and lets the firmware measure it.
    [Arguments]    ${celsius}    ${percent}    ${hpa}    ${ohms}
    Execute Command    sysbus.i2c1.bme680 Temperature ${celsius}
    Execute Command    sysbus.i2c1.bme680 Humidity ${percent}
    Execute Command    sysbus.i2c1.bme680 Pressure ${hpa}
    Execute Command    sysbus.i2c1.bme680 Gas ${ohms}
    ${line}=    Ask    b    bme680 status=0 .*
    ${found}=    Evaluate    {k: int(v) for k, v in re.findall(r"(\\w)=(-?\\d+)", $line)}    modules=re
    # One step of the converter at the driver's resolution (16 + 1 bits of temperature: 0.0025 °C), and its rounding.
    Should Be True    abs($found["T"] - ${celsius} * 100) <= 2    ${line}
    Should Be True    abs($found["H"] - ${percent} * 1000) <= 120    ${line}
    Should Be True    abs($found["P"] - ${hpa} * 100) <= 12    ${line}
    Should Be True    abs($found["G"] / ${ohms} - 1) < 0.01    ${line}
