/* The head of a request to the admin port. Not here: who may ask (gate.c), and what is answered. */
#include "admin/request.h"

#include <string.h>
#include <strings.h>

#include "platform/url.h"

/* ---- Characters ---- */

static bool is_blank(char c) {
    return c == ' ' || c == '\t';
}

/* Of a name (RFC 9110, section 5.6.2). */
static bool is_token(char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

/* Neither a blank nor one that nobody sees. */
static bool is_visible(char c) {
    return c > ' ' && c < 0x7F;
}

static bool is_of_value(char c) {
    return is_blank(c) || is_visible(c) || (unsigned char)c >= 0x80;
}

static size_t count(struct cmcwh_text text, bool (*is)(char c)) {
    size_t length = 0;

    while (length < text.length && is(text.data[length])) {
        length++;
    }
    return length;
}

/* Takes `length` bytes off the front. */
static struct cmcwh_text cut(struct cmcwh_text *text, size_t length) {
    struct cmcwh_text front = {text->data, length};

    text->data += length;
    text->length -= length;
    return front;
}

/* Takes what stands before `mark` off the front, and the mark; all, if there is none. */
static struct cmcwh_text cut_at(struct cmcwh_text *text, char mark) {
    const char *at = text->length == 0 ? NULL : memchr(text->data, mark, text->length);
    struct cmcwh_text front = cut(text, at == NULL ? text->length : (size_t)(at - text->data));

    if (at != NULL) {
        (void)cut(text, 1);
    }
    return front;
}

static struct cmcwh_text trimmed(struct cmcwh_text text) {
    (void)cut(&text, count(text, is_blank));
    while (text.length > 0 && is_blank(text.data[text.length - 1])) {
        text.length--;
    }
    return text;
}

bool request_is(struct cmcwh_text text, const char *word) {
    return text.length == strlen(word) && memcmp(text.data, word, text.length) == 0;
}

bool request_is_like(struct cmcwh_text text, const char *word) {
    return text.length == strlen(word) && strncasecmp(text.data, word, text.length) == 0;
}

/* ---- The head ---- */

/* "GET /path?query HTTP/1.1". 0, or below 0 the status of the answer. */
static int read_first(struct request *request, struct cmcwh_text line, const char **fault) {
    struct cmcwh_text method = cut(&line, count(line, is_token)), target;

    *fault =
        "this is no request of HTTP/1.1: expected GET, a path and HTTP/1.1 with one space between";
    if (method.length == 0 || line.length == 0 || *line.data != ' ') {
        return -400;
    }
    (void)cut(&line, 1);
    target = cut(&line, count(line, is_visible));
    if (request_is(line, " HTTP/2.0")) {
        *fault = "this port speaks HTTP/1.1";
        return -505;
    }
    request->chunks = request_is(line, " HTTP/1.1");
    if (target.length == 0 || *target.data != '/' ||
        (!request->chunks && !request_is(line, " HTTP/1.0"))) {
        return -400;
    }
    request->method = request_is(method, "GET")    ? REQUEST_GET
                      : request_is(method, "HEAD") ? REQUEST_HEAD
                                                   : REQUEST_OTHER;
    request->path = cut_at(&target, '?');
    request->query = target;
    return 0;
}

/* "Name: value". Those that are looked at may stand there once: a second one could be taken for the
 * first by somebody before us. */
static int read_header(struct request *request, struct cmcwh_text line, const char **fault) {
    static const char *const names[REQUEST_HEADERS] = {
        "Host",           "Origin",         "Sec-Fetch-Site",   "Sec-Fetch-Mode",
        "Sec-Fetch-Dest", "Authorization",  "Accept",           "Accept-Language",
        "Last-Event-ID",  "Content-Length", "Transfer-Encoding"};
    struct cmcwh_text name = cut(&line, count(line, is_token));

    *fault = "a line of the head is no header";
    if (name.length == 0 || line.length == 0 || *line.data != ':') {
        return -400;
    }
    (void)cut(&line, 1);
    if (count(line, is_of_value) < line.length) {
        return -400;
    }
    for (size_t i = 0; i < REQUEST_HEADERS; i++) {
        if (request_is_like(name, names[i])) {
            if (request->headers[i].data != NULL) {
                *fault = "a header that may stand there once stands there twice";
                return -400;
            }
            request->headers[i] = trimmed(line);
        }
    }
    return 0;
}

/* The next line without its CR LF. 1; 0: its end has not come; -400. */
static int next_line(struct cmcwh_text *rest, struct cmcwh_text *line) {
    const char *end = rest->length == 0 ? NULL : memchr(rest->data, '\n', rest->length);

    if (end == NULL) {
        return 0;
    }
    *line = cut_at(rest, '\n');
    if (line->length == 0 || line->data[line->length - 1] != '\r') {
        return -400;
    }
    line->length--;
    return 1;
}

/* What the whole head must say. That of another method is not looked into. */
static int check(const struct request *request, const char **fault) {
    if (request->headers[REQUEST_HOST].data == NULL && request->chunks) {
        *fault = "the header Host lacks";
        return -400;
    }
    if (request->method == REQUEST_OTHER) {
        return 0;
    }
    if (request->headers[REQUEST_TRANSFER_ENCODING].data != NULL ||
        (request->headers[REQUEST_CONTENT_LENGTH].data != NULL &&
         !request_is(request->headers[REQUEST_CONTENT_LENGTH], "0"))) {
        *fault = "a request here has no body";
        return -400;
    }
    return 0;
}

int request_read(struct request *request, const char *bytes, size_t length, const char **fault) {
    struct cmcwh_text rest = {bytes, length}, line;
    bool first = true;
    int result;

    memset(request, 0, sizeof *request);
    *fault = "lines end in CR LF";
    while ((result = next_line(&rest, &line)) > 0 && line.length > 0) {
        result = first ? read_first(request, line, fault) : read_header(request, line, fault);
        if (result < 0) {
            return result;
        }
        first = false;
        *fault = "lines end in CR LF";
    }
    if (result > 0) { /* an empty line */
        result = first ? -400 : check(request, fault);
        return result < 0 ? result : (int)(length - rest.length);
    }
    if (result == 0 && length >= REQUEST_HEAD_MAX) {
        *fault = "the head is longer than 8 KiB";
        return -431;
    }
    return result;
}

/* ---- The query ---- */

/* One character, which may be %XX or a '+' for a space. -1: it is encoded wrongly. */
static int take_character(struct cmcwh_text *in) {
    char c = *cut(in, 1).data;

    return c == '+'         ? ' '
           : c != '%'       ? (unsigned char)c
           : in->length < 2 ? -1
                            : url_byte(cut(in, 2).data);
}

int request_parameter(struct cmcwh_text *query, struct request_parameter *parameter) {
    struct cmcwh_text one;
    size_t used = 0;

    do {
        if (query->length == 0) {
            return 0;
        }
        one = cut_at(query, '&');
    } while (one.length == 0);
    parameter->name = cut_at(&one, '=');
    while (one.length > 0) {
        int c = take_character(&one);

        if (c < 0 || used + 1 >= sizeof parameter->value) {
            parameter->value[0] = '\0';
            return -1;
        }
        parameter->value[used++] = (char)c;
    }
    parameter->value[used] = '\0';
    return 1;
}

/* ---- What is accepted ---- */

/* "0.8" in thousandths; 1000 for what is none. */
static unsigned weight(struct cmcwh_text text) {
    unsigned value, digit = 100;

    if (text.length == 0 || (*text.data != '0' && *text.data != '1')) {
        return 1000;
    }
    value = *text.data == '1' ? 1000 : 0;
    for (size_t i = 2; i < text.length && text.data[1] == '.' && digit > 0; i++, digit /= 10) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            break;
        }
        value += digit * (unsigned)(text.data[i] - '0');
    }
    return value < 1000 ? value : 1000;
}

/* What its parameters say of an item. */
static unsigned weight_of(struct cmcwh_text parameters) {
    while (parameters.length > 0) {
        struct cmcwh_text one = trimmed(cut_at(&parameters, ';'));
        struct cmcwh_text name = trimmed(cut_at(&one, '='));

        if (request_is_like(name, "q")) {
            return weight(trimmed(one));
        }
    }
    return 1000;
}

/* "ja-JP" is a kind of "ja". */
static bool is_kind(struct cmcwh_text item, const char *name) {
    size_t length = strlen(name);

    if (item.length > length && item.data[length] == '-' && strchr(name, '/') == NULL) {
        item.length = length;
    }
    return request_is_like(item, name);
}

unsigned request_accepts(struct cmcwh_text header, const char *name) {
    unsigned most = 0;

    while (header.length > 0) {
        struct cmcwh_text parameters = cut_at(&header, ',');
        struct cmcwh_text item = trimmed(cut_at(&parameters, ';'));
        unsigned found = is_kind(item, name) ? weight_of(parameters) : 0;

        most = found > most ? found : most;
    }
    return most;
}
