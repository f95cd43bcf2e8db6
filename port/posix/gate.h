/* Stands between accept and the worker threads. A connection takes a worker only when there is
 * something to do: its request has arrived whole, or is too large to wait for, or TLS wants its
 * handshake. So senders that stall before that hold nothing but a descriptor. */
#ifndef CMCWH_GATE_H
#define CMCWH_GATE_H

#include <stdbool.h>
#include <stdint.h>

#include "network.h"

struct gate_config {
    unsigned workers;
    uint32_t timeout; /* ms: until then a request must be whole, or large enough */
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

/* A connection without TLS whose request has been answered, and whose worker others want: it waits
 * here for its next request. Called by that worker, in place of gate_release. */
void gate_return(void *server, int socket, const union network_address *peer);

/* What a worker does with a connection: it reads a request (and may be cut off when others wait);
 * it has read it; it has answered it and waits for the next, which can also wait at the gate; it is
 * about to close the connection. Called by that worker. */
void gate_reading(int socket);
void gate_read(int socket);
void gate_answered(int socket);
void gate_release(int socket);

/* A worker has waited for a while, and something came or not. True: it should leave the connection,
 * because others wait for a worker and nothing of the next request has come. gate_left remembers
 * that, for gate_return. Called by that worker, for any socket. */
bool gate_rest(int socket, bool came);
bool gate_left(int socket);

/* Do others wait for a worker? */
bool gate_crowded(void);

/* Takes no more connections, and waits until all requests that have begun are with a worker, `ms`
 * at most. */
void gate_drain(uint32_t ms);

/* Closes what has not gone to a worker; no more will go. */
void gate_stop(void);

/* When the workers are gone. */
void gate_end(void);

#endif
