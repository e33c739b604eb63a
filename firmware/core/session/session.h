/* The device's side of a session with the gateway: connect, say hello, be welcomed, serve requests, come
 * back.
 *
 * docs/protocol.md, section 3. One request at a time: the next is read when the answer to the last has left,
 * so one buffer each way is enough and a gateway that asks too fast is slowed down by the link's credit.
 */
#ifndef LAB_SESSION_H
#define LAB_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "apps/apps.h"
#include "console.h"
#include "identity/identity.h"
#include "lab/port.h"
#include "link/link.h"
#include "session/outbox.h"
#include "tls/tls.h"

/* The protocol's limit of one message, both ways. */
#define LAB_MESSAGE_MAX 4096u
/* The longest this device sends: a hello that lists eight failed apps. */
#define LAB_MESSAGE_OUT_MAX 2944u
/* The 40 bytes or a few more that message and TLS put around it leave no frame of the link half empty. */
#define LAB_CHUNK_MAX 4032u

enum lab_session_state {
    LAB_SESSION_OFFLINE,   /* waits for its time to connect */
    LAB_SESSION_LINKING,   /* OPEN is out */
    LAB_SESSION_HANDSHAKE, /* TLS */
    LAB_SESSION_GREETING,  /* hello is out */
    LAB_SESSION_PENDING,   /* the gateway knows it and waits for someone to let it in */
    LAB_SESSION_CONNECTED, /* welcomed */
};

struct lab_session {
    const struct lab_port *port;
    const struct lab_identity *identity;
    struct lab_link *link;
    struct lab_tls *tls;

    struct lab_apps *apps;
    struct lab_outbox *outbox;
    struct lab_console *console;

    enum lab_session_state state;
    char words[LAB_TLS_WORDS_MAX]; /* why the last session ended */
    uint32_t backoff;              /* ms to wait after the next failure */
    uint64_t connect_at;
    uint64_t give_up_at; /* LINKING excepted: the step must be over by then; 0: no limit */
    uint32_t heartbeat;  /* ms */
    uint64_t heartbeat_at;
    bool greeting_due; /* hello has not been sent */
    bool ready_due;    /* welcomed, and not said so yet */
    bool use_due;      /* what apps have used since it was last said */
    uint8_t uuid[16];
    bool ending; /* what is in `out` is the last that is sent */
    bool resetting;
    uint64_t reset_at;

    size_t in_size;
    size_t out_at, out_size;
    uint8_t in[2 + LAB_MESSAGE_MAX];
    uint8_t out[LAB_MESSAGE_OUT_MAX];
};

/* The pointers must be set; everything else is. */
void lab_session_init(struct lab_session *session);

/* Does what can be done now; returns the milliseconds until there is something to do without new input. */
uint32_t lab_session_step(struct lab_session *session);

const char *lab_session_state_name(enum lab_session_state state);

#endif
