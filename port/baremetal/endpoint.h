/* The webhook's endpoint as callbacks of lwIP's HTTP server. */
#ifndef ENDPOINT_H
#define ENDPOINT_H

#include "cmcwh.h"

/* Longest body that is taken. */
#ifndef ENDPOINT_BODY_MAX
#define ENDPOINT_BODY_MAX 65536
#endif

/* `access`: who may post; NULL: everybody. `drain` pumps every sink until nothing is left to read,
 * and tells the ring of one that failed (cmcwh_ring_fail): called before the answer of a request
 * whose events are pending, so a ring with config.confirm needs it; NULL for others. Ring and
 * access stay the caller's. */
void endpoint_init(struct cmcwh_ring *ring, const struct cmcwh_access *access, void (*drain)(void));

#endif
