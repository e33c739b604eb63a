/* What every Cortex-M3, M4 and M7 port shares: start-up, faults, time, sleep and reset. A family adds its
 * UARTs, its counter and its interrupt vectors, and fills in a struct lab_port.
 *
 * References: ARM DDI 0403E (ARMv7-M Architecture Reference Manual).
 */
#ifndef LAB_CORTEXM_H
#define LAB_CORTEXM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lab/boot.h"
#include "lab/port.h"

#define REGISTER(address) (*(volatile uint32_t *)(address))

/* ---- Of the linker script */
extern const uint8_t lab_build_id[20];
extern const uint8_t lab_identity[];
extern uint8_t lab_pool[];
extern uint8_t lab_pool_end[];
extern uint8_t lab_stack_limit[];
extern struct lab_boot lab_boot;

#define LAB_IDENTITY_SIZE 4096u

/* ---- Given by the family */

/* A counter that never stops, counts up and wraps at 2^32. */
uint32_t family_counter(void);
extern const uint32_t family_counter_mhz; /* its rate, counts per microsecond */
extern const uint32_t family_systick_hz;  /* the rate of SysTick */
extern const bool
    family_systick_external; /* SysTick runs from the external reference, not the core's clock */

/* Whether there is a reason not to sleep: unread bytes, or room again on a stream that refused some. Called
 * with interrupts masked. */
bool family_awake(void);

/* Send one byte on the console UART, waiting for room; for a fault handler, which has nothing else to do. */
void family_console_put(uint8_t byte);

/* ---- Given to the family */

/* Start the clock; call before anything that waits. */
void cortexm_start(void);

void cortexm_enable_irq(unsigned number);

/* struct lab_port's functions of these names. */
uint64_t cortexm_micros(const struct lab_port *port);
uint64_t cortexm_millis(const struct lab_port *port);
void cortexm_idle(const struct lab_port *port, uint32_t max_ms);
void cortexm_reset(const struct lab_port *port);
void cortexm_feed(const struct lab_port *port);
size_t cortexm_no_entropy(const struct lab_port *port, uint8_t *bytes, size_t size);

/* An exception vector that means the end: prints the cause and the registers, notes them for the next boot,
 * resets. A family points vectors at it that report a hardware watchdog (NMI is one already). */
void cortexm_fault(void);

/* A vector for interrupts that nobody enabled. */
void cortexm_unexpected(void);

#endif
