/* The webhook's endpoint as callbacks of lwIP's HTTP server. */
#ifndef ENDPOINT_H
#define ENDPOINT_H

#include "cmcwh.h"

/* Before the first request. What `ring`, `access` and `drain` are: struct request in
 * ../embed/request.h. CMCWH_OK, or CMCWH_ERR_ARGUMENT: the ring's port has no clock (ticks or now),
 * without which a request whose connection was reset would be waited for for ever. */
int endpoint_init(struct cmcwh_ring *ring, const struct cmcwh_access *access, void (*drain)(void));

#endif
