/* civetweb itself, from the source that CIVETWEB_SRC names, driven a piece at a time: it gets
 * neither sockets nor threads of its own, and reads heads that were put into its buffer. Compiled
 * without our warnings: it is not our code. Not here: whatever can do with civetweb's own header.
 */
#define _GNU_SOURCE
#ifndef _FILE_OFFSET_BITS
#define _FILE_OFFSET_BITS 64
#endif
#include "civetweb_extra.h"

#include <netinet/in.h>
#include <stddef.h>

#define MG_EXTERNAL_FUNCTION_mg_cry_internal_impl
#define MG_EXTERNAL_FUNCTION_log_access

#ifdef CIVETWEB_API /* tests want the whole of it */
/* What is read and written goes through exchange.c, which puts its own in place of these. They are
 * for sockets, wait on them for seconds in floating point, and are left to programs that have
 * nothing else. */
#pragma weak mg_read
#pragma weak mg_write
#include <civetweb.c>
#else
/* What nobody here calls is left out, with its texts and tables, by the compiler: the linker cannot
 * tell them from others. Four of its functions are called from elsewhere. */
#define CIVETWEB_API                     static
#define mg_disable_connection_keep_alive civetweb_disable_connection_keep_alive
#define mg_get_header                    civetweb_get_header
#define mg_get_request_info              civetweb_get_request_info
#define mg_get_user_connection_data      civetweb_get_user_connection_data
#include <civetweb.c>
#undef mg_disable_connection_keep_alive
#undef mg_get_header
#undef mg_get_request_info
#undef mg_get_user_connection_data

void mg_disable_connection_keep_alive(struct mg_connection *connection) {
    civetweb_disable_connection_keep_alive(connection);
}

const char *mg_get_header(const struct mg_connection *connection, const char *name) {
    return civetweb_get_header(connection, name);
}

const struct mg_request_info *mg_get_request_info(const struct mg_connection *connection) {
    return civetweb_get_request_info(connection);
}

void *mg_get_user_connection_data(const struct mg_connection *connection) {
    return civetweb_get_user_connection_data(connection);
}
#endif

/* In one piece, of which nothing is touched but the settings: what no connection has used takes no
 * memory. */
struct civetweb {
    struct mg_context context;
    struct mg_connection connections[];
};

struct mg_context *cmcwh_civetweb_open(size_t count) {
    static char no[] = "no";
    struct civetweb *civetweb =
        mg_calloc(1, sizeof *civetweb + count * sizeof civetweb->connections[0]);
    struct mg_context *context;

    if (civetweb == NULL) {
        return NULL;
    }
    context = &civetweb->context;
    context->context_type = CONTEXT_SERVER;
    context->dd.config[ENABLE_AUTH_DOMAIN_CHECK] = no;
    return context;
}

void cmcwh_civetweb_close(struct mg_context *context) {
    mg_free(context);
}

struct mg_connection *cmcwh_civetweb_connection(struct mg_context *context, size_t number) {
    return &((struct civetweb *)context)->connections[number];
}

void cmcwh_civetweb_place(struct mg_connection *connection, struct mg_context *context,
                          char *buffer, size_t size, void *data) {
    connection->phys_ctx = context;
    connection->dom_ctx = &context->dd;
    connection->client.sock = INVALID_SOCKET;
    connection->buf = buffer;
    connection->buf_size = (int)size;
    connection->protocol_type = PROTOCOL_TYPE_HTTP1;
    connection->connection_type = CONNECTION_TYPE_REQUEST;
    mg_set_user_connection_data(connection, data);
}

void cmcwh_civetweb_begin(struct mg_connection *connection, int secure, const char *peer,
                          unsigned port) {
    struct mg_request_info *info = &connection->request_info;

    strncpy(info->remote_addr, peer, sizeof info->remote_addr - 1); /* its last byte stays zero */
    connection->client.lsa.sin.sin_family = AF_INET;
    connection->client.lsa.sin.sin_port = htons((uint16_t)port);
    info->server_port = (int)port;
    connection->client.is_ssl = (unsigned char)secure;
    info->is_ssl = secure;
    connection->data_len = 0;
    reset_per_request_attributes(connection);
}

char *cmcwh_civetweb_room(struct mg_connection *connection, size_t *room) {
    int end = connection->buf_size;

    if (connection->request_len <= 0) {
        end -= CMCWH_CIVETWEB_ROOM;
    } else if (connection->request_len + connection->consumed_content == connection->data_len) {
        connection->data_len = connection->request_len; /* the body so far is done with */
        connection->consumed_content = 0;
    }
    *room = (size_t)(end - connection->data_len);
    return connection->buf + connection->data_len;
}

void cmcwh_civetweb_came(struct mg_connection *connection, size_t length) {
    connection->data_len += (int)length;
}

int cmcwh_civetweb_empty(const struct mg_connection *connection) {
    return connection->data_len == 0;
}

/* Where the path is in the target of a request to us; NULL: it is for somebody else. */
static const char *local_path(const struct mg_connection *connection) {
    const char *target = connection->request_info.request_uri;

    switch (get_uri_type(target)) {
    case 2:
        return target;
    case 3:
    case 4:
        return get_rel_url_at_current_server(target, connection);
    default:
        return NULL;
    }
}

/* civetweb's get_request reads from sockets, and looks at lengths that the portable part judges. */
int cmcwh_civetweb_request(struct mg_connection *connection, int ended) {
    struct mg_request_info *info = &connection->request_info;
    int length = parse_http_request(connection->buf, connection->data_len, info);
    char *query;

    /* What civetweb leaves of the last request points to where this one stands now. */
    info->local_uri = info->local_uri_raw = NULL;
    info->query_string = NULL;
    if (length == 0 && connection->data_len >= connection->buf_size - CMCWH_CIVETWEB_ROOM) {
        return 431;
    }
    if (length == 0 && !ended) {
        return 0;
    }
    if (length <= 0) {
        info->num_headers = 0;
        return 400;
    }
    connection->request_len = length;
    if (length > connection->buf_size - CMCWH_CIVETWEB_ROOM) {
        return 431; /* it came with the end of another request, in the room for that one's body */
    }
    if (strcmp(info->http_version, "1.0") != 0 && strcmp(info->http_version, "1.1") != 0) {
        return 505;
    }
    info->local_uri_raw = local_path(connection);
    info->local_uri = info->local_uri_raw; /* no copy is made of it, which would be freed */
    if (info->local_uri_raw == NULL) {
        return 400;
    }
    query = strchr(info->request_uri, '?');
    info->query_string = query == NULL ? NULL : query + 1;
    if (query != NULL) {
        *query = '\0';
    }
    return 200;
}

size_t cmcwh_civetweb_body(const struct mg_connection *connection, const char **bytes) {
    size_t at = (size_t)(connection->request_len + connection->consumed_content);

    *bytes = connection->buf + at;
    return (size_t)connection->data_len - at;
}

void cmcwh_civetweb_took(struct mg_connection *connection, size_t length) {
    connection->consumed_content += (int64_t)length;
}

size_t cmcwh_civetweb_next(struct mg_connection *connection) {
    const char *rest;
    size_t length = cmcwh_civetweb_body(connection, &rest);

    memmove(connection->buf, rest, length);
    connection->data_len = (int)length;
    reset_per_request_attributes(connection);
    return length;
}

int cmcwh_civetweb_closes(const struct mg_connection *connection) {
    return connection->must_close;
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
    if (strchr(info->request_uri, '%') != NULL) {
        return "the path must not have percent-encoded characters";
    }
    if (at != info->http_version - strlen("HTTP/")) {
        return single_spaces;
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
