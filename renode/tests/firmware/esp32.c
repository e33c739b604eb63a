/* For tests of the ESP32's ROM and processor. */
#include "esp32_family.h"

#define FIFO            REGISTER(0x3ff40000)
#define UART_STATUS     REGISTER(0x3ff4001c)
#define RXFIFO_CNT      0xff
#define RTC_TIME_UPDATE REGISTER(0x3ff4800c)
#define RTC_TIME_LOW    REGISTER(0x3ff48010)
#define FROM_CPU_0      REGISTER(0x3ff000dc)

#define TIMER_0_INTERRUPT (1u << 6)
#define SOURCE_FROM_CPU_0 24
#define SOFTWARE          5
#define CYCLES_A_US       240

static uint32_t cycles(void) {
    uint32_t value;
    __asm__ volatile("rsr.ccount %0" : "=r"(value));
    return value;
}

/* Of the RTC's clock, 150 kHz. */
static uint32_t slow_ticks(void) {
    RTC_TIME_UPDATE = 1u << 31;
    return RTC_TIME_LOW;
}

static uint32_t pending(void) {
    uint32_t value;
    __asm__ volatile("rsr.interrupt %0" : "=r"(value));
    return value;
}

/* Deeper than there are windows. */
static __attribute__((noinline)) uint32_t sum(uint32_t number) {
    return number == 0 ? 0 : number + sum(number - 1);
}

static uint32_t swap(volatile uint32_t *word, uint32_t expected, uint32_t wanted) {
    __asm__ volatile("wsr.scompare1 %1\n"
                     "s32c1i %0, %2, 0\n"
                     : "+r"(wanted)
                     : "r"(expected), "r"(word)
                     : "memory");
    return wanted;
}

void answer_of_chip(int what) {
    static volatile float one = 1.5f, other = 2.25f;
    static volatile uint32_t word = 7;
    uint32_t before, started, unexpected;
    switch (what) {
    case 'w':
        ets_printf("sum %u\n", (unsigned)sum(100));
        break;
    case 'f':
        ets_printf("times %d, by %d, less %d\n", (int)(one * other * 1000), (int)(other / one * 1000),
                   one < other);
        break;
    case 'a':
        unexpected = swap(&word, 8, 9);
        swap(&word, 7, 10);
        ets_printf("atomic %u %u\n", (unsigned)unexpected, (unsigned)word);
        break;
    case 'd':
        before = cycles();
        started = slow_ticks();
        ets_delay_us(10000);
        ets_printf("delay %u slow %u\n", (unsigned)(cycles() - before) / CYCLES_A_US,
                   (unsigned)(slow_ticks() - started));
        break;
    case 't':
        before = cycles();
        __asm__ volatile("wsr.ccompare0 %0" : : "r"(before + 1000 * CYCLES_A_US));
        while ((pending() & TIMER_0_INTERRUPT) == 0) {
        }
        ets_printf("timer %u\n", (unsigned)(cycles() - before) / CYCLES_A_US);
        break;
    case 'i':
        intr_matrix_set(0, SOURCE_FROM_CPU_0, SOFTWARE);
        FROM_CPU_0 = 1;
        before = pending();
        FROM_CPU_0 = 0;
        ets_printf("interrupt %u %u\n", (unsigned)(before >> SOFTWARE & 1),
                   (unsigned)(pending() >> SOFTWARE & 1));
        break;
    default:
        break;
    }
}

void start(void) {
    ets_printf("ready\n");
    for (;;) {
        if ((UART_STATUS & RXFIFO_CNT) != 0) {
            answer((int)FIFO);
        }
    }
}
