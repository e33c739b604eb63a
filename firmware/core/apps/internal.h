/* Between apps.c, which runs apps, and updates.c, which brings them in. */
#ifndef LAB_APPS_INTERNAL_H
#define LAB_APPS_INTERNAL_H

#include "apps/apps.h"

/* Sets `words`, and returns the result. */
__attribute__((format(printf, 3, 4))) enum lab_result
lab_apps_say(struct lab_apps *apps, enum lab_result result, const char *format, ...);
enum lab_result lab_apps_done(struct lab_apps *apps);

struct lab_app *lab_apps_find(struct lab_apps *apps, const char *name, size_t size);
void lab_app_set_state(struct lab_apps *apps, struct lab_app *app, enum lab_app_state state,
                       const char *words);

/* Makes `app->bytes` run. What it takes on the way is the app's also if it fails. */
enum lab_result lab_app_load(struct lab_apps *apps, struct lab_app *app);

/* Gives back all of the pool that the app holds; its entry in the list stays. */
void lab_app_unload(struct lab_apps *apps, struct lab_app *app);

/* Ends an app that has trapped, for the reason in `words`; one on trial gives way to the version before it.
 */
void lab_app_fail(struct lab_apps *apps, struct lab_app *app);

/* Begins with what flash holds. */
void lab_updates_restore(struct lab_apps *apps);

/* Ends trials whose time has come; returns the milliseconds until the next may. */
uint32_t lab_updates_step(struct lab_apps *apps);

#endif
