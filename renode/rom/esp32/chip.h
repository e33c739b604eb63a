/* Where the ESP32 has what its ROM uses: Technical Reference Manual, registers of UART Controller,
 * Low-Power Management, IO_MUX and GPIO Matrix, DPort. */
#pragma once

#include "rom.h"

#define UART0_FIFO                       REGISTER(0x3ff40000)
#define RTC_OPTIONS0                     REGISTER(0x3ff48000)
#define RTC_RESET_STATE                  REGISTER(0x3ff48034)
#define RTC_STORE4                       REGISTER(0x3ff480b0)
#define GPIO_ENABLE_SET(bank)            REGISTER(0x3ff44024 + 0xc * (bank))
#define GPIO_FUNC_IN(n)                  REGISTER(0x3ff44130 + 4 * (n))
#define GPIO_FUNC_OUT(n)                 REGISTER(0x3ff44530 + 4 * (n))
#define INTERRUPT_MAP(processor, source) REGISTER(0x3ff00104 + 0x114 * (processor) + 4 * (source))

#define GPIO_PIN_BITS    6
#define GPIO_SIGNAL_BITS 9

/* What programs read, at the addresses of Espressif's linker scripts: g_rom_flashchip, g_ticks_per_us_pro. */
#define ROM_FLASH_CHIP   (*(struct flash_chip *)0x3ffae270)
#define ROM_TICKS_PER_US REGISTER(0x3ffe01e0)

#define CLOCK_MHZ 240

#define STAND_STILL() __asm__ volatile("waiti 15")

static inline void chip_init(void) {
    /* Programs look for nothing else. */
}

/* CCOUNT: the model's counts at 240 MHz, whatever clock is chosen. */
static inline uint32_t chip_clock(void) {
    uint32_t count;
    __asm__ volatile("rsr.ccount %0" : "=r"(count));
    return count;
}
