/* What the daemon knows of itself: one snapshot of everything that can be counted, for all who tell
 * it: the log, and whoever serves it. */
#ifndef CMCWH_STATUS_H
#define CMCWH_STATUS_H

#include <pthread.h>

#include "cmcwh.h"
#include "door/http.h"
#include "platform/process.h"
#include "platform/ring_file.h"
#include "platform/timing.h"
#include "platform/writer.h"
#include "sink/sink.h"

struct status_sink {
    const char *uri; /* good as long as the source */
    const char *scheme;
    int reader; /* its index in `ring` */
    bool required;
    enum { STATUS_OPENING, STATUS_WORKS, STATUS_FAILS, STATUS_HANGS } state;
    uint64_t delivered, failures;
    uint64_t rejected;          /* of those delivered, records that its peer will never take */
    char trouble[SINK_TROUBLE]; /* why it does not work; "": it does */
    /* ms since 1970, 0: never. */
    uint64_t last_success, failing_since, last_error_at, last_rejected;
    uint64_t next_try;  /* 0 also while it is tried */
    uint64_t last_loss; /* when it was seen that it had lost records */
    char last_error[SINK_TROUBLE];
};

/* How the last reload went. */
struct status_reload {
    uint64_t time; /* ms since 1970; 0: none yet */
    bool good;     /* credentials, certificate and key could be read */
    char said[256];
};

/* Each part is of one moment. Times are ms since 1970-01-01 00:00 UTC, 0: never. Texts of peers
 * (path, field) and of the system are as they came: whoever shows them escapes them. */
struct status {
    uint64_t now, started; /* both by the same clock, also if it was set meanwhile */
    bool stopping;         /* no request is taken any more */

    struct cmcwh_server_counters server;
    struct timing request_time;                    /* from a request's first bytes to its answer */
    struct status_refusal refusals[REFUSALS_LAST]; /* newest first */
    unsigned refusal_count;
    uint64_t last_unauthorized, last_unavailable; /* 401, 503 */
    struct door_counters door;
    uint64_t certificate_end; /* 0: no TLS */

    struct cmcwh_ring_state ring;
    uint32_t ring_peak_hour; /* most records in use within the last hour, as far as it was seen */
    struct cmcwh_counters events;
    uint64_t found[CMCWH_COUNTS]; /* of its totals, those that the ring's file had at the start */
    bool ring_in_file;
    bool confirms;           /* a 200 waits for the required sinks */
    bool storage_fails;      /* the ring's file cannot be written or synced, or hangs */
    uint64_t sync_failures;  /* how often it could not */
    struct timing sync_time; /* of the ring's file */

    struct status_sink sinks[CMCWH_READERS_MAX];
    unsigned sink_count;

    struct status_reload reload;
    struct process_usage process;
    uint64_t quiet_after; /* ms without an event that are too long; 0: none are */
};

/* What snapshots are taken of. The caller sets the first part, and keeps what it points to as long
 * as anybody may take one. */
struct status_source {
    struct http *http;
    struct cmcwh_ring *ring;
    struct ring_file *file; /* NULL: the ring is in memory */
    struct sink *sinks;
    unsigned sink_count;
    uint64_t quiet_after;

    /* All else is private. */
    uint64_t started;      /* ticks */
    pthread_mutex_t mutex; /* guards the rest */
    bool stopping;
    struct status_reload reload;
    uint32_t peak; /* of the ring, that has been seen */
    struct {
        uint32_t minute, most;
    } minutes[60];
    uint64_t lost[CMCWH_READERS_MAX], last_loss[CMCWH_READERS_MAX];
    uint64_t found[CMCWH_COUNTS];
};

/* Once the caller has set its part, and before the next ones. */
void status_init(struct status_source *source);

/* The ring is open, and has not been given anything yet. */
void status_found(struct status_source *source);

/* Any thread, and several at a time: it waits for nothing but short locks. Not while http_stop is
 * called by another one. */
void status_take(struct status *status, struct status_source *source);

/* Sees what no later look would show: how full the ring gets, and that a sink loses records. To be
 * called every second or so, by one thread. */
void status_observe(struct status_source *source);

/* The next two are told by who does it. */
void status_reloaded(struct status_source *source, bool good, const char *said);
void status_stops(struct status_source *source);

/* ---- What follows from it ---- */

/* How many records wait for required sinks, and of these, the sink for which the most do (NULL:
 * none). Those that only besteffort sinks have not taken make room when it is needed. */
uint32_t status_waiting(const struct status *status, const struct status_sink **slowest);

/* Would a webhook that is posted now be taken? If not, writes why, in English, a clause for each
 * reason. A sink that fails does not matter while the ring's file has room. */
bool status_ready(const struct status *status, struct writer *why);

/* Says it in the log, a line for each thing there is. */
void status_log(const struct status *status);

/* A ring that required sinks keep nearly full is said, once until it has been half empty: it is too
 * small, or a sink too slow, and the next burst gets 503. To be called every STATUS_LOOK ms;
 * `watch` is all zero at first. */
enum { STATUS_LOOK = 10000 };
struct status_watch {
    unsigned looks; /* one after the other at which it was nearly full */
    bool said;
};
void status_look(struct status_watch *watch, const struct status *status);

#endif
