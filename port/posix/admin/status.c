/* The snapshot of everything that can be counted, and how it is told in the log. Not here: the
 * counting, which is with whom it happens to, and what is good or bad of it (verdict.c). */
#include "admin/status.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "admin/day.h"
#include "platform/log.h"
#include "platform/platform.h"
#include "tls/server.h"

/* ---- The snapshot ---- */

void status_init(struct status_source *source) {
    source->started = platform_ticks();
    (void)pthread_mutex_init(&source->mutex, NULL);
}

static void take_sink(struct status_sink *taken, const struct sink *sink) {
    struct sink_news news;

    sink_ask(sink, &news);
    taken->uri = sink->uri;
    taken->scheme = sink->medium->scheme;
    taken->reader = sink->pump.config.reader;
    taken->required = sink->required;
    taken->state = news.hangs                              ? STATUS_HANGS
                   : news.failing[0] != '\0'               ? STATUS_FAILS
                   : news.opened || news.last_success != 0 ? STATUS_WORKS
                                                           : STATUS_OPENING;
    taken->delivered = news.delivered;
    taken->failures = news.failures;
    taken->rejected = news.rejected;
    taken->last_success = news.last_success;
    taken->failing_since = news.failing_since;
    taken->last_error_at = news.last_error_at;
    taken->last_rejected = news.last_rejected;
    taken->next_try = news.next_try;
    memcpy(taken->trouble, news.failing, sizeof taken->trouble);
    memcpy(taken->last_error, news.last_error, sizeof taken->last_error);
}

static void take_http(struct status *status, struct http *http) {
    cmcwh_server_count(&http->server, &status->server);
    timer_read(&http->times, &status->request_time);
    status->refusal_count = refusals_last(&http->refusals, status->refusals,
                                          &status->last_unauthorized, &status->last_unavailable);
    if (http->door != NULL) {
        door_count(http->door, &status->door);
    }
}

static void take_ring(struct status *status, const struct status_source *source) {
    struct ring_file *file = source->file;

    cmcwh_ring_state(source->ring, &status->ring);
    cmcwh_ring_counters(source->ring, &status->events);
    memcpy(status->found, source->found, sizeof status->found);
    status->confirms = source->ring->config.confirm;
    status->ring_in_file = file != NULL;
    if (file != NULL) {
        timer_read(&file->syncs, &status->sync_time);
        status->sync_failures = __atomic_load_n(&file->faults, __ATOMIC_RELAXED);
        status->storage_fails = ring_file_fails(file);
    }
}

static uint32_t minute_of(uint64_t ticks) {
    return (uint32_t)(ticks / 60000);
}

/* What the source keeps itself. With its mutex held. */
static void take_kept(struct status *status, const struct status_source *source) {
    enum { MINUTES = sizeof source->minutes / sizeof *source->minutes };
    uint32_t now = minute_of(platform_ticks()), most = status->ring.in_use;

    for (unsigned i = 0; i < MINUTES; i++) {
        if (now - source->minutes[i].minute < MINUTES && source->minutes[i].most > most) {
            most = source->minutes[i].most;
        }
    }
    status->ring_peak_hour = most;
    status->stopping = source->stopping;
    status->reload = source->reload;
    for (unsigned i = 0; i < status->sink_count; i++) {
        status->sinks[i].last_loss = source->last_loss[i];
    }
}

void status_found(struct status_source *source) {
    struct cmcwh_counters counters;

    cmcwh_ring_counters(source->ring, &counters);
    memcpy(source->found, counters.totals, sizeof source->found);
}

void status_take(struct status *status, struct status_source *source) {
    memset(status, 0, sizeof *status);
    status->now = platform_now();
    status->started = status->now - (platform_ticks() - source->started);
    take_http(status, source->http);
    take_ring(status, source);
    status->sink_count = source->sink_count;
    for (unsigned i = 0; i < source->sink_count; i++) {
        take_sink(&status->sinks[i], &source->sinks[i]);
    }
    status->certificate_end = tls_expiry();
    process_use(&status->process);
    status->quiet_after = source->quiet_after;
    (void)pthread_mutex_lock(&source->mutex);
    take_kept(status, source);
    (void)pthread_mutex_unlock(&source->mutex);
}

/* ---- What the source is told ---- */

/* The ring has been so full within this minute. A new peak since the start is seen exactly, what
 * does not last for a second and is none may not be. With the mutex held. */
static void note_fill(struct status_source *source, const struct cmcwh_ring_state *ring) {
    uint32_t now = minute_of(platform_ticks()),
             most = ring->peak > source->peak ? ring->peak : ring->in_use,
             place = now % (sizeof source->minutes / sizeof *source->minutes);

    source->peak = ring->peak;
    if (source->minutes[place].minute != now || source->minutes[place].most < most) {
        source->minutes[place].minute = now;
        source->minutes[place].most = most;
    }
}

void status_observe(struct status_source *source) {
    struct cmcwh_ring_state ring;

    cmcwh_ring_state(source->ring, &ring);
    (void)pthread_mutex_lock(&source->mutex);
    note_fill(source, &ring);
    for (unsigned i = 0; i < source->sink_count; i++) {
        uint64_t lost = ring.lost[source->sinks[i].pump.config.reader];

        if (lost > source->lost[i]) {
            source->lost[i] = lost;
            source->last_loss[i] = platform_now();
        }
    }
    (void)pthread_mutex_unlock(&source->mutex);
}

void status_reloaded(struct status_source *source, bool good, const char *said) {
    (void)pthread_mutex_lock(&source->mutex);
    source->reload.time = platform_now();
    source->reload.good = good;
    (void)snprintf(source->reload.said, sizeof source->reload.said, "%s", said);
    (void)pthread_mutex_unlock(&source->mutex);
}

void status_stops(struct status_source *source) {
    (void)pthread_mutex_lock(&source->mutex);
    source->stopping = true;
    (void)pthread_mutex_unlock(&source->mutex);
}

/* ---- What follows from it ---- */

uint32_t status_waiting(const struct status *status, const struct status_sink **slowest) {
    uint32_t most = 0;

    *slowest = NULL;
    for (unsigned i = 0; i < status->sink_count; i++) {
        const struct status_sink *sink = &status->sinks[i];

        if (sink->required && status->ring.behind[sink->reader] > most) {
            most = status->ring.behind[sink->reader];
            *slowest = sink;
        }
    }
    return most;
}

/* Begins one more clause. */
static void clause(struct writer *why, bool *ready) {
    writer_text(why, *ready ? "" : "; ");
    *ready = false;
}

bool status_ready(const struct status *status, struct writer *why) {
    const struct status_sink *slowest;
    bool ready = true;

    if (status->stopping) {
        clause(why, &ready);
        writer_text(why, "it is stopping");
    }
    if (status->storage_fails) {
        clause(why, &ready);
        writer_text(why, "the ring's file cannot be written");
    }
    if (status_waiting(status, &slowest) >= status->ring.capacity) {
        clause(why, &ready);
        writer_text(why, "the ring is full");
    }
    for (unsigned i = 0; i < status->sink_count && status->confirms; i++) {
        const struct status_sink *sink = &status->sinks[i];

        if (sink->required && status->ring.failed[sink->reader]) {
            clause(why, &ready);
            writer_print(why, "sink '%.200s': ", sink->uri);
            writer_text(why, sink->trouble[0] != '\0' ? sink->trouble : "does not work");
        }
    }
    return ready;
}

/* ---- In the log ---- */

/* A line that grows. */
struct line {
    char bytes[1024];
    struct writer writer;
};

static void begin_line(struct line *line, const char *name) {
    line->writer = (struct writer){.bytes = line->bytes, .size = sizeof line->bytes - 1};
    writer_text(&line->writer, name);
}

static void end_line(struct line *line) {
    line->bytes[line->writer.used] = '\0';
    log_asked("%s", line->bytes);
}

static void add_number(struct line *line, const char *name, uint64_t value) {
    writer_print(&line->writer, "%s%s=%" PRIu64, line->writer.used > 0 ? " " : "", name, value);
}

/* Nothing when it was never. */
static void add_time(struct line *line, const char *name, uint64_t time) {
    if (time != 0) {
        writer_print(&line->writer, " %s=", name);
        day_utc(&line->writer, time);
    }
}

static void log_server(const struct status *status) {
    static const int statuses[CMCWH_STATUSES] = CMCWH_STATUS_LIST;
    const struct cmcwh_server_counters *server = &status->server;
    struct line line;

    begin_line(&line, "");
    add_number(&line, "requests", server->requests);
    for (unsigned i = 0; i < CMCWH_STATUSES; i++) {
        char name[16];

        (void)snprintf(name, sizeof name, "%s%.0d", statuses[i] == 0 ? "other" : "", statuses[i]);
        if (server->answers[i] != 0) {
            add_number(&line, name, server->answers[i]);
        }
    }
    add_number(&line, "events", server->events);
    add_time(&line, "last_request", server->last_request);
    add_time(&line, "last_200", server->last_ok);
    end_line(&line);
}

static void log_errors(const struct cmcwh_server_counters *server) {
    struct line line;
    bool some = false;

    begin_line(&line, "refused");
    for (unsigned i = 0; i < CMCWH_ERRORS; i++) {
        if (server->errors[i] != 0) {
            add_number(&line, cmcwh_error_name(i), server->errors[i]);
            some = true;
        }
    }
    if (some) {
        end_line(&line);
    }
}

/* "deliveries.succeeded", "bounces.2", "blocks", "repeats". */
static void name_count(char name[32], unsigned count) {
    static const char *const others[] = {"repeats", "truncated"};
    const char *type = cmcwh_count_type(count), *status = cmcwh_count_status(count);

    if (count >= CMCWH_COUNT_REPEATS) {
        (void)snprintf(name, 32, "%s", others[count - CMCWH_COUNT_REPEATS]);
    } else if (count >= CMCWH_COUNT_BOUNCES && count < CMCWH_COUNT_BLOCKS) {
        (void)snprintf(name, 32, "%s.%u", type, cmcwh_count_bounce(count));
    } else {
        (void)snprintf(name, 32, "%s%s%s", type, status[0] != '\0' ? "." : "", status);
    }
}

static void log_events(const struct cmcwh_counters *events) {
    struct line line;
    char name[32];

    if (events->last_event == 0) {
        return;
    }
    begin_line(&line, events->at_least ? "events at least" : "events");
    for (unsigned i = 0; i < CMCWH_COUNTS; i++) {
        if (events->totals[i] != 0) {
            name_count(name, i);
            add_number(&line, name, events->totals[i]);
        }
    }
    add_time(&line, "last", events->last_event);
    end_line(&line);
}

static void log_ring(const struct status *status) {
    struct line line;

    begin_line(&line, "ring");
    add_number(&line, "in_use", status->ring.in_use);
    add_number(&line, "capacity", status->ring.capacity);
    add_number(&line, "stored", status->ring.stored);
    add_number(&line, "peak", status->ring.peak);
    add_number(&line, "peak_hour", status->ring_peak_hour);
    add_number(&line, "full", status->ring.fulls);
    if (status->ring_in_file) {
        add_number(&line, "syncs", status->sync_time.count);
        add_number(&line, "sync_us",
                   status->sync_time.count > 0 ? status->sync_time.sum_us / status->sync_time.count
                                               : 0);
        add_number(&line, "sync_failures", status->sync_failures);
    }
    end_line(&line);
}

static void log_sink(const struct status *status, const struct status_sink *sink) {
    const char *error = sink->trouble[0] != '\0' ? sink->trouble : sink->last_error;
    struct line line;

    begin_line(&line, "sink '");
    writer_print(&line.writer, "%.200s'", sink->uri);
    add_number(&line, "behind", status->ring.behind[sink->reader]);
    add_number(&line, "lost", status->ring.lost[sink->reader]);
    writer_print(&line.writer, " failed=%s", status->ring.failed[sink->reader] ? "yes" : "no");
    add_number(&line, "delivered", sink->delivered);
    if (sink->rejected != 0) {
        add_number(&line, "rejected", sink->rejected);
    }
    add_time(&line, "last_success", sink->last_success);
    add_time(&line, "last_rejected", sink->last_rejected);
    if (sink->failures != 0) {
        add_number(&line, "failures", sink->failures);
    }
    add_time(&line, "failing_since", sink->failing_since);
    add_time(&line, "next_try", sink->next_try);
    add_time(&line, "last_error", sink->last_error_at);
    writer_text(&line.writer, error[0] != '\0' ? ": " : "");
    writer_text(&line.writer, error);
    end_line(&line);
}

static void log_door(const struct status *status) {
    const struct door_counters *door = &status->door;
    struct line line;

    begin_line(&line, "connections");
    add_number(&line, "open", door->open);
    add_number(&line, "limit", door->limit);
    add_number(&line, "accepted", door->accepted);
    add_number(&line, "crowded", door->crowded);
    add_number(&line, "slow", door->slow);
    if (door->handshakes_good + door->handshakes_bad > 0) {
        add_number(&line, "handshakes", door->handshakes_good);
        add_number(&line, "handshakes_failed", door->handshakes_bad);
    }
    add_time(&line, "certificate_ends", status->certificate_end);
    end_line(&line);
}

static void log_process(const struct status *status) {
    struct line line;

    begin_line(&line, "version=" CMCWH_VERSION);
    add_time(&line, "started", status->started);
    add_number(&line, "memory", status->process.rss);
    add_number(&line, "descriptors", status->process.descriptors);
    if (status->reload.time != 0) {
        add_time(&line, "reload", status->reload.time);
        writer_print(&line.writer, " reload_failed=%s", status->reload.good ? "no" : "yes");
    }
    end_line(&line);
}

void status_log(const struct status *status) {
    log_server(status);
    log_errors(&status->server);
    log_events(&status->events);
    log_ring(status);
    for (unsigned i = 0; i < status->sink_count; i++) {
        log_sink(status, &status->sinks[i]);
    }
    log_door(status);
    log_process(status);
}

/* ---- The ring ---- */

void status_look(struct status_watch *watch, const struct status *status) {
    enum { LOOKS = 60000 / STATUS_LOOK };
    const struct status_sink *sink;
    uint32_t capacity = status->ring.capacity, waiting = status_waiting(status, &sink);

    watch->looks = sink != NULL && waiting >= capacity - capacity / 8 ? watch->looks + 1 : 0;
    watch->said = watch->said && waiting >= capacity / 2;
    if (sink != NULL && watch->looks >= LOOKS && !watch->said) {
        watch->said = true;
        log_line(CMCWH_LOG_WARN,
                 "the ring has been nearly full for a minute: %" PRIu32 " of %" PRIu32
                 " records wait for sink '%s'; it is too slow, or --ring-records too small: once "
                 "it is full, requests get 503",
                 waiting, capacity, sink->uri);
    }
}
