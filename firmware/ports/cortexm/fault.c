/* The end of a program: print what is known, keep it for the next boot, reset.
 *
 * Everything here works without the C library's output and without a valid stack of the program.
 */
#include "cortexm.h"

#define SCB_CFSR  REGISTER(0xe000ed28)
#define SCB_HFSR  REGISTER(0xe000ed2c)
#define SCB_MMFAR REGISTER(0xe000ed34)
#define SCB_BFAR  REGISTER(0xe000ed38)

/* ARMv7-M ARM, B3.2.15 */
#define CFSR_IACCVIOL    (1u << 0)
#define CFSR_DACCVIOL    (1u << 1)
#define CFSR_MUNSTKERR   (1u << 3)
#define CFSR_MSTKERR     (1u << 4)
#define CFSR_MMARVALID   (1u << 7)
#define CFSR_IBUSERR     (1u << 8)
#define CFSR_PRECISERR   (1u << 9)
#define CFSR_IMPRECISERR (1u << 10)
#define CFSR_UNSTKERR    (1u << 11)
#define CFSR_STKERR      (1u << 12)
#define CFSR_BFARVALID   (1u << 15)
#define CFSR_UNDEFINSTR  (1u << 16)
#define CFSR_INVSTATE    (1u << 17)
#define CFSR_INVPC       (1u << 18)
#define CFSR_NOCP        (1u << 19)
#define CFSR_UNALIGNED   (1u << 24)
#define CFSR_DIVBYZERO   (1u << 25)

enum { EXCEPTION_NMI = 2, EXCEPTION_SYSTICK = 15 };

/* An overflow may skip this far over the guard: the largest frame of a function in the image is below 2 KB.
 */
#define OVERSHOOT 4096u

#define CALLERS 3u

/* What the core pushes at an exception (B1.5.6). */
struct frame {
    uint32_t r0, r1, r2, r3, r12, lr, pc, xpsr;
};

extern uint8_t stack_guard[];
extern uint8_t stack_top[];
extern uint8_t handler_stack_top[];
extern uint8_t text_start[];
extern uint8_t text_end[];

static const struct {
    uint32_t bits;
    const char *words;
} causes[] = {
    {CFSR_UNDEFINSTR, "undefined instruction"},
    {CFSR_INVSTATE, "not a Thumb address"},
    {CFSR_INVPC, "invalid return from an exception"},
    {CFSR_NOCP, "no such coprocessor"},
    {CFSR_UNALIGNED, "unaligned access"},
    {CFSR_DIVBYZERO, "division by zero"},
    {CFSR_IACCVIOL | CFSR_IBUSERR, "no code at that address"},
    {CFSR_DACCVIOL | CFSR_PRECISERR | CFSR_IMPRECISERR, "no such memory"},
    {CFSR_MSTKERR | CFSR_STKERR | CFSR_MUNSTKERR | CFSR_UNSTKERR, "the stack is not in memory"},
};

struct text {
    char bytes[LAB_BOOT_DETAIL_MAX + 1];
    size_t size;
};

static void add(struct text *text, const char *words) {
    while (*words != '\0' && text->size < LAB_BOOT_DETAIL_MAX) {
        text->bytes[text->size++] = *words++;
    }
    text->bytes[text->size] = '\0';
}

static void add_value(struct text *text, const char *name, uint32_t value) {
    add(text, name);
    for (int shift = 28; shift >= 0; shift -= 4) {
        const char digit[2] = {"0123456789abcdef"[value >> shift & 0xf], '\0'};
        add(text, digit);
    }
}

static void print(const char *words) {
    while (*words != '\0') {
        family_console_put((uint8_t)*words++);
    }
}

static void print_value(const char *name, uint32_t value) {
    struct text text = {.size = 0};
    add_value(&text, name, value);
    print(text.bytes);
}

static bool below_stack(uint32_t address) {
    return address < (uint32_t)lab_stack_limit && address >= (uint32_t)stack_guard - OVERSHOOT;
}

/* After an overflow neither pc nor lr is known. What lies on the stack and points behind a call says who it
 * was. */
static void add_callers(struct text *text, uint32_t stack) {
    const uint32_t *word =
        (const uint32_t *)(stack < (uint32_t)lab_stack_limit ? (uint32_t)lab_stack_limit : stack);
    unsigned shown = 0;
    for (; word < (const uint32_t *)stack_top && shown < CALLERS; word++) {
        if ((*word & 1u) && *word > (uint32_t)text_start && *word < (uint32_t)text_end) {
            add_value(text, shown == 0 ? "; called from " : " ", *word);
            shown++;
        }
    }
}

static bool overflowed(uint32_t stack, uint32_t cfsr) {
    return below_stack(stack) || ((cfsr & CFSR_MMARVALID) && below_stack(SCB_MMFAR)) ||
           ((cfsr & CFSR_BFARVALID) && below_stack(SCB_BFAR));
}

__attribute__((used, noreturn)) static void report(uint32_t stack, uint32_t exception) {
    uint32_t cfsr = SCB_CFSR;
    uint32_t hfsr = SCB_HFSR;
    const char *cause = "cause unknown";
    enum lab_boot_reason reason = LAB_BOOT_HARD_FAULT;

    if (exception == EXCEPTION_NMI || exception == EXCEPTION_SYSTICK) {
        reason = LAB_BOOT_WATCHDOG;
        cause = "the main loop stood still";
    } else if (overflowed(stack, cfsr)) {
        reason = LAB_BOOT_STACK_OVERFLOW;
        cause = "the stack is full";
    } else {
        for (size_t i = 0; i < sizeof causes / sizeof causes[0]; i++) {
            if (cfsr & causes[i].bits) {
                cause = causes[i].words;
                break;
            }
        }
    }

    struct text detail = {.size = 0};
    add(&detail, cause);
    print("\r\n*** ");
    print(lab_boot_reason_name(reason));
    print(": ");
    print(cause);

    /* After an overflow nothing was pushed. */
    bool pushed =
        stack >= (uint32_t)lab_stack_limit && stack <= (uint32_t)handler_stack_top - sizeof(struct frame);
    if (pushed) {
        const struct frame *frame = (const struct frame *)stack;
        print_value("\r\n*** r0 ", frame->r0);
        print_value(" r1 ", frame->r1);
        print_value(" r2 ", frame->r2);
        print_value(" r3 ", frame->r3);
        print_value(" r12 ", frame->r12);
        print_value("\r\n*** pc ", frame->pc);
        print_value(" lr ", frame->lr);
        print_value(" xpsr ", frame->xpsr);
        add_value(&detail, "; pc ", frame->pc);
        add_value(&detail, " lr ", frame->lr);
    } else {
        size_t known = detail.size;
        add_callers(&detail, stack);
        print(detail.bytes + known);
    }
    print_value("\r\n*** sp ", stack);
    print_value(" cfsr ", cfsr);
    print_value(" hfsr ", hfsr);
    add_value(&detail, " sp ", stack);
    add_value(&detail, " cfsr ", cfsr);
    add_value(&detail, " hfsr ", hfsr);
    if (cfsr & CFSR_MMARVALID) {
        print_value(" mmfar ", SCB_MMFAR);
        add_value(&detail, " mmfar ", SCB_MMFAR);
    }
    if (cfsr & CFSR_BFARVALID) {
        print_value(" bfar ", SCB_BFAR);
        add_value(&detail, " bfar ", SCB_BFAR);
    }
    print("\r\n");

    lab_boot_fault(&lab_boot, reason, detail.bytes);
    cortexm_reset(NULL);
    __builtin_unreachable();
}

/* EXC_RETURN bit 2 tells which stack was in use (B1.5.8). */
__attribute__((naked)) void cortexm_fault(void) {
    __asm volatile("tst lr, #4\n"
                   "ite eq\n"
                   "mrseq r0, msp\n"
                   "mrsne r0, psp\n"
                   "mrs r1, ipsr\n"
                   "b report\n");
}

void cortexm_unexpected(void) {
    print("\r\n*** an interrupt that nobody enabled\r\n");
    lab_boot_fault(&lab_boot, LAB_BOOT_PANIC, "an interrupt that nobody enabled");
    cortexm_reset(NULL);
}
