/* civetweb itself, from the source that CIVETWEB_SRC names, and the few things about a connection
 * that its interface does not tell. Compiled without our warnings: it is not our code. */
#define _GNU_SOURCE
#define _FILE_OFFSET_BITS 64
#include "civetweb_extra.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <sys/socket.h>

int (*cmcwh_civetweb_gate)(struct mg_context *context, int connection, int secure);

/* Whatever is accepted goes through the gate (see gate.h). In civetweb's only call of accept the
 * listener is at hand. */
static int accept_through_gate(struct mg_context *context, int listener, struct sockaddr *address,
                               socklen_t *length, int secure) {
    int connection = accept(listener, address, length);

    return connection < 0 || cmcwh_civetweb_gate == NULL ||
                   cmcwh_civetweb_gate(context, connection, secure)
               ? connection
               : -1;
}

#define accept(socket, address, length)                                                            \
    accept_through_gate(ctx, socket, address, length, listener->is_ssl)

#include <civetweb.c>

#undef accept

void cmcwh_civetweb_produce(struct mg_context *context, int connection, int secure) {
    struct socket client;
    socklen_t length = sizeof client.rsa;
    int on = 1;

    memset(&client, 0, sizeof client);
    client.sock = connection;
    client.is_ssl = (unsigned char)secure;
    (void)getpeername(connection, &client.rsa.sa, &length);
    length = sizeof client.lsa;
    (void)getsockname(connection, &client.lsa.sa, &length);
    (void)setsockopt(connection, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    (void)setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    set_close_on_exec(connection, NULL, context);
    set_non_blocking_mode(connection);
    produce_socket(context, &client);
}

void cmcwh_civetweb_defer(struct mg_context *context, int seconds) {
#ifdef TCP_DEFER_ACCEPT
    for (unsigned i = 0; i < context->num_listening_sockets; i++) {
        (void)setsockopt(context->listening_sockets[i].sock, IPPROTO_TCP, TCP_DEFER_ACCEPT,
                         &seconds, sizeof seconds);
    }
#endif
}

int cmcwh_civetweb_socket(const struct mg_connection *connection) {
    return connection->client.sock;
}

int cmcwh_civetweb_body_whole(const struct mg_connection *connection) {
    return connection->is_chunked ? connection->is_chunked >= 3
                                  : connection->consumed_content == connection->content_len;
}
