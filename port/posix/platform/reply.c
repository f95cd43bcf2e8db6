/* What an HTTP server sends back. Not here: connections (client.c). */
#include "platform/reply.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

void reply_begin(struct reply *reply, char *body, size_t room) {
    memset(reply, 0, sizeof *reply);
    reply->body = body;
    reply->room = room;
}

static void wrong(struct reply *reply, const char *fault) {
    reply->fault = fault;
    reply->state = REPLY_WRONG;
}

static bool is_digits(const char *text) {
    return *text != '\0' && strspn(text, "0123456789") == strlen(text);
}

/* ---- The head ---- */

/* "HTTP/1.1 200 OK" */
static void take_status(struct reply *reply) {
    const char *line = reply->line;
    char digits[4] = "";

    if (strncmp(line, "HTTP/1.", 7) != 0 || (line[7] != '0' && line[7] != '1') || line[8] != ' ') {
        wrong(reply, "it does not begin as HTTP/1.1 does");
        return;
    }
    memcpy(digits, line + 9, strnlen(line + 9, 3));
    if (strlen(digits) != 3 || !is_digits(digits) || digits[0] < '1' ||
        (line[12] != ' ' && line[12] != '\0')) {
        wrong(reply, "its first line has no status");
        return;
    }
    reply->status = (int)strtol(digits, NULL, 10);
    reply->stays = line[7] == '1';
    reply->state = REPLY_HEADER;
}

/* Is `word` one of the words that stand in a list with commas? */
static bool lists(const char *list, const char *word) {
    size_t length = strlen(word);

    while (*list != '\0') {
        size_t part = strcspn(list, ", \t");

        if (part == length && strncasecmp(list, word, length) == 0) {
            return true;
        }
        list += part;
        list += strspn(list, ", \t");
    }
    return false;
}

static void take_length(struct reply *reply, const char *value) {
    uint64_t length;

    if (!is_digits(value) || strlen(value) > 18) {
        wrong(reply, "its Content-Length is no number");
        return;
    }
    length = strtoull(value, NULL, 10);
    if (reply->sized && length != reply->left) {
        wrong(reply, "it has two different lengths");
        return;
    }
    reply->sized = true;
    reply->left = length;
}

/* Headers that say where the reply ends. */
static bool take_framing(struct reply *reply, const char *name, const char *value) {
    if (strcasecmp(name, "Content-Length") == 0) {
        take_length(reply, value);
    } else if (strcasecmp(name, "Transfer-Encoding") == 0) {
        if (reply->chunked || strcasecmp(value, "chunked") != 0) {
            wrong(reply, "it has a Transfer-Encoding other than chunked");
        }
        reply->chunked = true;
    } else if (strcasecmp(name, "Connection") == 0) {
        reply->stays = !lists(value, "close") && (reply->stays || lists(value, "keep-alive"));
    } else {
        return false;
    }
    return true;
}

/* Of several with one name the first counts. */
static void keep(char *place, size_t size, const char *value) {
    size_t length = strnlen(value, size - 1);

    if (place[0] == '\0') {
        memcpy(place, value, length);
        place[length] = '\0';
    }
}

static void take_header(struct reply *reply, bool cut) {
    char *name = reply->line, *value = strchr(name, ':');

    if (value == NULL || value == name || strcspn(name, " \t") < (size_t)(value - name)) {
        wrong(reply, "a line of its head is no header");
        return;
    }
    *value++ = '\0';
    value += strspn(value, " \t");
    for (char *end = value + strlen(value); end > value && (end[-1] == ' ' || end[-1] == '\t');) {
        *--end = '\0';
    }
    if (take_framing(reply, name, value)) {
        if (cut) {
            wrong(reply, "a header that says where it ends is too long");
        }
    } else if (strcasecmp(name, "Location") == 0) {
        keep(reply->location, sizeof reply->location, value);
    } else if (strcasecmp(name, "Content-Type") == 0) {
        keep(reply->type, sizeof reply->type, value);
    } else if (strcasecmp(name, "Content-Encoding") == 0) {
        keep(reply->coding, sizeof reply->coding, value);
    } else if (strcasecmp(name, "Retry-After") == 0) {
        keep(reply->retry_after, sizeof reply->retry_after, value);
    }
}

/* Where the body is. */
static void find_body(struct reply *reply) {
    bool nothing = reply->status == 204 || reply->status == 304;

    if (reply->chunked && !nothing) {
        reply->state = REPLY_CHUNK;
    } else if (nothing || (reply->sized && reply->left == 0)) {
        reply->state = REPLY_WHOLE;
    } else {
        reply->stays = reply->stays && reply->sized;
        reply->state = reply->sized ? REPLY_LENGTH : REPLY_CLOSE;
    }
}

/* All headers are known. */
static void end_head(struct reply *reply) {
    if (reply->status == 101 || (reply->chunked && reply->sized)) {
        wrong(reply, reply->status == 101 ? "it speaks another protocol from here on"
                                          : "it has a length and chunks");
    } else if (reply->status < 200) { /* another one follows */
        size_t lines = reply->lines;

        reply_begin(reply, reply->body, reply->room);
        reply->lines = lines;
    } else {
        reply->headed = true;
        find_body(reply);
    }
}

/* ---- The body ---- */

/* "1a", "1a;name=value" */
static void take_chunk(struct reply *reply) {
    size_t digits = strspn(reply->line, "0123456789abcdefABCDEF");
    const char *rest = reply->line + digits + strspn(reply->line + digits, " \t");

    if (digits == 0 || digits > 15 || (*rest != '\0' && *rest != ';')) {
        wrong(reply, "a chunk has no size");
        return;
    }
    reply->left = strtoull(reply->line, NULL, 16);
    reply->lines = 0;
    reply->state = reply->left == 0 ? REPLY_TRAILER : REPLY_DATA;
}

/* Keeps what fits. Returns how many bytes belong to the body. */
static size_t take_body(struct reply *reply, const char *bytes, size_t length) {
    size_t mine =
        reply->state != REPLY_CLOSE && reply->left < length ? (size_t)reply->left : length;
    size_t room = reply->room - reply->length, kept = mine < room ? mine : room;

    if (kept > 0) {
        memcpy(reply->body + reply->length, bytes, kept);
    }
    reply->length += kept;
    reply->cut = reply->cut || kept < mine;
    reply->passed += mine;
    if (reply->passed > REPLY_BODY) {
        wrong(reply, "its body has no end");
    } else if (reply->state != REPLY_CLOSE) {
        reply->left -= mine;
        if (reply->left == 0) {
            reply->state = reply->state == REPLY_DATA ? REPLY_DATA_END : REPLY_WHOLE;
        }
    }
    return mine;
}

/* ---- Both ---- */

static void end_line(struct reply *reply) {
    bool cut = reply->used == sizeof reply->line;
    size_t length = cut ? reply->used - 1 : reply->used;

    length -= !cut && length > 0 && reply->line[length - 1] == '\r';
    reply->line[length] = '\0';
    reply->used = 0;
    if (memchr(reply->line, '\0', length) != NULL) {
        wrong(reply, "it has a zero byte in its head");
    } else if (reply->state == REPLY_STATUS) {
        take_status(reply);
    } else if (reply->state == REPLY_CHUNK) {
        take_chunk(reply);
    } else if (reply->state == REPLY_DATA_END) {
        reply->state = REPLY_CHUNK;
        if (length > 0) {
            wrong(reply, "a chunk is longer than its size");
        }
    } else if (length > 0 && reply->state == REPLY_HEADER) {
        take_header(reply, cut);
    } else if (length == 0 && reply->state == REPLY_HEADER) {
        end_head(reply);
    } else if (length == 0) { /* trailers end */
        reply->state = REPLY_WHOLE;
    }
}

/* What is longer than a line may be is left out. Returns how many bytes it took. */
static size_t take_line(struct reply *reply, const char *bytes, size_t length) {
    const char *end = memchr(bytes, '\n', length);
    size_t taken = end == NULL ? length : (size_t)(end - bytes) + 1;
    size_t part = taken - (end != NULL), room = sizeof reply->line - reply->used;

    memcpy(reply->line + reply->used, bytes, part < room ? part : room);
    reply->used += part < room ? part : room;
    reply->lines += taken;
    if (reply->lines > REPLY_HEAD) {
        wrong(reply, "its head has no end");
    } else if (end != NULL) {
        end_line(reply);
    }
    return taken;
}

size_t reply_feed(struct reply *reply, const char *bytes, size_t length) {
    size_t taken = 0;

    while (taken < length && reply->state < REPLY_WHOLE) {
        bool body = reply->state == REPLY_LENGTH || reply->state == REPLY_CLOSE ||
                    reply->state == REPLY_DATA;

        taken += body ? take_body(reply, bytes + taken, length - taken)
                      : take_line(reply, bytes + taken, length - taken);
    }
    return taken;
}

void reply_end(struct reply *reply) {
    if (reply->state == REPLY_CLOSE) {
        reply->state = REPLY_WHOLE;
    } else if (reply->state < REPLY_WHOLE) {
        wrong(reply, reply->status == 0 && reply->used == 0
                         ? "the connection was closed without one"
                         : "it ends before it is whole");
    }
}
