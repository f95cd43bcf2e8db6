/* Who may ask at the admin port. A browser on the same network must not look in there for a page of
 * somebody else's, whether it knows the credentials or needs none. */
#ifndef CMCWH_GATE_H
#define CMCWH_GATE_H

#include <limits.h>

#include "admin/request.h"

/* All zero but `hosts` at first; one thread. */
struct gate {
    const char *const *hosts; /* names that are this server's, besides those that it knows itself */
    unsigned host_count;
    struct cmcwh_tries tries;
};

/* What is answered to who may not. */
struct gate_answer {
    int status; /* 0: it may */
    const char *why;
    uint32_t retry_after; /* of 429, seconds */
    bool basic, bearer;   /* of 401: which credentials there are */
};

/* Is this the value of a Host header of ours: an address, "localhost", the name of this machine,
 * alone or with ".local" or ".lan", one of `hosts`, or one of the certificate's? Whoever has
 * another name lead to our address cannot make it one of these. */
bool gate_knows(const struct gate *gate, struct cmcwh_text host);

/* May this request be answered? `peer` is an address as text, `now` ticks. Wrong credentials are
 * counted, but not of this machine itself: behind a front all are it, and one would lock out all.
 */
struct gate_answer gate_check(struct gate *gate, const struct request *request, const char *peer,
                              uint64_t now);

#endif
