#include "faults.h"

#include <stdio.h>
#include <zephyr/arch/cpu.h>
#include <zephyr/device.h>
#include <zephyr/drivers/hwinfo.h>
#include <zephyr/drivers/uart.h>
#include <zephyr/drivers/watchdog.h>
#include <zephyr/fatal.h>
#include <zephyr/kernel.h>
#include <zephyr/sys/reboot.h>

/* ms */
#define WATCHDOG_PERIOD 8000
#define LAST_CHANCE     1000

__noinit struct lab_boot lab_boot;

static void print(const char *words) {
    static const struct device *const console = DEVICE_DT_GET(DT_CHOSEN(zephyr_console));
    for (; *words != '\0'; words++) {
        uart_poll_out(console, (unsigned char)*words);
    }
}

static FUNC_NORETURN void fail(enum lab_boot_reason reason, const char *detail) {
    print("\r\n*** ");
    print(lab_boot_reason_name(reason));
    print(": ");
    print(detail);
    print("\r\n");
    lab_boot_fault(&lab_boot, reason, detail);
    sys_reboot(SYS_REBOOT_WARM);
    CODE_UNREACHABLE;
}

/* What differs between the processors: where a thread's stack pointer is while an interrupt is served, and
 * what is kept of a program that failed. */
#if CONFIG_ARM

#include <cmsis_core.h>

static uintptr_t thread_stack(void) {
    return __get_PSP();
}

#define PROGRAM(frame) (unsigned)(frame)->basic.pc, (unsigned)(frame)->basic.lr

#elif CONFIG_RISCV

/* An exception uses the thread's own stack; an interrupt leaves the thread's stack pointer 16 bytes below the
 * top of the interrupts' (arch/riscv/core/isr.S). */
static uintptr_t thread_stack(void) {
    if (!k_is_in_isr()) {
        return (uintptr_t)__builtin_frame_address(0);
    }
    return *(uintptr_t *)(_kernel.cpus[0].irq_stack - 16);
}

#define PROGRAM(frame) (unsigned)(frame)->mepc, (unsigned)(frame)->ra

#elif CONFIG_XTENSA

#include <xtensa_asm2_context.h>

/* Only the interrupt's entry knows: a full stack is not told from other faults. */
static uintptr_t thread_stack(void) {
    return UINTPTR_MAX;
}

/* The frame's first word leads to what was saved (xtensa_asm2_context.h). */
#define SAVED(frame)   (*(const _xtensa_irq_bsa_t *const *)(frame))
#define PROGRAM(frame) (unsigned)SAVED(frame)->pc, (unsigned)SAVED(frame)->a0

#endif

/* The guard below the stack raises no fault where an emulator has no MPU: then whatever happens next finds it
 * out. */
static bool overflowed(void) {
    return thread_stack() < k_current_get()->stack_info.start;
}

/* Zephyr's own would stop the board for good. */
void k_sys_fatal_error_handler(unsigned int reason, const struct arch_esf *frame) {
    static char detail[LAB_BOOT_DETAIL_MAX];
    enum lab_boot_reason as = LAB_BOOT_HARD_FAULT;
    const char *cause = "the processor refused";
    if (reason == K_ERR_STACK_CHK_FAIL || overflowed()) {
        as = LAB_BOOT_STACK_OVERFLOW;
        cause = "the stack is full";
    } else if (reason == K_ERR_SPURIOUS_IRQ) {
        as = LAB_BOOT_PANIC;
        cause = "an interrupt that nobody enabled";
    } else if (reason == K_ERR_KERNEL_OOPS || reason == K_ERR_KERNEL_PANIC) {
        as = LAB_BOOT_PANIC;
        cause = "the kernel gave up";
    }
    snprintf(detail, sizeof detail, "%s", cause);
    if (frame != NULL && as != LAB_BOOT_STACK_OVERFLOW) { /* after an overflow neither is to be trusted */
        snprintf(detail, sizeof detail, "%s; pc %08x lr %08x", cause, PROGRAM(frame));
    }
    fail(as, detail);
}

/* The chip's own watchdog sees what one in software does not: a processor that takes no interrupts, or no
 * clock. It bites after the other one, which can say why. */
#if CONFIG_WATCHDOG

static const struct device *const independent = DEVICE_DT_GET(DT_ALIAS(watchdog0));
static int independent_channel;

static void independent_start(void) {
    const struct wdt_timeout_cfg timeout = {
        .window.max = 2 * WATCHDOG_PERIOD,
        .flags = WDT_FLAG_RESET_SOC,
    };
    independent_channel = wdt_install_timeout(independent, &timeout);
    if (independent_channel < 0 || wdt_setup(independent, WDT_OPT_PAUSE_HALTED_BY_DBG) != 0) {
        k_panic(); /* a watchdog that takes no such period */
    }
}

static void independent_feed(void) {
    wdt_feed(independent, independent_channel);
}

static enum lab_boot_reason hardware_reason(void) {
    uint32_t cause = 0;
    if (hwinfo_get_reset_cause(&cause) == 0) {
        hwinfo_clear_reset_cause();
    }
    return (cause & RESET_WATCHDOG) != 0 ? LAB_BOOT_WATCHDOG : LAB_BOOT_UNKNOWN;
}

#else

static void independent_start(void) {
}

static void independent_feed(void) {
}

static enum lab_boot_reason hardware_reason(void) {
    return LAB_BOOT_UNKNOWN;
}

#endif

/* A watchdog in software, for what a board's own cannot: it says why before it bites.
 *
 * A halted processor cannot feed it while time goes on. So it barks before it bites: once the processor runs
 * again, the main loop has its chance. */
static bool barked;

static void hungry(struct k_timer *timer) {
    if (overflowed()) {
        fail(LAB_BOOT_STACK_OVERFLOW, "the stack is full");
    }
    if (barked) {
        fail(LAB_BOOT_WATCHDOG, "the main loop stood still");
    }
    barked = true;
    k_timer_start(timer, K_MSEC(LAST_CHANCE), K_NO_WAIT);
}

static K_TIMER_DEFINE(watchdog, hungry, NULL);

void faults_start(void) {
    lab_boot_start(&lab_boot, hardware_reason());
    independent_start();
    faults_feed(NULL);
}

void faults_feed(const struct lab_port *port) {
    (void)port;
    barked = false;
    independent_feed();
    k_timer_start(&watchdog, K_MSEC(WATCHDOG_PERIOD), K_NO_WAIT);
}

void faults_reset(const struct lab_port *port) {
    (void)port;
    sys_reboot(SYS_REBOOT_WARM);
}
