/* Arm MPS2 with the FPGA images AN385, AN386 and AN500: Cortex-M3, M4 and M7 around the same peripherals.
 *
 * References: Arm DAI 0385 (memory and interrupt map), DDI 0479D (Cortex-M System Design Kit: UART, dual
 * timer, watchdog).
 */
#include <string.h>

#include "lab/core.h"
#include "lab/simbus.h"

#include "../cortexm/cortexm.h"
#include "../cortexm/streams.h"

/* ---- UARTs (DDI 0479D, 4.3) */

struct uart {
    volatile uint32_t data;
    volatile uint32_t state;
    volatile uint32_t control;
    volatile uint32_t interrupts; /* read: pending; write: clear */
    volatile uint32_t divider;
};

#define STATE_TX_FULL        (1u << 0)
#define STATE_RX_FULL        (1u << 1)
#define CONTROL_TX           (1u << 0)
#define CONTROL_RX           (1u << 1)
#define CONTROL_TX_INTERRUPT (1u << 2)
#define CONTROL_RX_INTERRUPT (1u << 3)
#define INTERRUPT_TX         (1u << 0)
#define INTERRUPT_RX         (1u << 1)

#define CLOCK_MHZ 25u
#define DIVIDER   (CLOCK_MHZ * 1000000u / 115200u)

static struct stream streams[LAB_STREAM_COUNT] = {
    [LAB_CONSOLE] = STREAM(0x40004000, 0, console_bytes),
    [LAB_LINK] = STREAM(0x40005000, 2, link_bytes),
    [LAB_SIMBUS] = STREAM(0x40006000, 4, simbus_bytes),
};

static bool uart_received(const struct uart *uart) {
    return uart->state & STATE_RX_FULL;
}

static bool uart_writable(const struct uart *uart) {
    return !(uart->state & STATE_TX_FULL);
}

static uint8_t uart_get(struct uart *uart) {
    return (uint8_t)uart->data;
}

static void uart_put(struct uart *uart, uint8_t byte) {
    uart->data = byte;
}

static bool uart_listens(const struct uart *uart) {
    return uart->control & CONTROL_RX_INTERRUPT;
}

static void uart_listen(struct uart *uart, bool on) {
    uart->interrupts = INTERRUPT_RX;
    if (on) {
        uart->control |= CONTROL_RX_INTERRUPT;
    } else {
        uart->control &= ~CONTROL_RX_INTERRUPT;
    }
}

static void uart_report(struct uart *uart, bool on) {
    uart->interrupts = INTERRUPT_TX;
    if (on) {
        uart->control |= CONTROL_TX_INTERRUPT;
    } else {
        uart->control &= ~CONTROL_TX_INTERRUPT;
    }
}

static void receive(struct stream *stream) {
    stream->uart->interrupts = INTERRUPT_RX;
    stream_receive(stream);
}

static void console_received(void) {
    receive(&streams[LAB_CONSOLE]);
}

static void console_transmitted(void) {
    stream_writable(&streams[LAB_CONSOLE]);
}

static void link_received(void) {
    receive(&streams[LAB_LINK]);
}

static void link_transmitted(void) {
    stream_writable(&streams[LAB_LINK]);
}

static void simbus_received(void) {
    receive(&streams[LAB_SIMBUS]);
}

static void simbus_transmitted(void) {
    stream_writable(&streams[LAB_SIMBUS]);
}

__attribute__((section(".vectors.irq"), used)) static void (*const irq_vectors[32])(void) = {
    console_received,
    console_transmitted,
    link_received,
    link_transmitted,
    simbus_received,
    simbus_transmitted,
    [6 ... 31] = cortexm_unexpected,
};

static void start_streams(void) {
    for (size_t i = 0; i < LAB_STREAM_COUNT; i++) {
        streams[i].uart->divider = DIVIDER;
        streams[i].uart->control = CONTROL_TX | CONTROL_RX | CONTROL_RX_INTERRUPT;
        /* QEMU looks for input when this is read; else bytes wait until something wakes its loop. */
        (void)streams[i].uart->data;
        cortexm_enable_irq(streams[i].irq); /* of reception; that of transmission follows */
        cortexm_enable_irq(streams[i].irq + 1);
    }
}

/* ---- Time: the first half of the dual timer, free-running down (DDI 0479D, 4.5) */

#define TIMER_VALUE   REGISTER(0x40002004)
#define TIMER_CONTROL REGISTER(0x40002008)
#define TIMER_32_BITS (1u << 1)
#define TIMER_ENABLE  (1u << 7)

const uint32_t family_counter_mhz = CLOCK_MHZ;
const uint32_t family_systick_hz = CLOCK_MHZ * 1000000u;
const bool family_systick_external = false;

uint32_t family_counter(void) {
    return ~TIMER_VALUE;
}

/* ---- The watchdog (DDI 0479D, 4.7): NMI first, a reset if that does not help */

#define WATCHDOG_LOAD                REGISTER(0x40008000)
#define WATCHDOG_CONTROL             REGISTER(0x40008008)
#define WATCHDOG_CLEAR               REGISTER(0x4000800c)
#define WATCHDOG_LOCK                REGISTER(0x40008c00)
#define WATCHDOG_UNLOCK              0x1acce551u
#define WATCHDOG_INTERRUPT_AND_RESET 3u

/* A second more than the one in clock.c, which this one stands behind: for a loop with interrupts masked. */
#define WATCHDOG_SECONDS 9u

static void start_watchdog(void) {
    WATCHDOG_LOCK = WATCHDOG_UNLOCK;
    WATCHDOG_LOAD = WATCHDOG_SECONDS * CLOCK_MHZ * 1000000u;
    WATCHDOG_CONTROL = WATCHDOG_INTERRUPT_AND_RESET;
}

static void feed(const struct lab_port *port) {
    cortexm_feed(port);
    WATCHDOG_CLEAR = 1;
}

/* ---- Flash: part of the PSRAM, which the engine keeps in a file. It behaves like NOR: programming clears
 * bits. */

#define FLASH_SIZE   0x00100000u
#define FLASH_SECTOR 4096u

static uint8_t *const flash = (uint8_t *)LAB_PSRAM_BASE;

static bool in_flash(uint32_t address, size_t size) {
    return address <= FLASH_SIZE && size <= FLASH_SIZE - address;
}

static enum lab_bus_status flash_read(const struct lab_port *port, uint32_t address, uint8_t *bytes,
                                      size_t size) {
    (void)port;
    if (!in_flash(address, size)) {
        return LAB_BUS_BAD_ARGUMENT;
    }
    memcpy(bytes, flash + address, size);
    return LAB_BUS_DONE;
}

static enum lab_bus_status flash_program(const struct lab_port *port, uint32_t address, const uint8_t *bytes,
                                         size_t size) {
    (void)port;
    if (!in_flash(address, size)) {
        return LAB_BUS_BAD_ARGUMENT;
    }
    for (size_t i = 0; i < size; i++) {
        flash[address + i] &= bytes[i];
    }
    return LAB_BUS_DONE;
}

static enum lab_bus_status flash_erase(const struct lab_port *port, uint32_t address) {
    (void)port;
    if (address % FLASH_SECTOR != 0 || !in_flash(address, FLASH_SECTOR)) {
        return LAB_BUS_BAD_ARGUMENT;
    }
    memset(flash + address, 0xff, FLASH_SECTOR);
    return LAB_BUS_DONE;
}

/* ---- The port */

__attribute__((section(".noinit"))) struct lab_boot lab_boot;

static struct lab_simbus simbus;
static struct lab_core core;

static struct lab_port port = {
    .board = LAB_BOARD,
    .build_id = lab_build_id,
    .identity = lab_identity,
    .identity_size = LAB_IDENTITY_SIZE,
    .pool = lab_pool,
    .boot = &lab_boot,
    .flash_geometry = {.size = FLASH_SIZE, .sector = FLASH_SECTOR, .program = 1},
    .wiring = &lab_simbus_wiring,
    .simbus = &simbus,
    .read = stream_read,
    .write = stream_write,
    .millis = cortexm_millis,
    .micros = cortexm_micros,
    .idle = cortexm_idle,
    .entropy = cortexm_no_entropy,
    .reset = cortexm_reset,
    .feed = feed,
    .i2c = lab_simbus_i2c,
    .pulses = lab_simbus_pulses,
    .strip = lab_simbus_strip,
    .gpio_write = lab_simbus_gpio_write,
    .gpio_read = lab_simbus_gpio_read,
    .gpio_edge = lab_simbus_edge,
    .adc_read = lab_simbus_adc_read,
    .flash_read = flash_read,
    .flash_program = flash_program,
    .flash_erase = flash_erase,
};

int main(void) {
    TIMER_CONTROL = TIMER_32_BITS | TIMER_ENABLE;
    cortexm_start();
    lab_boot_start(&lab_boot, LAB_BOOT_UNKNOWN);
    start_streams();
    start_watchdog();
    port.pool_size = (size_t)(lab_pool_end - lab_pool);
    lab_core_init(&core, &port);
    lab_core_run(&core);
}
