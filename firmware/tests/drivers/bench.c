/* The drivers and simbus.c in a host process, for tests/unit/test_peripherals_drivers.py. Its argument is the
 * simbus's file descriptor; commands come as lines on standard input, each is answered by one line. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "drivers/bme680.h"
#include "drivers/buzzer.h"
#include "drivers/dht22.h"
#include "drivers/ws2812.h"
#include "lab/simbus.h"

#define LEDS         11
#define MAX_TRANSFER 2048

static int simbus_fd;

static size_t bench_read(const struct lab_port *port, enum lab_stream stream, uint8_t *bytes, size_t size) {
    (void)port;
    struct pollfd ready = {.fd = simbus_fd, .events = POLLIN};
    if (stream != LAB_SIMBUS || poll(&ready, 1, 0) != 1) {
        return 0;
    }
    ssize_t got = read(simbus_fd, bytes, size);
    return got > 0 ? (size_t)got : 0;
}

static size_t bench_write(const struct lab_port *port, enum lab_stream stream, const uint8_t *bytes,
                          size_t size) {
    (void)port;
    ssize_t taken = stream == LAB_SIMBUS ? write(simbus_fd, bytes, size) : 0;
    return taken > 0 ? (size_t)taken : 0;
}

static uint64_t bench_millis(const struct lab_port *port) {
    (void)port;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000u + (uint64_t)now.tv_nsec / 1000000u;
}

static void bench_idle(const struct lab_port *port, uint32_t max_ms) {
    (void)port;
    struct pollfd ready = {.fd = simbus_fd, .events = POLLIN};
    poll(&ready, 1, max_ms > 1000 ? 1000 : (int)max_ms);
}

static void bench_feed(const struct lab_port *port) {
    (void)port;
}

struct bench {
    struct lab_port port;
    struct lab_simbus simbus;
    struct lab_bme680 bme680;
    struct lab_dht22 dht22;
    struct lab_ws2812 leds;
    uint8_t led_bytes[LAB_WS2812_BYTES(LEDS)];
    struct lab_buzzer buzzer;
};

static unsigned number(void) {
    const char *word = strtok(NULL, " \n");
    return word ? (unsigned)strtoul(word, NULL, 0) : 0;
}

static size_t hex(uint8_t *bytes) {
    const char *word = strtok(NULL, " \n");
    size_t size = 0;
    for (; word && sscanf(word, "%2hhx", &bytes[size]) == 1; word += 2) {
        size++;
    }
    return size;
}

static void answer(int status, const uint8_t *bytes, size_t size) {
    printf("%d ", status);
    for (size_t i = 0; i < size; i++) {
        printf("%02x", bytes[i]);
    }
    printf("\n");
}

static struct lab_rgb colour(void) {
    struct lab_rgb rgb = {0};
    rgb.red = (uint8_t)number();
    rgb.green = (uint8_t)number();
    rgb.blue = (uint8_t)number();
    return rgb;
}

static void run_bme680(struct bench *bench) {
    struct lab_bme680_reading reading = {0};
    struct lab_bme680_config config = LAB_BME680_CONFIG;
    uint8_t address = (uint8_t)number();
    config.heater_celsius = (uint16_t)number();
    config.heater_ms = (uint16_t)number();
    enum lab_sensor_status status = lab_bme680_open(&bench->bme680, &bench->port, address);
    if (status == LAB_SENSOR_OK) {
        status = lab_bme680_start(&bench->bme680, &config);
    }
    while (status == LAB_SENSOR_OK || status == LAB_SENSOR_NOT_READY) {
        status = lab_bme680_fetch(&bench->bme680, &reading);
        if (status == LAB_SENSOR_OK) {
            break;
        }
        bench_idle(&bench->port, 1);
    }
    printf("%d %d %u %u %u\n", status, (int)reading.temperature, (unsigned)reading.pressure,
           (unsigned)reading.humidity, (unsigned)reading.gas_resistance);
}

static void run_dht22(struct bench *bench) {
    struct lab_dht22_reading reading;
    bench->dht22.pin = (uint8_t)number();
    enum lab_sensor_status status = lab_dht22_read(&bench->dht22, &reading);
    printf("%d %d %u\n", status, reading.temperature, reading.humidity);
}

static void run_beep(struct bench *bench) {
    unsigned pin = number();
    unsigned count = number();
    unsigned duration = number();
    unsigned interval = number();
    lab_buzzer_init(&bench->buzzer, &bench->port, (uint8_t)pin, true);
    lab_buzzer_beep(&bench->buzzer, count, duration, interval);
    for (uint32_t wait; (wait = lab_buzzer_update(&bench->buzzer)) != UINT32_MAX;) {
        bench_idle(&bench->port, wait);
    }
    printf("0\n");
}

static void run(struct bench *bench, const char *command) {
    const struct lab_port *port = &bench->port;
    uint8_t bytes[MAX_TRANSFER];
    if (strcmp(command, "bme680") == 0) {
        run_bme680(bench);
    } else if (strcmp(command, "dht22") == 0) {
        run_dht22(bench);
    } else if (strcmp(command, "beep") == 0) {
        run_beep(bench);
    } else if (strcmp(command, "led") == 0) {
        unsigned index = number();
        printf("%d\n", lab_ws2812_set(&bench->leds, index, colour()));
    } else if (strcmp(command, "leds") == 0) {
        unsigned first = number();
        struct lab_rgb one = colour();
        unsigned second = number();
        printf("%d\n", lab_ws2812_set_two(&bench->leds, first, one, second, colour()));
    } else if (strcmp(command, "all") == 0) {
        lab_ws2812_set_all(&bench->leds, colour());
        printf("1\n");
    } else if (strcmp(command, "flush") == 0) {
        printf("%d\n", lab_ws2812_flush(&bench->leds));
    } else if (strcmp(command, "i2c") == 0) {
        uint8_t address = (uint8_t)number();
        size_t in_size = number();
        size_t out_size = hex(bytes);
        uint8_t in[MAX_TRANSFER] = {0};
        int status = lab_simbus_i2c(port, address, bytes, out_size, in, in_size);
        answer(status, in, in_size);
    } else if (strcmp(command, "gpio-write") == 0) {
        uint8_t pin = (uint8_t)number();
        answer(lab_simbus_gpio_write(port, pin, number() != 0), NULL, 0);
    } else if (strcmp(command, "gpio-read") == 0) {
        bool level = false;
        int status = lab_simbus_gpio_read(port, (uint8_t)number(), &level);
        answer(status, (const uint8_t *)&level, 1);
    } else if (strcmp(command, "adc") == 0) {
        uint16_t value = 0;
        int status = lab_simbus_adc_read(port, (uint8_t)number(), &value);
        printf("%d %u\n", status, value);
    } else if (strcmp(command, "flash-read") == 0) {
        unsigned address = number();
        size_t size = number();
        answer(lab_simbus_flash_read(port, address, bytes, size), bytes, size);
    } else if (strcmp(command, "flash-program") == 0) {
        unsigned address = number();
        size_t size = hex(bytes);
        answer(lab_simbus_flash_program(port, address, bytes, size), NULL, 0);
    } else if (strcmp(command, "flash-erase") == 0) {
        answer(lab_simbus_flash_erase(port, number()), NULL, 0);
    } else if (strcmp(command, "edge") == 0) {
        uint8_t pin;
        bool level;
        while (!lab_simbus_edge(port, &pin, &level)) {
            bench_idle(port, 1000);
        }
        printf("%u %d\n", pin, level);
    } else {
        printf("unknown command\n");
    }
}

int main(int argc, char **argv) {
    simbus_fd = argc > 1 ? atoi(argv[1]) : -1;
    struct bench bench = {
        .port =
            {
                .board = "bench",
                .read = bench_read,
                .write = bench_write,
                .millis = bench_millis,
                .idle = bench_idle,
                .feed = bench_feed,
                .i2c = lab_simbus_i2c,
                .pulses = lab_simbus_pulses,
                .strip = lab_simbus_strip,
                .gpio_write = lab_simbus_gpio_write,
                .gpio_read = lab_simbus_gpio_read,
            },
    };
    bench.port.simbus = &bench.simbus;
    setvbuf(stdout, NULL, _IOLBF, 0);
    lab_simbus_start(&bench.port);
    lab_dht22_init(&bench.dht22, &bench.port, 0);
    lab_ws2812_init(&bench.leds, &bench.port, 0, LEDS, bench.led_bytes);
    char line[2 * MAX_TRANSFER + 64];
    while (fgets(line, sizeof line, stdin)) {
        const char *command = strtok(line, " \n");
        if (command) {
            run(&bench, command);
        }
    }
    return 0;
}
