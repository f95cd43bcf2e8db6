/* A connection of a sink to an HTTP server, which is kept from one request to the next. */
#ifndef CMCWH_CALLER_H
#define CMCWH_CALLER_H

#include "platform/client.h"
#include "sink/sink.h"

struct caller {
    struct url url; /* set before it is opened */
    const struct tls_trust *trust;
    uint32_t timeout; /* ms, for an answer */
    struct client client;
    char said[512]; /* the first bytes of an answer's body */
};

/* Connects, within SINK_TIMEOUT, and sets sink->descriptor. 0, or -1 with sink->trouble. */
int caller_open(struct caller *caller, struct sink *sink);

/* Sends a request, connecting anew if the server has closed the connection, and reads the answer.
 * True: its status and headers count, and its body is in `said`, whatever has become of the rest.
 * False, with sink->trouble: there is none. */
bool caller_ask(struct caller *caller, struct sink *sink, const char *request, size_t length,
                struct reply *reply);

/* Between requests: a connection that the server has closed is closed here too. The descriptor
 * stays: to others the sink is open, and the next request connects anew. */
void caller_rest(const struct caller *caller);

/* Sets sink->descriptor to -1. */
void caller_close(struct caller *caller, struct sink *sink);

#endif
