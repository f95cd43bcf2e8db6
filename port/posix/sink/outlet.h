/* What takes lines (or frames) one after the other, whatever its descriptor is. Which kind is
 * handled how stands in outlet.c. */
#ifndef CMCWH_OUTLET_H
#define CMCWH_OUTLET_H

#include "sink/sink.h"

#include <sys/types.h>

/* What a medium of this sort owns begins with one. */
struct outlet {
    /* A regular file: */
    bool regular;
    bool nameless; /* it was given without a name: that it has none is no trouble */
    bool deleted;
    bool mid;    /* something was written since the last sync */
    bool begun;  /* what may be undone: */
    off_t size;  /* its size before that */
    off_t grown; /* and how much was written since */

    /* Everything else: */
    bool torn;  /* a line broke off: its end comes before the next */
    bool stuck; /* the last write has failed */
};

/* Looks at what `descriptor` is, and makes it the sink's. `reading` (-1: none) is one to read what
 * a regular file holds. 0, or -1 with sink->trouble: then `descriptor` is closed, and the sink's is
 * as it was. */
int outlet_take(struct sink *sink, int descriptor, int reading);

/* How each line of ours begins; of a frame, what comes behind its first byte. */
const char *outlet_begins(enum cmcwh_encoding encoding);

/* How lines of ours begin, among those of JSON, that are no events (dead.c). */
#define OUTLET_DEAD "{\"dead\":"

/* A group of writes to a regular file begins: its size is looked at, and whether it was deleted.
 * outlet_write does so too, when nobody has. 0, or -1 with sink->trouble. */
int outlet_begin(struct sink *sink);

/* For struct sink_medium. */
int outlet_write(void *context, const void *bytes, size_t length);
int outlet_sync(void *context);
void outlet_undo(void *context);

#endif
