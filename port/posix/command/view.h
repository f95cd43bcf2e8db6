/* A ring file that is looked at, also while a server uses it. */
#ifndef CMCWH_VIEW_H
#define CMCWH_VIEW_H

#include "platform/ring_file.h"

struct view {
    struct ring_file file;
    struct cmcwh_ring ring;
    struct cmcwh_record *records;
    uint32_t *links;
    uint8_t states[2][CMCWH_STATE_SIZE]; /* both copies, as they were when the ring was read */
    uint64_t next;                       /* the seq that is to be shown next */
};

/* False: one line has said why it cannot be looked at. */
bool view_open(struct view *view, const char *path);

/* Reads the ring, and adds a reader that gets every event that can still be read. Its number, or
 * -1: one line has said why not. */
int view_read(struct view *view, struct cmcwh_recovery *found);

/* Has it changed since? */
bool view_changed(struct view *view);

void view_close(struct view *view);

#endif
