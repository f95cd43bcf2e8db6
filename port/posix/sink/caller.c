/* A kept connection to an HTTP server. Not here: what is asked (post.c), and what an answer means
 * (refusal.c). */
#include "sink/caller.h"

#include <sys/socket.h>

#include "platform/platform.h"

static bool over(const void *context) {
    struct sink *const *sink = context;

    sink_moves(*sink);
    return sink_stopping(*sink);
}

/* `sink` must stay as long as it does. */
static struct patience patience_of(struct sink **sink, uint32_t ms) {
    return (struct patience){.until = platform_ticks() + ms, .over = over, .context = sink};
}

/* There is no answer, within `ms`. */
static bool lost(const struct caller *caller, struct sink *sink, uint32_t ms) {
    client_explain(&caller->client, ms / 1000, "ca=FILE", sink->trouble, sizeof sink->trouble);
    return false;
}

int caller_open(struct caller *caller, struct sink *sink) {
    const struct patience patience = patience_of(&sink, SINK_TIMEOUT);

    if (!client_connect(&caller->client, &caller->url, caller->trust, &patience)) {
        (void)lost(caller, sink, SINK_TIMEOUT);
        client_close(&caller->client);
        return -1;
    }
    sink->descriptor = caller->client.socket;
    return 0;
}

void caller_close(struct caller *caller, struct sink *sink) {
    client_close(&caller->client);
    sink->descriptor = -1;
}

void caller_rest(const struct caller *caller) {
    if (!client_stands(&caller->client)) {
        (void)shutdown(caller->client.socket, SHUT_RDWR);
    }
}

/* In pieces, each with its time: there are slow lines. */
static bool send_all_of(struct caller *caller, struct sink *sink, const char *request,
                        size_t length) {
    enum { PIECE = 16384 };

    while (length > 0) {
        const struct patience patience = patience_of(&sink, SINK_TIMEOUT);
        size_t piece = length < PIECE ? length : PIECE;

        if (!client_send(&caller->client, request, piece, &patience)) {
            return false;
        }
        sink_moves(sink);
        request += piece;
        length -= piece;
    }
    return true;
}

/* Whoever has not taken all of a request has not taken its events, whatever it says, but may have
 * said why. */
static bool ask(struct caller *caller, struct sink *sink, const char *request, size_t length,
                struct reply *reply) {
    enum { SOON = 100 };
    struct patience patience;
    bool sent;

    reply_begin(reply, caller->said, sizeof caller->said);
    sent = send_all_of(caller, sink, request, length);
    if (!sent) {
        (void)lost(caller, sink, SINK_TIMEOUT);
    }
    patience = patience_of(&sink, sent ? caller->timeout : SOON);
    if (!client_receive(&caller->client, reply, &patience) &&
        (sent || caller->client.fault == CLIENT_TLS)) {
        (void)lost(caller, sink, caller->timeout);
    }
    if (!client_stays(&caller->client, reply)) {
        (void)shutdown(caller->client.socket, SHUT_RDWR);
    }
    return reply->headed && (sent || reply->status >= 300);
}

bool caller_ask(struct caller *caller, struct sink *sink, const char *request, size_t length,
                struct reply *reply) {
    if (client_stands(&caller->client)) {
        if (ask(caller, sink, request, length, reply)) {
            return true;
        }
        /* The server may have closed it just when the request was on its way. */
        if (caller->client.fault != CLIENT_BROKEN || reply->lines + reply->used > 0) {
            return false;
        }
    }
    caller_close(caller, sink);
    return caller_open(caller, sink) == 0 && ask(caller, sink, request, length, reply);
}
