/* Console and link on Zephyr's interrupt-driven UARTs. */
#ifndef LAB_ZEPHYR_STREAMS_H
#define LAB_ZEPHYR_STREAMS_H

#include "lab/port.h"

void streams_start(void);

/* Ends streams_idle(). From an interrupt, too. */
void streams_wake(void);

size_t streams_read(const struct lab_port *port, enum lab_stream stream, uint8_t *bytes, size_t size);
size_t streams_write(const struct lab_port *port, enum lab_stream stream, const uint8_t *bytes, size_t size);
void streams_idle(const struct lab_port *port, uint32_t max_ms);

#endif
