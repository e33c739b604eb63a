#include "commands.h"

#include <string.h>

#include "panic.h"

static void help(struct lab_core *core) {
    lab_console_print(&core->console, "help               this list");
    lab_console_print(&core->console, "status             connection, memory, counters");
    lab_console_print(&core->console, "apps               what runs here");
    lab_console_print(&core->console, "reset              start again");
    lab_console_print(&core->console, "fault hard|stack|watchdog|panic   fail on purpose");
}

static void status(struct lab_core *core) {
    const struct lab_port *port = core->port;
    lab_console_print(&core->console, "firmware %s on %s, up %u ms, boot %u, reason %s%s%s", LAB_VERSION,
                      port->board, (unsigned)port->millis(port), (unsigned)port->boot->boots,
                      lab_boot_reason_name((enum lab_boot_reason)port->boot->reason),
                      port->boot->detail[0] != '\0' ? ": " : "", port->boot->detail);
    if (core->problem != NULL) {
        lab_console_print(&core->console, "halted: %s", core->problem);
        return;
    }
    lab_console_print(&core->console, "device %s, %s%s%s", core->identity.device,
                      lab_session_state_name(core->session.state),
                      core->session.words[0] != '\0' ? "; last: " : "", core->session.words);
    lab_console_print(&core->console,
                      "app memory %u of %u bytes free, %u apps running, %u link frames dropped",
                      (unsigned)lab_apps_memory_free(&core->apps), (unsigned)port->pool_size,
                      (unsigned)lab_apps_running(&core->apps), (unsigned)lab_link_dropped(&core->link));
}

static void list_apps(struct lab_core *core) {
    for (size_t i = 0; i < LAB_APPS_MAX; i++) {
        const struct lab_app *app = &core->apps.apps[i];
        if (app->name[0] != '\0') {
            lab_console_print(&core->console, "%s %s, %u bytes, %u of memory%s%s", app->name,
                              lab_app_state_name(app->state), (unsigned)app->size, (unsigned)app->memory,
                              app->words[0] != '\0' ? ": " : "", app->words);
        }
    }
}

static void reset(struct lab_core *core) {
    lab_boot_fault(core->port->boot, LAB_BOOT_REQUESTED, "on the console");
    core->port->reset(core->port);
}

/* The compiler can neither make a loop of it nor know that it never ends. */
__attribute__((noinline)) static unsigned overflow(volatile unsigned *above) {
    volatile unsigned frame[64];
    frame[0] = *above + 1;
    return frame[0] == 0 ? 0 : overflow(frame) + frame[0];
}

static void fault(struct lab_core *core, const char *kind) {
    if (strcmp(kind, "hard") == 0) {
        __builtin_trap();
    } else if (strcmp(kind, "stack") == 0) {
        volatile unsigned start = 0;
        (void)overflow(&start);
    } else if (strcmp(kind, "watchdog") == 0) {
        for (;;) {
            __asm__ volatile("");
        }
    } else if (strcmp(kind, "panic") == 0) {
        lab_panic(core->port, "asked for on the console");
    } else {
        lab_console_print(&core->console, "fault hard|stack|watchdog|panic");
    }
}

void lab_command(struct lab_core *core, const char *line) {
    static const char fault_word[] = "fault ";
    if (strcmp(line, "help") == 0) {
        help(core);
    } else if (strcmp(line, "status") == 0) {
        status(core);
    } else if (strcmp(line, "apps") == 0) {
        if (core->problem == NULL) {
            list_apps(core);
        }
    } else if (strcmp(line, "reset") == 0) {
        reset(core);
    } else if (strncmp(line, fault_word, sizeof fault_word - 1) == 0) {
        fault(core, line + sizeof fault_word - 1);
    } else {
        lab_console_print(&core->console, "unknown command: try help");
    }
}
