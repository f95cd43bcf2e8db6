/* What an answer to a POST says. Not here: how it came. */
#include "sink/refusal.h"

#include <string.h>
#include <strings.h>
#include <time.h>

#include "cmcwh.h"
#include "platform/number.h"
#include "platform/writer.h"

enum refusal refusal_of(int status) {
    switch (status) {
    case 401: /* nothing is wrong with the events */
    case 407:
    case 408:
    case 425:
    case 429:
        return REFUSAL_LATER;
    case 413:
    case 431: /* the head says something of each event */
        return REFUSAL_SIZE;
    default:
        return status < 300                    ? REFUSAL_NONE
               : status >= 400 && status < 500 ? REFUSAL_FINAL
                                               : REFUSAL_LATER;
    }
}

/* "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110, section 5.6.7), in ms since 1970; 0: it is none. */
static uint64_t read_date(const char *text) {
    struct tm date = {.tm_mday = 1};
    const char *end = strptime(text, "%a, %d %b %Y %H:%M:%S GMT", &date);
    time_t time = end == NULL || *end != '\0' ? 0 : timegm(&date);

    return time > 0 ? (uint64_t)time * 1000 : 0;
}

uint32_t refusal_pause(const struct reply *reply, uint64_t now) {
    enum { HOUR = 3600000 };
    uint64_t number, until;

    if (reply->status != 429 && reply->status != 503) {
        return 0;
    }
    if (number_read(reply->retry_after, 0, UINT64_MAX / 1000, &number)) {
        return number < HOUR / 1000 ? (uint32_t)number * 1000 : HOUR;
    }
    until = read_date(reply->retry_after);
    return until <= now ? 0 : until - now < HOUR ? (uint32_t)(until - now) : HOUR;
}

/* ---- In words ---- */

static const char *remedy_of(int status) {
    static const struct {
        int status;
        const char *what;
    } known[] = {
        {400, "it does not understand what it gets: is format= what it expects?"},
        {401, "it wants credentials: see headers=FILE"},
        {403, "it does not let this machine or these credentials post: see headers=FILE"},
        {404, "nothing is at this path: is the URL right?"},
        {405, "nothing can be posted to this path: is the URL right?"},
        {407, "a proxy in between wants credentials"},
        {410, "nothing is at this path any more"},
        {411, "a front in between takes the length away"},
        {413, "one event is too large for it: see its limit"},
        {415, "this kind of body is not taken: see format="},
        {431, "the headers are too long for it: see headers=FILE"},
        {502, "a front in between does not reach the server"},
        {504, "a front in between waits for the server in vain"},
    };

    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (known[i].status == status) {
            return known[i].what;
        }
    }
    return NULL;
}

/* A page says in its title what it is about. */
static struct cmcwh_text title_of(struct cmcwh_text page) {
    static const char begin[] = "<title>", end[] = "</title>";
    const char *from = memmem(page.data, page.length, begin, sizeof begin - 1), *to = NULL;

    if (from != NULL) {
        from += sizeof begin - 1;
        to = memmem(from, page.length - (size_t)(from - page.data), end, sizeof end - 1);
    }
    return (struct cmcwh_text){from, to == NULL ? 0 : (size_t)(to - from)};
}

/* The first bytes of its body, if they are for people. */
static struct cmcwh_text said_by(const struct reply *reply) {
    struct cmcwh_text text = {reply->body, reply->length};

    if (reply->coding[0] != '\0') {
        text.length = 0;
    } else if (strncasecmp(reply->type, "text/html", 9) == 0) {
        text = title_of(text);
    }
    while (text.length > 0 && strchr(" \t\r\n", text.data[text.length - 1]) != NULL) {
        text.length--;
    }
    return text;
}

void refusal_explain(const struct reply *reply, char *text, size_t size) {
    enum { MOST = 100 };
    struct writer writer = {.bytes = text, .size = size - 1};
    const char *reason = cmcwh_http_reason(reply->status), *remedy = remedy_of(reply->status);
    struct cmcwh_text body = said_by(reply);

    writer_print(&writer, "answered %d", reply->status);
    if (strcmp(reason, "Error") != 0) {
        writer_print(&writer, " %s", reason);
    }
    if (reply->status >= 300 && reply->status < 400 && reply->location[0] != '\0') {
        writer_text(&writer, ": redirects to '");
        writer_plain_cut(&writer, writer_view(reply->location), MOST);
        writer_text(&writer, "': name that URL");
    } else if (remedy != NULL) {
        writer_print(&writer, ": %s", remedy);
    }
    if (body.length > 0) {
        writer_text(&writer, "; it says: '");
        writer_plain_cut(&writer, body, MOST);
        writer_text(&writer, "'");
    }
    text[writer.used] = '\0';
}
