/* Stands between accept and the worker threads. A connection takes a worker only when there is
 * something to do: its request has arrived whole, or is too large to wait for, or TLS wants its
 * handshake. So senders that stall before that hold nothing but a descriptor. */
#ifndef CMCWH_GATE_H
#define CMCWH_GATE_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

#include "platform/network.h"

/* A connection may rest for so many seconds longer than its client was told. */
enum { GATE_GRACE = 5 };

struct gate_config {
    unsigned workers;
    uint32_t timeout; /* ms: until then a request must be whole, or large enough */
    uint32_t keep;    /* ms that a connection may rest between requests, as its client is told */
    uint64_t longest; /* bytes of a body that is taken */
    bool plain;       /* is there a listener without TLS? */

    /* Gives a connection to the worker threads of its server. `peer`: who is at its other end,
     * NULL: whom the socket names. */
    void (*produce)(void *server, int socket, bool secure, const union network_address *peer);
};

/* 0, or an error number. */
int gate_start(const struct gate_config *config);

/* A connection was accepted. true: it goes to a worker at once; false: the gate has it. Called by
 * the thread that accepts. */
bool gate_admit(void *server, int socket, bool secure);

/* ---- What a worker does with a connection; called by that worker ---- */

/* It reads a request, and may be cut off: when it is late, or too slow while others wait. */
void gate_may_cut(int socket);

/* It has read it, and answers. */
void gate_works(int socket);

/* Its reading side was shut. */
void gate_cut(int socket);
bool gate_was_cut(int socket);

/* How a connection waits for its next request. */
enum gate_wait {
    GATE_RESTS,  /* at the gate, soon */
    GATE_STAYS,  /* with the worker, since only that can go on with it (TLS) */
    GATE_GOES_ON /* not at all: a part of it has been read */
};

/* May a client be told that its connection is kept? If so, it is not closed before it has rested as
 * long as the client is told. False when it was cut off, when others want the worker that it would
 * keep, when too many are kept, and when the server is being stopped. */
bool gate_keeps(int socket, enum gate_wait wait);

/* The request has been answered. */
void gate_answered(int socket, enum gate_wait wait);

/* poll() for the socket of a connection. Negative, with gate_left, when the worker must leave it:
 * one that rests is then to be given to gate_takes_back, one that stays to be closed. */
int gate_poll(struct pollfd *polled, int ms);
bool gate_left(int socket);

/* The worker is about to close it. */
void gate_closes(int socket);

/* The connection waits at the gate for its next request. In place of gate_closes. */
void gate_takes_back(void *server, int socket, const union network_address *peer);

/* Do others wait for a worker? */
bool gate_crowded(void);

/* ---- The end ---- */

/* No connection is kept any longer. Those that are get a moment in which a request that is on its
 * way is still taken, then no other is admitted. Waits until all requests that have begun have been
 * answered, `ms` at most. */
void gate_drain(uint32_t ms);

/* Closes what has not gone to a worker; no more will go. */
void gate_stop(void);

/* When the workers are gone. */
void gate_end(void);

#endif
