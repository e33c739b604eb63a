*** Settings ***
Documentation       The ESP32's peripherals, register by register, after its Technical Reference Manual. What the family
...                 shares is in esp32c3.robot: here is that the chip has it at its own offsets, and what only it has.

Resource            ${CURDIR}/esp32_family.resource

Suite Setup         Load Models
Suite Teardown      Teardown
Test Setup          Make Chip
Test Teardown       Test Teardown


*** Variables ***
${REPL}     ${CURDIR}/../../platforms/esp32.repl
${CHIP}     ESP32D0


*** Test Cases ***
UART Sends And Receives
    Create Terminal Tester    sysbus.uart0    timeout=1    defaultPauseEmulation=True
    Write    0x60000000    0x41                 # where software writes the FIFO
    Wait For Prompt On Uart    A
    Write    0x3FF4000C    0x1                  # RXFIFO_FULL
    Write    0x3FF40024    0x3                  # at three bytes
    FOR    ${letter}    IN    x    y
        Write Char On Uart    ${letter}
    END
    Let Time Pass    0.01
    Should Read    0x3FF4001C    2    0xFF      # RXFIFO_CNT
    Should Read    0x3FF40060    ${{2 << 13}}    # written at 2, read at 0
    Interrupt Should Be    34    0
    Write Char On Uart    z
    Let Time Pass    0.01
    Interrupt Should Be    34    1
    Should Read    0x3FF40000    0x78
    Interrupt Should Be    34    0

The Other UARTs Are There
    Execute Command    uart1 WriteChar 0x31
    Execute Command    uart2 WriteChar 0x32
    Should Read    0x3FF50000    0x31
    Should Read    0x6002E000    0x32
    Write    0x3FF5000C    0x2                  # TXFIFO_EMPTY, which is so
    Interrupt Should Be    35    1
    Write    0x3FF6E00C    0x2
    Interrupt Should Be    36    1

The Matrix Leads A Source Where It Is Told
    Watch Interrupts    16    19    20
    Write    0x3FF0018C    19                   # UART0
    Write    0x3FF4000C    0x2                  # TXFIFO_EMPTY, which is so
    Should Read    0x3FF4403C    ${{1 << 19}}
    Write    0x3FF0018C    20
    Should Read    0x3FF4403C    ${{1 << 20}}
    Write    0x3FF0018C    16                   # a timer's own
    Should Read    0x3FF4403C    0

Software Interrupts The Processor
    Watch Interrupts    5
    Write    0x3FF00164    5
    Write    0x3FF000DC    1                    # CPU_INTR_FROM_CPU_0
    Interrupt Should Be    24    1
    Should Read    0x3FF4403C    ${{1 << 5}}
    Write    0x3FF000DC    0
    Should Read    0x3FF4403C    0

A Cache Is Flushed At Once
    Should Read    0x3FF00040    0    0x30
    Write    0x3FF00040    0x10                 # CACHE_FLUSH_ENA
    Should Read    0x3FF00040    0x30

Both Timers Of A Group Count And Alarm
    Write    0x3FF5F098    3
    FOR    ${timer}    IN RANGE    2
        ${base}=    Evaluate    0x3FF5F000 + 0x24 * ${timer}
        Write    ${{hex($base + 0x10)}}    1000
        Write    ${{hex($base)}}    ${{hex(0xC0000400 | 80 << 13)}}    # up, one a microsecond
    END
    Let Time Pass    0.0009
    Write    0x3FF5F00C    1
    Should Read    0x3FF5F004    900
    Interrupt Should Be    14    0
    Let Time Pass    0.0002
    Interrupt Should Be    14    1
    Interrupt Should Be    15    1
    Write    0x3FF5F0A4    1
    Interrupt Should Be    14    0
    Interrupt Should Be    15    1

A Slow Clock Is Measured
    Write    0x3FF5F068    ${{hex(100 << 16 | 1 << 31)}}
    Should Read    0x3FF5F068    0x8000    0x8000
    ${cycles}=    Read    0x3FF5F06C
    Should Be Equal As Integers    ${{$cycles >> 7}}    ${{100 * 40000000 // 150000}}

The Watchdog Of The Second Group Bites, And Says So
    Write    0x3FF60064    0x50D83AA1
    Write    0x3FF6004C    ${{hex(40000 << 16)}}    # half a millisecond
    Write    0x3FF60050    20
    Write    0x3FF60048    ${{hex(1 << 31 | 3 << 29)}}
    Let Time Pass    0.009
    Should Read    0x3FF48034    1    0x3F
    Let Time Pass    0.002
    Should Read    0x3FF48034    8    0x3F

The RTC Watchdog Bites, And The RTC Keeps What It Has
    Write    0x3FF4804C    0xCAFE               # STORE0
    Write    0x3FF480B0    0xBEEF               # STORE4
    Write    0x3FF48090    150                  # a millisecond
    Write    0x3FF4808C    ${{hex(1 << 31 | 4 << 28)}}
    Let Time Pass    0.002
    Should Read    0x3FF48034    0x10    0x3F
    Should Read    0x3FF4804C    0xCAFE
    Should Read    0x3FF480B0    0xBEEF

Software Resets Say Who They Were
    Write    0x3FF48000    0x80000000
    Let Time Pass    0.001
    Should Read    0x3FF48034    0x03    0x3F
    Write    0x3FF48000    0x20
    Let Time Pass    0.001
    Should Read    0x3FF48034    0x0C    0x3F

The RTC Timer Counts
    Let Time Pass    1
    Write    0x3FF4800C    0x80000000
    Should Read    0x3FF4800C    0x40000000    0x40000000    # TIME_VALID
    ${ticks}=    Read    0x3FF48010
    Should Be True    149000 <= ${ticks} <= 151000

GPIO Drives Its Pins
    Execute Command    machine LoadPlatformDescriptionFromString "gpio: { 4 -> dport@0; 33 -> dport@1 }"
    Write    0x3FF44024    0x10                 # enable, set
    Write    0x3FF44008    0x10                 # out, set
    Should Read    0x3FF4403C    0x10
    Interrupt Should Be    0    1
    Write    0x3FF44030    0x2                  # of the second bank
    Write    0x3FF44014    0x2
    Should Read    0x3FF44040    0x2
    Interrupt Should Be    1    1
    Write    0x3FF44540    3                    # a peripheral drives pin 4
    Should Read    0x3FF4403C    0

GPIO Sees Edges
    FOR    ${pin}    ${status}    ${clear}    IN
    ...    5    0x3FF44068    0x3FF4404C
    ...    37    0x3FF4407C    0x3FF44058
        Write    ${{hex(0x3FF44088 + 4 * int($pin))}}    ${{hex(1 << 15 | 1 << 7)}}    # the first processor, rising
        Execute Command    gpio OnGPIO ${pin} true
        Should Read    ${status}    0x20        # GPIO_PCPU_INT
        Interrupt Should Be    22    1
        Write    ${clear}    0x20
        Interrupt Should Be    22    0
    END

I2C Writes And Reads
    Execute Command    include @${MODELS}/BME680.cs
    Execute Command    machine LoadPlatformDescriptionFromString "bme680: Sensors.BME680 @ i2c0 0x77"
    FOR    ${byte}    IN    0xEE    0xD0    0xEF
        Write    0x6001301C    ${byte}          # where software writes the FIFO
    END
    ${commands}=    Evaluate    [0 << 11, 1 << 11 | 1 << 8 | 2, 0 << 11, 1 << 11 | 1 << 8 | 1, 2 << 11 | 1 << 10 | 1, 3 << 11]
    FOR    ${i}    ${command}    IN ENUMERATE    @{commands}
        Write    ${{hex(0x3FF53058 + 4 * $i)}}    ${{hex($command)}}
    END
    Write    0x3FF53028    0x80                 # TRANS_COMPLETE
    Write    0x3FF53004    0x20
    Interrupt Should Be    49    1
    Should Read    0x3FF53008    0x100    0x3F00    # one byte has come
    Should Read    0x3FF5301C    0x61           # the chip's id
    Write    0x3FF53024    0x80
    Interrupt Should Be    49    0

SPI2 Sends And Receives
    Execute Command    machine LoadPlatformDescriptionFromString "memory: Miscellaneous.NorFlash @ spi2 { id: 0xEF4016 }"
    Write    0x3FF64080    0x9F
    Write    0x3FF6401C    ${{hex(1 << 27 | 1 << 28 | 1)}}
    Write    0x3FF64028    31                   # four bytes
    Write    0x3FF6402C    31
    Write    0x3FF64000    0x40000
    Should Read    0x3FF64038    0x10           # TRANS_DONE
    Interrupt Should Be    30    0
    Write    0x3FF64038    0x210                # TRANS_INTEN
    Interrupt Should Be    30    1
    Should Read    0x3FF64000    0
    Should Read    0x3FF64080    0x1640EF00
    Write    0x3FF64038    0x200                # TRANS_DONE is cleared
    Interrupt Should Be    30    0

Flash Is Erased, Programmed And Read
    Flash Command    0x10000000                 # RDID
    Should Read    0x3FF42080    0x1640EF
    Write    0x3FF42004    0x110000
    Flash Command    0x40000000                 # WREN
    Flash Command    0x01000000                 # SE
    Write    0x3FF42080    0x12345678
    Write    0x3FF42004    0x04110010           # four bytes
    Flash Command    0x40000000
    Flash Command    0x02000000                 # PP
    Flash Should Hold    0x110010    0x12345678
    Flash Should Hold    0x110014    0xFFFFFFFF

The Generator Repeats Only With Its Seed
    Execute Command    emulation SetSeed 7
    ${one}=    Read    0x3FF75144
    ${two}=    Read    0x60035144               # where software reads it
    Should Not Be Equal    ${one}    ${two}

Its Address Is In The Fuses
    Execute Command    efuse MAC "7c:df:a1:01:02:03"
    Should Read    0x3FF5A004    0xA1010203
    ${word}=    Read    0x3FF5A008
    Should Be Equal As Integers    ${{$word & 0xFFFF}}    0x7CDF
    Should Be Equal As Integers    ${{$word >> 16}}    0x2A
    Should Read    0x3FF5A00C    0x8000         # revision 1


*** Keywords ***
Interrupt Should Be
    [Documentation]    Whether a source of the interrupt matrix is up.
    [Arguments]    ${source}    ${level}
    ${word}=    Read    ${{hex(0x3FF000EC + 4 * (int($source) // 32))}}
    Should Be Equal As Integers    ${{$word >> int($source) % 32 & 1}}    ${level}

Watch Interrupts
    [Documentation]    Shows interrupts of the processor on the pins of the same number.
    [Arguments]    @{interrupts}
    FOR    ${interrupt}    IN    @{interrupts}
        Execute Command    machine LoadPlatformDescriptionFromString "dport: { ${interrupt} -> gpio@${interrupt} }"
    END

Flash Command
    [Arguments]    ${command}
    Write    0x3FF42000    ${command}
    Should Read    0x3FF42000    0

Flash Should Hold
    [Documentation]    Reads a word as the HAL does: a fast read over two lines, the address from bit 31 on.
    [Arguments]    ${address}    ${expected}
    Write    0x3FF42004    ${{hex(int($address, 16) << 8)}}
    Write    0x3FF42008    ${{hex(1 << 23)}}
    Write    0x3FF4201C    ${{hex(1 << 31 | 1 << 30 | 1 << 29 | 1 << 28)}}
    Write    0x3FF42020    ${{hex(27 << 26 | 2)}}    # the address has half of the mode, the pause the rest
    Write    0x3FF42024    ${{hex(7 << 28 | 0xBB)}}
    Write    0x3FF4202C    31
    Flash Command    0x40000
    Should Read    0x3FF42080    ${expected}
