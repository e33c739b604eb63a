*** Settings ***
Documentation       The ESP32-C3's peripherals, register by register, after its Technical Reference Manual.

Resource            ${CURDIR}/esp32_family.resource

Suite Setup         Load Models
Suite Teardown      Teardown
Test Setup          Make Chip
Test Teardown       Test Teardown


*** Variables ***
${UART0}        0x60000000
${GPIO}         0x60004000
${RTC}          0x60008000
${I2C}          0x60013000
${TIMG0}        0x6001F000
${SYSTIMER}     0x60023000
${SPI2}         0x60024000
${MATRIX}       0x600C2000


*** Test Cases ***
UART Sends And Receives
    Create Terminal Tester    sysbus.uart0    timeout=1    defaultPauseEmulation=True
    Write    ${UART0}    0x41
    Wait For Prompt On Uart    A
    Write    0x6000000C    0x1                  # RXFIFO_FULL
    Write    0x60000024    0x3    # at three bytes
    FOR    ${letter}    IN    x    y
        Write Char On Uart    ${letter}
    END
    Let Time Pass    0.01
    Should Read    0x6000001C    2    0x3FF     # RXFIFO_CNT
    Interrupt Should Be    21    0
    Write Char On Uart    z
    Let Time Pass    0.01
    Interrupt Should Be    21    1
    Should Read    ${UART0}    0x78
    Should Read    ${UART0}    0x79
    Interrupt Should Be    21    0
    Should Read    0x60000008    0              # nothing is left to say

The Other UART Is There
    Create Terminal Tester    sysbus.uart1    timeout=1    defaultPauseEmulation=True
    Write    0x60010000    0x42
    Wait For Prompt On Uart    B
    Write    0x6001000C    0x100                # RXFIFO_TOUT
    Execute Command    uart1 WriteChar 0x31
    Interrupt Should Be    22    1
    Interrupt Should Be    21    0
    Should Read    0x60010000    0x31
    Should Read    0x6001001C    0    0x3FF

UART Says That A Byte Has Gone
    Write    0x6000000C    0x4000               # TX_DONE
    Interrupt Should Be    21    0
    Write    ${UART0}    0x41
    Interrupt Should Be    21    1
    Write    0x60000010    0x4000
    Interrupt Should Be    21    0

UART Divides Its Clock
    Write    0x60000014    ${{hex(694 | 7 << 20)}}    # 694 7/16 of 80 MHz
    ${baud}=    Execute Command    uart0 BaudRate
    Should Be Equal As Integers    ${{int($baud, 0)}}    115201

UART Says That Bytes Wait
    Write    0x6000000C    0x100                # RXFIFO_TOUT
    Interrupt Should Be    21    0
    Execute Command    uart0 WriteChar 0x21
    Interrupt Should Be    21    1
    Write    0x60000010    0x100
    Interrupt Should Be    21    1              # the byte is still there
    Write    0x60000020    0x20000              # RXFIFO_RST
    Interrupt Should Be    21    0

System Timer Counts At 16 MHz
    Let Time Pass    0.002
    Write    0x60023004    0x40000000
    Should Read    0x60023004    0x20000000     # the value is valid
    Should Read    0x60023044    32000
    Should Read    0x60023040    0
    Write    0x6002300C    0x1                  # loads 1_0000_0000h
    Write    0x6002305C    0x1
    Let Time Pass    0.001
    Write    0x60023004    0x40000000
    Should Read    0x60023040    1
    Should Read    0x60023044    16000

System Timer Wakes At Its Target, Once
    Write    0x60023020    16000                # a millisecond
    Write    0x60023050    1
    Write    0x60023064    1
    Write    0x60023000    0x47000000           # comparator 0
    Let Time Pass    0.0009
    Interrupt Should Be    37    0
    Let Time Pass    0.0002
    Interrupt Should Be    37    1
    Write    0x6002306C    1
    Interrupt Should Be    37    0
    Let Time Pass    0.01
    Interrupt Should Be    37    0

System Timer Wakes Again And Again
    Write    0x60023034    ${{hex(0x40000000 | 8000)}}
    Write    0x60023050    1
    Write    0x60023064    1
    Write    0x60023000    0x47000000
    FOR    ${i}    IN RANGE    3
        Let Time Pass    0.0006
        Interrupt Should Be    37    1
        Write    0x6002306C    1
    END

System Timer Has Two Counters
    Write    0x60023000    0x20000000           # only the second
    Let Time Pass    0.001
    FOR    ${counter}    ${expected}    IN    0    0    1    16000
        Write    ${{hex(0x60023004 + 4 * int($counter))}}    0x40000000
        Should Read    ${{hex(0x60023044 + 8 * int($counter))}}    ${expected}
    END
    Write    0x60023028    32000                # comparator 1, from the second counter
    Write    0x60023038    0x80000000
    Write    0x60023054    1
    Write    0x60023064    2
    Write    0x60023000    0x20800000
    Let Time Pass    0.0009
    Interrupt Should Be    38    0
    Let Time Pass    0.0002
    Interrupt Should Be    38    1

Timer Group Counts And Alarms
    Write    0x6001F010    1000                 # alarm at 1000
    Write    0x6001F070    1
    Write    0x6001F000    ${{hex(0xC0000400 | 80 << 13)}}    # up, one a microsecond
    Let Time Pass    0.0009
    Write    0x6001F00C    1
    Should Read    0x6001F004    900
    Interrupt Should Be    32    0
    Let Time Pass    0.0002
    Interrupt Should Be    32    1
    Should Read    0x6001F000    0    0x400     # the alarm is off
    Write    0x6001F07C    1
    Interrupt Should Be    32    0

The Other Timer Group Counts And Alarms
    Write    0x60020010    1000
    Write    0x60020070    1
    Write    0x60020000    ${{hex(0xC0000400 | 80 << 13)}}
    Let Time Pass    0.0009
    Write    0x6002000C    1
    Should Read    0x60020004    900
    Interrupt Should Be    34    0
    Let Time Pass    0.0002
    Interrupt Should Be    34    1
    Interrupt Should Be    32    0
    Write    0x6002007C    1
    Interrupt Should Be    34    0

Timer Group Counts Down, From The Crystal
    Write    0x6001F018    1000
    Write    0x6001F020    1
    Write    0x6001F010    90                   # alarm at 90
    Write    0x6001F070    1
    Write    0x6001F000    ${{hex(0x80000600 | 40 << 13)}}    # down, one a microsecond
    Let Time Pass    0.0009
    Write    0x6001F00C    1
    Should Read    0x6001F004    100
    Interrupt Should Be    32    0
    Let Time Pass    0.00002
    Interrupt Should Be    32    1

Timer Group Reloads
    Write    0x6001F018    50
    Write    0x6001F010    100
    Write    0x6001F070    1
    Write    0x6001F000    ${{hex(0xE0000400 | 80 << 13)}}
    Let Time Pass    0.00012
    Write    0x6001F00C    1
    Should Read    0x6001F004    70

A Slow Clock Is Measured
    Write    0x6001F068    ${{hex(100 << 16 | 1 << 31)}}
    Should Read    0x6001F068    0x8000    0x8000
    ${cycles}=    Read    0x6001F06C
    Should Be Equal As Integers    ${{$cycles >> 7}}    ${{100 * 40000000 // 136000}}

The Watchdog Bites Who Does Not Feed It, And Says So
    Write    0x6001F064    0x50D83AA1
    Write    0x6001F04C    ${{hex(40000 << 16)}}    # half a millisecond
    Write    0x6001F050    20
    Write    0x6001F048    ${{hex(1 << 31 | 3 << 29)}}
    Write    0x6001F064    0
    Write    0x6001F048    0                    # protected: it goes on
    Let Time Pass    0.009
    Should Read    0x60008038    1    0x3F
    Write    0x6001F064    0x50D83AA1
    Write    0x6001F060    1
    Let Time Pass    0.009
    Should Read    0x60008038    1    0x3F
    Let Time Pass    0.002
    Should Read    0x60008038    7    0x3F

The Watchdog Barks Before It Bites
    Write    0x6001F064    0x50D83AA1
    Write    0x6001F04C    ${{hex(40000 << 16)}}
    Write    0x6001F050    20                   # stage 0 interrupts,
    Write    0x6001F054    20                   # stage 1 resets
    Write    0x6001F070    2
    Write    0x6001F048    ${{hex(1 << 31 | 1 << 29 | 3 << 27)}}
    Let Time Pass    0.009
    Interrupt Should Be    33    0
    Let Time Pass    0.002
    Interrupt Should Be    33    1
    Write    0x6001F07C    2
    Interrupt Should Be    33    0
    Let Time Pass    0.008
    Should Read    0x60008038    1    0x3F
    Let Time Pass    0.002
    Should Read    0x60008038    7    0x3F

The Watchdog Of The Other Group Says That It Was It
    Write    0x60020064    0x50D83AA1
    Write    0x6002004C    ${{hex(40000 << 16)}}
    Write    0x60020050    20
    Write    0x60020048    ${{hex(1 << 31 | 3 << 29)}}
    Let Time Pass    0.009
    Should Read    0x60008038    1    0x3F
    Let Time Pass    0.002
    Should Read    0x60008038    8    0x3F

The RTC Watchdog Bites, And The RTC Keeps What It Has
    Write    0x60008050    0xCAFE               # STORE0
    Write    0x60008094    136                  # a millisecond
    Write    0x60008090    ${{hex(1 << 31 | 4 << 28)}}
    Let Time Pass    0.002
    Should Read    0x60008038    0x10    0x3F
    Should Read    0x60008050    0xCAFE

The RTC Watchdog Is Protected, And Can Be Fed
    Write    0x60008094    136                  # a millisecond,
    Write    0x60008098    136                  # and another
    Write    0x60008090    ${{hex(1 << 31 | 1 << 28 | 4 << 25)}}
    Write    0x600080A8    0
    Write    0x60008090    0                    # protected: it goes on
    Let Time Pass    0.0019
    Write    0x600080A8    0x50D83AA1
    Write    0x600080A4    1
    Let Time Pass    0.0019
    Should Read    0x60008038    0x01    0x3F
    Let Time Pass    0.0002
    Should Read    0x60008038    0x10    0x3F

Software Resets Say Who They Were
    Write    ${RTC}    0x80000000
    Let Time Pass    0.001
    Should Read    0x60008038    0x03    0x3F
    Write    ${RTC}    0x20
    Let Time Pass    0.001
    Should Read    0x60008038    0x0C    0x3F
    Execute Command    machine Reset
    Should Read    0x60008038    0x01    0x3F

The RTC Timer Goes On Through A Reset
    Let Time Pass    0.5
    Execute Command    machine Reset
    Let Time Pass    0.5
    Write    0x6000800C    0x80000000
    ${ticks}=    Read    0x60008010
    Should Be True    135000 <= ${ticks} <= 137000

The Matrix Leads A Source Where It Is Told
    Write    0x600C2054    5                    # UART0 to 5
    Write    0x600C2104    0x20
    Write    0x6000000C    0x2                  # TXFIFO_EMPTY, which is so
    Interrupt Should Be    21    1
    Should Read    0x600C2110    0x20
    Write    0x600C2128    3
    Write    0x600C2194    4
    Matrix Should Interrupt    False
    Write    0x600C2194    3
    Matrix Should Interrupt    True
    Write    0x600C2104    0
    Matrix Should Interrupt    False

The Matrix Chooses By Priority
    Write    0x600C2054    5                    # UART0 to 5
    Write    0x600C2058    9                    # UART1 to 9
    Write    0x600C2104    0x220
    Write    0x600C2128    2
    Write    0x600C2138    3
    Write    0x600C2194    1
    Write    0x6000000C    0x2
    Matrix Should Choose    5
    Write    0x6001000C    0x2
    Matrix Should Choose    9
    Write    0x600C2128    3
    Matrix Should Choose    5    # equal priorities: the lower number

The Matrix Keeps An Edge
    Write    0x600C2054    5
    Write    0x600C2128    1
    Write    0x600C2104    0x20
    Write    0x600C2108    0x20                 # by edge
    Write    0x600C2194    1
    Write    0x6000000C    0x2
    Write    0x6000000C    0
    Matrix Should Interrupt    True
    Write    0x600C210C    0x20
    Matrix Should Interrupt    False

GPIO Drives Its Pins
    Execute Command    machine LoadPlatformDescriptionFromString "gpio: { 4 -> interrupts@0 }"
    Write    0x60004024    0x10                 # enable, set
    Write    0x60004008    0x10                 # out, set
    Should Read    0x6000403C    0x10
    Interrupt Should Be    0    1
    Write    0x6000400C    0x10
    Interrupt Should Be    0    0
    Write    0x60004564    ${{hex(128 | 1 << 8)}}    # inverted
    Interrupt Should Be    0    1
    Write    0x60004564    3                    # a peripheral drives it
    Should Read    0x6000403C    0

GPIO Sees Edges And Levels
    Write    0x60004088    ${{hex(1 << 13 | 1 << 7)}}    # pin 5, rising
    Execute Command    gpio OnGPIO 5 true
    Should Read    0x6000403C    0x20
    Interrupt Should Be    16    1
    Write    0x6000404C    0x20
    Interrupt Should Be    16    0
    Execute Command    gpio OnGPIO 5 false
    Interrupt Should Be    16    0
    Write    0x60004088    ${{hex(1 << 13 | 4 << 7)}}    # low
    Interrupt Should Be    16    1
    Write    0x6000404C    0x20
    Interrupt Should Be    16    1              # it is low still
    Execute Command    gpio OnGPIO 5 true
    Write    0x6000404C    0x20
    Interrupt Should Be    16    0

GPIO Sees Each Kind Of Edge
    FOR    ${kind}    ${rise}    ${fall}    IN
    ...    2    0    1
    ...    3    1    1
    ...    0    0    0
        Write    0x60004088    ${{hex(1 << 13 | int($kind) << 7)}}
        Execute Command    gpio OnGPIO 5 true
        Interrupt Should Be    16    ${rise}
        Write    0x6000404C    0x20
        Execute Command    gpio OnGPIO 5 false
        Interrupt Should Be    16    ${fall}
        Write    0x6000404C    0x20
    END
    Write    0x60004088    ${{hex(1 << 13 | 5 << 7)}}    # high
    Interrupt Should Be    16    0
    Execute Command    gpio OnGPIO 5 true
    Write    0x6000404C    0x20
    Interrupt Should Be    16    1

I2C Writes And Reads
    Attach BME680
    Write    0x60013028    0x80                 # TRANS_COMPLETE
    I2C Commands    ${{[6 << 11, 1 << 11 | 1 << 8 | 2, 6 << 11, 1 << 11 | 1 << 8 | 1, 3 << 11 | 1 << 10 | 1, 2 << 11]}}
    ...    0xEE    0xD0    0xEF
    Interrupt Should Be    29    1
    Should Read    0x60013008    0x100    0xFFFFFF00    # one byte has come
    Should Read    0x6001301C    0x61           # the chip's id
    Should Read    0x6001306C    0x80001000    0x80003800    # done
    Write    0x60013024    0x80
    Interrupt Should Be    29    0

I2C Goes On After A Pause
    Attach BME680
    Write    0x60013028    0x8                  # END_DETECT
    I2C Commands    ${{[6 << 11, 1 << 11 | 1 << 8 | 2, 4 << 11]}}    0xEE    0xD0
    Interrupt Should Be    29    1
    Should Read    0x60013008    0x10    0x10    # the bus is kept
    Write    0x60013024    0x8
    Interrupt Should Be    29    0
    I2C Commands    ${{[6 << 11, 1 << 11 | 1 << 8 | 1, 3 << 11 | 1 << 10 | 1, 2 << 11]}}    0xEF
    Should Read    0x6001301C    0x61
    Should Read    0x60013008    0    0x10

I2C Says When Nobody Answers
    Write    0x60013028    0x400                # NACK
    I2C Commands    ${{[6 << 11, 1 << 11 | 1 << 8 | 1, 2 << 11]}}    0x20
    Interrupt Should Be    29    1
    Should Read    0x60013020    0    0x80
    Should Read    0x60013008    1    0x1

SPI2 Sends And Receives
    Execute Command    machine LoadPlatformDescriptionFromString "memory: Miscellaneous.NorFlash @ spi2 { id: 0xEF4016 }"
    Write    0x60024098    0x9F
    Write    0x60024010    ${{hex(1 << 27 | 1 << 28 | 1)}}
    Write    0x6002401C    31                   # four bytes
    Write    0x60024034    0x1000
    Write    0x60024000    0x1000000
    Interrupt Should Be    19    1
    Should Read    0x60024000    0
    Should Read    0x60024098    0x1640EF00
    Write    0x60024038    0x1000
    Interrupt Should Be    19    0

SPI2 Keeps Its Device Selected
    Execute Command    machine LoadPlatformDescriptionFromString "memory: Miscellaneous.NorFlash @ spi2 { id: 0xEF4016 }"
    Write    0x60024020    0x40000000           # CS_KEEP_ACTIVE
    Write    0x60024098    0x9F
    Write    0x60024010    ${{hex(1 << 27)}}
    Write    0x6002401C    7                    # a byte
    Write    0x60024000    0x1000000
    Write    0x60024020    0
    Write    0x60024010    ${{hex(1 << 28)}}    # half duplex: only in
    Write    0x6002401C    23
    Write    0x60024000    0x1000000
    Should Read    0x60024098    0x1640EF    0xFFFFFF

Flash Says Whether It May Be Written
    Flash Command    0x40000000                 # WREN
    Flash Command    0x08000000                 # RDSR
    Should Read    0x6000202C    0x2    0xFF
    Flash Command    0x20000000                 # WRDI
    Flash Command    0x08000000
    Should Read    0x6000202C    0    0xFF

Flash Is Erased, Programmed And Read
    Flash Command    0x10000000                 # RDID
    Should Read    0x60002058    0x1640EF
    Write    0x60002004    0x110000
    Flash Command    0x40000000                 # WREN
    Flash Command    0x01000000                 # SE
    Write    0x60002058    0x12345678
    Write    0x60002004    0x04110010           # four bytes
    Flash Command    0x40000000
    Flash Command    0x02000000                 # PP
    Flash Should Hold    0x110010    0x12345678
    Flash Should Hold    0x110014    0xFFFFFFFF
    Write    0x60002058    0xFFFF0000
    Write    0x60002004    0x04110010
    Flash Command    0x40000000
    Flash Command    0x02000000
    Flash Should Hold    0x110010    0x12340000    # bits are only ever cleared
    Flash Should Hold    0x100000    0xFFFFFFFF    # no cells

The Generator Repeats Only With Its Seed
    Execute Command    emulation SetSeed 7
    ${one}=    Read    0x600260B0
    ${two}=    Read    0x600260B0
    Should Not Be Equal    ${one}    ${two}
    Execute Command    emulation SetSeed 7
    Should Read    0x600260B0    ${one}

What Is Not Modelled Keeps What Is Written
    Write    0x60043010    0x12345678           # USB
    Should Read    0x60043010    0x12345678
    Should Read    0x60043014    0
    Execute Command    machine Reset
    Should Read    0x60043010    0

Its Address Is In The Fuses
    Execute Command    efuse MAC "7c:df:a1:01:02:03"
    Should Read    0x60008844    0xA1010203
    Should Read    0x60008848    0x7CDF
    Run Keyword And Expect Error    *six bytes*    Execute Command    efuse MAC "7c:df"


*** Keywords ***
Matrix Should Interrupt
    [Arguments]    ${expected}
    ${level}=    Execute Command    interrupts IRQ
    Should Contain    ${level}    ${{"GPIO: set" if $expected == "True" else "GPIO: unset"}}

Matrix Should Choose
    [Arguments]    ${number}
    Matrix Should Interrupt    True
    ${chosen}=    Execute Command    interrupts Chosen
    Should Be Equal As Integers    ${{int($chosen.strip(), 0)}}    ${number}

Attach BME680
    ${known}=    Get Variable Value    ${BME680 KNOWN}    ${False}
    IF    not $known    Execute Command    include @${MODELS}/BME680.cs
    Set Suite Variable    ${BME680 KNOWN}    ${True}
    Execute Command    machine LoadPlatformDescriptionFromString "bme680: Sensors.BME680 @ i2c0 0x77"

I2C Commands
    [Documentation]    Puts bytes into the FIFO, and has the commands done.
    [Arguments]    ${commands}    @{bytes}
    FOR    ${byte}    IN    @{bytes}
        Write    0x6001301C    ${byte}
    END
    FOR    ${i}    ${command}    IN ENUMERATE    @{commands}
        Write    ${{hex(0x60013058 + 4 * $i)}}    ${{hex($command)}}
    END
    Write    0x60013004    0x20

Flash Command
    [Arguments]    ${command}
    Write    0x60002000    ${command}
    Should Read    0x60002000    0

Flash Should Hold
    [Documentation]    Reads a word as the HAL does: a fast read over two lines.
    [Arguments]    ${address}    ${expected}
    Write    0x60002004    ${address}
    Write    0x60002008    ${{hex(1 << 23)}}
    Write    0x60002018    ${{hex(1 << 31 | 1 << 30 | 1 << 29 | 1 << 28)}}
    Write    0x6000201C    ${{hex(23 << 26 | 3)}}
    Write    0x60002020    ${{hex(7 << 28 | 0xBB)}}
    Write    0x60002028    31
    Flash Command    0x40000
    Should Read    0x60002058    ${expected}
