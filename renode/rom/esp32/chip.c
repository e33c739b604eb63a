/* What only the ESP32's ROM has. */
#include "chip.h"

#define SPI1_CMD       REGISTER(0x3ff42000)
#define SPI1_USER      REGISTER(0x3ff4201c)
#define SPI1_USER2     REGISTER(0x3ff42024)
#define SPI1_MISO_DLEN REGISTER(0x3ff4202c)
#define SPI1_W0        REGISTER(0x3ff42080)

#define SPI_USR             BIT(18)
#define SPI_USR_COMMAND     BIT(31)
#define SPI_USR_MISO        BIT(28)
#define SPI_COMMAND_BITLEN  28
#define SPI_BITS(bits)      ((bits)-1u)
#define SPI_ONE_BYTE(value) (SPI_BITS(8) << SPI_COMMAND_BITLEN | (value))

/* One of the flash's registers of eight bits. */
int esp_rom_spiflash_read_user_cmd(uint32_t *status, uint8_t command) {
    uint32_t user = SPI1_USER;
    SPI1_USER = SPI_USR_COMMAND | SPI_USR_MISO;
    SPI1_USER2 = SPI_ONE_BYTE(command);
    SPI1_MISO_DLEN = SPI_BITS(8);
    SPI1_CMD = SPI_USR;
    while (SPI1_CMD != 0) {
    }
    *status = SPI1_W0 & 0xff;
    SPI1_USER = user;
    return 0;
}

void xthal_set_intclear(uint32_t interrupts) {
    __asm__ volatile("wsr.intclear %0" : : "r"(interrupts));
}
