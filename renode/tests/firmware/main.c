/* Drives each part as its datasheet says when a letter arrives on USART1, and prints what came of it.
 *
 * The sensors are read by the lab's own drivers (firmware/core/drivers), which know nothing of Renode: what
 * the models put into registers and pulses must come out of an independent implementation as the value that
 * was set.
 */
#include <stdbool.h>
#include <stdint.h>

#include "drivers/bme680.h"
#include "drivers/dht22.h"

#define REG(address) (*(volatile uint32_t *)(address))

#define CYCLES_PER_US 100u
#define DHT22_PIN     8u
#define STRIP_PIN     9u
#define BUZZER_PIN    10u
#define RELAY_PIN     11u

/* RM0385: USART (31.8), GPIO (6.4), I2C (30.7), SPI (32.9); ARMv7-M: SysTick, NVIC, DEMCR, DWT_CYCCNT. */
#define USART_CR1  REG(0x40011000)
#define USART_ISR  REG(0x4001101c)
#define USART_RDR  REG(0x40011024)
#define USART_TDR  REG(0x40011028)
#define GPIO_MODER REG(0x40020000)
#define GPIO_IDR   REG(0x40020010)
#define GPIO_BSRR  REG(0x40020018)
#define I2C_CR1    REG(0x40005400)
#define I2C_CR2    REG(0x40005404)
#define I2C_ISR    REG(0x40005418)
#define I2C_ICR    REG(0x4000541c)
#define I2C_RXDR   REG(0x40005424)
#define I2C_TXDR   REG(0x40005428)
#define SPI_CR1    REG(0x40003800)
#define SPI_SR     REG(0x40003808)
#define SPI_DR     REG(0x4000380c)
#define SYST_CSR   REG(0xe000e010)
#define SYST_RVR   REG(0xe000e014)
#define NVIC_ISER1 REG(0xe000e104)
#define DEMCR      REG(0xe000edfc)
#define DWT_CTRL   REG(0xe0001000)
#define DWT_CYCCNT REG(0xe0001004)

static uint64_t cycles(void) {
    static uint32_t last;
    static uint64_t high;
    uint32_t now = DWT_CYCCNT;
    if (now < last) {
        high += UINT64_C(1) << 32;
    }
    last = now;
    return high + now;
}

static uint64_t micros(const struct lab_port *port) {
    (void)port;
    return cycles() / CYCLES_PER_US;
}

static uint64_t millis(const struct lab_port *port) {
    return micros(port) / 1000u;
}

static void wait_us(uint32_t us) {
    uint64_t start = cycles();
    while (cycles() - start < (uint64_t)us * CYCLES_PER_US) {
    }
}

/* For times too short to be measured by looking at a counter: two instructions a turn, 10 ns each on
 * parts.repl. */
static void spin(uint32_t turns) {
    __asm volatile("1: subs %0, #1\n bne 1b" : "+r"(turns)::"cc");
}

/* Until the next interrupt: the tick, or a letter. */
static void idle(const struct lab_port *port, uint32_t max_ms) {
    (void)port;
    (void)max_ms;
    __asm volatile("wfi");
}

void systick_handler(void) {
}

static volatile char letter;

void usart1_handler(void) {
    letter = (char)USART_RDR;
}

static void put(const char *text) {
    for (; *text != '\0'; text++) {
        USART_TDR = (uint8_t)*text;
    }
}

static void put_number(const char *name, int64_t value) {
    char digits[24];
    char *at = digits + sizeof digits - 1;
    uint64_t rest = value < 0 ? (uint64_t)-value : (uint64_t)value;
    *at = '\0';
    do {
        *--at = (char)('0' + rest % 10u);
        rest /= 10u;
    } while (rest > 0);
    if (value < 0) {
        *--at = '-';
    }
    put(name);
    put(at);
}

/* ---- I2C: interrupts are not needed, Renode's controller is done at once. */

static bool wait_flag(uint32_t flag) {
    uint64_t start = cycles();
    while ((I2C_ISR & flag) == 0) {
        if (cycles() - start > 1000u * CYCLES_PER_US) {
            return false;
        }
    }
    return true;
}

static enum lab_bus_status i2c(const struct lab_port *port, uint8_t address, const uint8_t *out,
                               size_t out_size, uint8_t *in, size_t in_size) {
    (void)port;
    enum { START = 1 << 13, STOP = 1 << 14, READ = 1 << 10, TXIS = 1 << 1, RXNE = 1 << 2, TC = 1 << 6 };
    I2C_CR1 = 1;
    if (out_size > 0) {
        I2C_CR2 = (uint32_t)address << 1 | out_size << 16 | START;
        for (size_t i = 0; i < out_size; i++) {
            I2C_TXDR = out[i];
        }
        if (!wait_flag(TC)) {
            return LAB_BUS_NACK;
        }
    }
    if (in_size > 0) {
        I2C_CR2 = (uint32_t)address << 1 | in_size << 16 | START | READ;
        for (size_t i = 0; i < in_size; i++) {
            if (!wait_flag(RXNE)) {
                return LAB_BUS_NACK;
            }
            in[i] = (uint8_t)I2C_RXDR;
        }
    }
    I2C_CR2 = STOP;
    I2C_ICR = 1u << 5; /* STOPCF */
    return LAB_BUS_DONE;
}

/* ---- pins */

static void drive(uint32_t pin, bool level) {
    GPIO_BSRR = UINT32_C(1) << (level ? pin : pin + 16u);
}

static void mode(uint32_t pin, uint32_t value) {
    GPIO_MODER = (GPIO_MODER & ~(UINT32_C(3) << 2 * pin)) | value << 2 * pin;
}

static bool level(uint32_t pin) {
    return (GPIO_IDR >> pin & 1u) != 0;
}

/* How long the pin stays at `expected`, in microseconds; 0 if longer than 200. */
static uint16_t pulse(uint32_t pin, bool expected) {
    uint64_t start = cycles();
    while (level(pin) == expected) {
        if (cycles() - start > 200u * CYCLES_PER_US) {
            return 0;
        }
    }
    return (uint16_t)((cycles() - start) / CYCLES_PER_US);
}

static enum lab_bus_status pulses(const struct lab_port *port, uint8_t pin, uint16_t start_low_us,
                                  struct lab_pulse *found, size_t *count) {
    (void)port;
    size_t room = *count;
    *count = 0;
    mode(pin, 1);
    drive(pin, false);
    wait_us(start_low_us);
    drive(pin, true);
    mode(pin, 0);
    if (!level(pin)) {
        return LAB_BUS_STUCK;
    }
    if (pulse(pin, true) == 0) {
        return LAB_BUS_TIMEOUT;
    }
    while (*count < room) {
        struct lab_pulse one = {.low_us = pulse(pin, false)};
        one.high_us = pulse(pin, true);
        if (one.low_us == 0 || one.high_us == 0) {
            return LAB_BUS_TIMEOUT;
        }
        found[(*count)++] = one;
    }
    return LAB_BUS_DONE;
}

static const struct lab_port port = {
    .board = "parts",
    .i2c = i2c,
    .pulses = pulses,
    .millis = millis,
    .micros = micros,
    .idle = idle,
};

/* ---- what each letter does */

static void read_bme680(uint16_t heater_ms, uint8_t filter) {
    static struct lab_bme680 sensor;
    static bool open;
    struct lab_bme680_reading reading;
    enum lab_sensor_status status = LAB_SENSOR_OK;
    if (!open) {
        status = lab_bme680_open(&sensor, &port, LAB_BME680_ADDRESS_HIGH);
        open = status == LAB_SENSOR_OK;
    }
    uint64_t start = millis(&port);
    if (status == LAB_SENSOR_OK) {
        struct lab_bme680_config config = LAB_BME680_CONFIG;
        config.heater_ms = heater_ms;
        config.filter = filter;
        status = lab_bme680_start(&sensor, &config);
    }
    if (status == LAB_SENSOR_OK) {
        while ((status = lab_bme680_fetch(&sensor, &reading)) == LAB_SENSOR_NOT_READY) {
            idle(&port, 1);
        }
    }
    put_number("bme680 status=", status);
    if (status == LAB_SENSOR_OK) {
        put_number(" T=", reading.temperature);
        put_number(" P=", reading.pressure);
        put_number(" H=", reading.humidity);
        put_number(" G=", reading.gas_resistance);
        put_number(" ms=", (int64_t)(millis(&port) - start));
    } else {
        open = false;
    }
    put("\n");
}

static void read_dht22(uint16_t start_low_us) {
    struct lab_pulse found[41];
    size_t count = 41;
    struct lab_dht22_reading reading = {0};
    enum lab_bus_status bus = pulses(&port, DHT22_PIN, start_low_us, found, &count);
    enum lab_sensor_status status = lab_dht22_decode(found, count, &reading);
    put_number("dht22 bus=", bus);
    put_number(" status=", status);
    put_number(" T=", reading.temperature);
    put_number(" H=", reading.humidity);
    put_number(" pulses=", (int64_t)count);
    put("\n");
}

/* Red, green, blue: as bytes in the order they leave the pin. */
static const uint8_t colours[] = {0x00, 0xff, 0x00, 0xff, 0x00, 0x00, 0x00, 0x00, 0x81};

static void strip_by_pin(size_t bytes) {
    mode(STRIP_PIN, 1);
    for (size_t bit = 0; bit < bytes * 8; bit++) {
        bool one = (colours[bit / 8] >> (7 - bit % 8) & 1) != 0;
        drive(STRIP_PIN, true);
        spin(one ? 35 : 15);
        drive(STRIP_PIN, false);
        spin(one ? 15 : 35);
    }
    wait_us(60);
    put("strip by pin\n");
}

/* One byte a bit, as Zephyr's worldsemi,ws2812-spi does it. */
static void strip_by_spi(void) {
    SPI_CR1 = 0x0344; /* SSM, SSI, SPE, MSTR */
    spin(20000);      /* longer than the reset gap, in which nothing makes the model see the time */
    for (size_t bit = 0; bit < sizeof colours * 8; bit++) {
        SPI_DR = (colours[bit / 8] >> (7 - bit % 8) & 1) != 0 ? 0x70 : 0x40;
        while ((SPI_SR & 1) == 0) {
        }
        (void)SPI_DR;
    }
    wait_us(60);
    put("strip by spi\n");
}

static void beep(void) {
    drive(BUZZER_PIN, true);
    mode(BUZZER_PIN, 1);
    for (int i = 0; i < 3; i++) {
        drive(BUZZER_PIN, false);
        wait_us(2000);
        drive(BUZZER_PIN, true);
        wait_us(1000);
    }
    put("beeped\n");
}

int main(void) {
    DEMCR |= UINT32_C(1) << 24;
    DWT_CTRL |= 1;
    SYST_RVR = 1000u * CYCLES_PER_US - 1;
    SYST_CSR = 7; /* the core's clock, interrupt, enable */
    NVIC_ISER1 = UINT32_C(1) << (37 - 32);
    drive(BUZZER_PIN, true);
    USART_CR1 = 0x2d; /* UE, RE, TE, RXNEIE */
    put("ready\n");
    for (;;) {
        char asked = letter;
        if (asked == '\0') {
            idle(&port, UINT32_MAX);
            continue;
        }
        letter = '\0';
        switch (asked) {
        case 'b':
            read_bme680(150, 0);
            break;
        case 'f':
            read_bme680(150, 2); /* three quarters are what was before */
            break;
        case 'g':
            read_bme680(5, 0);
            break;
        case 'd':
            read_dht22(1100);
            break;
        case 'D':
            read_dht22(200);
            break;
        case 'p':
            strip_by_pin(sizeof colours);
            break;
        case 'P':
            strip_by_pin(4);
            break;
        case 's':
            strip_by_spi();
            break;
        case 'z':
            beep();
            break;
        case 'r':
            mode(RELAY_PIN, 1);
            drive(RELAY_PIN, true);
            put("relay on\n");
            break;
        default:
            put("?\n");
        }
    }
}
