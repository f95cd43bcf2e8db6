/* Events go on to an HTTP server: a POST of as many as have gathered, and taken is what it answers
 * with 2xx. Not here: what is sent (post.c), and what an answer means (refusal.c).
 *
 * The client is our own, and not libcurl: on a router that would be the largest library by far, and
 * there is none in a static build. */
#include "sink/sink.h"

#if CMCWH_HTTP

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "platform/client.h"
#include "platform/log.h"
#include "platform/number.h"
#include "platform/platform.h"
#include "sink/http_uri.h"
#include "sink/post.h"
#include "sink/refusal.h"

struct http {
    struct http_settings settings; /* must be first */
    char address[HTTP_ADDRESS];
    struct url url; /* of `address` */
    struct client client;

    /* Put, and not taken yet. */
    uint32_t count;
    struct cmcwh_record records[POST_EVENTS];

    /* A request takes no more events, since one with twice as many was too large. */
    uint32_t most;

    /* The request that failed last is sent again with the same events, though more have come: the
     * server may know it, and what it will never take stays apart from what it might. */
    uint64_t first, key; /* the id of its first event; its key */
    uint32_t size;       /* 0: none has failed */
    uint32_t refused;    /* how often it was, for good */

    struct post post;
    char said[512]; /* the first bytes of an answer's body */
};

/* ---- The connection ---- */

static bool over(const void *context) {
    struct sink *const *sink = context;

    sink_moves(*sink);
    return sink_stopping(*sink);
}

/* `sink` must stay as long as it does. */
static struct patience patience_of(struct sink **sink, uint32_t ms) {
    return (struct patience){.until = platform_ticks() + ms, .over = over, .context = sink};
}

static int http_lost(struct sink *sink, uint32_t ms) {
    const struct http *own = sink->own;

    client_explain(&own->client, ms / 1000, "ca=FILE", sink->trouble, sizeof sink->trouble);
    return -1;
}

static void http_close(struct sink *sink) {
    struct http *own = sink->own;

    client_close(&own->client);
    sink->descriptor = -1;
}

/* Connects anew. */
static int call(struct sink *sink) {
    struct http *own = sink->own;
    const struct secrets *secrets = sink->loaded;
    const struct patience patience = patience_of(&sink, SINK_TIMEOUT);

    if (sink->descriptor >= 0) {
        http_close(sink);
    }
    if (!client_connect(&own->client, &own->url, secrets->trust, &patience)) {
        (void)http_lost(sink, SINK_TIMEOUT);
        client_close(&own->client);
        return -1;
    }
    sink->descriptor = own->client.socket;
    return 0;
}

static int http_open(struct sink *sink) {
    struct http *own = sink->own;

    own->count = 0;
    own->most = POST_EVENTS;
    http_address(sink, own->address);
    (void)url_parse(&own->url, own->address);
    return call(sink);
}

/* A connection that the server has closed is closed here too. The descriptor stays: to others the
 * sink is open, and the next request connects anew. */
static int http_idle(struct sink *sink) {
    const struct http *own = sink->own;

    if (!client_stands(&own->client)) {
        (void)shutdown(sink->descriptor, SHUT_RDWR);
    }
    return 0;
}

/* ---- A request ---- */

/* In pieces, each with its time: there are slow lines. */
static bool send_post(struct sink *sink) {
    enum { PIECE = 16384 };
    struct http *own = sink->own;
    bool sent = true;

    for (size_t at = own->post.begin; sent && at < own->post.end; at += PIECE) {
        const struct patience patience = patience_of(&sink, SINK_TIMEOUT);
        size_t left = own->post.end - at;

        sent =
            client_send(&own->client, own->post.bytes + at, left < PIECE ? left : PIECE, &patience);
    }
    return sent || (own->client.fault != CLIENT_LATE);
}

/* False: there is no answer, not even a status. */
static bool ask(struct sink *sink, struct reply *reply) {
    struct http *own = sink->own;
    struct patience patience;

    reply_begin(reply, own->said, sizeof own->said);
    if (!send_post(sink)) {
        return http_lost(sink, SINK_TIMEOUT) == 0;
    }
    patience = patience_of(&sink, own->settings.timeout);
    if (!client_receive(&own->client, reply, &patience)) {
        (void)http_lost(sink, own->settings.timeout);
    }
    if (!client_stays(&own->client, reply)) {
        (void)shutdown(sink->descriptor, SHUT_RDWR);
    }
    return reply->headed;
}

/* A connection that has rested may be closed by the server just when a request comes. */
static bool exchange(struct sink *sink, struct reply *reply) {
    struct http *own = sink->own;

    if (client_stands(&own->client)) {
        if (ask(sink, reply)) {
            return true;
        }
        if (own->client.fault != CLIENT_BROKEN || reply->lines + reply->used > 0) {
            return false;
        }
    }
    return call(sink) == 0 && ask(sink, reply);
}

/* ---- What has been put ---- */

/* The events from `from` on, as many as go in one request. */
static void make(struct sink *sink, uint32_t from) {
    struct http *own = sink->own;
    const struct secrets *secrets = sink->loaded;
    const struct post_style style = {.url = &own->url,
                                     .headers = secrets->headers,
                                     .api_key = secrets->api_key,
                                     .format = !own->settings.cmc   ? POST_NDJSON
                                               : own->settings.form ? POST_FORM
                                                                    : POST_CMC};
    uint32_t left = own->count - from, most = left < own->most ? left : own->most;
    struct cmcwh_event event;

    cmcwh_record_read(&own->records[from], &event);
    if (own->size != 0 && own->size < most && own->first == event.id) {
        most = own->size;
    }
    post_make(&own->post, &style, &own->records[from], most);
    if (own->post.key != own->key || own->post.count != own->size) {
        own->refused = 0;
    }
    own->first = event.id;
    own->key = own->post.key;
    own->size = own->post.count;
}

/* The server will never take these. What has become of them: 0, or -1 when they stay. */
static int set_aside(struct sink *sink, const struct reply *reply) {
    struct http *own = sink->own;
    char why[SINK_TROUBLE];

    refusal_explain(reply, why, sizeof why);
    (void)snprintf(sink->trouble, sizeof sink->trouble, "%s", why);
    if (++own->refused < own->settings.tries) {
        return -1;
    }
    if (sink->required) {
        if (own->refused == own->settings.tries) {
            log_line(CMCWH_LOG_ERROR,
                     "sink '%s': stands still at %" PRIu32 " events, tried %" PRIu32
                     " times: dead=PATH would set them aside: %s",
                     sink->uri, own->post.count, own->refused, why);
        }
        return -1;
    }
    log_line(CMCWH_LOG_WARN, "sink '%s': dropped %" PRIu32 " events, tried %" PRIu32 " times: %s",
             sink->uri, own->post.count, own->refused, why);
    sink_rejected(sink, own->post.count);
    return 0;
}

/* What the answer makes of the events: how many of them are done with, or -1. */
static int settle(struct sink *sink, const struct reply *reply) {
    struct http *own = sink->own;
    enum refusal refusal = refusal_of(reply->status);
    int count = (int)own->post.count;

    if (refusal == REFUSAL_SIZE && count > 1) {
        own->most = (own->post.count + 1) / 2;
        count = 0;
    } else if (refusal == REFUSAL_LATER) {
        sink->retry = refusal_pause(reply, platform_now());
        refusal_explain(reply, sink->trouble, sizeof sink->trouble);
        return -1;
    } else if (refusal != REFUSAL_NONE && set_aside(sink, reply) < 0) {
        return -1;
    }
    own->size = 0;
    return count;
}

/* Sends all that was put. */
static int http_sync(void *context) {
    struct sink *sink = context;
    struct http *own = sink->own;
    struct cmcwh_event event;
    struct reply reply;

    for (uint32_t from = 0; from < own->count;) {
        int count;

        make(sink, from);
        count = exchange(sink, &reply) ? settle(sink, &reply) : -1;
        if (count < 0) {
            own->count = 0;
            return -1;
        }
        from += (uint32_t)count;
        if (count > 0) {
            cmcwh_record_read(&own->records[from - 1], &event);
            sink_took(sink, event.seq);
        }
    }
    own->count = 0;
    return 0;
}

static int http_put(void *context, const struct cmcwh_record *record, const void *bytes,
                    size_t length) {
    struct sink *sink = context;
    struct http *own = sink->own;

    (void)bytes; /* is encoded once it is known for which request */
    (void)length;
    if (own->count == sink->batch && http_sync(sink) < 0) {
        return -1;
    }
    own->records[own->count++] = *record;
    return own->count == sink->batch;
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

/* Names may be known later, as after a power cut that everything had. */
static enum outcome http_look(struct sink *sink, bool reach) {
    (void)sink;
    (void)reach;
    return OUTCOME_RIGHT;
}

#define HTTP(NAME, TARGET)                                                                         \
    {                                                                                              \
        .scheme = NAME, .help = NAME "://HOST[:PORT]/PATH", .encoding = CMCWH_ENCODE_JSON,         \
        .target = (TARGET), .parameters = http_parameters, .own = &http_usual,                     \
        .own_size = sizeof http_usual, .own_zeros = sizeof(struct http) - sizeof http_usual,       \
        .batch = HTTP_BATCH, .wait = HTTP_WAIT, .look = http_look, .load = http_load,              \
        .unload = secrets_unload, .open = http_open, .put = http_put, .sync = http_sync,           \
        .idle = http_idle, .close = http_close                                                     \
    }

const struct sink_medium sink_http = HTTP("http", http_target);
const struct sink_medium sink_https = HTTP("https", https_target);

#endif
