/* What a program for the ESP32-C3 finds in the chip's ROM, written anew from the functions' documentation
 * (ESP32-C3 Technical Reference Manual 1.1; esp_rom's headers in Espressif's HAL). */
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define REGISTER(address) (*(volatile uint32_t *)(address))

/* Chapters 26, 10, 9, 5 and 8 of the manual. */
#define UART0_FIFO        REGISTER(0x60000000)
#define SYSTIMER_UNIT0_OP REGISTER(0x60023004)
#define SYSTIMER_UNIT0_LO REGISTER(0x60023044)
#define RTC_OPTIONS0      REGISTER(0x60008000)
#define RTC_STORE4        REGISTER(0x600080b8)
#define RTC_RESET_STATE   REGISTER(0x60008038)
#define GPIO_FUNC_IN(n)   REGISTER(0x60004154 + 4 * (n))
#define GPIO_FUNC_OUT(n)  REGISTER(0x60004554 + 4 * (n))
#define GPIO_ENABLE_SET   REGISTER(0x60004024)
#define IO_MUX_GPIO(n)    REGISTER(0x60009004 + 4 * (n))
#define INTERRUPT_MAP(n)  REGISTER(0x600c2000 + 4 * (n))
#define INTERRUPT_ENABLE  REGISTER(0x600c2104)
#define INTERRUPT_TYPE    REGISTER(0x600c2108)
#define INTERRUPT_PRI(n)  REGISTER(0x600c2114 + 4 * (n))
#define INTERRUPT_THRESH  REGISTER(0x600c2194)

#define BIT(n) (1u << (n))

#define XTAL_MHZ           40
#define SYSTIMER_UPDATE    BIT(30)
#define SYSTIMER_PER_US    16
#define RESET_SYSTEM       BIT(31)
#define RESET_PROCESSOR    BIT(5)
#define RESET_CAUSE        0x3f
#define GPIO_IN_BY_MATRIX  BIT(6)
#define GPIO_IN_INVERT     BIT(5)
#define GPIO_OUT_INVERT    BIT(8)
#define GPIO_ENABLE_INVERT BIT(10)
#define IO_MUX_DRIVE_SHIFT 10
#define IO_MUX_DRIVE_MASK  (3u << IO_MUX_DRIVE_SHIFT)

/* ---- what programs read: Espressif's linker scripts say where it is */

struct flash_chip {
    uint32_t device_id;
    uint32_t chip_size;
    uint32_t block_size;
    uint32_t sector_size;
    uint32_t page_size;
    uint32_t status_mask;
};

struct flash_data {
    struct flash_chip chip;
    uint8_t dummy_len_plus[3];
    uint8_t sig_matrix;
};

#define SPIFLASH_LEGACY_DATA (*(struct flash_data **)0x3fcdfff0)

static struct flash_data flash_data;
static uint32_t ticks_per_us;

void rom_init(void) {
    flash_data.chip = (struct flash_chip){.chip_size = 0x400000,
                                          .block_size = 0x10000,
                                          .sector_size = 0x1000,
                                          .page_size = 0x100,
                                          .status_mask = 0xffff};
    SPIFLASH_LEGACY_DATA = &flash_data;
    ticks_per_us = XTAL_MHZ;
    RTC_STORE4 = XTAL_MHZ * 0x10001u; /* where programs look for it: twice, to be known from chance */
}

int esp_rom_spiflash_config_param(uint32_t device_id, uint32_t chip_size, uint32_t block_size,
                                  uint32_t sector_size, uint32_t page_size, uint32_t status_mask) {
    flash_data.chip =
        (struct flash_chip){device_id, chip_size, block_size, sector_size, page_size, status_mask};
    return 0;
}

/* ---- console */

int uart_tx_one_char(uint8_t character) {
    UART0_FIFO = character;
    return 0;
}

int ets_printf(const char *format, ...) {
    char line[256];
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    for (const char *c = line; *c != '\0'; c++) {
        uart_tx_one_char((uint8_t)*c);
    }
    return size;
}

_Noreturn void rom_missing(uint32_t entry, uint32_t caller) {
    ets_printf("\r\n*** ROM: %08x called %08x, which this ROM does not have\r\n", (unsigned)caller,
               (unsigned)entry);
    for (;;) {
        __asm__ volatile("wfi");
    }
}

/* ---- time */

static uint32_t now(void) {
    SYSTIMER_UNIT0_OP = SYSTIMER_UPDATE;
    return SYSTIMER_UNIT0_LO;
}

void ets_delay_us(uint32_t us) {
    uint32_t start = now();
    while (now() - start < us * SYSTIMER_PER_US) {
    }
}

uint32_t ets_get_cpu_frequency(void) {
    return ticks_per_us;
}

void ets_update_cpu_frequency(uint32_t per_us) {
    ticks_per_us = per_us;
}

/* ---- reset */

uint32_t rtc_get_reset_reason(int processor) {
    (void)processor;
    return RTC_RESET_STATE & RESET_CAUSE;
}

void software_reset(void) {
    RTC_OPTIONS0 |= RESET_SYSTEM;
}

void software_reset_cpu(int processor) {
    (void)processor;
    RTC_OPTIONS0 |= RESET_PROCESSOR;
}

/* Analog modules are behind a bus of their own. What programs wait for there is a flag that says done. */
uint8_t rom_i2c_read(void) {
    return 1;
}

/* ---- pins */

void gpio_matrix_in(uint32_t pin, uint32_t signal, bool inverted) {
    GPIO_FUNC_IN(signal) = GPIO_IN_BY_MATRIX | (inverted ? GPIO_IN_INVERT : 0) | pin;
}

void gpio_matrix_out(uint32_t pin, uint32_t signal, bool inverted, bool enable_inverted) {
    GPIO_ENABLE_SET = BIT(pin);
    GPIO_FUNC_OUT(pin) =
        (inverted ? GPIO_OUT_INVERT : 0) | (enable_inverted ? GPIO_ENABLE_INVERT : 0) | signal;
}

void gpio_pad_set_drv(uint32_t pin, uint32_t strength) {
    IO_MUX_GPIO(pin) =
        (IO_MUX_GPIO(pin) & ~IO_MUX_DRIVE_MASK) | (strength << IO_MUX_DRIVE_SHIFT & IO_MUX_DRIVE_MASK);
}

/* ---- interrupts */

void intr_matrix_set(int processor, uint32_t source, uint32_t interrupt) {
    (void)processor;
    INTERRUPT_MAP(source) = interrupt;
}

void esprv_intc_int_enable(uint32_t mask) {
    INTERRUPT_ENABLE |= mask;
}

void esprv_intc_int_disable(uint32_t mask) {
    INTERRUPT_ENABLE &= ~mask;
}

void esprv_intc_int_set_type(int interrupt, int edge) {
    INTERRUPT_TYPE = edge ? INTERRUPT_TYPE | BIT(interrupt) : INTERRUPT_TYPE & ~BIT(interrupt);
}

void esprv_intc_int_set_priority(int interrupt, int priority) {
    INTERRUPT_PRI(interrupt) = (uint32_t)priority;
}

void esprv_intc_int_set_threshold(int threshold) {
    INTERRUPT_THRESH = (uint32_t)threshold;
}
