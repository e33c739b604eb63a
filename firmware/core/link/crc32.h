/* CRC-32 of IEEE 802.3, zlib's: reflected, polynomial 0x04c11db7, start and final XOR 0xffffffff. */
#ifndef LAB_LINK_CRC32_H
#define LAB_LINK_CRC32_H

#include <stddef.h>
#include <stdint.h>

/* `crc` is 0, or the result for the bytes before. */
uint32_t lab_crc32(uint32_t crc, const void *bytes, size_t size);

#endif
