/* The end of a program: what is known is kept for the next boot, then the board resets. */
#ifndef LAB_ZEPHYR_FAULTS_H
#define LAB_ZEPHYR_FAULTS_H

#include "lab/port.h"

extern struct lab_boot lab_boot;

/* The main loop may sleep so long, and its watchdog is content. */
#define FAULTS_SLEEP_MAX_MS 4000u

void faults_start(void);
void faults_reset(const struct lab_port *port);
void faults_feed(const struct lab_port *port);

#endif
