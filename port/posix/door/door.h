/* All connections of one server: who waits for what, and who works on it. */
#ifndef CMCWH_DOOR_H
#define CMCWH_DOOR_H

#include <stdbool.h>
#include <stdint.h>

#include "door/exchange.h"
#include "door/listen.h"
#include "door/proxy.h"

/* A connection may rest for so many seconds longer than its client was told. */
enum { DOOR_GRACE = 5 };

struct door_config {
    struct cmcwh_server *server;
    const struct listener *listeners; /* which stay the caller's */
    unsigned listener_count;
    unsigned workers;     /* threads */
    unsigned connections; /* at most */
    unsigned slow;        /* requests that come in pieces, at most at a time */
    uint32_t timeout;     /* ms in which a request must be whole */
    uint32_t keep;    /* ms that a connection may rest between requests, as its client is told */
    uint64_t longest; /* bytes of a body that is taken */

    struct proxies proxies; /* which speak for others */
    struct timer *times;    /* of requests, see exchange_open */

    /* May this address post? Asked before a handshake, unless a proxy speaks for others. */
    bool (*allow)(void *context, const char *address);
    void *context;
};

struct door;

/* Takes all that serving needs, and serves. NULL: one line has said what lacks. */
struct door *door_open(const struct door_config *config);

/* May the client of this exchange be told that its connection is kept? If so, it is not closed
 * before it has rested as long as the client is told. Called while it is being answered. */
bool door_keeps(struct exchange *exchange);

/* This exchange, which was being stored, can be gone on with. Any thread, with any lock held. */
void door_settled(struct exchange *exchange);

/* The proxy at the other end of this exchange says for whom it asks. */
void door_speaks_for(struct exchange *exchange, const char *address);

/* The request that this exchange is in says that it is another's, and is not believed. Of a front
 * on this machine that is said in the log, once: an operator has forgotten to name it. */
void door_disbelieves(struct exchange *exchange);

/* What has come since the start, and what is there now. */
struct door_counters {
    uint64_t accepted; /* connections */
    uint64_t handshakes_good, handshakes_bad;
    uint64_t crowded;     /* connections and requests that gave way to others, or found no place */
    uint64_t slow;        /* requests that were not whole in time, or had to give way to others */
    unsigned open, limit; /* connections, and how many there may be */

    /* What the open ones wait for: a request; the rest of a handshake (or of a PROXY header), of a
     * request; to be stored; until others are; the end of an answer. */
    unsigned resting, shaking, reading, storing, queued, answering;
};

/* Not exact while it changes. Any thread. */
void door_count(struct door *door, struct door_counters *counters);

/* No connection is kept any longer. Those that are get a moment in which a request that is on its
 * way is still taken, then no other is. Waits until all that have begun have been answered, `ms` at
 * most. */
void door_drain(struct door *door, uint32_t ms);

/* Ends its threads and closes every connection. False: a thread hangs, or has not had the processor
 * for a second; everything stays as it is, and this may be called again. NULL: nothing. */
bool door_close(struct door *door);

#endif
