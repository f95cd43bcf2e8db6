/* One request and its answer: bytes are put in, and what is to be sent comes out. civetweb reads
 * the head, the portable part the body. Used by one thread at a time. */
#ifndef CMCWH_EXCHANGE_H
#define CMCWH_EXCHANGE_H

#include "cmcwh.h"
#include "door/auth.h"
#include "platform/timing.h"

struct mg_connection;
struct mg_context;

enum {
    EXCHANGE_BUFFER = 9216, /* a head of 8 KiB, and room for its body */
    EXCHANGE_OUT = 1024     /* of one answer and a 100 before it */
};

struct exchange {
    struct exchange *next; /* for whoever keeps it */
    void *connection;      /* whose it is; the same */

    /* The rest is private, but for `out`, which is to be sent, and `sent` of it. */
    struct cmcwh_server *server;
    struct mg_context *context;
    struct mg_connection *civetweb;
    struct auth *auth;
    struct timer *times;
    uint64_t since; /* microseconds, when the request began to be looked at */
    bool begun;     /* its head has been read */
    bool ended;     /* nothing more will come */
    size_t out_length, sent;
    struct cmcwh_worker worker; /* from here on large */
    char out[EXCHANGE_OUT];
    char buffer[EXCHANGE_BUFFER];
};

/* What becomes of it when it has been looked at. */
enum exchange_state {
    EXCHANGE_READS,  /* it needs more bytes */
    EXCHANGE_STORES, /* it is being stored; door_settled is called when it can be gone on with */
    EXCHANGE_STAYS,  /* answered: the connection is kept */
    EXCHANGE_CLOSES, /* answered, with a 200: the connection is to be closed */
    EXCHANGE_REFUSES /* answered otherwise, and to be closed: more of the request may come */
};

/* Room for a number of them, for one server. `times` gets how long each request took, from its
 * first bytes to its answer; NULL: nothing is measured. NULL: no memory. */
struct exchange *exchange_open(size_t count, struct cmcwh_server *server, struct timer *times);
void exchange_close(struct exchange *exchanges);

/* The one of this number, from 0 on, before its first use: what was not made takes no memory. */
struct exchange *exchange_make(struct exchange *exchanges, size_t number);

/* The one that this request of civetweb's is in. */
struct exchange *exchange_of(const struct mg_connection *connection);

/* A new request to our `port` from the address `peer`. */
void exchange_begin(struct exchange *exchange, bool secure, const char *peer, unsigned port);

/* Where the bytes that come next are to be put; never without room. */
char *exchange_room(struct exchange *exchange, size_t *room);

/* So many have been put there; 0: nothing more will come. */
void exchange_came(struct exchange *exchange, size_t length);

/* Goes on with what is there. */
enum exchange_state exchange_go_on(struct exchange *exchange);

/* What has come of the body, for cmcwh_server_config.read and .took. */
int exchange_read(const struct exchange *exchange, const char **bytes);
void exchange_took(struct exchange *exchange, size_t length);

/* Has nothing of a request come? */
bool exchange_empty(const struct exchange *exchange);

/* The next request over the same connection; how many bytes of it are there already. */
size_t exchange_again(struct exchange *exchange);

/* Ends it with this status, but if it is being stored: see cmcwh_server_refuse. */
enum exchange_state exchange_refuse(struct exchange *exchange, int status);

/* The connection is of no use any more: what has been taken of the request is given back. Not
 * while it is being stored by another thread. */
void exchange_drop(struct exchange *exchange);

#endif
