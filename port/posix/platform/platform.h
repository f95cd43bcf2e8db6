/* What the portable part needs of this system: time, a lock, waiting. */
#ifndef CMCWH_PLATFORM_H
#define CMCWH_PLATFORM_H

#include "cmcwh.h"

#include <pthread.h>

struct platform {
    struct cmcwh_port port;
    pthread_mutex_t mutex;
    pthread_cond_t condition;
    const uint32_t *sync_time; /* microseconds that a sync takes; atomic. NULL: not known */
};

/* 0, or an error number. */
int platform_init(struct platform *platform);

/* Milliseconds since 1970-01-01 00:00 UTC, as far as the clock is right. */
uint64_t platform_now(void);

/* Milliseconds that only go forward, in steps of some; costs little. */
uint64_t platform_ticks(void);

/* Microseconds that only go forward, exact. */
uint64_t platform_microseconds(void);

/* A number that differs from one process to the next, also on machines that start together. Not
 * for secrets: where the system has no random numbers yet, it is made of the time. */
uint32_t platform_random(void);

/* `ms` from now, for pthread_cond_timedwait on a condition of platform_condition. */
struct timespec platform_deadline(uint64_t ms);

/* Waits for the end of a thread, `ms` at most. False: it has not ended. */
bool platform_join(pthread_t thread, uint32_t ms);

/* A condition whose time only goes forward. 0, or an error number. */
int platform_condition(pthread_cond_t *condition);

#endif
