/* STM32F405 as QEMU models it: USART1, 2 and 3, TIM2, SysTick. Clock tree, pins and IWDG are not modelled
 * there, and this port sets none of them up: it has not run on silicon.
 *
 * Reference: RM0090.
 */
#include "lab/core.h"
#include "lab/simbus.h"

#include "../cortexm/cortexm.h"
#include "../cortexm/streams.h"

/* ---- USARTs (RM0090, section 30.6) */

struct uart {
    volatile uint32_t status;
    volatile uint32_t data;
    volatile uint32_t baud;
    volatile uint32_t control1;
};

#define SR_RXNE    (1u << 5)
#define SR_TXE     (1u << 7)
#define CR1_RE     (1u << 2)
#define CR1_TE     (1u << 3)
#define CR1_RXNEIE (1u << 5)
#define CR1_TXEIE  (1u << 7)
#define CR1_UE     (1u << 13)

static struct stream streams[LAB_STREAM_COUNT] = {
    [LAB_CONSOLE] = STREAM(0x40011000, 37, console_bytes),
    [LAB_LINK] = STREAM(0x40004400, 38, link_bytes),
    [LAB_SIMBUS] = STREAM(0x40004800, 39, simbus_bytes),
};

static bool uart_received(const struct uart *uart) {
    return uart->status & SR_RXNE;
}

static bool uart_writable(const struct uart *uart) {
    return uart->status & SR_TXE;
}

static uint8_t uart_get(struct uart *uart) {
    return (uint8_t)uart->data;
}

static void uart_put(struct uart *uart, uint8_t byte) {
    uart->data = byte;
}

static bool uart_listens(const struct uart *uart) {
    return uart->control1 & CR1_RXNEIE;
}

static void uart_listen(struct uart *uart, bool on) {
    if (on) {
        uart->control1 |= CR1_RXNEIE;
    } else {
        uart->control1 &= ~CR1_RXNEIE;
    }
}

static void uart_report(struct uart *uart, bool on) {
    if (on) {
        uart->control1 |= CR1_TXEIE;
    } else {
        uart->control1 &= ~CR1_TXEIE;
    }
}

static void interrupt(struct stream *stream) {
    stream_receive(stream);
    if ((stream->uart->control1 & CR1_TXEIE) && uart_writable(stream->uart)) {
        stream_writable(stream);
    }
}

static void usart1_interrupt(void) {
    interrupt(&streams[LAB_CONSOLE]);
}

static void usart2_interrupt(void) {
    interrupt(&streams[LAB_LINK]);
}

static void usart3_interrupt(void) {
    interrupt(&streams[LAB_SIMBUS]);
}

/* RM0090, table 61 */
__attribute__((section(".vectors.irq"), used)) static void (*const irq_vectors[82])(void) = {
    [0 ... 36] = cortexm_unexpected, [37] = usart1_interrupt,          [38] = usart2_interrupt,
    [39] = usart3_interrupt,         [40 ... 81] = cortexm_unexpected,
};

static void start_streams(void) {
    for (size_t i = 0; i < LAB_STREAM_COUNT; i++) {
        streams[i].uart->control1 = CR1_UE | CR1_TE | CR1_RE | CR1_RXNEIE;
        cortexm_enable_irq(streams[i].irq);
    }
}

/* ---- Time: TIM2 counts microseconds (RM0090, section 18.4). QEMU feeds it 1 GHz. */

#define TIM2_CR1 REGISTER(0x40000000)
#define TIM2_EGR REGISTER(0x40000014)
#define TIM2_CNT REGISTER(0x40000024)
#define TIM2_PSC REGISTER(0x40000028)
#define TIM2_ARR REGISTER(0x4000002c)
#define TIM_CEN  1u
#define TIM_UG   1u

const uint32_t family_counter_mhz = 1;
/* SysTick from AHB / 8: with the core's 168 MHz it would wake ten times a second. */
const uint32_t family_systick_hz = 21000000u;
const bool family_systick_external = true;

uint32_t family_counter(void) {
    return TIM2_CNT;
}

static void start_counter(void) {
    TIM2_PSC = 999;
    TIM2_ARR = 0xffffffffu;
    TIM2_EGR = TIM_UG;
    TIM2_CR1 = TIM_CEN;
}

/* ---- The port. Its watchdog is SysTick's (cortexm/clock.c); its flash is a model on the simbus. */

#define FLASH_SIZE   0x00100000u
#define FLASH_SECTOR 4096u

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
    .feed = cortexm_feed,
    .i2c = lab_simbus_i2c,
    .pulses = lab_simbus_pulses,
    .strip = lab_simbus_strip,
    .gpio_write = lab_simbus_gpio_write,
    .gpio_read = lab_simbus_gpio_read,
    .gpio_edge = lab_simbus_edge,
    .adc_read = lab_simbus_adc_read,
    .flash_read = lab_simbus_flash_read,
    .flash_program = lab_simbus_flash_program,
    .flash_erase = lab_simbus_flash_erase,
};

int main(void) {
    start_counter();
    cortexm_start();
    lab_boot_start(&lab_boot, LAB_BOOT_UNKNOWN);
    start_streams();
    port.pool_size = (size_t)(lab_pool_end - lab_pool);
    lab_core_init(&core, &port);
    lab_core_run(&core);
}
