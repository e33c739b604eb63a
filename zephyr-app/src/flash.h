/* Memory for what must survive a power cut: the partition that the board's overlay calls apps_partition. */
#ifndef LAB_ZEPHYR_FLASH_H
#define LAB_ZEPHYR_FLASH_H

#include <zephyr/storage/flash_map.h>

#include "lab/port.h"

/* `program` 1: the chips of the overlays take single bytes. flash_start() sees to it that this is true. */
#define FLASH_GEOMETRY                                                                                       \
    { .size = FIXED_PARTITION_SIZE(apps_partition), .sector = CONFIG_LAB_FLASH_SECTOR, .program = 1 }

void flash_start(void);
enum lab_bus_status flash_chip_read(const struct lab_port *port, uint32_t address, uint8_t *bytes,
                                    size_t size);
enum lab_bus_status flash_chip_program(const struct lab_port *port, uint32_t address, const uint8_t *bytes,
                                       size_t size);
enum lab_bus_status flash_chip_erase(const struct lab_port *port, uint32_t address);

#endif
