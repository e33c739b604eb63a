/* What the tests' firmware for the chips of the ESP32 family shares: functions of the ROM, and letters that
 * every chip answers. */
#pragma once

#include <stdint.h>

#define REGISTER(address) (*(volatile uint32_t *)(address))

/* Found at the ROM's addresses, as Espressif's linker scripts have them. */
int ets_printf(const char *format, ...);
void ets_delay_us(uint32_t us);
void intr_matrix_set(int processor, uint32_t source, uint32_t interrupt);

/* Answers a letter from UART0 with a line. */
void answer(int what);

/* What only one chip answers. */
void answer_of_chip(int what);
