/* What the daemon tells of itself: one snapshot of everything that can be counted. */
#ifndef CMCWH_STATUS_H
#define CMCWH_STATUS_H

#include "cmcwh.h"
#include "sink/sink.h"

/* Each part is of one moment. */
struct status {
    struct cmcwh_server_counters server;
    struct cmcwh_ring_state ring;
    struct status_sink {
        const char *uri;
        int reader;
        bool required;
        uint64_t delivered;
        char trouble[SINK_TROUBLE]; /* why it does not work; "": it does */
    } sinks[CMCWH_READERS_MAX];
    unsigned sink_count;
};

/* Any thread. */
void status_take(struct status *status, struct cmcwh_server *server, struct cmcwh_ring *ring,
                 struct sink *sinks, unsigned sink_count);

/* One value of a snapshot: of what it is, its name, and which of several with this name. Texts are
 * good during the visit. */
struct status_value {
    enum { STATUS_SERVER, STATUS_RING, STATUS_SINK } of;
    const char *name;
    const char *label; /* the status of answers, the URI of a sink; NULL: there is one */
    uint64_t value;
    bool flag;           /* the value is 1 for yes, 0 for no */
    const char *trouble; /* of a sink: why it does not work, "": it does; else NULL */
};

/* Calls `visit` for each value; those with one label follow each other. */
void status_walk(const struct status *status,
                 void (*visit)(void *context, const struct status_value *value), void *context);

/* Says it in the log, a line each for the server, the ring and every sink. */
void status_log(const struct status *status);

/* A ring that required sinks keep nearly full is said, once until it has been half empty: it is too
 * small, or a sink too slow, and the next burst gets 503. To be called every STATUS_LOOK ms;
 * `watch` is all zero at first. */
enum { STATUS_LOOK = 10000 };
struct status_watch {
    unsigned looks; /* one after the other at which it was nearly full */
    bool said;
};
void status_look(struct status_watch *watch, const struct status *status);

#endif
