#include "flash.h"

#include <zephyr/drivers/flash.h>
#include <zephyr/kernel.h>

#define SIZE FIXED_PARTITION_SIZE(apps_partition)

static const struct device *const chip = FIXED_PARTITION_DEVICE(apps_partition);

void flash_start(void) {
    if (!device_is_ready(chip) || flash_get_write_block_size(chip) != 1) {
        k_panic(); /* an overlay that FLASH_GEOMETRY does not fit */
    }
}

static bool fits(uint32_t address, size_t size) {
    return address <= SIZE && size <= SIZE - address;
}

/* Where in the chip an address of the partition is. */
static off_t at(uint32_t address) {
    return (off_t)FIXED_PARTITION_OFFSET(apps_partition) + (off_t)address;
}

static enum lab_bus_status status(int error) {
    return error == 0 ? LAB_BUS_DONE : error == -ETIMEDOUT ? LAB_BUS_TIMEOUT : LAB_BUS_POWER_FAILED;
}

enum lab_bus_status flash_chip_read(const struct lab_port *port, uint32_t address, uint8_t *bytes,
                                    size_t size) {
    (void)port;
    return fits(address, size) ? status(flash_read(chip, at(address), bytes, size)) : LAB_BUS_BAD_ARGUMENT;
}

enum lab_bus_status flash_chip_program(const struct lab_port *port, uint32_t address, const uint8_t *bytes,
                                       size_t size) {
    (void)port;
    return fits(address, size) ? status(flash_write(chip, at(address), bytes, size)) : LAB_BUS_BAD_ARGUMENT;
}

enum lab_bus_status flash_chip_erase(const struct lab_port *port, uint32_t address) {
    (void)port;
    if (address % CONFIG_LAB_FLASH_SECTOR != 0 || !fits(address, CONFIG_LAB_FLASH_SECTOR)) {
        return LAB_BUS_BAD_ARGUMENT;
    }
    return status(flash_erase(chip, at(address), CONFIG_LAB_FLASH_SECTOR));
}
