/* The first look at CBOR from outside: whether it has the form that docs/protocol.md, section 3, allows.
 *
 * The generated decoders come after. They call themselves for every level of what they skip, so that 4 KB of
 * opening brackets would cost them more stack than there is; and they take text that is no UTF-8.
 */
#ifndef LAB_CBOR_H
#define LAB_CBOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Lists and maps inside each other. */
#define LAB_CBOR_DEPTH 8u

/* Whether the bytes are one item and nothing else, nested LAB_CBOR_DEPTH deep at most, without tags and
 * indefinite lengths, every head in its shortest form, all text UTF-8, the keys of every map unsigned
 * integers of 32 bits that ascend. */
bool lab_cbor_sound(const uint8_t *bytes, size_t size);

#endif
