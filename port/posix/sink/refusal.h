/* What an answer to a POST says of the events in it. Nothing here asks again. */
#ifndef CMCWH_REFUSAL_H
#define CMCWH_REFUSAL_H

#include <stdint.h>

#include "platform/reply.h"

/* Of what use would it be to send the same again? */
enum refusal {
    REFUSAL_NONE,  /* they were taken */
    REFUSAL_LATER, /* something else has to change: the server, or what it is shown of us */
    REFUSAL_SIZE,  /* fewer at a time might be taken */
    REFUSAL_FINAL  /* none, as far as the server knows */
};

enum refusal refusal_of(int status);

/* For how many ms it does not want to see us again, an hour at most; 0: it does not say. `now`:
 * milliseconds since 1970-01-01 00:00 UTC. */
uint32_t refusal_pause(const struct reply *reply, uint64_t now);

/* What was answered, and what to do about it if that is known, for people. */
void refusal_explain(const struct reply *reply, char *text, size_t size);

#endif
