/* The webhook's endpoint as callbacks of lwIP's HTTP server. */
#ifndef ENDPOINT_H
#define ENDPOINT_H

#include "cmcwh.h"

/* Longest body that is taken. */
#ifndef ENDPOINT_BODY_MAX
#define ENDPOINT_BODY_MAX 65536
#endif

/* `authorization`: the value of the header Authorization that a request must have, "Basic ..." or
 * "Bearer ..."; NULL: everybody may post. Both stay the caller's. */
void endpoint_init(struct cmcwh_ring *ring, const char *authorization);

#endif
