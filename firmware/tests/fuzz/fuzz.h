/* What the fuzz targets share: an input that is taken piece by piece, and promises that must hold. */
#ifndef LAB_TESTS_FUZZ_H
#define LAB_TESTS_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Called by libFuzzer with every input. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PROMISE(condition)                                                                                   \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            fprintf(stderr, "%s:%d: broken promise: %s\n", __FILE__, __LINE__, #condition);                  \
            abort();                                                                                         \
        }                                                                                                    \
    } while (0)

/* What is left of an input. Past its end everything read is 0 or empty. */
struct input {
    const uint8_t *at;
    size_t left;
};

static inline const uint8_t *take(struct input *input, size_t *size) {
    const uint8_t *at = input->at;
    *size = *size < input->left ? *size : input->left;
    input->at += *size;
    input->left -= *size;
    return at;
}

static inline uint8_t take8(struct input *input) {
    size_t size = 1;
    const uint8_t *at = take(input, &size);
    return size == 1 ? at[0] : 0;
}

static inline uint16_t take16(struct input *input) {
    uint8_t low = take8(input);
    return (uint16_t)(low | take8(input) << 8);
}

/* A copy of exactly that size, so that the sanitizer sees a read past its end. To be freed. */
static inline uint8_t *exact(const uint8_t *bytes, size_t size) {
    uint8_t *copy = malloc(size > 0 ? size : 1);
    PROMISE(copy != NULL);
    if (size > 0) {
        memcpy(copy, bytes, size);
    }
    return copy;
}

#endif
