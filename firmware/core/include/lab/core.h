/* The firmware itself: everything above the port.
 *
 * A port owns one `struct lab_core`, in static memory, and drives it:
 *
 *     static struct lab_core core;
 *     lab_core_init(&core, &port);
 *     lab_core_run(&core);
 *
 * All state is in that struct, except what Mbed TLS and WAMR keep in statics of their own: one core a
 * process. Nothing is allocated but from the struct's TLS heap and the port's pool for apps.
 */
#ifndef LAB_CORE_H
#define LAB_CORE_H

#include <stdint.h>

#include "apps/apps.h"
#include "console.h"
#include "identity/identity.h"
#include "lab/port.h"
#include "link/link.h"

#include "session/outbox.h"
#include "session/session.h"
#include "tls/tls.h"

struct lab_core {
    const struct lab_port *port;
    const char *problem; /* why it cannot work; NULL if it can */
    uint64_t work_at; /* ms; the next time that session, apps and link have something to do by themselves */
    struct lab_console console;
    struct lab_link link;
    struct lab_identity identity;

    struct lab_tls tls;
    struct lab_world world;
    struct lab_apps apps;
    struct lab_outbox outbox;
    struct lab_session session;
};

/* Prints the banner and gets ready to connect. An identity that is missing or damaged is said on the console;
 * the core then keeps answering the console and feeding the watchdog, and nothing else. */
void lab_core_init(struct lab_core *core, const struct lab_port *port);

/* Does all that can be done now; returns the milliseconds until there is something to do without new input.
 */
uint32_t lab_core_step(struct lab_core *core);

/* Steps and idles for ever. */
_Noreturn void lab_core_run(struct lab_core *core);

#endif
