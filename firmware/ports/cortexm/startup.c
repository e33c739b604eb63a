/* From reset to main(): stacks, memory, FPU, fault handlers. */
#include "cortexm.h"

#include <string.h>

#define SCB_CCR   REGISTER(0xe000ed14)
#define SCB_SHCSR REGISTER(0xe000ed24)
#define SCB_CPACR REGISTER(0xe000ed88)
#define MPU_TYPE  REGISTER(0xe000ed90)
#define MPU_CTRL  REGISTER(0xe000ed94)
#define MPU_RBAR  REGISTER(0xe000ed9c)
#define MPU_RASR  REGISTER(0xe000eda0)

#define CCR_DIV_0_TRP   (1u << 4)
#define CCR_STKALIGN    (1u << 9)
#define SHCSR_FAULTS    (7u << 16) /* MemManage, BusFault, UsageFault */
#define CPACR_FPU       (0xfu << 20)
#define MPU_PRIVDEFENA  (1u << 2)
#define RBAR_VALID      (1u << 4)
#define RASR_ENABLE     1u
#define RASR_SIZE(log2) (((log2)-1u) << 1)
#define RASR_XN         (1u << 28)

/* lab_stack_limit is this far above the end of RAM that the stack grows towards: the linker script's GUARD.
 */
#define GUARD_LOG2 8u

extern uint8_t handler_stack_top[];
extern uint8_t stack_top[];
extern uint8_t stack_guard[];
extern uint8_t data_load[], data_start[], data_end[], bss_start[], bss_end[];
extern uint8_t __tls_base[];

void reset_handler(void);
void cortexm_systick(void);
void _set_tls(void *tls);
int main(void);

/* The first 16 vectors; those of interrupts follow, in a section that the family fills. */
__attribute__((section(".vectors"), used)) static const void *const vectors[16] = {
    handler_stack_top,
    reset_handler,
    cortexm_fault, /* NMI: a watchdog */
    cortexm_fault, /* HardFault */
    cortexm_fault, /* MemManage */
    cortexm_fault, /* BusFault */
    cortexm_fault, /* UsageFault */
    NULL,
    NULL,
    NULL,
    NULL,
    cortexm_unexpected, /* SVCall */
    cortexm_unexpected, /* DebugMonitor */
    NULL,
    cortexm_unexpected, /* PendSV */
    cortexm_systick,
};

static void guard_stack(void) {
    if (MPU_TYPE == 0) {
        return; /* the guard then is what lies below RAM: nothing */
    }
    MPU_RBAR = (uint32_t)stack_guard | RBAR_VALID; /* region 0; access permission 0: none */
    MPU_RASR = RASR_XN | RASR_SIZE(GUARD_LOG2) | RASR_ENABLE;
    MPU_CTRL = MPU_PRIVDEFENA | 1u;
    __asm volatile("dsb\n isb" ::: "memory");
}

static __attribute__((used, noreturn)) void start(void) {
    memcpy(data_start, data_load, (size_t)(data_end - data_start));
    memset(bss_start, 0, (size_t)(bss_end - bss_start));
    _set_tls(__tls_base);
    SCB_CCR |= CCR_DIV_0_TRP | CCR_STKALIGN;
    SCB_SHCSR |= SHCSR_FAULTS;
    guard_stack();
    main();
    cortexm_reset(NULL);
    __builtin_unreachable();
}

/* The program runs on a stack of its own (PSP), so that handlers have room (MSP) when it overflows. */
__attribute__((naked)) void reset_handler(void) {
    __asm volatile("ldr r0, =stack_top\n"
                   "msr psp, r0\n"
                   "movs r0, #2\n"
                   "msr control, r0\n"
                   "isb\n"
#if defined(__ARM_FP)
                   "ldr r0, =0xe000ed88\n" /* CPACR: the FPU, before any code that might use it */
                   "ldr r1, [r0]\n"
                   "orr r1, r1, #0xf00000\n"
                   "str r1, [r0]\n"
                   "dsb\n"
                   "isb\n"
#endif
                   "b start\n");
}
