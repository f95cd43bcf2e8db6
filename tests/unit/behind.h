/* A server behind exchanges, for tests that have no daemon. */
#ifndef CMCWH_TEST_BEHIND_H
#define CMCWH_TEST_BEHIND_H

#include "door/civetweb_extra.h"
#include "door/exchange.h"

static inline const char *behind_head_fault(void *context, const struct mg_connection *connection) {
    (void)context;
    return cmcwh_civetweb_head_fault(connection);
}

static inline int behind_read(void *context, struct mg_connection *connection, const char **bytes) {
    (void)context;
    return exchange_read(exchange_of(connection), bytes);
}

static inline void behind_took(void *context, struct mg_connection *connection, size_t length) {
    (void)context;
    exchange_took(exchange_of(connection), length);
}

/* What it calls. */
static inline struct cmcwh_server_config behind_exchanges(struct cmcwh_ring *ring) {
    return (struct cmcwh_server_config){.ring = ring,
                                        .path = "/mails",
                                        .body_max = 65536,
                                        .keep_alive = 60,
                                        .head_fault = behind_head_fault,
                                        .read = behind_read,
                                        .took = behind_took};
}

#endif
