/* What rom.c and a chip's own part of the ROM share. */
#pragma once

#include <stdint.h>

#define REGISTER(address) (*(volatile uint32_t *)(address))
#define BIT(n)            (1u << (n))

/* As programs know it (esp_rom_spiflash_chip_t). */
struct flash_chip {
    uint32_t device_id;
    uint32_t chip_size;
    uint32_t block_size;
    uint32_t sector_size;
    uint32_t page_size;
    uint32_t status_mask;
};

/* Called once after a reset, with .bss zeroed, before the program starts. */
void rom_init(void);
