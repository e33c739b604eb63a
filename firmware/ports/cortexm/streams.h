/* Streams on UARTs: what is received comes through an interrupt and a ring, what is sent as the UART takes
 * it.
 *
 * For a family's port.c, which defines `struct uart`, the functions declared here and the table `streams`,
 * and calls stream_receive() and stream_writable() from its interrupt handlers.
 */
#ifndef LAB_STREAMS_H
#define LAB_STREAMS_H

#include "lab/port.h"
#include "link/link.h"

#include "cortexm.h"
#include "ring.h"

struct uart;

/* A byte waits in it; it has room for one. */
static bool uart_received(const struct uart *uart);
static bool uart_writable(const struct uart *uart);

static uint8_t uart_get(struct uart *uart);
static void uart_put(struct uart *uart, uint8_t byte);

/* Its interrupt when a byte has come, and its interrupt when there is room. */
static bool uart_listens(const struct uart *uart);
static void uart_listen(struct uart *uart, bool on);
static void uart_report(struct uart *uart, bool on);

struct stream {
    struct uart *uart;
    unsigned irq; /* the first, if there are several */
    struct ring received;
    bool refused; /* the last write() did not take all */
};

static uint8_t console_bytes[256];
static uint8_t link_bytes[LAB_LINK_WINDOW + 1024 + 1];
static uint8_t simbus_bytes[512];

#define STREAM(address, irq, bytes)                                                                          \
    { (struct uart *)(address), irq, {bytes, sizeof(bytes), 0, 0}, false }

static struct stream streams[LAB_STREAM_COUNT];

/* With the UART's interrupts masked, or from one of them. */
static void stream_receive(struct stream *stream) {
    while (uart_received(stream->uart)) {
        if (ring_full(&stream->received)) {
            /* The byte stays in the UART, and the sender waits, until read() has made room. */
            uart_listen(stream->uart, false);
            return;
        }
        ring_put(&stream->received, uart_get(stream->uart));
    }
}

static void stream_writable(struct stream *stream) {
    uart_report(stream->uart, false);
    stream->refused = false;
}

static size_t stream_read(const struct lab_port *port, enum lab_stream which, uint8_t *bytes, size_t size) {
    (void)port;
    struct stream *stream = &streams[which];
    size_t taken = ring_take(&stream->received, bytes, size);
    if (taken > 0 && !uart_listens(stream->uart)) {
        /* What waits in the UART raises no new interrupt: take it here. */
        __asm volatile("cpsid i" ::: "memory");
        uart_listen(stream->uart, true);
        stream_receive(stream);
        __asm volatile("cpsie i" ::: "memory");
    }
    return taken;
}

static size_t stream_write(const struct lab_port *port, enum lab_stream which, const uint8_t *bytes,
                           size_t size) {
    (void)port;
    struct stream *stream = &streams[which];
    size_t sent = 0;
    while (sent < size && uart_writable(stream->uart)) {
        uart_put(stream->uart, bytes[sent++]);
    }
    if (sent < size) {
        __asm volatile("cpsid i" ::: "memory");
        stream->refused = true;
        uart_report(stream->uart, true);
        __asm volatile("cpsie i" ::: "memory");
    }
    return sent;
}

bool family_awake(void) {
    bool awake = false;
    for (size_t i = 0; i < LAB_STREAM_COUNT; i++) {
        struct stream *stream = &streams[i];
        if (stream->refused && uart_writable(stream->uart)) {
            stream->refused = false; /* there was room again before the interrupt was on */
            awake = true;
        }
        awake = awake || !ring_empty(&stream->received);
    }
    return awake;
}

void family_console_put(uint8_t byte) {
    while (!uart_writable(streams[LAB_CONSOLE].uart)) {
    }
    uart_put(streams[LAB_CONSOLE].uart, byte);
}

#endif
