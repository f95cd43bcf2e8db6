/* One request at a time: there is one parser. lwIP calls all of this from one thread. */
#include "endpoint.h"

#include <string.h>

#include "lwip_shape.h"

static const char path[] = "/mails";

/* Names of the answers, for lwIP's file system. */
static const char answer_name[] = "/cmcwh-answer";
static const char busy_name[] = "/cmcwh-busy";

static const char busy_answer[] =
    "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nConnection: close\r\n"
    "Retry-After: 1\r\n\r\n"
    "{\"error\":\"busy\",\"detail\":\"another request is being read\"}";

static struct {
    struct cmcwh_ring *ring;
    const char *authorization;
    void (*drain)(void);
    enum { IDLE, READING, DECIDED, SENDING } state;
    void *connection;
    uint32_t expected, received; /* bytes of the body */
    bool refused;                /* by the parser */
    size_t length;               /* of the answer */
    char answer[512];
    struct cmcwh_parser parser;
} endpoint;

void endpoint_init(struct cmcwh_ring *ring, const char *authorization, void (*drain)(void)) {
    endpoint.ring = ring;
    endpoint.authorization = authorization;
    endpoint.drain = drain;
    endpoint.state = IDLE;
}

/* ---- Answers ---- */

static void put(const char *text) {
    size_t length = strlen(text), room = sizeof endpoint.answer - endpoint.length;

    length = length < room ? length : room;
    memcpy(endpoint.answer + endpoint.length, text, length);
    endpoint.length += length;
}

static void put_number(uint32_t value) {
    char digits[11];
    char *at = digits + sizeof digits - 1;

    *at = '\0';
    do {
        *--at = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    put(at);
}

static const char *reason_of(uint32_t status) {
    switch (status) {
    case 200:
        return " OK";
    case 400:
        return " Bad Request";
    case 401:
        return " Unauthorized";
    case 404:
        return " Not Found";
    case 413:
        return " Content Too Large";
    case 415:
        return " Unsupported Media Type";
    case 422:
        return " Unprocessable Content";
    default:
        return " Service Unavailable";
    }
}

/* lwIP closes after a file that brings its own head, so the body needs no length. */
static void begin_answer(uint32_t status) {
    endpoint.length = 0;
    endpoint.state = DECIDED;
    put("HTTP/1.1 ");
    put_number(status);
    put(reason_of(status));
    put("\r\nContent-Type: application/json\r\nConnection: close\r\n");
    if (status == 401) {
        put("WWW-Authenticate: Basic realm=\"cmcwh\"\r\n");
    }
    if (status == 503) {
        put("Retry-After: 1\r\n");
    }
    put("\r\n");
}

static void refuse(uint32_t status, const char *error, const char *detail) {
    begin_answer(status);
    put("{\"error\":\"");
    put(error);
    put("\",\"detail\":\"");
    put(detail);
    put("\"}");
}

static void answer_stored(int events) {
    begin_answer(200);
    put("{\"stored\":");
    put_number((uint32_t)events);
    put("}");
}

static uint32_t status_of(int result) {
    switch (result) {
    case CMCWH_ERR_MISSING:
    case CMCWH_ERR_TYPE:
    case CMCWH_ERR_EVENT_TYPE:
        return 422;
    case CMCWH_ERR_FULL:
    case CMCWH_ERR_STORAGE:
        return 503;
    default:
        return 400;
    }
}

/* As the daemon says it. */
static void answer_error(void) {
    const struct cmcwh_error *error = cmcwh_parser_error(&endpoint.parser);
    uint32_t status = status_of(error->result);

    begin_answer(status);
    put("{\"error\":\"");
    put(cmcwh_result_name(error->result));
    if (error->field[0] != '\0') {
        put("\",\"field\":\"");
        put(error->field);
    }
    put("\"");
    if (status != 503) {
        put(",\"offset\":");
        put_number((uint32_t)error->offset);
    }
    put(",\"detail\":\"");
    put(error->detail);
    put("\"}");
}

static void name_answer(const char *name, char *response_uri, u16_t response_uri_len) {
    if (strlen(name) < response_uri_len) {
        memcpy(response_uri, name, strlen(name) + 1);
    }
}

int fs_open_custom(struct fs_file *file, const char *name) {
    memset(file, 0, sizeof *file);
    if (strcmp(name, busy_name) == 0) {
        file->data = busy_answer;
        file->len = sizeof busy_answer - 1;
    } else if (strcmp(name, answer_name) == 0 && endpoint.state == DECIDED) {
        endpoint.state = SENDING;
        file->data = endpoint.answer;
        file->len = (int)endpoint.length;
    } else {
        return 0;
    }
    file->index = file->len; /* nothing is left to read: all of it is in memory */
    file->flags = FS_FILE_FLAGS_HEADER_INCLUDED;
    return 1;
}

void fs_close_custom(struct fs_file *file) {
    if (file->data == endpoint.answer) {
        endpoint.state = IDLE;
    }
}

/* ---- The request's head ---- */

static char lower(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* `word` is in lower case. */
static bool begins_with(struct cmcwh_text text, const char *word) {
    size_t length = strlen(word);

    for (size_t i = 0; i < length; i++) {
        if (i >= text.length || lower(text.data[i]) != word[i]) {
            return false;
        }
    }
    return true;
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

/* lwIP ends the last line with a zero byte. */
static bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\r' || c == '\0';
}

/* The value of the header that `name` begins ("host:"), empty if there is none. */
static struct cmcwh_text header(struct cmcwh_text head, const char *name) {
    while (head.length > 0) {
        struct cmcwh_text line = take_line(&head);

        if (!begins_with(line, name)) {
            continue;
        }
        line.data += strlen(name);
        line.length -= strlen(name);
        for (; line.length > 0 && is_blank(line.data[0]); line.length--) {
            line.data++;
        }
        while (line.length > 0 && is_blank(line.data[line.length - 1])) {
            line.length--;
        }
        return line;
    }
    return head;
}

/* Parameters may follow. */
static bool is_type(struct cmcwh_text value, const char *type) {
    size_t length = strlen(type);

    return begins_with(value, type) &&
           (value.length == length || value.data[length] == ';' || is_blank(value.data[length]));
}

static bool may_post(struct cmcwh_text head) {
    struct cmcwh_text right = {endpoint.authorization, 0};

    if (endpoint.authorization == NULL) {
        return true;
    }
    right.length = strlen(endpoint.authorization);
    return cmcwh_secret_equal(header(head, "authorization:"), right);
}

/* ---- The request ---- */

err_t httpd_post_begin(void *connection, const char *uri, const char *http_request,
                       u16_t http_request_len, int content_len, char *response_uri,
                       u16_t response_uri_len, u8_t *post_auto_wnd) {
    struct cmcwh_text head = {http_request, http_request_len};
    struct cmcwh_text type = header(head, "content-type:");
    bool json = is_type(type, "application/json");

    (void)post_auto_wnd;
    if (endpoint.state != IDLE) {
        name_answer(busy_name, response_uri, response_uri_len);
        return ERR_VAL;
    }
    if (strcmp(uri, path) != 0) {
        refuse(404, "not_found", "there is nothing here");
    } else if (!may_post(head)) {
        refuse(401, "unauthorized", "credentials are missing or wrong");
    } else if (!json && !is_type(type, "application/x-www-form-urlencoded")) {
        refuse(415, "unsupported_media_type", "this takes JSON and forms");
    } else if (content_len < 0 || content_len > ENDPOINT_BODY_MAX) {
        refuse(413, "too_large", "the body is larger than this server takes");
    } else {
        endpoint.state = READING;
        endpoint.connection = connection;
        endpoint.expected = (uint32_t)content_len;
        endpoint.received = 0;
        endpoint.refused = false;
        cmcwh_parser_init(&endpoint.parser, endpoint.ring, json ? CMCWH_JSON : CMCWH_FORM);
        return ERR_OK;
    }
    name_answer(answer_name, response_uri, response_uri_len);
    return ERR_VAL;
}

/* After an error lwIP reads no more of the body and calls httpd_post_finished. */
err_t httpd_post_receive_data(void *connection, struct pbuf *p) {
    bool ours = endpoint.state == READING && connection == endpoint.connection;

    for (const struct pbuf *piece = p; ours && !endpoint.refused && piece != NULL;
         piece = piece->next) {
        uint32_t left = endpoint.expected - endpoint.received;
        uint32_t length = piece->len < left ? piece->len : left;

        endpoint.received += length;
        endpoint.refused = cmcwh_parser_feed(&endpoint.parser, piece->payload, length) < 0;
    }
    (void)pbuf_free(p);
    return ours && !endpoint.refused ? ERR_OK : ERR_VAL;
}

/* How many events are safe, or why none is: the sequence of cmcwh.h for a device with one thread.
 */
static int store(void) {
    int stored = cmcwh_parser_end(&endpoint.parser);

    if (stored >= 0) {
        stored = cmcwh_parser_commit(&endpoint.parser);
    }
    if (stored == CMCWH_PENDING && endpoint.drain != NULL) {
        endpoint.drain();
        stored = cmcwh_parser_confirm(&endpoint.parser);
    }
    return stored;
}

/* Called also when the connection is lost: then the body is not whole and must not count. */
void httpd_post_finished(void *connection, char *response_uri, u16_t response_uri_len) {
    int stored;

    if (endpoint.state != READING || connection != endpoint.connection) {
        return;
    }
    if (!endpoint.refused && endpoint.received < endpoint.expected) {
        cmcwh_parser_abort(&endpoint.parser);
        endpoint.state = IDLE;
        return;
    }
    stored = store();
    if (stored >= 0) {
        answer_stored(stored);
    } else if (stored == CMCWH_PENDING) {
        refuse(503, cmcwh_result_name(stored), "a sink has not taken the events yet");
    } else {
        answer_error();
    }
    if (stored < 0) {
        cmcwh_parser_abort(&endpoint.parser);
    }
    name_answer(answer_name, response_uri, response_uri_len);
}
