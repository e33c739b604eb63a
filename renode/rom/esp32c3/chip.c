/* What only the ESP32-C3's ROM has. */
#include "chip.h"

#define IO_MUX_GPIO(n)        REGISTER(0x60009004 + 4 * (n))
#define INTERRUPT_ENABLE      REGISTER(0x600c2104)
#define INTERRUPT_TYPE        REGISTER(0x600c2108)
#define INTERRUPT_PRI(n)      REGISTER(0x600c2114 + 4 * (n))
#define INTERRUPT_THRESH      REGISTER(0x600c2194)
#define IO_MUX_PULL_UP        BIT(8)
#define IO_MUX_DRIVE_SHIFT    10
#define IO_MUX_DRIVE_MASK     (3u << IO_MUX_DRIVE_SHIFT)
#define IO_MUX_FUNCTION_SHIFT 12
#define IO_MUX_FUNCTION_MASK  (7u << IO_MUX_FUNCTION_SHIFT)
#define IO_MUX_FUNCTION_GPIO  1u

struct flash_data rom_flash_data;
uint32_t rom_ticks_per_us;

void gpio_pad_set_drv(uint32_t pin, uint32_t strength) {
    IO_MUX_GPIO(pin) =
        (IO_MUX_GPIO(pin) & ~IO_MUX_DRIVE_MASK) | (strength << IO_MUX_DRIVE_SHIFT & IO_MUX_DRIVE_MASK);
}

void gpio_pad_pullup(uint32_t pin) {
    IO_MUX_GPIO(pin) |= IO_MUX_PULL_UP;
}

void gpio_pad_select_gpio(uint32_t pin) {
    IO_MUX_GPIO(pin) = (IO_MUX_GPIO(pin) & ~IO_MUX_FUNCTION_MASK) | IO_MUX_FUNCTION_GPIO
                                                                        << IO_MUX_FUNCTION_SHIFT;
}

/* Bytes. */
uint32_t Cache_Get_ICache_Line_Size(void) {
    return 32;
}

void esprv_intc_int_enable(uint32_t mask) {
    INTERRUPT_ENABLE |= mask;
}

void esprv_intc_int_disable(uint32_t mask) {
    INTERRUPT_ENABLE &= ~mask;
}

void esprv_intc_int_set_type(int interrupt, int edge) {
    INTERRUPT_TYPE = edge ? INTERRUPT_TYPE | BIT(interrupt) : INTERRUPT_TYPE & ~BIT(interrupt);
}

void esprv_intc_int_set_priority(int interrupt, int priority) {
    INTERRUPT_PRI(interrupt) = (uint32_t)priority;
}

void esprv_intc_int_set_threshold(int threshold) {
    INTERRUPT_THRESH = (uint32_t)threshold;
}
