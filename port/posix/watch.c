/* Cuts off requests that are late: civetweb has no deadline for a request as a whole. One thread
 * looks at a small table; a worker has at most one entry. */
#include "watch.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "platform.h"

struct entry {
    int socket; /* -1: free */
    uint64_t deadline;
};

static struct {
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t condition;
    struct entry *entries;
    unsigned count;
    uint64_t wakes; /* when the thread looks next */
    bool stop;
} watchdog = {.mutex = PTHREAD_MUTEX_INITIALIZER};

/* Cuts off what is due. Returns when the next is. */
static uint64_t cut_off(uint64_t now) {
    uint64_t next = UINT64_MAX;

    for (unsigned i = 0; i < watchdog.count; i++) {
        struct entry *entry = &watchdog.entries[i];

        if (entry->socket >= 0 && entry->deadline <= now) {
            (void)shutdown(entry->socket, SHUT_RD);
            entry->socket = -1;
        } else if (entry->socket >= 0 && entry->deadline < next) {
            next = entry->deadline;
        }
    }
    return next;
}

static void *run(void *unused) {
    (void)unused;
    (void)pthread_mutex_lock(&watchdog.mutex);
    while (!watchdog.stop) {
        uint64_t now = platform_ticks(), next = cut_off(now);

        watchdog.wakes = next;
        if (next == UINT64_MAX) {
            (void)pthread_cond_wait(&watchdog.condition, &watchdog.mutex);
        } else {
            struct timespec deadline = platform_deadline(next - now);

            (void)pthread_cond_timedwait(&watchdog.condition, &watchdog.mutex, &deadline);
        }
    }
    (void)pthread_mutex_unlock(&watchdog.mutex);
    return NULL;
}

int watch_start(unsigned entries) {
    int error;

    watchdog.entries = malloc(entries * sizeof *watchdog.entries);
    if (watchdog.entries == NULL) {
        return ENOMEM;
    }
    watchdog.count = entries;
    watchdog.stop = false;
    for (unsigned i = 0; i < entries; i++) {
        watchdog.entries[i].socket = -1;
    }
    error = platform_condition(&watchdog.condition);
    return error != 0 ? error : pthread_create(&watchdog.thread, NULL, run, NULL);
}

void watch_socket(int socket, uint32_t ms) {
    struct entry *free_entry = NULL, *entry = NULL;

    (void)pthread_mutex_lock(&watchdog.mutex);
    for (unsigned i = 0; i < watchdog.count && entry == NULL; i++) {
        if (watchdog.entries[i].socket == socket) {
            entry = &watchdog.entries[i];
        } else if (watchdog.entries[i].socket < 0) {
            free_entry = &watchdog.entries[i];
        }
    }
    if (ms == 0 && entry != NULL) {
        entry->socket = -1;
    } else if (ms != 0 && (entry != NULL || free_entry != NULL)) {
        entry = entry != NULL ? entry : free_entry;
        entry->socket = socket;
        entry->deadline = platform_ticks() + ms;
        if (entry->deadline < watchdog.wakes) { /* seldom: most deadlines are later than others */
            watchdog.wakes = entry->deadline;
            (void)pthread_cond_signal(&watchdog.condition);
        }
    }
    (void)pthread_mutex_unlock(&watchdog.mutex);
}

void watch_stop(void) {
    (void)pthread_mutex_lock(&watchdog.mutex);
    watchdog.stop = true;
    (void)pthread_cond_signal(&watchdog.condition);
    (void)pthread_mutex_unlock(&watchdog.mutex);
    (void)pthread_join(watchdog.thread, NULL);
    (void)pthread_cond_destroy(&watchdog.condition);
    free(watchdog.entries);
    watchdog.entries = NULL;
    watchdog.count = 0;
}
