#include "streams.h"

#include <zephyr/device.h>
#include <zephyr/drivers/uart.h>
#include <zephyr/kernel.h>
#include <zephyr/sys/ring_buffer.h>

#include "link/link.h"

#include "faults.h"

#define LINK_RECEIVED (LAB_LINK_WINDOW + 1024)
#define SENDING       1024
#define CHUNK         64

struct stream {
    const struct device *uart;
    struct ring_buf received;
    struct ring_buf sending;
    bool full;    /* reception is off until read() has made room */
    bool refused; /* the last write() did not take all */
};

static uint8_t console_received[256];
static uint8_t console_sending[SENDING];
static uint8_t link_received[LINK_RECEIVED];
static uint8_t link_sending[SENDING];
#if CONFIG_LAB_SIMBUS
static uint8_t simbus_received[1024];
static uint8_t simbus_sending[SENDING];
#endif

static struct stream streams[] = {
    [LAB_CONSOLE] = {.uart = DEVICE_DT_GET(DT_CHOSEN(zephyr_console))},
    [LAB_LINK] = {.uart = DEVICE_DT_GET(DT_ALIAS(lab_link))},
#if CONFIG_LAB_SIMBUS
    [LAB_SIMBUS] = {.uart = DEVICE_DT_GET(DT_ALIAS(lab_simbus))},
#endif
};

/* Given when the core has something to do. */
static K_SEM_DEFINE(work, 0, 1);

static void receive(struct stream *stream) {
    uint8_t *room;
    uint32_t size = ring_buf_put_claim(&stream->received, &room, CHUNK);
    if (size == 0) {
        /* The byte stays in the UART, and the sender waits. */
        stream->full = true;
        uart_irq_rx_disable(stream->uart);
        return;
    }
    int taken = uart_fifo_read(stream->uart, room, (int)size);
    ring_buf_put_finish(&stream->received, taken > 0 ? (uint32_t)taken : 0);
    k_sem_give(&work);
}

static void send(struct stream *stream) {
    uint8_t *bytes;
    uint32_t size = ring_buf_get_claim(&stream->sending, &bytes, CHUNK);
    if (size == 0) {
        uart_irq_tx_disable(stream->uart);
        return;
    }
    int sent = uart_fifo_fill(stream->uart, bytes, (int)size);
    ring_buf_get_finish(&stream->sending, sent > 0 ? (uint32_t)sent : 0);
    if (stream->refused) {
        stream->refused = false;
        k_sem_give(&work);
    }
}

static void interrupt(const struct device *uart, void *context) {
    struct stream *stream = context;
    if (!uart_irq_update(uart)) {
        return;
    }
    if (!stream->full && uart_irq_rx_ready(uart)) {
        receive(stream);
    }
    if (uart_irq_tx_ready(uart)) {
        send(stream);
    }
}

/* QEMU's model of this UART looks for input only when its data register has been read. */
static void wake(const struct device *uart) {
#if DT_HAS_COMPAT_STATUS_OKAY(arm_cmsdk_uart)
#define READ_DATA(node)                                                                                      \
    if (uart == DEVICE_DT_GET(node)) {                                                                       \
        (void)sys_read32(DT_REG_ADDR(node));                                                                 \
    }
    DT_FOREACH_STATUS_OKAY(arm_cmsdk_uart, READ_DATA)
#else
    (void)uart;
#endif
}

void streams_start(void) {
    ring_buf_init(&streams[LAB_CONSOLE].received, sizeof console_received, console_received);
    ring_buf_init(&streams[LAB_CONSOLE].sending, sizeof console_sending, console_sending);
    ring_buf_init(&streams[LAB_LINK].received, sizeof link_received, link_received);
    ring_buf_init(&streams[LAB_LINK].sending, sizeof link_sending, link_sending);
#if CONFIG_LAB_SIMBUS
    ring_buf_init(&streams[LAB_SIMBUS].received, sizeof simbus_received, simbus_received);
    ring_buf_init(&streams[LAB_SIMBUS].sending, sizeof simbus_sending, simbus_sending);
#endif
    for (size_t i = 0; i < ARRAY_SIZE(streams); i++) {
        uart_irq_callback_user_data_set(streams[i].uart, interrupt, &streams[i]);
        uart_irq_rx_enable(streams[i].uart);
        wake(streams[i].uart);
    }
}

void streams_wake(void) {
    k_sem_give(&work);
}

size_t streams_read(const struct lab_port *port, enum lab_stream which, uint8_t *bytes, size_t size) {
    (void)port;
    if (which >= ARRAY_SIZE(streams)) {
        return 0;
    }
    struct stream *stream = &streams[which];
    unsigned key = irq_lock();
    uint32_t taken = ring_buf_get(&stream->received, bytes, (uint32_t)size);
    bool resume = taken > 0 && stream->full;
    stream->full = stream->full && !resume;
    irq_unlock(key);
    if (resume) {
        uart_irq_rx_enable(stream->uart);
    }
    return taken;
}

size_t streams_write(const struct lab_port *port, enum lab_stream which, const uint8_t *bytes, size_t size) {
    (void)port;
    if (which >= ARRAY_SIZE(streams)) {
        return size;
    }
    struct stream *stream = &streams[which];
    unsigned key = irq_lock();
    uint32_t taken = ring_buf_put(&stream->sending, bytes, (uint32_t)size);
    stream->refused = taken < size;
    irq_unlock(key);
    uart_irq_tx_enable(stream->uart);
    return taken;
}

void streams_idle(const struct lab_port *port, uint32_t max_ms) {
    (void)port;
    for (size_t i = 0; i < ARRAY_SIZE(streams); i++) {
        if (!ring_buf_is_empty(&streams[i].received)) {
            return;
        }
    }
    k_sem_take(&work, K_MSEC(MIN(max_ms, FAULTS_SLEEP_MAX_MS)));
}
