/* How a sensor driver reports. */
#ifndef LAB_DRIVERS_SENSOR_H
#define LAB_DRIVERS_SENSOR_H

#include "lab/port.h"

enum lab_sensor_status {
    LAB_SENSOR_OK,
    LAB_SENSOR_NO_ANSWER, /* nobody is there, or it is another part */
    LAB_SENSOR_STUCK,     /* a line is held down */
    LAB_SENSOR_TIMEOUT,
    LAB_SENSOR_CHECKSUM,
    LAB_SENSOR_NOT_READY,   /* ask again later */
    LAB_SENSOR_UNSUPPORTED, /* the board lacks the bus */
};

/* What a failed transaction means for a reading. */
static inline enum lab_sensor_status lab_sensor_status(enum lab_bus_status status) {
    switch (status) {
    case LAB_BUS_DONE:
        return LAB_SENSOR_OK;
    case LAB_BUS_NACK:
        return LAB_SENSOR_NO_ANSWER;
    case LAB_BUS_STUCK:
        return LAB_SENSOR_STUCK;
    case LAB_BUS_UNSUPPORTED:
    case LAB_BUS_BAD_ARGUMENT:
        return LAB_SENSOR_UNSUPPORTED;
    default:
        return LAB_SENSOR_TIMEOUT;
    }
}

#endif
