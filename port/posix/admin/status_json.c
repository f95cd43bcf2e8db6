/* The snapshot as JSON. Not here: the counting, and the words (verdict.c). */
#include "admin/status_json.h"

#include <inttypes.h>
#include <string.h>

#include "admin/day.h"
#include "admin/verdict.h"

/* How much of a text there is room for: all of it, unless it is full of what must be escaped. */
enum { URI_MOST = 512, ERROR_MOST = 320, TEXT_MOST = 160, WORD_MOST = 64, SENTENCE_MOST = 400 };

/* ---- Members ---- */

/* What comes next is the first within its container, the value of a name, or needs a comma. */
static void next(struct writer *writer) {
    char last = writer->used == 0 ? '{' : writer->bytes[writer->used - 1];

    if (last != '{' && last != '[' && last != ':') {
        writer_text(writer, ",");
    }
}

static void name(struct writer *writer, const char *text) {
    next(writer);
    writer_print(writer, "\"%s\":", text);
}

static void begin(struct writer *writer, const char *text) {
    name(writer, text);
    writer_text(writer, "{");
}

static void begin_list(struct writer *writer, const char *text) {
    name(writer, text);
    writer_text(writer, "[");
}

static void begin_item(struct writer *writer) {
    next(writer);
    writer_text(writer, "{");
}

static void end(struct writer *writer) {
    writer_text(writer, "}");
}

static void end_list(struct writer *writer) {
    writer_text(writer, "]");
}

static void number(struct writer *writer, const char *text, uint64_t value) {
    name(writer, text);
    writer_print(writer, "%" PRIu64, value);
}

static void flag(struct writer *writer, const char *text, bool value) {
    name(writer, text);
    writer_text(writer, value ? "true" : "false");
}

/* ms since 1970; null for 0: never. */
static void moment(struct writer *writer, const char *text, uint64_t time) {
    name(writer, text);
    if (time == 0) {
        writer_text(writer, "null");
    } else {
        writer_text(writer, "\"");
        day_utc(writer, time);
        writer_text(writer, "\"");
    }
}

static void string(struct writer *writer, const char *text, const char *value, size_t most) {
    name(writer, text);
    (void)writer_json_most(writer, writer_view(value), most);
}

/* ---- Parts ---- */

/* What verdict.c writes, as a string. */
static void sentence(struct writer *writer, const char *text, const struct verdict_reason *reason,
                     const struct status *status,
                     void (*write)(struct writer *writer, const struct verdict_reason *reason,
                                   const struct status *status, enum language language)) {
    char bytes[1024];
    struct writer plain = {.bytes = bytes, .size = sizeof bytes};

    write(&plain, reason, status, ENGLISH);
    name(writer, text);
    (void)writer_json_most(writer, (struct cmcwh_text){bytes, plain.used}, SENTENCE_MOST);
}

static void put_verdict(struct writer *writer, const struct status *status) {
    char bytes[1024];
    struct writer plain = {.bytes = bytes, .size = sizeof bytes};
    struct verdict verdict;

    verdict_of(&verdict, status);
    begin(writer, "verdict");
    string(writer, "colour", verdict_colour_name(verdict.colour), WORD_MOST);
    verdict_sentence(&plain, &verdict, status, ENGLISH);
    name(writer, "sentence");
    (void)writer_json_most(writer, (struct cmcwh_text){bytes, plain.used}, SENTENCE_MOST);
    begin_list(writer, "reasons");
    for (unsigned i = 0; i < verdict.count; i++) {
        const struct verdict_reason *reason = &verdict.reasons[i];

        begin_item(writer);
        string(writer, "cause", verdict_cause_name(reason->cause), WORD_MOST);
        string(writer, "colour", verdict_colour_name(reason->colour), WORD_MOST);
        sentence(writer, "sentence", reason, status, verdict_reason);
        sentence(writer, "remedy", reason, status, verdict_remedy);
        end(writer);
    }
    end_list(writer);
    end(writer);
}

static void put_ready(struct writer *writer, const struct status *status) {
    char bytes[1024];
    struct writer plain = {.bytes = bytes, .size = sizeof bytes};

    flag(writer, "ready", status_ready(status, &plain));
    name(writer, "not_ready");
    (void)writer_json_most(writer, (struct cmcwh_text){bytes, plain.used}, SENTENCE_MOST);
}

static void put_timing(struct writer *writer, const char *text, const struct timing *timing) {
    begin(writer, text);
    number(writer, "count", timing->count);
    number(writer, "sum_us", timing->sum_us);
    begin_list(writer, "buckets");
    for (unsigned i = 0; i < TIMING_BUCKETS; i++) {
        begin_item(writer);
        if (i < TIMING_BUCKETS - 1) {
            number(writer, "up_to_us", timing_limits_us[i]);
        }
        number(writer, "count", timing->buckets[i]);
        end(writer);
    }
    end_list(writer);
    end(writer);
}

static void put_requests(struct writer *writer, const struct status *status) {
    static const uint16_t statuses[CMCWH_STATUSES] = CMCWH_STATUS_LIST;
    const struct cmcwh_server_counters *server = &status->server;

    begin(writer, "requests");
    number(writer, "answered", server->requests);
    begin(writer, "answers");
    for (unsigned i = 0; i < CMCWH_STATUSES; i++) {
        next(writer);
        writer_print(writer, "\"%s%.0d\":%" PRIu64, statuses[i] == 0 ? "other" : "", statuses[i],
                     server->answers[i]);
    }
    end(writer);
    begin(writer, "errors");
    for (unsigned i = 0; i < CMCWH_ERRORS; i++) {
        number(writer, cmcwh_error_name(i), server->errors[i]);
    }
    end(writer);
    number(writer, "slow", status->door.slow);
    moment(writer, "last", server->last_request);
    moment(writer, "last_ok", server->last_ok);
    moment(writer, "last_unauthorized", status->last_unauthorized);
    moment(writer, "last_unavailable", status->last_unavailable);
    put_timing(writer, "times", &status->request_time);
    end(writer);
}

static void put_refusals(struct writer *writer, const struct status *status) {
    begin_list(writer, "refusals");
    for (unsigned i = 0; i < status->refusal_count; i++) {
        const struct status_refusal *refusal = &status->refusals[i];

        begin_item(writer);
        moment(writer, "time", refusal->time);
        number(writer, "times", refusal->times);
        number(writer, "status", (uint64_t)refusal->status);
        string(writer, "peer", refusal->peer, WORD_MOST);
        string(writer, "path", refusal->path, TEXT_MOST);
        string(writer, "error", refusal->error, WORD_MOST);
        string(writer, "detail", refusal->detail, TEXT_MOST);
        string(writer, "field", refusal->field, WORD_MOST);
        if (refusal->has_offset) {
            number(writer, "offset", refusal->offset);
        }
        end(writer);
    }
    end_list(writer);
}

/* ---- Events ---- */

static void put_counts(struct writer *writer, const uint64_t counts[CMCWH_COUNTS]) {
    begin(writer, "deliveries");
    for (unsigned i = CMCWH_COUNT_DELIVERIES; i < CMCWH_COUNT_BOUNCES; i++) {
        number(writer, cmcwh_count_status(i), counts[i]);
    }
    end(writer);
    begin(writer, "bounces");
    for (unsigned i = CMCWH_COUNT_BOUNCES; i < CMCWH_COUNT_BLOCKS; i++) {
        if (counts[i] > 0) {
            next(writer);
            writer_print(writer, "\"%u\":%" PRIu64, cmcwh_count_bounce(i), counts[i]);
        }
    }
    end(writer);
    number(writer, "blocks", counts[CMCWH_COUNT_BLOCKS]);
    number(writer, "other", counts[CMCWH_COUNT_OTHER]);
    number(writer, "repeated", counts[CMCWH_COUNT_REPEATS]);
    number(writer, "truncated", counts[CMCWH_COUNT_TRUNCATED]);
}

static void put_hour(struct writer *writer, const struct cmcwh_counters *events, uint64_t hour) {
    const struct cmcwh_hour *place = &events->hours[hour % CMCWH_HOURS];
    uint64_t counts[CMCWH_COUNTS];

    for (unsigned i = 0; i < CMCWH_COUNTS; i++) {
        counts[i] = place->hour == hour ? place->counts[i] : 0;
    }
    begin_item(writer);
    moment(writer, "begin", hour * 3600000);
    put_counts(writer, counts);
    end(writer);
}

static void put_events(struct writer *writer, const struct status *status) {
    const struct cmcwh_counters *events = &status->events;
    uint64_t now = status->now / 3600000;

    begin(writer, "events");
    number(writer, "stored", status->server.events);
    moment(writer, "last", events->last_event);
    moment(writer, "since", events->since);
    flag(writer, "at_least", events->at_least);
    begin(writer, "totals");
    put_counts(writer, events->totals);
    end(writer);
    begin(writer, "found");
    put_counts(writer, status->found);
    end(writer);
    begin_list(writer, "hours");
    for (uint64_t back = CMCWH_HOURS; back > 0 && now >= CMCWH_HOURS; back--) {
        put_hour(writer, events, now + 1 - back);
    }
    end_list(writer);
    begin(writer, "bounce_names");
    for (unsigned i = CMCWH_COUNT_BOUNCES; i < CMCWH_COUNT_BLOCKS; i++) {
        next(writer);
        writer_print(writer, "\"%u\":\"%s\"", cmcwh_count_bounce(i), cmcwh_count_status(i));
    }
    end(writer);
    end(writer);
}

/* ---- Where they go ---- */

static void put_ring(struct writer *writer, const struct status *status) {
    const struct cmcwh_ring_state *ring = &status->ring;

    begin(writer, "ring");
    flag(writer, "file", status->ring_in_file);
    number(writer, "capacity", ring->capacity);
    number(writer, "in_use", ring->in_use);
    number(writer, "peak", ring->peak);
    number(writer, "peak_hour", status->ring_peak_hour);
    number(writer, "full_requests", ring->fulls);
    number(writer, "newest", ring->stored);
    number(writer, "safe", ring->safe);
    flag(writer, "fails", status->storage_fails);
    number(writer, "sync_failures", status->sync_failures);
    put_timing(writer, "syncs", &status->sync_time);
    end(writer);
}

static void put_sinks(struct writer *writer, const struct status *status) {
    static const char *const states[] = {"opening", "works", "fails", "hangs"};

    begin_list(writer, "sinks");
    for (unsigned i = 0; i < status->sink_count; i++) {
        const struct status_sink *sink = &status->sinks[i];

        begin_item(writer);
        string(writer, "uri", sink->uri, URI_MOST);
        flag(writer, "required", sink->required);
        string(writer, "state", states[sink->state], WORD_MOST);
        number(writer, "behind", status->ring.behind[sink->reader]);
        number(writer, "delivered", sink->delivered);
        number(writer, "lost", status->ring.lost[sink->reader]);
        number(writer, "rejected", sink->rejected);
        number(writer, "failures", sink->failures);
        moment(writer, "last_success", sink->last_success);
        moment(writer, "failing_since", sink->failing_since);
        moment(writer, "next_try", sink->next_try);
        moment(writer, "last_loss", sink->last_loss);
        moment(writer, "last_rejected", sink->last_rejected);
        moment(writer, "last_error_at", sink->last_error_at);
        string(writer, "last_error", sink->last_error, ERROR_MOST);
        end(writer);
    }
    end_list(writer);
}

/* ---- All else ---- */

static void put_connections(struct writer *writer, const struct door_counters *door) {
    begin(writer, "connections");
    number(writer, "open", door->open);
    number(writer, "limit", door->limit);
    number(writer, "resting", door->resting);
    number(writer, "shaking", door->shaking);
    number(writer, "reading", door->reading);
    number(writer, "storing", door->storing);
    number(writer, "queued", door->queued);
    number(writer, "answering", door->answering);
    number(writer, "accepted", door->accepted);
    number(writer, "crowded", door->crowded);
    number(writer, "handshakes_good", door->handshakes_good);
    number(writer, "handshakes_bad", door->handshakes_bad);
    end(writer);
}

static void put_reload(struct writer *writer, const struct status_reload *reload) {
    begin(writer, "reload");
    moment(writer, "time", reload->time);
    flag(writer, "good", reload->time == 0 || reload->good); /* at the start all was */
    string(writer, "said", reload->said, ERROR_MOST);
    end(writer);
}

static void put_process(struct writer *writer, const struct process_usage *process) {
    begin(writer, "process");
    number(writer, "memory_bytes", process->rss);
    number(writer, "descriptors", process->descriptors);
    number(writer, "descriptors_limit", process->descriptors_max);
    end(writer);
}

void status_json_write(struct writer *writer, const struct status *status) {
    writer_text(writer, "{");
    moment(writer, "time", status->now);
    string(writer, "version", CMCWH_VERSION, WORD_MOST);
    moment(writer, "started", status->started);
    flag(writer, "stopping", status->stopping);
    put_ready(writer, status);
    put_verdict(writer, status);
    number(writer, "quiet_after_seconds", status->quiet_after / 1000);
    moment(writer, "certificate_end", status->certificate_end);
    put_requests(writer, status);
    put_refusals(writer, status);
    put_events(writer, status);
    put_ring(writer, status);
    put_sinks(writer, status);
    put_connections(writer, &status->door);
    put_reload(writer, &status->reload);
    put_process(writer, &status->process);
    writer_text(writer, "}\n");
}
