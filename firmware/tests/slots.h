/* How much of flash the apps say they hold; counted by app, so that one slot held twice shows. */
#ifndef LAB_TESTS_SLOTS_H
#define LAB_TESTS_SLOTS_H

#include "apps/apps.h"

static inline uint32_t slots_taken(const struct lab_apps *apps) {
    uint32_t count = 0;
    for (size_t i = 0; i < LAB_APPS_MAX; i++) {
        const struct lab_app *app = &apps->apps[i];
        if (app->name[0] != '\0') {
            count += (app->slot != LAB_SLOT_NONE) + (app->trial != LAB_SLOT_NONE) +
                     (app->incoming != LAB_SLOT_NONE);
        }
    }
    return count;
}

#endif
