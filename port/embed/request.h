/* One request to the endpoint, whatever HTTP server it comes through: its head, its body, its
 * answer. One request at a time, one thread. What must not be here: anything of such a server. */
#ifndef REQUEST_H
#define REQUEST_H

#include "cmcwh.h"

/* Longest body that is taken. */
#ifndef REQUEST_BODY_MAX
#define REQUEST_BODY_MAX 65536
#endif

struct request {
    /* To be set before the first request. What they point to stays the caller's. */
    struct cmcwh_ring *ring;
    const struct cmcwh_access *access; /* who may post; NULL: everybody */

    /* Pumps every sink until nothing is left to read, and tells the ring of one that failed
     * (cmcwh_ring_fail): called before the answer of a request whose events are pending, so a ring
     * with config.confirm needs it; NULL for others. */
    void (*drain)(void);

    /* Private. */
    int head;          /* what cmcwh_authorized said */
    int fault;         /* the parser's, CMCWH_OK if there is none */
    uint64_t received; /* bytes of the body */
    struct cmcwh_parser parser;
};

/* What to answer instead of request_begin when one of its headers was cut or dropped, for want of
 * room: it might have been a wrong credential. */
extern const struct cmcwh_answer request_head_too_large;

/* The head has come: the values of its headers (empty: there is none), and the length of the body
 * (0: not known). true: feed the body. false: send `answer`; the body is not read. */
bool request_begin(struct request *request, struct cmcwh_text authorization,
                   struct cmcwh_text content_type, uint64_t length, struct cmcwh_answer *answer);

/* A piece of the body, of any size. false: no more is needed, end it. */
bool request_feed(struct request *request, const void *bytes, size_t length);

/* The body is whole, or refused by request_feed: stores its events, and makes the answer. */
void request_end(struct request *request, struct cmcwh_answer *answer);

/* The connection is lost: the body is not whole and does not count. Nobody waits for an answer. */
void request_abort(struct request *request);

#endif
