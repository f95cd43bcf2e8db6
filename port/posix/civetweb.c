/* civetweb itself, from the source that CIVETWEB_SRC names, and the few things about a connection
 * that its interface does not tell. Compiled without our warnings: it is not our code. */
#include "civetweb_extra.h"

#include <civetweb.c>

int cmcwh_civetweb_socket(const struct mg_connection *connection) {
    return connection->client.sock;
}

/* Without the queue's lock, for which all workers would wait at every request: a glance that is a
 * moment old will do. */
int cmcwh_civetweb_waiting(const struct mg_connection *connection) {
    const struct mg_context *context = connection->phys_ctx;

    return __atomic_load_n(&context->sq_head, __ATOMIC_RELAXED) !=
           __atomic_load_n(&context->sq_tail, __ATOMIC_RELAXED);
}

int cmcwh_civetweb_body_whole(const struct mg_connection *connection) {
    return connection->is_chunked ? connection->is_chunked >= 3
                                  : connection->consumed_content == connection->content_len;
}
