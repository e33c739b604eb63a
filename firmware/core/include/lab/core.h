/* The firmware itself: everything above the port.
 *
 * A port owns one `struct lab_core`, in static memory, and drives it:
 *
 *     static struct lab_core core;
 *     lab_core_init(&core, &port);
 *     lab_core_run(&core);
 */
#ifndef LAB_CORE_H
#define LAB_CORE_H

#include <stdint.h>

#include "lab/port.h"

struct lab_core;

/* Prints the banner and gets ready to connect. An identity that is missing or damaged is said on the console;
 * the core then keeps answering the console and feeding the watchdog, and nothing else. */
void lab_core_init(struct lab_core *core, const struct lab_port *port);

/* Does all that can be done now; returns the milliseconds until there is something to do without new input.
 */
uint32_t lab_core_step(struct lab_core *core);

/* Steps and idles for ever. */
_Noreturn void lab_core_run(struct lab_core *core);

/* Notes `words` as the reason of the next boot, prints them and resets. For states that cannot be. */
_Noreturn void lab_panic(const struct lab_port *port, const char *words);

#endif
