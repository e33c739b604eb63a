/* Time, sleep, reset and the watchdog's last resort.
 *
 * There is no periodic tick: time is read from the family's counter, and SysTick is only an alarm that ends a
 * sleep.
 */
#include "cortexm.h"

#define SYST_CSR     REGISTER(0xe000e010)
#define SYST_RVR     REGISTER(0xe000e014)
#define SYST_CVR     REGISTER(0xe000e018)
#define NVIC_ISER(n) REGISTER(0xe000e100 + 4 * (n))
#define SCB_AIRCR    REGISTER(0xe000ed0c)

#define CSR_ENABLE        (1u << 0)
#define CSR_TICKINT       (1u << 1)
#define CSR_CLKSOURCE     (1u << 2) /* the core's clock */
#define SYSTICK_MAX       0xffffffu
#define AIRCR_SYSRESETREQ 0x05fa0004u

/* A main loop that has not come round for so long stands still. */
#define WATCHDOG_US 8000000u

static uint32_t counter_low;  /* the counter when it was last looked at */
static uint32_t counter_high; /* how often it has wrapped */
static volatile uint32_t fed; /* the counter at the last cortexm_feed() */

void cortexm_systick(void);

static void alarm(uint32_t ticks) {
    SYST_RVR = ticks;
    SYST_CVR = 0;
}

void cortexm_start(void) {
    counter_low = family_counter();
    fed = counter_low;
    alarm(SYSTICK_MAX);
    SYST_CSR = CSR_ENABLE | CSR_TICKINT | (family_systick_external ? 0 : CSR_CLKSOURCE);
}

/* Correct as long as it is called once in a period of the counter; SYSTICK_MAX is far shorter. */
uint64_t cortexm_micros(const struct lab_port *port) {
    (void)port;
    uint32_t now = family_counter();
    if (now < counter_low) {
        counter_high++;
    }
    counter_low = now;
    return ((uint64_t)counter_high << 32 | now) / family_counter_mhz;
}

uint64_t cortexm_millis(const struct lab_port *port) {
    return cortexm_micros(port) / 1000;
}

void cortexm_idle(const struct lab_port *port, uint32_t max_ms) {
    (void)cortexm_micros(port);
    uint64_t ticks = (uint64_t)max_ms * family_systick_hz / 1000;
    if (ticks == 0) {
        return;
    }
    __asm volatile("cpsid i" ::: "memory");
    if (!family_awake()) {
        alarm(ticks < SYSTICK_MAX ? (uint32_t)ticks : SYSTICK_MAX);
        __asm volatile("dsb\n wfi" ::: "memory"); /* a pending interrupt ends it though they are masked */
        alarm(SYSTICK_MAX);
    }
    __asm volatile("cpsie i\n isb" ::: "memory");
}

/* Runs at least every SYSTICK_MAX ticks, whatever the main loop does. */
__attribute__((naked)) void cortexm_systick(void) {
    __asm volatile("push {r4, lr}\n"
                   "bl watchdog_expired\n"
                   "pop {r4, lr}\n"
                   "cbz r0, 1f\n"
                   "b cortexm_fault\n"
                   "1: bx lr\n");
}

__attribute__((used)) static bool watchdog_expired(void) {
    return family_counter() - fed > WATCHDOG_US * family_counter_mhz;
}

void cortexm_feed(const struct lab_port *port) {
    (void)port;
    fed = family_counter();
}

void cortexm_reset(const struct lab_port *port) {
    (void)port;
    __asm volatile("dsb" ::: "memory");
    SCB_AIRCR = AIRCR_SYSRESETREQ;
    for (;;) {
    }
}

void cortexm_enable_irq(unsigned number) {
    NVIC_ISER(number / 32) = 1u << number % 32;
}

size_t cortexm_no_entropy(const struct lab_port *port, uint8_t *bytes, size_t size) {
    (void)port;
    (void)bytes;
    (void)size;
    return 0;
}
