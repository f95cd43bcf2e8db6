/* Events go on to an HTTP server: a POST of as many as have gathered, and taken is what it answers
 * with 2xx. Not here: what is sent (post.c), how (caller.c), and what an answer means (refusal.c).
 *
 * The client is our own, and not libcurl: on a router that would be the largest library by far, and
 * there is none in a static build. */
#include "sink/caller.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "platform/log.h"
#include "platform/platform.h"
#include "sink/dead.h"
#include "sink/dial.h"
#include "sink/http_uri.h"
#include "sink/post.h"
#include "sink/refusal.h"

struct http {
    struct http_settings settings; /* must be first */
    char address[HTTP_ADDRESS];
    struct caller caller;

    /* Put, and not taken yet. */
    uint32_t count;
    struct cmcwh_record records[POST_EVENTS];

    /* A request takes no more events, since one with twice as many was too large. */
    uint32_t most;

    /* The request that was sent last, until it is taken: it comes again with the same events, for
     * the server may know it, and what it will never take stays apart from what it might. */
    struct sent {
        uint64_t first;   /* id of its first event */
        uint64_t ids;     /* over all: see struct post */
        uint32_t count;   /* 0: all were taken */
        uint32_t refused; /* how often it was, as if for good */
    } sent;

    /* Where requests wait, one that failed in part comes again whole: ids of its events that were
     * done with, the first `known` of them before it failed. */
    struct done {
        uint32_t count, known;
        uint64_t ids[POST_EVENTS];
    } done;

    struct post post;
};

/* ---- The connection ---- */

static int http_open(struct sink *sink) {
    struct http *own = sink->own;
    const struct secrets *secrets = sink->loaded;

    own->count = 0;
    own->most = POST_EVENTS;
    own->done.known = own->done.count;
    http_address(sink, own->address);
    (void)url_parse(&own->caller.url, own->address);
    own->caller.trust = secrets->trust;
    own->caller.timeout = own->settings.timeout;
    return caller_open(&own->caller, sink);
}

static int http_idle(struct sink *sink) {
    caller_rest(&((struct http *)sink->own)->caller);
    return 0;
}

static void http_close(struct sink *sink) {
    caller_close(&((struct http *)sink->own)->caller, sink);
}

/* ---- A request ---- */

/* Makes it of so many events, or of less if they do not go in one. */
static void make(struct sink *sink, const struct cmcwh_record *records, uint32_t count,
                 enum post_format format) {
    struct http *own = sink->own;
    const struct secrets *secrets = sink->loaded;
    const struct post_style style = {.url = &own->caller.url,
                                     .headers = secrets->headers,
                                     .api_key = secrets->api_key,
                                     .format = format};

    post_make(&own->post, &style, records, count);
}

/* Makes the next one of these. */
static void make_next(struct sink *sink, const struct cmcwh_record *records, uint32_t count) {
    struct http *own = sink->own;
    struct sent *sent = &own->sent;
    struct cmcwh_event event;

    cmcwh_record_read(&records[0], &event);
    count = count < own->most ? count : own->most;
    if (sent->count != 0 && sent->count < count && sent->first == event.id) {
        count = sent->count;
    }
    make(sink, records, count,
         !own->settings.cmc   ? POST_NDJSON
         : own->settings.form ? POST_FORM
                              : POST_CMC);
    if (own->post.ids != sent->ids || own->post.count != sent->count) {
        *sent = (struct sent){.first = event.id, .ids = own->post.ids, .count = own->post.count};
    }
}

/* ---- What is not taken ---- */

/* Writes letters with all of them. */
static int write_letters(struct sink *sink, const struct cmcwh_record *records, uint32_t count,
                         const struct reply *reply) {
    struct http *own = sink->own;

    while (count > 0) {
        struct dead dead = {.status = reply->status, .answer = {reply->body, reply->length}};

        make(sink, records, count, POST_NDJSON);
        dead.events = own->post.count;
        dead.lines = (struct cmcwh_text){own->post.bytes + POST_HEAD, own->post.end - POST_HEAD};
        if (dead_letter(sink, own->settings.dead, &dead) < 0) {
            return -1;
        }
        records += own->post.count;
        count -= own->post.count;
    }
    return 0;
}

/* The server will never take these. 0: they are done with. */
static int give_up(struct sink *sink, const struct cmcwh_record *records, uint32_t count,
                   const struct reply *reply) {
    struct http *own = sink->own;
    const char *dead = own->settings.dead, *uri = sink->uri;
    char why[SINK_TROUBLE];
    bool stands = dead == NULL && sink->required;

    memcpy(why, sink->trouble, sizeof why);
    if (dead != NULL && write_letters(sink, records, count, reply) < 0) {
        return -1;
    }
    if (!stands || own->sent.refused == own->settings.tries) { /* said once */
        log_line(stands ? CMCWH_LOG_ERROR : CMCWH_LOG_WARN,
                 "sink '%s': %s %" PRIu32 " events%s%s%s, tried %" PRIu32 " times: %s", uri,
                 stands         ? "stands still before"
                 : dead != NULL ? "set aside"
                                : "dropped",
                 count, dead != NULL ? " in '" : "", dead != NULL ? dead : "",
                 dead != NULL ? "'" : "", own->sent.refused, why);
    }
    if (!stands) {
        sink_rejected(sink, count);
    }
    return stands ? -1 : 0;
}

/* What the answer makes of these. Returns how many of them are done with, or -1. */
static int settle(struct sink *sink, const struct cmcwh_record *records, struct reply *reply) {
    struct http *own = sink->own;
    enum refusal refusal = refusal_of(reply->status);
    uint32_t count = own->post.count;

    if (refusal == REFUSAL_SIZE && count > 1) {
        own->most = (count + 1) / 2;
        own->sent.count = 0;
        return 0;
    }
    if (refusal != REFUSAL_NONE) {
        secrets_cover(sink->loaded, reply->body, reply->length);
        secrets_cover(sink->loaded, reply->location, strlen(reply->location));
        refusal_explain(reply, sink->trouble, sizeof sink->trouble);
        sink->retry = refusal_pause(reply, platform_now());
        if (refusal == REFUSAL_LATER || ++own->sent.refused < own->settings.tries ||
            give_up(sink, records, count, reply) < 0) {
            return -1;
        }
    }
    own->sent.count = 0;
    return (int)count;
}

/* ---- What has been put ---- */

static void done_with(struct sink *sink, const struct cmcwh_record *records, uint32_t count) {
    struct done *done = &((struct http *)sink->own)->done;
    struct cmcwh_event event;

    for (uint32_t i = 0; i < count; i++) {
        cmcwh_record_read(&records[i], &event);
        sink_took(sink, event.seq);
        if (sink->ring->config.confirm && done->count < POST_EVENTS) {
            done->ids[done->count++] = event.id;
        }
    }
}

static bool is_done(const struct done *done, const struct cmcwh_record *record) {
    struct cmcwh_event event;
    uint32_t i = 0;

    cmcwh_record_read(record, &event);
    while (i < done->known && done->ids[i] != event.id) {
        i++;
    }
    return i < done->known;
}

/* All of it is sent. */
static int send_put(struct sink *sink) {
    struct http *own = sink->own;
    uint32_t put = own->count, done = 0;
    struct reply reply;

    own->count = 0; /* what fails is put again */
    while (done < put) {
        const struct cmcwh_record *records = &own->records[done];
        int count;

        make_next(sink, records, put - done);
        count = caller_ask(&own->caller, sink, own->post.bytes + own->post.begin,
                           own->post.end - own->post.begin, &reply)
                    ? settle(sink, records, &reply)
                    : -1;
        if (count < 0) {
            return -1;
        }
        done_with(sink, records, (uint32_t)count);
        done += (uint32_t)count;
    }
    return 0;
}

static int http_sync(void *context) {
    struct http *own = ((struct sink *)context)->own;

    if (send_put(context) < 0) {
        return -1;
    }
    own->done.count = own->done.known = 0;
    return 0;
}

static int http_put(void *context, const struct cmcwh_record *record, const void *bytes,
                    size_t length) {
    struct sink *sink = context;
    struct http *own = sink->own;

    (void)bytes; /* they are encoded once it is known what goes in a request */
    (void)length;
    if (is_done(&own->done, record)) {
        return 0;
    }
    if (own->count >= sink->batch && send_put(sink) < 0) {
        return -1;
    }
    own->records[own->count++] = *record;
    return own->count >= sink->batch;
}

/* ---- The media ---- */

static void *http_load(const struct sink *sink) {
    const char *fault = http_misfit(sink);

    if (fault != NULL) {
        log_usage("--sink: '%s': %s", sink->uri, fault);
        errno = EINVAL;
        return NULL;
    }
    return secrets_load(sink, SECRETS_HTTP, sink->medium == &sink_https);
}

static enum outcome http_look(struct sink *sink, bool reach) {
    struct http *own = sink->own;
    enum outcome outcome =
        own->settings.dead != NULL ? dead_look(sink, own->settings.dead) : OUTCOME_RIGHT;

    http_address(sink, own->address);
    (void)url_parse(&own->caller.url, own->address);
    return outcome == OUTCOME_RIGHT && reach
               ? dial_known(sink, own->caller.url.host, own->caller.url.port)
               : outcome;
}

static const char *http_keeps(const struct sink *sink) {
    const struct http *own = sink->own;

    return own->settings.dead;
}

#define HTTP(SCHEME, HELP, TARGET)                                                                 \
    {                                                                                              \
        .scheme = (SCHEME), .help = (HELP), .encoding = CMCWH_ENCODE_JSON, .target = (TARGET),     \
        .parameters = http_parameters, .own = &http_usual, .own_size = sizeof http_usual,          \
        .own_zeros = sizeof(struct http) - sizeof http_usual, .batch = HTTP_BATCH,                 \
        .wait = HTTP_WAIT, .look = http_look, .keeps = http_keeps, .load = http_load,              \
        .unload = secrets_unload, .open = http_open, .put = http_put, .sync = http_sync,           \
        .idle = http_idle, .close = http_close                                                     \
    }

const struct sink_medium sink_http = HTTP("http", "http://HOST[:PORT]/PATH", http_target);
const struct sink_medium sink_https = HTTP("https", "https://HOST[:PORT]/PATH", https_target);
