/* What can be typed on the console. */
#ifndef LAB_COMMANDS_H
#define LAB_COMMANDS_H

#include "lab/core.h"

void lab_command(struct lab_core *core, const char *line);

#endif
