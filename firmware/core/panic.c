#include "panic.h"

#include <string.h>

_Noreturn void lab_panic(const struct lab_port *port, const char *words) {
    static const char intro[] = "\r\npanic: ";
    lab_boot_fault(port->boot, LAB_BOOT_PANIC, words);
    port->write(port, LAB_CONSOLE, (const uint8_t *)intro, sizeof intro - 1);
    port->write(port, LAB_CONSOLE, (const uint8_t *)words, strlen(words));
    port->write(port, LAB_CONSOLE, (const uint8_t *)"\r\n", 2);
    port->reset(port);
    for (;;) {
    }
}
