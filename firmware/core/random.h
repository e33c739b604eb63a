/* The device's random generator: HMAC_DRBG with SHA-256 (NIST SP 800-90A, 10.1.2).
 *
 * What it is seeded with, hashed together:
 *   - the identity's seed: 32 bytes that whoever provisions makes afresh for every power-on;
 *   - `lab_boot.entropy`: 32 bytes in memory that survives a warm reset. Each start replaces them by a hash
 * of themselves and of all the rest, before anything random is handed out. So two starts with the same seed
 * (a warm reset) never share a state, and who reads that memory cannot compute an earlier one;
 *   - the boot count, the time in microseconds and what the port's own generator gives, if it has one.
 * A board whose seed is fixed at production therefore needs a generator of its own; the lab's boards get a
 * fresh seed.
 */
#ifndef LAB_RANDOM_H
#define LAB_RANDOM_H

#include <stddef.h>
#include <stdint.h>

#include <mbedtls/hmac_drbg.h>

#include "lab/port.h"

#define LAB_SEED_SIZE 32u

struct lab_random {
    mbedtls_hmac_drbg_context drbg;
};

/* `seed` is LAB_SEED_SIZE bytes. Returns 0, or an error of Mbed TLS. */
int lab_random_init(struct lab_random *random, const struct lab_port *port, const uint8_t *seed);

/* An `f_rng` of Mbed TLS: `context` is the struct lab_random. Returns 0, or an error of Mbed TLS. */
int lab_random_bytes(void *context, unsigned char *bytes, size_t size);

#endif
