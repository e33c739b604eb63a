/* The console: lines of text for people, a few commands, no waiting.
 *
 * Output goes through a small buffer; what a slow port does not take in time is lost, and said to be. Input
 * is any bytes: lines of up to LAB_CONSOLE_LINE characters are commands, the rest is ignored.
 */
#ifndef LAB_CONSOLE_H
#define LAB_CONSOLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lab/port.h"
#include "link/link.h"

#define LAB_CONSOLE_LINE   64u
#define LAB_CONSOLE_BUFFER 1024u

struct lab_console {
    const struct lab_port *port;
    struct lab_link *link; /* carries the text of a board with one UART; else NULL */
    size_t line_size;
    bool line_bad; /* too long, or not text */
    char line[LAB_CONSOLE_LINE + 1];
    size_t out_head, out_count;
    uint32_t lost; /* bytes of output since the last that was taken */
    uint8_t out[LAB_CONSOLE_BUFFER];
};

void lab_console_init(struct lab_console *console, const struct lab_port *port, struct lab_link *link);

/* One line; the line end is added. Control characters in it become '?'. */
__attribute__((format(printf, 2, 3))) void lab_console_print(struct lab_console *console, const char *format,
                                                             ...);

/* Hands to the port what it takes. */
void lab_console_flush(struct lab_console *console);

/* Reads input up to the end of a line; returns the line, valid until the next call, or NULL. Echoes nothing.
 */
const char *lab_console_line(struct lab_console *console);

#endif
