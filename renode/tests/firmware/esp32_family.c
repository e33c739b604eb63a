#include "esp32_family.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* Of the ROM, too, and in no header of C. */
char *itoa(int value, char *digits, int base);
size_t strlcpy(char *to, const char *from, size_t size);
char *strupr(char *text);
uint32_t ets_get_cpu_frequency(void);
uint32_t rtc_get_reset_reason(int processor);
void software_reset_cpu(int processor);
void gpio_matrix_in(uint32_t pin, uint32_t signal, bool inverted);
void gpio_matrix_out(uint32_t pin, uint32_t signal, bool inverted, bool enable_inverted);
void not_in_the_rom(void);

static uint32_t initialized = 1000;
static uint32_t kept __attribute__((section(".noinit")));

static int descending(const void *one, const void *other) {
    return *(const int *)other - *(const int *)one;
}

static void answer_numbers(void) {
    static volatile uint64_t large = 0x123456789abcdef0;
    static volatile int64_t negative = -1000000000000;
    static volatile double one = 1.5, other = 2.25;
    int numbers[] = {2, 3, 1};
    char digits[8];
    qsort(numbers, 3, sizeof *numbers, descending);
    ets_printf("sorted %d%d%d, text %s, number %d, ", numbers[0], numbers[1], numbers[2],
               itoa(-42, digits, 10), (int)strtol("1f", NULL, 16));
    ets_printf("by %x, left %u, signed %d, times %d\n", (unsigned)(large / 7), (unsigned)(large % 1000),
               (int)(negative / 1000000), (int)(one * other * 1000));
}

void answer(int what) {
    char text[8] = "abcdef", copy[8];
    switch (what) {
    case 'm':
        memmove(text + 1, text, 4);
        memcpy(copy, text, sizeof copy);
        memset(copy, '-', 2);
        ets_printf("memmove %s, memset %s, memcmp %d\n", text, copy, memcmp(text, copy, 3) > 0);
        break;
    case 's':
        strlcpy(copy, text + 2, 4);
        ets_printf("strcmp %d, strlen %u, strstr %s, strupr %s\n", strcmp(text, "abd") < 0,
                   (unsigned)strlen(copy), strstr(text, "cd"), strupr(copy));
        break;
    case 'n':
        answer_numbers();
        break;
    case 'p':
        gpio_matrix_out(5, 3, true, false);
        gpio_matrix_in(6, 7, true);
        ets_printf("pins set at %u MHz\n", (unsigned)ets_get_cpu_frequency());
        break;
    case 'k':
        ets_printf("initialized %u kept %u reason %u\n", (unsigned)initialized++, (unsigned)kept++,
                   (unsigned)rtc_get_reset_reason(0));
        break;
    case 'r':
        software_reset_cpu(0);
        break;
    case 'x':
        not_in_the_rom();
        break;
    default:
        answer_of_chip(what);
        break;
    }
}
