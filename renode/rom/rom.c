/* What a program finds in the ROM of a chip of the ESP32 family, written anew from the functions'
 * documentation (the chips' Technical Reference Manuals; esp_rom's headers in Espressif's HAL). chip.h is
 * where a chip has it. */
#include "rom.h"
#include "chip.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define XTAL_MHZ        40
#define RESET_SYSTEM    BIT(31)
#define RESET_PROCESSOR BIT(5)
#define RESET_CAUSE     0x3f

/* The fields of GPIO_FUNCn_IN_SEL_CFG and GPIO_FUNCn_OUT_SEL_CFG follow each other; the first is as wide as
 * the chip needs. */
#define GPIO_IN_INVERT     BIT(GPIO_PIN_BITS)
#define GPIO_IN_BY_MATRIX  BIT(GPIO_PIN_BITS + 1)
#define GPIO_OUT_INVERT    BIT(GPIO_SIGNAL_BITS)
#define GPIO_ENABLE_INVERT BIT(GPIO_SIGNAL_BITS + 2)

void rom_init(void) {
    chip_init();
    ROM_FLASH_CHIP = (struct flash_chip){.chip_size = 0x400000,
                                         .block_size = 0x10000,
                                         .sector_size = 0x1000,
                                         .page_size = 0x100,
                                         .status_mask = 0xffff};
    ROM_TICKS_PER_US = XTAL_MHZ;
    RTC_STORE4 = XTAL_MHZ * 0x10001u; /* where programs look for it: twice, to be known from chance */
}

int esp_rom_spiflash_config_param(uint32_t device_id, uint32_t chip_size, uint32_t block_size,
                                  uint32_t sector_size, uint32_t page_size, uint32_t status_mask) {
    ROM_FLASH_CHIP =
        (struct flash_chip){device_id, chip_size, block_size, sector_size, page_size, status_mask};
    return 0;
}

/* The C library of Zephyr's SDK asks for errno's place where there is no thread-local storage. */
int *z_errno_wrap(void) {
    static int number;
    return &number;
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

/* Written by the emulator's processor on the way to rom_missing, if the program's symbols have a name. */
char rom_missing_name[64];

_Noreturn void rom_missing(uint32_t entry, uint32_t caller) {
    ets_printf("\r\n*** ROM: %08x called %08x%s%s, which this ROM does not have\r\n", (unsigned)caller,
               (unsigned)entry, rom_missing_name[0] == '\0' ? "" : " ", rom_missing_name);
    for (;;) {
        STAND_STILL();
    }
}

/* ---- time */

void ets_delay_us(uint32_t us) {
    uint32_t start = chip_clock();
    while (chip_clock() - start < us * CLOCK_MHZ) {
        /* An emulator reads a clock as slowly as it runs a thousand instructions. */
        for (int i = 0; i < 32; i++) {
            __asm__ volatile("");
        }
    }
}

uint32_t ets_get_cpu_frequency(void) {
    return ROM_TICKS_PER_US;
}

void ets_update_cpu_frequency(uint32_t per_us) {
    ROM_TICKS_PER_US = per_us;
}

/* ---- checksums */

/* CRC-32 of IEEE 802.3, from a CRC so far: 0 at the start. */
uint32_t crc32_le(uint32_t crc, const uint8_t *bytes, uint32_t size) {
    crc = ~crc;
    for (uint32_t i = 0; i < size; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++) {
            crc = crc >> 1 ^ (0xedb88320u & -(crc & 1));
        }
    }
    return ~crc;
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

/* ---- pins and interrupts */

void gpio_matrix_in(uint32_t pin, uint32_t signal, bool inverted) {
    GPIO_FUNC_IN(signal) = GPIO_IN_BY_MATRIX | (inverted ? GPIO_IN_INVERT : 0) | pin;
}

void gpio_matrix_out(uint32_t pin, uint32_t signal, bool inverted, bool enable_inverted) {
    GPIO_ENABLE_SET(pin / 32) = BIT(pin % 32);
    GPIO_FUNC_OUT(pin) =
        (inverted ? GPIO_OUT_INVERT : 0) | (enable_inverted ? GPIO_ENABLE_INVERT : 0) | signal;
}

void intr_matrix_set(int processor, uint32_t source, uint32_t interrupt) {
    INTERRUPT_MAP(processor, source) = interrupt;
}
