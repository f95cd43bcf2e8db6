/* The paths of the admin port that are one answer each. Not here: what is in one; streams
 * (events.c). */
#include "admin/views.h"

#include <stddef.h>

static const struct view views[] = {{0}};

const struct view *view_find(struct cmcwh_text path) {
    for (size_t i = 0; i < sizeof views / sizeof *views; i++) {
        if (views[i].path != NULL && request_is(path, views[i].path)) {
            return &views[i];
        }
    }
    return NULL;
}
