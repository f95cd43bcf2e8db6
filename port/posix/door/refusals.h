/* What was refused, in the log: the first of a kind and peer at once, the others as a number once a
 * minute. Whoever sends junk does not fill a small flash. */
#ifndef CMCWH_REFUSALS_H
#define CMCWH_REFUSALS_H

#include <pthread.h>

#include "cmcwh.h"

enum { REFUSALS_KINDS = 16, REFUSALS_PATH = 64 };

struct refusals {
    pthread_mutex_t mutex; /* guards the rest */
    struct refusals_kind {
        int status; /* 0: none */
        const char *error;
        char peer[CMCWH_ADDRESS_SIZE];
        char path[REFUSALS_PATH]; /* of 404 */
        uint64_t since;           /* ticks, the first */
        unsigned more;            /* since then */
    } kinds[REFUSALS_KINDS];
    uint64_t crowd_since; /* of those for which no place was left */
    unsigned crowd;
};

void refusals_init(struct refusals *refusals);

/* One was refused. Any thread. */
void refusals_say(struct refusals *refusals, const struct cmcwh_refusal *refusal);

/* Says what was counted for a minute, or `all`. To be called every second or so. */
void refusals_sum_up(struct refusals *refusals, bool all);

#endif
