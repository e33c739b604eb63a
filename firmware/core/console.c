#include "console.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "text.h"

#define PRINT_MAX 240u

void lab_console_init(struct lab_console *console, const struct lab_port *port, struct lab_link *link) {
    memset(console, 0, sizeof *console);
    console->port = port;
    console->link = link;
}

static size_t port_write(struct lab_console *console, const uint8_t *bytes, size_t size) {
    if (console->link != NULL) {
        return lab_link_console_write(console->link, bytes, size);
    }
    return console->port->write(console->port, LAB_CONSOLE, bytes, size);
}

static size_t port_read(struct lab_console *console, uint8_t *bytes, size_t size) {
    if (console->link != NULL) {
        return lab_link_console_read(console->link, bytes, size);
    }
    return console->port->read(console->port, LAB_CONSOLE, bytes, size);
}

void lab_console_flush(struct lab_console *console) {
    while (console->out_count > 0) {
        size_t piece = LAB_CONSOLE_BUFFER - console->out_head;
        if (piece > console->out_count) {
            piece = console->out_count;
        }
        size_t taken = port_write(console, console->out + console->out_head, piece);
        if (taken == 0) {
            return;
        }
        console->out_head = (console->out_head + taken) % LAB_CONSOLE_BUFFER;
        console->out_count -= taken;
    }
}

/* A line goes in whole or not at all. */
static bool put(struct lab_console *console, const char *text, size_t size) {
    if (size > LAB_CONSOLE_BUFFER - console->out_count) {
        lab_console_flush(console);
    }
    if (size > LAB_CONSOLE_BUFFER - console->out_count) {
        return false;
    }
    for (size_t i = 0; i < size; i++) {
        console->out[(console->out_head + console->out_count++) % LAB_CONSOLE_BUFFER] = (uint8_t)text[i];
    }
    return true;
}

void lab_console_print(struct lab_console *console, const char *format, ...) {
    char text[PRINT_MAX + 3];
    if (console->lost > 0) {
        int size =
            snprintf(text, sizeof text, "[%u bytes of console output lost]\r\n", (unsigned)console->lost);
        if (put(console, text, (size_t)size)) {
            console->lost = 0;
        }
    }
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, PRINT_MAX + 1, format, arguments);
    va_end(arguments);
    lab_text_clean(text);
    size_t size = strlen(text);
    memcpy(text + size, "\r\n", 2);
    if (!put(console, text, size + 2)) {
        console->lost += (uint32_t)size + 2;
    }
    lab_console_flush(console);
}

const char *lab_console_line(struct lab_console *console) {
    uint8_t byte;
    while (port_read(console, &byte, 1) == 1) {
        if (byte == '\r' || byte == '\n') {
            bool usable = !console->line_bad && console->line_size > 0;
            console->line[console->line_size] = '\0';
            console->line_size = 0;
            console->line_bad = false;
            if (usable) {
                return console->line;
            }
        } else if (byte == '\b' || byte == 0x7f) {
            console->line_size -= console->line_size > 0;
        } else if (byte < ' ' || byte > '~' || console->line_size == LAB_CONSOLE_LINE) {
            console->line_bad = true;
        } else {
            console->line[console->line_size++] = (char)byte;
        }
    }
    return NULL;
}
