#define _GNU_SOURCE /* memfd_create, REG_RIP */
#include "native.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unistd.h>

#define WATCHDOG_TICK_S 2
#define WATCHDOG_TICKS  4

/* A fault that far from the stack pointer is one of the stack. */
#define STACK_REACH 65536u

static struct lab_boot *record;
static int record_fd;
static char **restart_arguments;
static char carried_text[12];

struct lab_boot *reset_record(int carried) {
    record_fd = carried;
    if (record_fd < 0) {
        record_fd = memfd_create("lab-boot", 0);
        if (record_fd < 0 || ftruncate(record_fd, sizeof *record) != 0) {
            perror("lab-firmware: memfd");
            exit(1);
        }
    }
    void *mapped = mmap(NULL, sizeof *record, PROT_READ | PROT_WRITE, MAP_SHARED, record_fd, 0);
    if (mapped == MAP_FAILED) {
        perror("lab-firmware: mmap");
        exit(1);
    }
    record = mapped;
    return record;
}

_Noreturn void reset_now(void) {
    /* A handler's mask would survive the exec, and the next fault would then kill. The button alone stays
     * masked, until reset_arm() is ready for it. */
    sigset_t button;
    sigemptyset(&button);
    sigaddset(&button, SIGHUP);
    sigprocmask(SIG_SETMASK, &button, NULL);
    execv("/proc/self/exe", restart_arguments);
    _exit(1);
}

/* ---- handlers: only what is safe in a signal handler */

static char *add_text(char *at, const char *text) {
    while (*text != '\0') {
        *at++ = *text++;
    }
    return at;
}

static char *add_hex(char *at, uintptr_t value) {
    at = add_text(at, "0x");
    for (int shift = (int)sizeof value * 8 - 4; shift >= 0; shift -= 4) {
        *at++ = "0123456789abcdef"[(value >> shift) & 15u];
    }
    return at;
}

static void registers(const ucontext_t *context, uintptr_t *pc, uintptr_t *sp) {
#if defined(__x86_64__)
    *pc = (uintptr_t)context->uc_mcontext.gregs[REG_RIP];
    *sp = (uintptr_t)context->uc_mcontext.gregs[REG_RSP];
#elif defined(__aarch64__)
    *pc = (uintptr_t)context->uc_mcontext.pc;
    *sp = (uintptr_t)context->uc_mcontext.sp;
#else
#error "say where this processor keeps its program counter and stack pointer"
#endif
}

_Noreturn static void die(enum lab_boot_reason reason, const char *what, siginfo_t *info, void *context) {
    uintptr_t pc, sp;
    registers(context, &pc, &sp);
    uintptr_t address = (uintptr_t)info->si_addr;
    char detail[LAB_BOOT_DETAIL_MAX + 1] = "";
    char *at = add_text(detail, what);
    at = add_hex(add_text(at, " pc="), pc);
    at = add_hex(add_text(at, " sp="), sp);
    if (reason != LAB_BOOT_WATCHDOG) {
        add_hex(add_text(at, " address="), address);
    }
    if (reason == LAB_BOOT_HARD_FAULT && address + STACK_REACH > sp && address < sp + STACK_REACH) {
        reason = LAB_BOOT_STACK_OVERFLOW;
    }
    lab_boot_fault(record, reason, detail);
    char text[LAB_BOOT_DETAIL_MAX + 64];
    char *end = add_text(text, "\r\n");
    end = add_text(end, lab_boot_reason_name(reason));
    end = add_text(end, ": ");
    end = add_text(end, detail);
    end = add_text(end, "\r\n");
    if (board.streams[LAB_CONSOLE] >= 0) {
        ssize_t written = write(board.streams[LAB_CONSOLE], text, (size_t)(end - text));
        (void)written; /* the record has it as well */
    }
    reset_now();
}

static void on_fault(int number, siginfo_t *info, void *context) {
    die(LAB_BOOT_HARD_FAULT,
        number == SIGSEGV  ? "SIGSEGV"
        : number == SIGBUS ? "SIGBUS"
        : number == SIGFPE ? "SIGFPE"
        : number == SIGILL ? "SIGILL"
                           : "SIGABRT",
        info, context);
}

/* Each tick is CPU time of this process: an idle or a stopped one has none, and costs nothing. */
static void on_watchdog(int number, siginfo_t *info, void *context) {
    static uint32_t seen;
    static unsigned ticks;
    (void)number;
    ticks = board.fed == seen ? ticks + 1 : 0;
    seen = board.fed;
    if (ticks >= WATCHDOG_TICKS) {
        die(LAB_BOOT_WATCHDOG, "not fed", info, context);
    }
}

static void on_button(int number) {
    (void)number;
    reset_now();
}

void reset_arm(int argc, char **argv) {
    static uint8_t handler_stack[16384];
    sigaltstack(&(stack_t){.ss_sp = handler_stack, .ss_size = sizeof handler_stack}, NULL);

    restart_arguments = calloc((size_t)argc + 3, sizeof *restart_arguments);
    if (restart_arguments == NULL) {
        perror("lab-firmware");
        exit(1);
    }
    memcpy(restart_arguments, argv, (size_t)argc * sizeof *argv);
    snprintf(carried_text, sizeof carried_text, "%d", record_fd);
    /* After the first reset the arguments name the record already. */
    if (argc < 2 || strcmp(argv[argc - 2], "--warm") != 0) {
        restart_arguments[argc] = "--warm";
        restart_arguments[argc + 1] = carried_text;
    }

    signal(SIGPIPE, SIG_IGN);
    sigaction(SIGHUP, &(struct sigaction){.sa_handler = on_button}, NULL);
    sigset_t button; /* masked before the exec, here as in the engine: an early press must not kill */
    sigemptyset(&button);
    sigaddset(&button, SIGHUP);
    sigprocmask(SIG_UNBLOCK, &button, NULL);
    struct sigaction fault = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};
#ifndef __SANITIZE_ADDRESS__ /* there a crash is to be reported, not recovered from */
    sigaction(SIGSEGV, &fault, NULL);
    sigaction(SIGBUS, &fault, NULL);
    sigaction(SIGFPE, &fault, NULL);
    sigaction(SIGABRT, &fault, NULL);
#endif
    sigaction(SIGILL, &fault, NULL);

    struct sigaction tick = {.sa_sigaction = on_watchdog, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART};
    sigaction(SIGPROF, &tick, NULL);
    struct itimerval period = {{WATCHDOG_TICK_S, 0}, {WATCHDOG_TICK_S, 0}};
    setitimer(ITIMER_PROF, &period, NULL);
}
