#include "drivers/buzzer.h"

static void sound(struct lab_buzzer *buzzer, bool on) {
    const struct lab_port *port = buzzer->port;
    buzzer->sounding = on;
    if (port->gpio_write != NULL) {
        port->gpio_write(port, buzzer->pin, on != buzzer->active_low);
    }
}

void lab_buzzer_init(struct lab_buzzer *buzzer, const struct lab_port *port, uint8_t pin, bool active_low) {
    *buzzer = (struct lab_buzzer){.port = port, .pin = pin, .active_low = active_low};
    sound(buzzer, false);
}

void lab_buzzer_on_for(struct lab_buzzer *buzzer, uint32_t duration) {
    lab_buzzer_beep(buzzer, 1, duration, 0);
}

void lab_buzzer_beep(struct lab_buzzer *buzzer, uint32_t count, uint32_t duration, uint32_t interval) {
    if (count == 0 || duration == 0) {
        lab_buzzer_off(buzzer);
        return;
    }
    if (interval == 0) {
        /* No silence in between: one long tone, as far as a tone can be. */
        uint64_t whole = (uint64_t)count * duration;
        duration = whole < UINT32_MAX ? (uint32_t)whole : UINT32_MAX;
        count = 1;
    }
    buzzer->left = count - 1;
    buzzer->duration = duration;
    buzzer->interval = interval;
    sound(buzzer, true);
    buzzer->next_at = buzzer->port->millis(buzzer->port) + duration;
}

void lab_buzzer_off(struct lab_buzzer *buzzer) {
    buzzer->left = 0;
    if (buzzer->sounding) {
        sound(buzzer, false);
    }
}

uint32_t lab_buzzer_update(struct lab_buzzer *buzzer) {
    uint64_t now = buzzer->port->millis(buzzer->port);
    if ((buzzer->sounding || buzzer->left > 0) && now >= buzzer->next_at) {
        /* Counted from when the pin has changed, not from when it was due: a late loop or a slow bus makes no
         * beep shorter than asked. */
        bool on = !buzzer->sounding;
        buzzer->left -= on;
        sound(buzzer, on);
        now = buzzer->port->millis(buzzer->port);
        buzzer->next_at = now + (on ? buzzer->duration : buzzer->interval);
    }
    if (!buzzer->sounding && buzzer->left == 0) {
        return UINT32_MAX;
    }
    uint64_t wait = buzzer->next_at - now;
    return wait < UINT32_MAX ? (uint32_t)wait : UINT32_MAX - 1;
}
