/* The end of the line for states that cannot be. */
#ifndef LAB_PANIC_H
#define LAB_PANIC_H

#include "lab/port.h"

/* Notes `words` as the reason of the next boot, prints them and resets. For states that cannot be. */
_Noreturn void lab_panic(const struct lab_port *port, const char *words);

#endif
