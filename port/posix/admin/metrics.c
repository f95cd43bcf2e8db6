/* The snapshot as metrics: one table of what there is. Not here: the counting. */
#include "admin/metrics.h"

#include <inttypes.h>
#include <stddef.h>
#include <string.h>

#include "admin/verdict.h"

/* The sheet that is being written. */
struct sheet {
    struct writer *writer;
    const struct status *status;
    bool openmetrics;
};

enum kind { GAUGE, COUNTER, INFO, HISTOGRAM };

/* The metrics of one name. */
struct family {
    const char *name; /* without what its kind adds */
    const char *help;
    void (*samples)(const struct sheet *sheet, const struct family *family);
    uint16_t at; /* for `samples`: where the value is */
    uint8_t kind;
};

static const char *suffix_of(const struct family *family) {
    return family->kind == COUNTER ? "_total" : family->kind == INFO ? "_info" : "";
}

/* ---- Lines ---- */

/* Its label, if there is one, has a value of ours, which needs no escapes. */
static void name(const struct sheet *sheet, const struct family *family, const char *label,
                 const char *value) {
    writer_text(sheet->writer, family->name);
    writer_text(sheet->writer, suffix_of(family));
    if (label != NULL) {
        writer_print(sheet->writer, "{%s=\"%s\"}", label, value);
    }
}

static void value(const struct sheet *sheet, uint64_t number) {
    writer_print(sheet->writer, " %" PRIu64 "\n", number);
}

static void line(const struct sheet *sheet, const struct family *family, const char *label,
                 const char *of, uint64_t number) {
    name(sheet, family, label, of);
    value(sheet, number);
}

/* Seconds, of so many parts each: "0.0001", "10.0". */
static void seconds(const struct sheet *sheet, uint64_t time, uint32_t parts) {
    uint32_t rest = (uint32_t)(time % parts);

    writer_print(sheet->writer, "%" PRIu64 ".", time / parts);
    do {
        parts /= 10;
        writer_print(sheet->writer, "%" PRIu32, rest / parts);
        rest %= parts;
    } while (rest > 0);
}

static void moment(const struct sheet *sheet, uint64_t ms) {
    writer_text(sheet->writer, " ");
    seconds(sheet, ms, 1000);
    writer_text(sheet->writer, "\n");
}

/* ---- What is one value of the snapshot ---- */

static const void *at(const struct sheet *sheet, const struct family *family) {
    return (const char *)sheet->status + family->at;
}

static void number(const struct sheet *sheet, const struct family *family) {
    line(sheet, family, NULL, NULL, *(const uint64_t *)at(sheet, family));
}

static void number_32(const struct sheet *sheet, const struct family *family) {
    line(sheet, family, NULL, NULL, *(const uint32_t *)at(sheet, family));
}

/* ms, told in seconds. */
static void time_of(const struct sheet *sheet, const struct family *family) {
    name(sheet, family, NULL, NULL);
    moment(sheet, *(const uint64_t *)at(sheet, family));
}

static void time_if_any(const struct sheet *sheet, const struct family *family) {
    if (*(const uint64_t *)at(sheet, family) != 0) {
        time_of(sheet, family);
    }
}

static void histogram(const struct sheet *sheet, const struct family *family) {
    const struct timing *timing = at(sheet, family);
    uint64_t sum = 0;

    for (unsigned i = 0; i < TIMING_BUCKETS - 1; i++) {
        sum += timing->buckets[i];
        writer_print(sheet->writer, "%s_bucket{le=\"", family->name);
        seconds(sheet, timing_limits_us[i], 1000000);
        writer_text(sheet->writer, "\"}");
        value(sheet, sum);
    }
    writer_print(sheet->writer, "%s_bucket{le=\"+Inf\"} %" PRIu64 "\n%s_sum ", family->name,
                 timing->count, family->name);
    seconds(sheet, timing->sum_us, 1000000);
    writer_print(sheet->writer, "\n%s_count %" PRIu64 "\n", family->name, timing->count);
}

/* ---- What is made of several ---- */

static void build(const struct sheet *sheet, const struct family *family) {
    line(sheet, family, "version", CMCWH_VERSION, 1);
}

static void requests(const struct sheet *sheet, const struct family *family) {
    static const uint16_t statuses[CMCWH_STATUSES] = CMCWH_STATUS_LIST;

    for (unsigned i = 0; i < CMCWH_STATUSES; i++) {
        writer_print(sheet->writer, "%s_total{code=\"%s%.0d\"}", family->name,
                     statuses[i] == 0 ? "other" : "", statuses[i]);
        value(sheet, sheet->status->server.answers[i]);
    }
}

static void errors(const struct sheet *sheet, const struct family *family) {
    for (unsigned i = 0; i < CMCWH_ERRORS; i++) {
        line(sheet, family, "error", cmcwh_error_name(i), sheet->status->server.errors[i]);
    }
}

/* What was found in a ring's file was counted by the process before this one: a counter that begins
 * with it would look like as many new events. */
static uint64_t since_start(const struct sheet *sheet, unsigned count) {
    return sheet->status->events.totals[count] - sheet->status->found[count];
}

static void events(const struct sheet *sheet, const struct family *family) {
    for (unsigned i = 0; i < CMCWH_COUNT_REPEATS; i++) {
        writer_print(sheet->writer, "%s_total{type=\"%s\",status=\"%s\"}", family->name,
                     cmcwh_count_type(i), cmcwh_count_status(i));
        value(sheet, since_start(sheet, i));
    }
}

/* Of all events, whatever else they count as. */
static void repeats(const struct sheet *sheet, const struct family *family) {
    line(sheet, family, NULL, NULL, since_start(sheet, CMCWH_COUNT_REPEATS));
}

static void truncated(const struct sheet *sheet, const struct family *family) {
    line(sheet, family, NULL, NULL, since_start(sheet, CMCWH_COUNT_TRUNCATED));
}

static void connections(const struct sheet *sheet, const struct family *family) {
    const struct door_counters *door = &sheet->status->door;

    line(sheet, family, "state", "resting", door->resting);
    line(sheet, family, "state", "shaking", door->shaking);
    line(sheet, family, "state", "reading", door->reading);
    line(sheet, family, "state", "storing", door->storing);
    line(sheet, family, "state", "queued", door->queued);
    line(sheet, family, "state", "answering", door->answering);
}

static void handshakes(const struct sheet *sheet, const struct family *family) {
    line(sheet, family, "result", "good", sheet->status->door.handshakes_good);
    line(sheet, family, "result", "bad", sheet->status->door.handshakes_bad);
}

/* What was loaded at the start was good. */
static void reload(const struct sheet *sheet, const struct family *family) {
    const struct status_reload *last = &sheet->status->reload;

    line(sheet, family, NULL, NULL, last->time == 0 || last->good ? 1 : 0);
}

static void ready(const struct sheet *sheet, const struct family *family) {
    char bytes[1];
    struct writer why = {.bytes = bytes, .size = sizeof bytes};

    line(sheet, family, NULL, NULL, status_ready(sheet->status, &why) ? 1 : 0);
}

static void colour(const struct sheet *sheet, const struct family *family) {
    struct verdict verdict;

    verdict_of(&verdict, sheet->status);
    line(sheet, family, NULL, NULL, (uint64_t)verdict.colour);
}

/* ---- Sinks ---- */

/* The values of one, in one place. */
struct sink_values {
    uint64_t up, required, behind, delivered, lost, failures;
    uint64_t last_success, last_failure; /* ms */
};

static struct sink_values values_of(const struct status *status, const struct status_sink *sink) {
    return (struct sink_values){.up = sink->state == STATUS_WORKS ? 1 : 0,
                                .required = sink->required ? 1 : 0,
                                .behind = status->ring.behind[sink->reader],
                                .delivered = sink->delivered,
                                .lost = status->ring.lost[sink->reader],
                                .failures = sink->failures,
                                .last_success = sink->last_success,
                                .last_failure = sink->last_error_at};
}

/* The URI up to its parameters: they change without another sink being there, two sinks never have
 * the same before them, and they may be secret some day. A long one is cut, and has its number. */
static void sink_name(const struct sheet *sheet, const struct family *family, unsigned i) {
    enum { MOST = 240 };
    const char *uri = sheet->status->sinks[i].uri;

    name(sheet, family, NULL, NULL);
    writer_text(sheet->writer, "{sink=\"");
    if (!writer_label_most(sheet->writer, (struct cmcwh_text){uri, strcspn(uri, "?")}, MOST)) {
        writer_print(sheet->writer, "...#%u", i);
    }
    writer_text(sheet->writer, "\"}");
}

static void sinks(const struct sheet *sheet, const struct family *family) {
    for (unsigned i = 0; i < sheet->status->sink_count; i++) {
        struct sink_values values = values_of(sheet->status, &sheet->status->sinks[i]);
        uint64_t number = *(const uint64_t *)((const char *)&values + family->at);

        sink_name(sheet, family, i);
        if (family->at >= offsetof(struct sink_values, last_success)) {
            moment(sheet, number);
        } else {
            value(sheet, number);
        }
    }
}

/* ---- The table ---- */

#define OF(member)      offsetof(struct status, member)
#define OF_SINK(member) offsetof(struct sink_values, member)

/* Times of events are 0 until there was one. */
static const struct family families[] = {
    {"cmcwh_build", "The version.", build, 0, INFO},
    {"cmcwh_verdict", "As the status page has it: 0 OK, 1 attention, 2 trouble.", colour, 0, GAUGE},
    {"cmcwh_ready", "Would a webhook posted now be taken?", ready, 0, GAUGE},
    {"process_start_time_seconds", "When it started, since 1970.", time_of, OF(started), GAUGE},
    {"process_resident_memory_bytes", "Memory in use.", number, OF(process.rss), GAUGE},
    {"process_open_fds", "Descriptors in use.", number, OF(process.descriptors), GAUGE},
    {"process_max_fds", "Descriptors that it may have.", number, OF(process.descriptors_max),
     GAUGE},

    {"cmcwh_http_requests", "Requests by the status of their answer.", requests, 0, COUNTER},
    {"cmcwh_request_errors", "Requests that were not taken, by the error in the answer.", errors, 0,
     COUNTER},
    {"cmcwh_http_request_seconds", "From the first bytes of a request to its answer.", histogram,
     OF(request_time), HISTOGRAM},
    {"cmcwh_last_request_timestamp_seconds", "When a request was last answered.", time_of,
     OF(server.last_request), GAUGE},
    {"cmcwh_last_ok_timestamp_seconds", "When that was with 200.", time_of, OF(server.last_ok),
     GAUGE},
    {"cmcwh_last_unauthorized_timestamp_seconds", "When that was with 401.", time_of,
     OF(last_unauthorized), GAUGE},
    {"cmcwh_last_unavailable_timestamp_seconds", "When that was with 503.", time_of,
     OF(last_unavailable), GAUGE},

    {"cmcwh_events", "Events stored, each once as far as the ring can tell.", events, 0, COUNTER},
    {"cmcwh_events_repeated", "Events that the ring still held when they came again.", repeats, 0,
     COUNTER},
    {"cmcwh_events_truncated", "Events of which a text was cut.", truncated, 0, COUNTER},
    {"cmcwh_last_event_timestamp_seconds", "When an event was last stored.", time_of,
     OF(events.last_event), GAUGE},
    {"cmcwh_quiet_after_seconds",
     "How long without an event is too long (--quiet-after), 0: never.", time_of, OF(quiet_after),
     GAUGE},

    {"cmcwh_ring_records", "Records of the ring in use.", number_32, OF(ring.in_use), GAUGE},
    {"cmcwh_ring_peak_records", "Most that were in use since the start.", number_32, OF(ring.peak),
     GAUGE},
    {"cmcwh_ring_capacity_records", "Records that it has.", number_32, OF(ring.capacity), GAUGE},
    {"cmcwh_ring_full_requests", "Requests that found no room in it.", number, OF(ring.fulls),
     COUNTER},
    {"cmcwh_ring_sync_seconds", "How long syncs of its file took.", histogram, OF(sync_time),
     HISTOGRAM},
    {"cmcwh_ring_sync_failures", "How often it could not be written or synced.", number,
     OF(sync_failures), COUNTER},

    {"cmcwh_sink_up", "Does it work?", sinks, OF_SINK(up), GAUGE},
    {"cmcwh_sink_required", "Must it have every event?", sinks, OF_SINK(required), GAUGE},
    {"cmcwh_sink_behind_records", "Records that it has not taken yet.", sinks, OF_SINK(behind),
     GAUGE},
    {"cmcwh_sink_delivered_records", "Records that it has taken.", sinks, OF_SINK(delivered),
     COUNTER},
    {"cmcwh_sink_lost_records", "Records that gave way before it had taken them.", sinks,
     OF_SINK(lost), COUNTER},
    {"cmcwh_sink_failures", "How often it failed.", sinks, OF_SINK(failures), COUNTER},
    {"cmcwh_sink_last_success_timestamp_seconds", "When it last took records.", sinks,
     OF_SINK(last_success), GAUGE},
    {"cmcwh_sink_last_failure_timestamp_seconds", "When it last failed.", sinks,
     OF_SINK(last_failure), GAUGE},

    {"cmcwh_connections", "Connections by what they wait for.", connections, 0, GAUGE},
    {"cmcwh_connections_limit", "How many there may be.", number_32, OF(door.limit), GAUGE},
    {"cmcwh_connections_accepted", "Connections that were accepted.", number, OF(door.accepted),
     COUNTER},
    {"cmcwh_connections_crowded", "Connections and requests that gave way to others.", number,
     OF(door.crowded), COUNTER},
    {"cmcwh_slow_requests", "Requests that were not whole in time.", number, OF(door.slow),
     COUNTER},
    {"cmcwh_tls_handshakes", "TLS handshakes.", handshakes, 0, COUNTER},
    {"cmcwh_tls_certificate_expiry_timestamp_seconds", "When the certificate ends.", time_if_any,
     OF(certificate_end), GAUGE},

    {"cmcwh_config_last_reload_successful",
     "Did the last reload (SIGHUP), or else the start, go well?", reload, 0, GAUGE},
    {"cmcwh_config_last_reload_timestamp_seconds", "When the last reload was.", time_of,
     OF(reload.time), GAUGE},
};

/* The last word of a name is its unit, if it is one. */
static void unit(const struct sheet *sheet, const struct family *family) {
    static const char *const units[] = {"seconds", "bytes", "records"};
    const char *last = strrchr(family->name, '_') + 1;

    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (strcmp(last, units[i]) == 0) {
            writer_print(sheet->writer, "# UNIT %s %s\n", family->name, last);
        }
    }
}

static void head(const struct sheet *sheet, const struct family *family) {
    static const char *const types[] = {"gauge", "counter", "info", "histogram"};
    bool open = sheet->openmetrics;
    const char *suffix = open ? "" : suffix_of(family);

    writer_print(sheet->writer, "# HELP %s%s %s\n", family->name, suffix, family->help);
    writer_print(sheet->writer, "# TYPE %s%s %s\n", family->name, suffix,
                 types[family->kind == INFO && !open ? GAUGE : family->kind]);
    if (open) {
        unit(sheet, family);
    }
}

void metrics_write(struct writer *writer, const struct status *status, bool openmetrics) {
    struct sheet sheet = {.writer = writer, .status = status, .openmetrics = openmetrics};

    for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
        head(&sheet, &families[i]);
        families[i].samples(&sheet, &families[i]);
    }
    if (openmetrics) {
        writer_text(writer, "# EOF\n");
    }
}

const char *metrics_type(bool openmetrics) {
    return openmetrics ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
                       : "text/plain; version=0.0.4; charset=utf-8";
}
