/* Bytes from an interrupt handler (the only writer) to the main loop (the only reader). */
#ifndef LAB_RING_H
#define LAB_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ring {
    uint8_t *bytes;
    uint32_t size;          /* holds one byte less */
    volatile uint32_t head; /* the writer's */
    volatile uint32_t tail; /* the reader's */
};

static inline bool ring_empty(const struct ring *ring) {
    return ring->head == ring->tail;
}

static inline uint32_t ring_next(const struct ring *ring, uint32_t at) {
    return at + 1 == ring->size ? 0 : at + 1;
}

static inline bool ring_full(const struct ring *ring) {
    return ring_next(ring, ring->head) == ring->tail;
}

static inline void ring_put(struct ring *ring, uint8_t byte) {
    ring->bytes[ring->head] = byte;
    ring->head = ring_next(ring, ring->head);
}

static inline size_t ring_take(struct ring *ring, uint8_t *bytes, size_t size) {
    size_t taken = 0;
    while (taken < size && !ring_empty(ring)) {
        bytes[taken++] = ring->bytes[ring->tail];
        ring->tail = ring_next(ring, ring->tail);
    }
    return taken;
}

#endif
