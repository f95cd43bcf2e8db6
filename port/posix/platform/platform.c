/* Time, a lock, waiting: struct cmcwh_port. Not here: anything that knows what a request or a sink
 * is.
 */
#include "platform/platform.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

/* Does not compile where time ends in 2038, or files at 2 GiB (_TIME_BITS, _FILE_OFFSET_BITS). */
typedef char time_goes_on[sizeof(time_t) >= 8 && sizeof(off_t) >= 8 ? 1 : -1];

static uint64_t milliseconds(clockid_t clock) {
    struct timespec time;

    (void)clock_gettime(clock, &time);
    return (uint64_t)time.tv_sec * 1000 + (uint64_t)time.tv_nsec / 1000000;
}

uint64_t platform_now(void) {
    return milliseconds(CLOCK_REALTIME);
}

/* Asked for many times a request: a clock of some milliseconds' steps costs a fifth. */
uint64_t platform_ticks(void) {
#ifdef CLOCK_MONOTONIC_COARSE
    return milliseconds(CLOCK_MONOTONIC_COARSE);
#else
    return milliseconds(CLOCK_MONOTONIC);
#endif
}

uint64_t platform_microseconds(void) {
    struct timespec time;

    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000 + (uint64_t)time.tv_nsec / 1000;
}

uint32_t platform_random(void) {
    uint32_t number = 0;

    if (getrandom(&number, sizeof number, GRND_NONBLOCK) != (ssize_t)sizeof number) {
        number = (uint32_t)platform_microseconds() * UINT32_C(2654435761) ^ (uint32_t)getpid();
    }
    return number;
}

static struct timespec deadline_of(clockid_t clock, uint64_t ms) {
    struct timespec time;

    (void)clock_gettime(clock, &time);
    time.tv_sec += (time_t)(ms / 1000);
    time.tv_nsec += (long)(ms % 1000) * 1000000;
    if (time.tv_nsec >= 1000000000) {
        time.tv_sec++;
        time.tv_nsec -= 1000000000;
    }
    return time;
}

struct timespec platform_deadline(uint64_t ms) {
    return deadline_of(CLOCK_MONOTONIC, ms);
}

bool platform_join(pthread_t thread, uint32_t ms) {
    struct timespec deadline = deadline_of(CLOCK_REALTIME, ms); /* it knows no other clock */

    return pthread_timedjoin_np(thread, NULL, &deadline) == 0;
}

int platform_condition(pthread_cond_t *condition) {
    pthread_condattr_t attributes;
    int error = pthread_condattr_init(&attributes);

    if (error == 0) {
        error = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
        if (error == 0) {
            error = pthread_cond_init(condition, &attributes);
        }
        (void)pthread_condattr_destroy(&attributes);
    }
    return error;
}

static uint64_t port_now(void *context) {
    (void)context;
    return platform_now();
}

static uint64_t port_ticks(void *context) {
    (void)context;
    return platform_ticks();
}

static void port_lock(void *context) {
    struct platform *platform = context;

    (void)pthread_mutex_lock(&platform->mutex);
}

static void port_unlock(void *context) {
    struct platform *platform = context;

    (void)pthread_mutex_unlock(&platform->mutex);
}

static bool port_wait(void *context, uint32_t ms) {
    struct platform *platform = context;
    struct timespec deadline = platform_deadline(ms);

    return pthread_cond_timedwait(&platform->condition, &platform->mutex, &deadline) != ETIMEDOUT;
}

static void port_wake(void *context) {
    struct platform *platform = context;

    (void)pthread_cond_broadcast(&platform->condition);
}

/* Before a sync that is over sooner than a nap, it is enough to let others run. */
static void port_nap(void *context) {
    enum { SHORT = 100 };                            /* microseconds */
    const struct timespec time = {.tv_nsec = 20000}; /* the kernel adds its slack */
    const struct platform *platform = context;

    if (platform->sync_time != NULL &&
        __atomic_load_n(platform->sync_time, __ATOMIC_RELAXED) < SHORT) {
        (void)sched_yield();
    } else {
        (void)nanosleep(&time, NULL);
    }
}

/* The lock is held for so short a time that waiting for it a little beats sleeping. */
static int short_mutex(pthread_mutex_t *mutex) {
    pthread_mutexattr_t attributes;
    int error = pthread_mutexattr_init(&attributes);

    if (error == 0) {
#ifdef PTHREAD_ADAPTIVE_MUTEX_INITIALIZER_NP
        error = pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ADAPTIVE_NP);
#endif
        error = error != 0 ? error : pthread_mutex_init(mutex, &attributes);
        (void)pthread_mutexattr_destroy(&attributes);
    }
    return error;
}

int platform_init(struct platform *platform) {
    int error;

    memset(platform, 0, sizeof *platform);
    platform->port = (struct cmcwh_port){.context = platform,
                                         .now = port_now,
                                         .ticks = port_ticks,
                                         .lock = port_lock,
                                         .unlock = port_unlock,
                                         .wait = port_wait,
                                         .wake = port_wake,
                                         .nap = port_nap};
    error = short_mutex(&platform->mutex);
    return error != 0 ? error : platform_condition(&platform->condition);
}
