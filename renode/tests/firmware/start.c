/* Vector table and start-up: stack, .data and .bss, then main. */
#include <stdint.h>

extern uint32_t stack_end[], data_start[], data_end[], data_load[], bss_start[], bss_end[];
int main(void);
void systick_handler(void);
void usart1_handler(void);
__attribute__((weak)) void usart6_handler(void);

void reset_handler(void) {
    const uint32_t *from = data_load;
    for (uint32_t *to = data_start; to < data_end;) {
        *to++ = *from++;
    }
    for (uint32_t *to = bss_start; to < bss_end;) {
        *to++ = 0;
    }
    main();
}

static void hang(void) {
    for (;;) {
    }
}

__attribute__((section(".vectors"), used)) static void (*const vectors[])(void) = {
    (void (*)(void))stack_end,  reset_handler,
    [2 ... 14] = hang,          [15] = systick_handler,
    [16 + 37] = usart1_handler, [16 + 71] = usart6_handler,
};
