/* Buzzer on a pin: patterns that play while the main loop turns. */
#ifndef LAB_DRIVERS_BUZZER_H
#define LAB_DRIVERS_BUZZER_H

#include "lab/port.h"

struct lab_buzzer {
    const struct lab_port *port;
    uint8_t pin;
    bool active_low;
    bool sounding;
    uint32_t left;     /* beeps to come, the one that sounds not counted */
    uint32_t duration; /* ms */
    uint32_t interval; /* ms */
    uint64_t next_at;  /* when `sounding` changes; only while sounding or `left` */
};

/* Silent from here on. */
void lab_buzzer_init(struct lab_buzzer *buzzer, const struct lab_port *port, uint8_t pin, bool active_low);

/* Sound for `duration` ms. Replaces what plays; 0 is silence. */
void lab_buzzer_on_for(struct lab_buzzer *buzzer, uint32_t duration);

/* Sound `count` times for `duration` ms with `interval` ms of silence in between. Replaces what plays. */
void lab_buzzer_beep(struct lab_buzzer *buzzer, uint32_t count, uint32_t duration, uint32_t interval);

void lab_buzzer_off(struct lab_buzzer *buzzer);

/* Let time pass: call from the main loop. Returns the ms until it must be called again, UINT32_MAX for never.
 */
uint32_t lab_buzzer_update(struct lab_buzzer *buzzer);

#endif
