/* What there is to see at the admin port: each path that is one answer, and who writes it. */
#ifndef CMCWH_VIEWS_H
#define CMCWH_VIEWS_H

#include "admin/request.h"
#include "admin/status.h"
#include "platform/writer.h"

/* What a view may be made of. */
struct view_of {
    const struct status *status;
    struct cmcwh_ring *ring;
    const struct request *request;
    bool hide; /* addresses, always */
};

/* Most bytes of a view. */
enum { VIEW_MAX = 65536 };

struct view {
    const char *path;
    const char *policy; /* its Content-Security-Policy; NULL: the least there is */

    /* Writes it; any order, no state. Returns its Content-Type; NULL: the query is wrong, and what
     * is written says why. */
    const char *(*write)(const struct view_of *of, struct writer *out);
};

/* NULL: there is none at this path. */
const struct view *view_find(struct cmcwh_text path);

#endif
