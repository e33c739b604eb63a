/* For tests of what carries UARTs: says what is at the identity's address on USART1, then repeats on USART6
 * what arrives there.
 */
#include <stdint.h>

#define REG(address)   (*(volatile uint32_t *)(address))
#define USART1         0x40011000u
#define USART6         0x40011400u
#define CR1(usart)     REG((usart) + 0x00) /* RM0385, section 31.8 */
#define ISR(usart)     REG((usart) + 0x1c)
#define RDR(usart)     REG((usart) + 0x24)
#define TDR(usart)     REG((usart) + 0x28)
#define NVIC_ISER2     REG(0xe000e108)
#define IDENTITY       ((const volatile char *)0x080ff000)
#define IDENTITY_SHOWN 4

static volatile uint32_t boots __attribute__((section(".noinit")));

static void put(const char *text) {
    for (; *text != '\0'; text++) {
        TDR(USART1) = (uint8_t)*text;
    }
}

void systick_handler(void) {
}

void usart1_handler(void) {
}

void usart6_handler(void) {
    while ((ISR(USART6) & 1u << 5) != 0) {
        TDR(USART6) = RDR(USART6);
    }
}

int main(void) {
    CR1(USART1) = 0xd;  /* UE, RE, TE */
    CR1(USART6) = 0x2d; /* and RXNEIE */
    put("identity ");
    for (int i = 0; i < IDENTITY_SHOWN; i++) {
        TDR(USART1) = (uint8_t)IDENTITY[i];
    }
    boots++;
    put(" boots ");
    TDR(USART1) = '0' + (uint8_t)(boots % 10);
    put("\n");
    NVIC_ISER2 = UINT32_C(1) << (71 - 64);
    for (;;) {
        __asm volatile("wfi");
    }
}
