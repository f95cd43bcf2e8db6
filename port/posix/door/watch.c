/* Cuts off requests that are late: civetweb has no deadline for a request as a whole. Workers only
 * note their deadlines; one thread looks at the notes from time to time, and sleeps when there are
 * none. Not here: connections without a worker (gate.c). */
#include "door/watch.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "platform/platform.h"

enum { LOOK = 100 }; /* milliseconds */

/* The lock keeps a socket from being closed, and its number used again, while it is shut. */
struct note {
    pthread_mutex_t mutex;
    bool shut;
    int socket; /* -1: none */
    uint64_t deadline;
};

static struct {
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t condition;
    struct note *notes;
    unsigned count;
    int asleep; /* atomic: must be woken when there is a note */
    bool stop;
} watchdog = {.mutex = PTHREAD_MUTEX_INITIALIZER};

/* Cuts off what is due. Are there notes? */
static bool look(void) {
    uint64_t now = platform_ticks();
    bool some = false;

    for (unsigned i = 0; i < watchdog.count; i++) {
        struct note *note = &watchdog.notes[i];

        (void)pthread_mutex_lock(&note->mutex);
        if (note->socket >= 0 && note->deadline <= now) {
            (void)shutdown(note->socket, SHUT_RD);
            note->socket = -1;
            note->shut = true;
        }
        some = some || note->socket >= 0;
        (void)pthread_mutex_unlock(&note->mutex);
    }
    return some;
}

static void *watch_thread(void *unused) {
    (void)unused;
    (void)pthread_mutex_lock(&watchdog.mutex);
    while (!watchdog.stop) {
        struct timespec deadline = platform_deadline(LOOK);

        /* Announced first and looked for then: a note is seen, or its writer sees us asleep. */
        __atomic_store_n(&watchdog.asleep, 1, __ATOMIC_SEQ_CST);
        if (look()) {
            __atomic_store_n(&watchdog.asleep, 0, __ATOMIC_SEQ_CST);
            (void)pthread_cond_timedwait(&watchdog.condition, &watchdog.mutex, &deadline);
        } else {
            (void)pthread_cond_wait(&watchdog.condition, &watchdog.mutex);
        }
    }
    (void)pthread_mutex_unlock(&watchdog.mutex);
    return NULL;
}

static void wake(void) {
    (void)pthread_mutex_lock(&watchdog.mutex);
    __atomic_store_n(&watchdog.asleep, 0, __ATOMIC_SEQ_CST);
    (void)pthread_cond_signal(&watchdog.condition);
    (void)pthread_mutex_unlock(&watchdog.mutex);
}

int watch_start(unsigned count) {
    int error;

    watchdog.notes = malloc(count * sizeof *watchdog.notes);
    if (watchdog.notes == NULL) {
        return ENOMEM;
    }
    watchdog.count = count;
    watchdog.stop = false;
    for (unsigned i = 0; i < count; i++) {
        (void)pthread_mutex_init(&watchdog.notes[i].mutex, NULL);
        watchdog.notes[i].socket = -1;
        watchdog.notes[i].shut = false;
    }
    error = platform_condition(&watchdog.condition);
    return error != 0 ? error : pthread_create(&watchdog.thread, NULL, watch_thread, NULL);
}

bool watch_socket(unsigned worker, int socket, uint32_t ms) {
    struct note *note = &watchdog.notes[worker];
    bool shut;

    (void)pthread_mutex_lock(&note->mutex);
    shut = note->shut;
    note->shut = false;
    note->socket = ms > 0 ? socket : -1;
    note->deadline = platform_ticks() + ms;
    (void)pthread_mutex_unlock(&note->mutex);
    if (ms > 0 && __atomic_load_n(&watchdog.asleep, __ATOMIC_SEQ_CST) != 0) {
        wake();
    }
    return shut;
}

void watch_stop(void) {
    (void)pthread_mutex_lock(&watchdog.mutex);
    watchdog.stop = true;
    (void)pthread_cond_signal(&watchdog.condition);
    (void)pthread_mutex_unlock(&watchdog.mutex);
    (void)pthread_join(watchdog.thread, NULL);
    (void)pthread_cond_destroy(&watchdog.condition);
    for (unsigned i = 0; i < watchdog.count; i++) {
        (void)pthread_mutex_destroy(&watchdog.notes[i].mutex);
    }
    free(watchdog.notes);
    watchdog.notes = NULL;
    watchdog.count = 0;
}
