/* One request at a time is read: there is one parser. lwIP calls all of this from one thread. */
#include "endpoint.h"

#include <string.h>

#include "../embed/request.h"
#include "lwip_shape.h"

static const char path[] = "/mails";

/* lwIP asks its file system for an answer; whoever is due none gets none by this name. */
static const char answer_name[] = "/cmcwh-answer";

#define BUSY_DETAIL "another request is being read"

/* For whom there is no memory for an answer of his own. */
static const char busy_answer[] =
    "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nConnection: close\r\n"
    "Retry-After: 1\r\n\r\n"
    "{\"error\":\"busy\",\"detail\":\"" BUSY_DETAIL "\"}";

static const struct cmcwh_answer busy = {.status = 503, .error = "busy", .detail = BUSY_DETAIL};
static const struct cmcwh_answer late = {
    .status = 408, .error = "request_timeout", .detail = "the request was not whole in time"};
static const struct cmcwh_answer elsewhere = {
    .status = 404, .error = "not_found", .detail = "there is nothing here"};

/* ms after which a request that is read gives way to another one. lwIP closes a connection that has
 * been silent for 8 s, and says so; it says nothing of one that was reset, or that it gave up for
 * another one. */
enum { SILENT_MAX = 10000, TIME_MAX = 30000 };

/* A body that is dropped as it comes, and what is answered then: an answer before the end of the
 * body would be lost with the connection, which lwIP resets when bytes come behind it. */
struct refused {
    void *connection;      /* NULL: this place is free */
    uint32_t left;         /* bytes to be dropped */
    uint32_t since, heard; /* ticks of the refusal, and of the last that came */
    struct cmcwh_answer answer;
};

static struct {
    /* The request that has the parser. */
    void *connection;      /* NULL: none has */
    uint32_t left;         /* bytes of the body that have not come */
    uint32_t began, heard; /* ticks of its head, and of the last that came */
    bool fault;            /* no more of the body is needed */
    struct request request;

    struct refused refused[ENDPOINT_REFUSED_MAX];

    /* The answer that lwIP opens next, NULL: none; and its memory, if it is not static. */
    const char *due;
    size_t due_length;
    char *due_memory;
} endpoint;

int endpoint_init(struct cmcwh_ring *ring, const struct cmcwh_access *access, void (*drain)(void)) {
    const struct cmcwh_port *port = ring->config.port;

    if (port == NULL || (port->ticks == NULL && port->now == NULL)) {
        return CMCWH_ERR_ARGUMENT;
    }
    memset(&endpoint, 0, sizeof endpoint);
    endpoint.request.ring = ring;
    endpoint.request.access = access;
    endpoint.request.drain = drain;
    return CMCWH_OK;
}

/* Only differences count, so 32 bits will do. */
static uint32_t ticks(void) {
    const struct cmcwh_port *port = endpoint.request.ring->config.port;

    return (uint32_t)(port->ticks != NULL ? port->ticks(port->context) : port->now(port->context));
}

/* ---- Answers ---- */

enum { HEAD_MAX = 160, ANSWER_MAX = HEAD_MAX + CMCWH_ANSWER_MAX };

static char *put(char *out, const char *text) {
    size_t length = strlen(text);

    memcpy(out, text, length);
    return out + length;
}

/* lwIP closes after a file that brings its own head, so the body needs no length. */
static size_t write_answer(const struct cmcwh_answer *answer, char *out) {
    char status[] = "000 ";
    char *at = out;

    status[0] = (char)('0' + answer->status / 100);
    status[1] = (char)('0' + answer->status / 10 % 10);
    status[2] = (char)('0' + answer->status % 10);
    at = put(put(put(at, "HTTP/1.1 "), status), cmcwh_http_reason(answer->status));
    at = put(at, "\r\nContent-Type: application/json\r\nConnection: close\r\n");
    if (answer->status == 401) {
        at = put(at, "WWW-Authenticate: Basic realm=\"cmcwh\"\r\n");
    }
    if (answer->status == 503) {
        at = put(at, "Retry-After: 1\r\n");
    }
    at = put(at, "\r\n");
    at += cmcwh_answer_body(answer, at);
    return (size_t)(at - out);
}

static void owe_busy(void) {
    endpoint.due = busy_answer;
    endpoint.due_length = sizeof busy_answer - 1;
    endpoint.due_memory = NULL;
}

/* `memory` has room for ANSWER_MAX; NULL: there was none. */
static void owe(const struct cmcwh_answer *answer, char *memory) {
    if (memory == NULL) {
        owe_busy();
        return;
    }
    endpoint.due = endpoint.due_memory = memory;
    endpoint.due_length = write_answer(answer, memory);
}

int fs_open_custom(struct fs_file *file, const char *name) {
    if (endpoint.due == NULL || strcmp(name, answer_name) != 0) {
        return 0;
    }
    memset(file, 0, sizeof *file);
    file->data = endpoint.due;
    file->len = file->index = (int)endpoint.due_length; /* nothing is left to read */
    file->pextension = endpoint.due_memory;
    file->flags = FS_FILE_FLAGS_HEADER_INCLUDED;
    endpoint.due = NULL;
    return 1;
}

void fs_close_custom(struct fs_file *file) {
    if (file->pextension != NULL) {
        mem_free(file->pextension);
    }
}

/* ---- The request's head ---- */

static char lower(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

char *endpoint_find(const char *text, const char *word, size_t length) {
    size_t size = strlen(word);

    for (; size <= length && *text != '\0'; text++, length--) {
        size_t same = 0;

        while (same < size && lower(text[same]) == lower(word[same])) {
            same++;
        }
        if (same == size) {
            return (char *)text;
        }
    }
    return NULL;
}

/* lwIP ends the last line with a zero byte. */
static bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\r' || c == '\0';
}

static struct cmcwh_text take_line(struct cmcwh_text *rest) {
    struct cmcwh_text line = {rest->data, 0};

    while (line.length < rest->length && line.data[line.length] != '\n') {
        line.length++;
    }
    rest->data += line.length;
    rest->length -= line.length;
    if (rest->length > 0) {
        rest->data++;
        rest->length--;
    }
    return line;
}

/* The value of the first header that `name` begins ("host:"), empty if there is none, and how many
 * there are. */
static struct cmcwh_text header(struct cmcwh_text head, const char *name, unsigned *count) {
    struct cmcwh_text value = {"", 0};

    *count = 0;
    while (head.length > 0) {
        struct cmcwh_text line = take_line(&head);
        const char *letter = name;

        for (; *letter != '\0' && line.length > 0 && lower(*line.data) == *letter; letter++) {
            line.data++;
            line.length--;
        }
        if (*letter != '\0' || (*count)++ > 0) {
            continue;
        }
        for (; line.length > 0 && is_blank(line.data[0]); line.length--) {
            line.data++;
        }
        while (line.length > 0 && is_blank(line.data[line.length - 1])) {
            line.length--;
        }
        value = line;
    }
    return value;
}

/* Is this text the number, without anything around it? */
static bool is_number(struct cmcwh_text text, uint32_t number) {
    uint64_t value = 0;

    for (size_t i = 0; i < text.length; i++) {
        if (text.data[i] < '0' || text.data[i] > '9' || value > UINT32_MAX) {
            return false;
        }
        value = 10 * value + (uint64_t)(text.data[i] - '0');
    }
    return text.length > 0 && value == number;
}

/* Is the head such that nobody could read it in another way? lwIP takes the first "Content-Length:
 * " that it finds anywhere, also at the end of another header's name. */
static const char *head_fault(struct cmcwh_text head, uint32_t length) {
    unsigned lengths, encodings, authorizations;
    struct cmcwh_text given = header(head, "content-length:", &lengths);

    (void)header(head, "transfer-encoding:", &encodings);
    (void)header(head, "authorization:", &authorizations);
    return lengths + encodings > 1     ? "more than one Content-Length or Transfer-Encoding"
           : !is_number(given, length) ? "Content-Length is not a number"
           : authorizations > 1        ? "more than one Authorization"
                                       : NULL;
}

/* ---- Requests that are refused ---- */

static struct refused *find_refused(const void *connection) {
    for (size_t i = 0; i < ENDPOINT_REFUSED_MAX; i++) {
        if (endpoint.refused[i].connection == connection) {
            return &endpoint.refused[i];
        }
    }
    return NULL;
}

/* With a place for each connection there may be, whoever has been silent longest when all are taken
 * is gone: lwIP does not say so. */
static struct refused *place_refused(uint32_t now) {
    struct refused *place = &endpoint.refused[0];

    for (size_t i = 0; i < ENDPOINT_REFUSED_MAX; i++) {
        struct refused *other = &endpoint.refused[i];

        if (other->connection == NULL || connection_lost(other->connection)) {
            return other;
        }
        if (now - other->heard > now - place->heard) {
            place = other;
        }
    }
    return place;
}

/* No more than the largest body is dropped of one that is larger. */
static void refuse(void *connection, uint32_t left, const struct cmcwh_answer *answer) {
    uint32_t now = ticks();
    struct refused *place = place_refused(now);

    place->connection = connection;
    place->left = left < REQUEST_BODY_MAX ? left : REQUEST_BODY_MAX;
    place->since = place->heard = now;
    place->answer = *answer;
}

/* Whoever drips is not heard to his end. */
static void drop(struct refused *refused, uint32_t length) {
    refused->heard = ticks();
    if (length >= refused->left || refused->heard - refused->since >= TIME_MAX) {
        refused->left = 0;
    } else {
        refused->left -= length;
    }
}

/* ---- The request that has the parser ---- */

static void give_up(void) {
    request_abort(&endpoint.request);
    endpoint.connection = NULL;
}

/* What was on a connection that begins a request is over: lwIP uses its place in memory again. */
static void forget(void *connection) {
    struct refused *refused = find_refused(connection);

    if (refused != NULL) {
        refused->connection = NULL;
    }
    if (endpoint.connection == connection) {
        give_up();
    }
}

/* Whoever has the parser gives way when he is gone, silent or slow. */
static bool parser_is_free(void) {
    uint32_t now = ticks();

    if (endpoint.connection != NULL && connection_lost(endpoint.connection)) {
        give_up();
    } else if (endpoint.connection != NULL &&
               (now - endpoint.heard >= SILENT_MAX || now - endpoint.began >= TIME_MAX)) {
        refuse(endpoint.connection, endpoint.left, &late);
        give_up();
    }
    return endpoint.connection == NULL;
}

/* May this request have the parser? If not, `answer` says why. */
static bool begin(const char *uri, struct cmcwh_text head, uint32_t length,
                  struct cmcwh_answer *answer) {
    const char *fault = head_fault(head, length);
    unsigned count;

    if (fault != NULL) {
        *answer =
            (struct cmcwh_answer){.status = 400, .error = "malformed_request", .detail = fault};
        return false;
    }
    if (strcmp(uri, path) != 0) {
        *answer = elsewhere;
        return false;
    }
    if (!parser_is_free()) {
        *answer = busy;
        return false;
    }
    return request_begin(&endpoint.request, header(head, "authorization:", &count),
                         header(head, "content-type:", &count), length, answer);
}

static void take_pieces(const struct pbuf *piece) {
    endpoint.heard = ticks();
    for (; piece != NULL; piece = piece->next) {
        uint32_t length = piece->len < endpoint.left ? piece->len : endpoint.left;

        endpoint.left -= length;
        if (!endpoint.fault) {
            endpoint.fault = !request_feed(&endpoint.request, piece->payload, length);
        }
    }
}

/* Without memory for the answer nothing is stored: he who hears nothing of it sends it again. */
static void finish(void) {
    struct cmcwh_answer answer = busy;
    char *memory = mem_malloc(ANSWER_MAX);

    endpoint.connection = NULL;
    if (memory != NULL) {
        request_end(&endpoint.request, &answer);
    } else {
        request_abort(&endpoint.request);
    }
    owe(&answer, memory);
}

/* ---- lwIP's calls ---- */

/* Every body is taken, or dropped, before it is answered. */
err_t httpd_post_begin(void *connection, const char *uri, const char *http_request,
                       u16_t http_request_len, int content_len, char *response_uri,
                       u16_t response_uri_len, u8_t *post_auto_wnd) {
    struct cmcwh_text head = {http_request, http_request_len};
    uint32_t length = (uint32_t)content_len;
    struct cmcwh_answer answer;

    (void)response_uri;
    (void)response_uri_len;
    (void)post_auto_wnd;
    forget(connection);
    if (!begin(uri, head, length, &answer)) {
        refuse(connection, length, &answer);
        return ERR_OK;
    }
    endpoint.connection = connection;
    endpoint.left = length;
    endpoint.began = endpoint.heard = ticks();
    endpoint.fault = false;
    return ERR_OK;
}

/* After an error lwIP reads no more of the body and calls httpd_post_finished. */
err_t httpd_post_receive_data(void *connection, struct pbuf *p) {
    struct refused *refused = find_refused(connection);
    uint32_t left = 0;

    if (connection == endpoint.connection) {
        take_pieces(p);
        left = endpoint.left;
    } else if (refused != NULL) {
        drop(refused, p->tot_len);
        left = refused->left;
    } else {
        owe_busy();
    }
    (void)pbuf_free(p);
    return left > 0 ? ERR_OK : ERR_VAL;
}

/* Called also when the connection is lost: then the body is not whole and must not count. */
void httpd_post_finished(void *connection, char *response_uri, u16_t response_uri_len) {
    struct refused *refused = find_refused(connection);

    if (connection == endpoint.connection && endpoint.left > 0) {
        give_up();
    } else if (connection == endpoint.connection) {
        finish();
    } else if (refused != NULL) {
        refused->connection = NULL;
        if (refused->left == 0) {
            owe(&refused->answer, mem_malloc(ANSWER_MAX));
        }
    }
    if (endpoint.due != NULL && sizeof answer_name <= response_uri_len) {
        memcpy(response_uri, answer_name, sizeof answer_name);
    }
}
