/* The dead-letter file: what a peer will never take, kept for people, with what the peer said to
 * it. `cmcwh cat` and `cmcwh summary` read it. */
#ifndef CMCWH_DEAD_H
#define CMCWH_DEAD_H

#include "sink/sink.h"

struct dead {
    int status;               /* the peer's answer: its code, */
    struct cmcwh_text answer; /* and what it said; the first DEAD_ANSWER bytes of it are kept */
    uint32_t events;
    struct cmcwh_text lines; /* the events, as CMCWH_ENCODE_JSON makes them, one after the other */
};

enum { DEAD_ANSWER = 512 };

/* For `look`: can letters be written there? */
enum outcome dead_look(struct sink *sink, const char *path);

/* Adds a letter: a line about it, then its events, all or nothing; they are on the disk then. The
 * file is made where there is none, for its owner alone. For a thread of a sink. 0, or -1 with
 * sink->trouble: then nothing of it may be acknowledged. */
int dead_letter(struct sink *sink, const char *path, const struct dead *dead);

#endif
