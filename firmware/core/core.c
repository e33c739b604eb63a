#include "lab/core.h"

#include <string.h>

#include "commands.h"
#include "lab/simbus.h"
#include "text.h"

/* ---- the link and its UART */

/* Returns whether a frame came. */
static bool pump_in(struct lab_core *core) {
    uint8_t bytes[256];
    bool any = false;
    /* Credit bounds what can be on its way; a host that ignores it must not keep the loop from turning. */
    for (unsigned left = 2 * LAB_LINK_WINDOW / sizeof bytes; left > 0; left--) {
        size_t size = core->port->read(core->port, LAB_LINK, bytes, sizeof bytes);
        if (size == 0) {
            break;
        }
        any |= lab_link_input(&core->link, bytes, size, core->port->millis(core->port));
    }
    return any;
}

/* Returns whether bytes left. */
static bool pump_out(struct lab_core *core) {
    for (bool any = false;; any = true) {
        size_t size;
        const uint8_t *bytes = lab_link_output(&core->link, &size);
        size_t taken = size > 0 ? core->port->write(core->port, LAB_LINK, bytes, size) : 0;
        if (taken == 0) {
            return any;
        }
        lab_link_sent(&core->link, taken);
    }
}

static size_t tls_read(void *context, uint8_t *bytes, size_t size) {
    struct lab_core *core = context;
    return lab_link_read(&core->link, bytes, size);
}

static size_t tls_write(void *context, const uint8_t *bytes, size_t size) {
    struct lab_core *core = context;
    pump_out(core);
    size_t taken = lab_link_write(&core->link, bytes, size, core->port->millis(core->port));
    pump_out(core);
    return taken;
}

/* ---- what apps say */

static void on_app_log(void *context, const char *app, enum lab_log_level level, const char *text,
                       size_t size) {
    struct lab_core *core = context;
    char line[LAB_LOG_TEXT_MAX];
    size = lab_text_copy(line, sizeof line, text, size);
    lab_console_print(&core->console, "%s: %s: %.*s", app, lab_log_level_name(level), (int)size, line);
    struct lab_note note = {
        .kind = LAB_NOTE_LOG,
        .level = (uint8_t)level,
        .uptime = core->port->millis(core->port),
        .app = app,
        .app_size = strlen(app),
        .body = (const uint8_t *)line,
        .body_size = size,
    };
    lab_outbox_put(&core->outbox, &note);
}

static void on_app_publish(void *context, const char *app, const char *topic, size_t topic_size,
                           const uint8_t *payload, size_t payload_size) {
    struct lab_core *core = context;
    char name[LAB_TOPIC_MAX];
    struct lab_note note = {
        .kind = LAB_NOTE_EVENT,
        .uptime = core->port->millis(core->port),
        .app = app,
        .app_size = strlen(app),
        .topic = name,
        .topic_size = lab_text_copy(name, sizeof name, topic, topic_size),
        .body = payload,
        .body_size = payload_size,
    };
    lab_outbox_put(&core->outbox, &note);
}

static void on_app_changed(void *context, const struct lab_app *app) {
    struct lab_core *core = context;
    lab_console_print(&core->console, "app %s %s%s%s", app->name, lab_app_state_name(app->state),
                      app->words[0] != '\0' ? ": " : "", app->words);
}

/* ---- start */

static const char *start(struct lab_core *core) {
    const struct lab_port *port = core->port;
    lab_tls_start_heap(&core->tls);
    const char *problem = lab_identity_parse(&core->identity, port->identity, port->identity_size);

    if (problem == NULL) {
        struct lab_tls_pipe pipe = {core, tls_read, tls_write};
        problem = lab_tls_init(&core->tls, port, &core->identity, pipe);
    }
    if (problem == NULL) {
        struct lab_apps_sink sink = {core, on_app_log, on_app_publish, on_app_changed};
        problem = lab_apps_init(&core->apps, port, &core->identity, &core->world, sink);
    }
    return problem;
}

void lab_core_init(struct lab_core *core, const struct lab_port *port) {
    memset(core, 0, sizeof *core);
    core->port = port;
    lab_link_init(&core->link);
    lab_console_init(&core->console, port, port->one_uart ? &core->link : NULL);
    lab_console_print(&core->console, "lab-firmware %s on %s, boot %u, reason %s%s%s", LAB_VERSION,
                      port->board, (unsigned)port->boot->boots,
                      lab_boot_reason_name((enum lab_boot_reason)port->boot->reason),
                      port->boot->detail[0] != '\0' ? ": " : "", port->boot->detail);
    if (port->simbus != NULL) {
        lab_simbus_start(port);
    }
    lab_world_init(&core->world, port);
    core->problem = start(core);
    if (core->problem != NULL) {
        lab_console_print(&core->console, "halted: %s; provision this board and reset it", core->problem);
        return;
    }
    core->session = (struct lab_session){
        .port = port,
        .identity = &core->identity,
        .link = &core->link,
        .tls = &core->tls,

        .apps = &core->apps,
        .outbox = &core->outbox,
        .console = &core->console,
    };
    lab_session_init(&core->session);
}

/* ---- the loop */

static uint32_t sooner(uint32_t a, uint32_t b) {
    return a < b ? a : b;
}

/* What only a new frame, room for one, or the time can give something to do. Waking for each byte of a frame,
 * as UARTs without a FIFO do, must cost little. */
static uint32_t work(struct lab_core *core, bool news) {
    uint64_t now = core->port->millis(core->port);
    if (!news && now < core->work_at) {
        return (uint32_t)(core->work_at - now);
    }
    uint32_t wait = lab_session_step(&core->session);
    if (pump_out(core)) {
        wait = 0;
    }
    core->apps.connected = core->session.state == LAB_SESSION_CONNECTED;
    wait = sooner(wait, lab_apps_step(&core->apps));
    wait = sooner(wait, lab_link_tick(&core->link, core->port->millis(core->port)));
    core->work_at = core->port->millis(core->port) + wait;
    return wait;
}

uint32_t lab_core_step(struct lab_core *core) {
    core->port->feed(core->port);
    bool news = pump_in(core);
    news |= pump_out(core);
    const char *line = lab_console_line(&core->console);
    if (line != NULL) {
        lab_command(core, line);
    }
    uint32_t wait = line != NULL ? 0 : UINT32_MAX;
    if (core->problem == NULL) {
        wait = sooner(wait, work(core, news));
        wait = sooner(wait, lab_world_step(&core->world));
    }
    lab_console_flush(&core->console);
    if (pump_out(core)) {
        core->work_at = 0;
        return 0;
    }
    return wait;
}

_Noreturn void lab_core_run(struct lab_core *core) {
    for (;;) {
        uint32_t wait = lab_core_step(core);
        if (wait > 0) {
            core->port->idle(core->port, wait);
        }
    }
}
