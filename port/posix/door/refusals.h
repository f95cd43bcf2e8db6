/* What was refused. In the log: the first of a kind and peer at once, the others as a number once a
 * minute; whoever sends junk does not fill a small flash. And the last ones, for the status. */
#ifndef CMCWH_REFUSALS_H
#define CMCWH_REFUSALS_H

#include <pthread.h>
#include <stdint.h>

#include "cmcwh.h"

enum { REFUSALS_KINDS = 16, REFUSALS_PATH = 64, REFUSALS_LAST = 16 };

/* What a peer was refused of one status and error, and the last such request. A peer that is
 * refused the same all the time takes one place, and leaves the others to see. */
struct status_refusal {
    uint64_t time;  /* ms since 1970 of the last one */
    uint32_t times; /* how often, while it was among the last ones */
    int status;
    char peer[CMCWH_ADDRESS_SIZE];
    char path[REFUSALS_PATH]; /* its beginning, as it was sent: not to be printed as it is */
    char error[32], detail[128], field[32];
    uint64_t offset;
    bool has_offset;
};

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

    struct status_refusal last[REFUSALS_LAST]; /* newest first */
    unsigned last_count;
    uint64_t last_unauthorized, last_unavailable; /* 401, 503: ms since 1970, 0: never */
};

void refusals_init(struct refusals *refusals);

/* One was refused. Any thread. */
void refusals_say(struct refusals *refusals, const struct cmcwh_refusal *refusal);

/* The last ones, newest first: how many. And when the last 401 and 503 were. Any thread. */
unsigned refusals_last(struct refusals *refusals, struct status_refusal last[REFUSALS_LAST],
                       uint64_t *unauthorized, uint64_t *unavailable);

/* Says what was counted for a minute, or `all`. To be called every second or so. */
void refusals_sum_up(struct refusals *refusals, bool all);

#endif
