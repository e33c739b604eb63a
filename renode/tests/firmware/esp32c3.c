/* For tests of the ESP32-C3's ROM, its loader and its interrupts. */
#include "esp32_family.h"

#define FIFO            REGISTER(0x60000000)
#define UART_INT_ENABLE REGISTER(0x6000000c)
#define UART_INT_CLEAR  REGISTER(0x60000010)
#define UART_STATUS     REGISTER(0x6000001c)
#define SYSTIMER_CONF   REGISTER(0x60023000)
#define SYSTIMER_TARGET REGISTER(0x60023034)
#define SYSTIMER_LOAD   REGISTER(0x60023050)
#define SYSTIMER_ENABLE REGISTER(0x60023064)
#define SYSTIMER_CLEAR  REGISTER(0x6002306c)

#define SOURCE_UART0    21
#define SOURCE_SYSTIMER 37

/* In the table of vectors. */
#define INTERRUPT_TICK   3
#define INTERRUPT_LETTER 4

/* Of this chip's ROM. */
uint32_t crc32_le(uint32_t crc, const void *bytes, uint32_t size);
void esprv_intc_int_enable(uint32_t mask);
void esprv_intc_int_set_priority(int interrupt, int priority);
void esprv_intc_int_set_threshold(int threshold);

static volatile uint32_t ticks;
static volatile int letter = -1;
static volatile uint32_t tick_cause, letter_cause;

static uint32_t cause(void) {
    uint32_t value;
    __asm__ volatile("csrr %0, mcause" : "=r"(value));
    return value;
}

static void __attribute__((interrupt)) tick(void) {
    tick_cause = cause();
    SYSTIMER_CLEAR = 1;
    ticks++;
}

static void __attribute__((interrupt)) receive(void) {
    letter_cause = cause();
    letter = (int)FIFO;
    UART_INT_CLEAR = 0x100;
}

static void __attribute__((interrupt)) trap(void) {
    ets_printf("trap %x\n", (unsigned)cause());
    for (;;) {
    }
}

/* The processor knows no other mode: exceptions go to the first entry, an interrupt to that of its number. */
static void __attribute__((naked, aligned(256))) vectors(void) {
    __asm__ volatile(".option push\n"
                     ".option norvc\n"
                     ".rept 3\n"
                     "j %0\n"
                     ".endr\n"
                     "j %1\n"
                     "j %2\n"
                     ".rept 27\n"
                     "j %0\n"
                     ".endr\n"
                     ".option pop" ::"i"(trap),
                     "i"(tick), "i"(receive));
}

static void connect(uint32_t source, int interrupt) {
    intr_matrix_set(0, source, (uint32_t)interrupt);
    esprv_intc_int_set_priority(interrupt, 1);
    esprv_intc_int_enable(1u << interrupt);
}

void answer_of_chip(int what) {
    uint32_t before, after;
    switch (what) {
    case 'e':
        ets_printf("crc32 %x\n", (unsigned)crc32_le(0, "123456789", 9));
        break;
    case 'd':
        before = ticks;
        ets_delay_us(10000);
        ets_printf("ticks %u\n", (unsigned)(ticks - before));
        break;
    case 'c':
        __asm__ volatile("csrr %0, 0x7e2" : "=r"(before));
        __asm__ volatile("csrr %0, 0x7e2" : "=r"(after));
        ets_printf("cycles %u\n", (unsigned)(after - before));
        break;
    case 'i':
        ets_printf("tick %x letter %x\n", (unsigned)tick_cause, (unsigned)letter_cause);
        break;
    default:
        break;
    }
}

void start(void) {
    __asm__ volatile("csrw mtvec, %0" ::"r"(vectors));
    connect(SOURCE_SYSTIMER, INTERRUPT_TICK);
    connect(SOURCE_UART0, INTERRUPT_LETTER);
    esprv_intc_int_set_threshold(1);
    UART_INT_ENABLE = 0x100;
    SYSTIMER_TARGET = 1u << 30 | 16000; /* each millisecond */
    SYSTIMER_LOAD = 1;
    SYSTIMER_ENABLE = 1;
    SYSTIMER_CONF |= 1u << 24;
    __asm__ volatile("csrsi mstatus, 8");
    ets_printf("ready\n");
    for (;;) {
        if (letter >= 0) {
            int what = letter;
            letter = -1;
            answer(what);
        } else {
            __asm__ volatile("wfi");
        }
    }
}
