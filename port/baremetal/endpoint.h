/* The webhook's endpoint as callbacks of lwIP's HTTP server. */
#ifndef ENDPOINT_H
#define ENDPOINT_H

#include "cmcwh.h"

/* What the three are: struct request in ../embed/request.h. */
void endpoint_init(struct cmcwh_ring *ring, const struct cmcwh_access *access, void (*drain)(void));

#endif
