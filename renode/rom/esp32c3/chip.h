/* Where the ESP32-C3 has what its ROM uses: Technical Reference Manual, registers of UART Controller,
 * System Timer, Low-power Management, IO MUX and GPIO Matrix, Interrupt Matrix. */
#pragma once

#include "rom.h"

#define UART0_FIFO                       REGISTER(0x60000000)
#define SYSTIMER_UNIT0_OP                REGISTER(0x60023004)
#define SYSTIMER_UNIT0_LO                REGISTER(0x60023044)
#define RTC_OPTIONS0                     REGISTER(0x60008000)
#define RTC_STORE4                       REGISTER(0x600080b8)
#define RTC_RESET_STATE                  REGISTER(0x60008038)
#define GPIO_FUNC_IN(n)                  REGISTER(0x60004154 + 4 * (n))
#define GPIO_FUNC_OUT(n)                 REGISTER(0x60004554 + 4 * (n))
#define GPIO_ENABLE_SET(bank)            REGISTER(0x60004024 + 0xc * (bank))
#define INTERRUPT_MAP(processor, source) REGISTER(0x600c2000 + 0 * (processor) + 4 * (source))

#define GPIO_PIN_BITS    5
#define GPIO_SIGNAL_BITS 8

/* What programs read: SPIFLASH_LEGACY_DATA, as Espressif's linker scripts call it, leads to the flash's. */
struct flash_data {
    struct flash_chip chip;
    uint8_t dummy_len_plus[3];
    uint8_t sig_matrix;
};

extern struct flash_data rom_flash_data;
extern uint32_t rom_ticks_per_us;

#define ROM_FLASH_CHIP   rom_flash_data.chip
#define ROM_TICKS_PER_US rom_ticks_per_us

#define SPIFLASH_LEGACY_DATA (*(struct flash_data **)0x3fcdfff0)

#define SYSTIMER_UPDATE BIT(30)
#define CLOCK_MHZ       16

#define STAND_STILL() __asm__ volatile("wfi")

static inline void chip_init(void) {
    SPIFLASH_LEGACY_DATA = &rom_flash_data;
}

static inline uint32_t chip_clock(void) {
    SYSTIMER_UNIT0_OP = SYSTIMER_UPDATE;
    return SYSTIMER_UNIT0_LO;
}
