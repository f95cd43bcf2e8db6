/* One request at a time: there is one parser. lwIP calls all of this from one thread. */
#include "endpoint.h"

#include <string.h>

#include "../embed/request.h"
#include "lwip_shape.h"

static const char path[] = "/mails";

/* Names of the answers, for lwIP's file system. */
static const char answer_name[] = "/cmcwh-answer";
static const char busy_name[] = "/cmcwh-busy";

/* While another answer is being sent, its buffer cannot take this one. */
static const char busy_answer[] =
    "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nConnection: close\r\n"
    "Retry-After: 1\r\n\r\n"
    "{\"error\":\"busy\",\"detail\":\"another request is being read\"}";

enum { HEAD_MAX = 160 };

static struct {
    enum { IDLE, READING, DECIDED, SENDING } state;
    void *connection;
    uint32_t left; /* bytes of the body that have not come */
    bool refused;  /* no more of the body is needed */
    size_t length; /* of the answer */
    char answer[HEAD_MAX + CMCWH_ANSWER_MAX];
    struct request request;
} endpoint;

void endpoint_init(struct cmcwh_ring *ring, const struct cmcwh_access *access,
                   void (*drain)(void)) {
    endpoint.request.ring = ring;
    endpoint.request.access = access;
    endpoint.request.drain = drain;
    endpoint.state = IDLE;
}

/* ---- Answers ---- */

static char *put(char *out, const char *text) {
    size_t length = strlen(text);

    memcpy(out, text, length);
    return out + length;
}

/* lwIP closes after a file that brings its own head, so the body needs no length. */
static void decide(const struct cmcwh_answer *answer) {
    char status[] = "000 ";
    char *out = endpoint.answer;

    status[0] = (char)('0' + answer->status / 100);
    status[1] = (char)('0' + answer->status / 10 % 10);
    status[2] = (char)('0' + answer->status % 10);
    out = put(put(put(out, "HTTP/1.1 "), status), cmcwh_http_reason(answer->status));
    out = put(out, "\r\nContent-Type: application/json\r\nConnection: close\r\n");
    if (answer->status == 401) {
        out = put(out, "WWW-Authenticate: Basic realm=\"cmcwh\"\r\n");
    }
    if (answer->status == 503) {
        out = put(out, "Retry-After: 1\r\n");
    }
    out = put(out, "\r\n");
    out += cmcwh_answer_body(answer, out);
    endpoint.length = (size_t)(out - endpoint.answer);
    endpoint.state = DECIDED;
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

/* The value of the header that `name` begins ("host:"), empty if there is none. */
static struct cmcwh_text header(struct cmcwh_text head, const char *name) {
    while (head.length > 0) {
        struct cmcwh_text line = take_line(&head);
        const char *letter = name;

        for (; *letter != '\0' && line.length > 0 && lower(*line.data) == *letter; letter++) {
            line.data++;
            line.length--;
        }
        if (*letter != '\0') {
            continue;
        }
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

/* ---- The request ---- */

err_t httpd_post_begin(void *connection, const char *uri, const char *http_request,
                       u16_t http_request_len, int content_len, char *response_uri,
                       u16_t response_uri_len, u8_t *post_auto_wnd) {
    static const struct cmcwh_answer elsewhere = {
        .status = 404, .error = "not_found", .detail = "there is nothing here"};
    struct cmcwh_text head = {http_request, http_request_len};
    struct cmcwh_answer answer = elsewhere;

    (void)post_auto_wnd;
    if (endpoint.state != IDLE) {
        name_answer(busy_name, response_uri, response_uri_len);
        return ERR_VAL;
    }
    /* A negative length becomes one that is too large. */
    if (strcmp(uri, path) != 0 ||
        !request_begin(&endpoint.request, header(head, "authorization:"),
                       header(head, "content-type:"), (uint64_t)content_len, &answer)) {
        decide(&answer);
        name_answer(answer_name, response_uri, response_uri_len);
        return ERR_VAL;
    }
    endpoint.state = READING;
    endpoint.connection = connection;
    endpoint.left = (uint32_t)content_len;
    endpoint.refused = false;
    return ERR_OK;
}

/* After an error lwIP reads no more of the body and calls httpd_post_finished. */
err_t httpd_post_receive_data(void *connection, struct pbuf *p) {
    bool ours = endpoint.state == READING && connection == endpoint.connection;

    for (const struct pbuf *piece = p; ours && !endpoint.refused && piece != NULL;
         piece = piece->next) {
        uint32_t length = piece->len < endpoint.left ? piece->len : endpoint.left;

        endpoint.left -= length;
        endpoint.refused = !request_feed(&endpoint.request, piece->payload, length);
    }
    (void)pbuf_free(p);
    return ours && !endpoint.refused ? ERR_OK : ERR_VAL;
}

/* Called also when the connection is lost: then the body is not whole and must not count. */
void httpd_post_finished(void *connection, char *response_uri, u16_t response_uri_len) {
    struct cmcwh_answer answer;

    if (endpoint.state != READING || connection != endpoint.connection) {
        return;
    }
    if (!endpoint.refused && endpoint.left > 0) {
        request_abort(&endpoint.request);
        endpoint.state = IDLE;
        return;
    }
    request_end(&endpoint.request, &answer);
    decide(&answer);
    name_answer(answer_name, response_uri, response_uri_len);
}
