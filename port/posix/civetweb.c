/* civetweb itself, from the source that CIVETWEB_SRC names, and the few things about a connection
 * that its interface does not tell. Compiled without our warnings: it is not our code. */
#include "civetweb_extra.h"

#include <civetweb.c>

int cmcwh_civetweb_socket(const struct mg_connection *connection) {
    return connection->client.sock;
}

int cmcwh_civetweb_waiting(const struct mg_connection *connection) {
    struct mg_context *context = connection->phys_ctx;
    int waiting;

    (void)pthread_mutex_lock(&context->thread_mutex);
    waiting = context->sq_head - context->sq_tail;
    (void)pthread_mutex_unlock(&context->thread_mutex);
    return waiting > 0;
}

int cmcwh_civetweb_body_whole(const struct mg_connection *connection) {
    return connection->is_chunked ? connection->is_chunked >= 3
                                  : connection->consumed_content == connection->content_len;
}
