/* Sinks: a thread for each, which takes records from the ring to a file, syslog or a serial line.
 */
#ifndef CMCWH_SINK_H
#define CMCWH_SINK_H

#include "cmcwh.h"

#include <limits.h>
#include <pthread.h>
#include <sys/types.h>

/* A medium: how a kind of sink opens, writes and closes. Each function returns 0, or -1 with the
 * reason in sink->trouble. Only the sink's own thread calls them, or main before it runs. */
struct sink;

struct sink_medium {
    const char *scheme;
    int (*open)(struct sink *sink);
    int (*write)(void *sink, const void *bytes, size_t length);
    int (*sync)(void *sink);
    void (*undo)(void *sink);
    void (*close)(struct sink *sink);
};

struct sink {
    const struct sink_medium *medium;
    const char *uri; /* as the user wrote it */

    /* From the URI. */
    char target[PATH_MAX]; /* path, or HOST:PORT */
    enum cmcwh_encoding encoding;
    bool required;
    bool durable;    /* --sync always */
    uint64_t rotate; /* bytes, 0: never */
    unsigned keep;   /* old files */
    unsigned baud;

    /* While it runs. */
    int descriptor; /* -1: not open */
    off_t undo_to;  /* file: size before the last whole write */
    bool mid;       /* something was written since the last sync */
    bool torn;      /* a line or frame broke off: end it before the next */
    bool regular;   /* file: can be truncated */
    char trouble[256];

    struct cmcwh_ring *ring;
    struct cmcwh_sink pump;
    struct cmcwh_syslog identity;
    char hostname[256], process_id[16];
    pthread_t thread;
    bool running, reopen, stop; /* the last two under the ring's lock */
};

enum { SINK_BUFFER = 65536, SINK_TIMEOUT = 5000 };

/* Reads a URI. False: one line has said what is wrong with it. */
bool sink_parse(struct sink *sink, const char *uri, bool durable);

/* Opens it, attaches it to the ring and starts its thread. `buffer` has SINK_BUFFER bytes. False
 * when a required one cannot be opened: one line has said why. */
bool sink_prepare(struct sink *sink, struct cmcwh_ring *ring, char *buffer);
bool sink_start(struct sink *sink);

/* Asks its thread to open its file anew. Any thread. */
void sink_reopen(struct sink *sink);

/* Gives it `ms` to take what is left, and ends it. Returns how many records it did not take. */
uint32_t sink_finish(struct sink *sink, uint64_t ms);

/* Sets sink->trouble, with the system's error text when `error` is not 0. Returns -1. */
int sink_trouble(struct sink *sink, const char *what, int error);

/* Waits until the descriptor can be written to (or read from), for SINK_TIMEOUT from `start`. */
bool sink_ready(int descriptor, short events, uint64_t start);

extern const struct sink_medium sink_file, sink_stdout, sink_syslog, sink_udp, sink_tcp,
    sink_serial;

#endif
