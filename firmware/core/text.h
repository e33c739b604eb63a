/* Text from untrusted places, made fit for a terminal and for a CBOR text string. */
#ifndef LAB_TEXT_H
#define LAB_TEXT_H

#include <stdbool.h>
#include <stddef.h>

bool lab_text_is_utf8(const void *text, size_t size);

/* Copies `size` bytes as UTF-8 into `out`, `room` bytes at most, and returns how many were written. What is
 * no UTF-8 (RFC 3629) or a control character becomes '?'; a character that does not fit whole is left out.
 * Not terminated. */
size_t lab_text_copy(char *out, size_t room, const void *text, size_t size);

/* The same in place for a terminated string. */
void lab_text_clean(char *text);

#endif
