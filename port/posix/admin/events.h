/* The events that a ring holds, for who asks for them: a list that ends, or a stream that goes on.
 * Not here: HTTP (admin.c). */
#ifndef CMCWH_EVENTS_H
#define CMCWH_EVENTS_H

#include "admin/request.h"
#include "platform/writer.h"

enum events_form {
    EVENTS_LINES, /* JSON, a line each */
    EVENTS_SENT,  /* the same as Server-Sent Events, which go on */
    EVENTS_CSV
};

/* A reader and its place; one thread. Nothing of the ring is held for it: what is overwritten
 * before it came to it is gone, and it can see that. */
struct events {
    enum events_form form;
    uint64_t next;  /* the number that is looked for next */
    uint64_t last;  /* the last that is wanted */
    uint64_t left;  /* how many more are wanted */
    uint64_t after; /* the last one of which the reader knows */
    bool begun, gap;
    bool hide; /* addresses */
    struct cmcwh_filter filter;
};

/* Reads what is asked for: after=SEQ, limit=N, only=LIST, hide=addresses, and Last-Event-ID. False:
 * the why is written. */
bool events_ask(struct events *events, struct cmcwh_ring *ring, const struct request *request,
                enum events_form form, struct writer *why);

/* What is needed for a moment, for any number of readers. */
struct events_room {
    struct cmcwh_record record;
    char text[CMCWH_ENCODED_MAX + 128];
};

/* What is left of `out` after something has been written must be room for one event. */
enum { EVENTS_LEAST = CMCWH_ENCODED_MAX + 128 };

/* Writes what comes next, as much as there is room for, and not for long. */
enum events_state {
    EVENTS_GO_ON, /* there may be more at once */
    EVENTS_WAIT,  /* there is no more now */
    EVENTS_END    /* that was all */
};
enum events_state events_write(struct events *events, struct cmcwh_ring *ring,
                               struct events_room *room, struct writer *out);

/* Writes something that is no event, by which both sides see that the other one is there. */
void events_beat(const struct events *events, struct writer *out);

#endif
