/* civetweb itself, from the source that CIVETWEB_SRC names, and the few things about a connection
 * that its interface does not tell. Compiled without our warnings: it is not our code. Not here:
 * whatever can do with civetweb's own header (http.c). */
#define _GNU_SOURCE
#ifndef _FILE_OFFSET_BITS
#define _FILE_OFFSET_BITS 64
#endif
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

int (*cmcwh_civetweb_poll)(struct pollfd *polled, int ms);

/* civetweb cannot be told to stop waiting for one connection, but goes when its poll fails. */
static int poll_or_leave(struct pollfd *polls, nfds_t count, int ms) {
    return count == 1 && cmcwh_civetweb_poll != NULL ? cmcwh_civetweb_poll(polls, ms)
                                                     : poll(polls, count, ms);
}

#define poll(polls, count, ms) poll_or_leave(polls, count, ms)

#define MG_EXTERNAL_FUNCTION_mg_cry_internal_impl
#define MG_EXTERNAL_FUNCTION_log_access
#include <civetweb.c>

#undef accept
#undef poll

void cmcwh_civetweb_produce(struct mg_context *context, int connection, int secure,
                            const struct sockaddr *peer) {
    struct socket client;
    socklen_t length = sizeof client.rsa;
    int on = 1;

    memset(&client, 0, sizeof client);
    client.sock = connection;
    client.is_ssl = (unsigned char)secure;
    if (peer != NULL) {
        memcpy(&client.rsa, peer,
               peer->sa_family == AF_INET ? sizeof client.rsa.sin : sizeof client.rsa.sin6);
    } else {
        (void)getpeername(connection, &client.rsa.sa, &length);
    }
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

/* Where a token of RFC 9110 ends that is the whole text; NULL when the text is none. */
static const char *token_end(const char *text) {
    static const char others[] = "!#$%&'*+-.^_`|~";
    const char *at = text;

    while ((*at >= 'a' && *at <= 'z') || *at == '-' || (*at >= 'A' && *at <= 'Z') ||
           (*at >= '0' && *at <= '9') || (*at != '\0' && strchr(others, *at) != NULL)) {
        at++;
    }
    return *at == '\0' && at > text ? at : NULL;
}

/* Where the line after this header begins; NULL when it is not as RFC 9112 wants. civetweb has
 * made NULs of the colon, of spaces before it, and of what ended the line. */
static const char *after_header(const struct mg_header *header, const char *line) {
    const char *at = header->name == line ? token_end(line) : NULL;

    if (at == NULL) {
        return NULL;
    }
    at++;
    while (at < header->value && (*at == ' ' || *at == '\t')) {
        at++;
    }
    return at == header->value ? at + strlen(at) + 2 : NULL;
}

const char *cmcwh_civetweb_head_fault(const struct mg_connection *connection) {
    const struct mg_request_info *info = &connection->request_info;
    static const char single_spaces[] = "the request line must have single spaces";
    const char *at = connection->buf, *end = at + connection->request_len;

    at = info->request_method == at ? token_end(at) : NULL;
    if (at == NULL) {
        return "white space before the method";
    }
    if (info->request_uri != at + 1) {
        return single_spaces;
    }
    at = info->request_uri + strlen(info->request_uri) + 1;
    if (info->query_string == at) {
        at += strlen(at) + 1;
    }
    if (at != info->http_version - strlen("HTTP/")) {
        /* what was decoded is shorter now, and some of it is left behind its end */
        return *at == '\0' ? single_spaces : "the path must not have percent-encoded characters";
    }
    at = info->http_version + strlen(info->http_version) + 2;
    for (int i = 0; i < info->num_headers; i++) {
        at = after_header(&info->http_headers[i], at);
        if (at == NULL) {
            return "a header line is malformed";
        }
    }
    return at == end - 2 || (info->num_headers == MG_MAX_HEADERS && at < end)
               ? NULL
               : "a header line is malformed";
}

int cmcwh_civetweb_unanswered(const struct mg_connection *connection) {
    return connection->request_len > 0 && connection->request_info.request_uri != NULL &&
           connection->request_info.local_uri == NULL && connection->num_bytes_sent == 0;
}

int cmcwh_civetweb_body_whole(const struct mg_connection *connection) {
    return connection->is_chunked ? connection->is_chunked >= 3
                                  : connection->consumed_content == connection->content_len;
}

int cmcwh_civetweb_ahead(const struct mg_connection *connection) {
#ifndef NO_SSL
    if (connection->ssl != NULL && SSL_pending(connection->ssl) > 0) {
        return 1;
    }
#endif
    return connection->data_len > connection->request_len + connection->content_len;
}

int cmcwh_civetweb_bound(const struct mg_connection *connection) {
    return connection->ssl != NULL;
}

const struct sockaddr *cmcwh_civetweb_peer(const struct mg_connection *connection) {
    return &connection->client.rsa.sa;
}

void cmcwh_civetweb_separate(struct mg_connection *connection) {
    connection->client.sock = INVALID_SOCKET; /* which is not closed */
}

int cmcwh_civetweb_stays(const struct mg_connection *connection) {
    return (!connection->is_chunked || connection->is_chunked == 4) &&
           connection->protocol_type == PROTOCOL_TYPE_HTTP1;
}
