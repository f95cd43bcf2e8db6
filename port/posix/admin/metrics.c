/* The snapshot as metrics: one table of what there is. Not here: the counting. */
#include "admin/metrics.h"

#include <inttypes.h>
#include <stddef.h>
#include <string.h>

#include "admin/packed.h"
#include "admin/verdict.h"

enum kind { GAUGE, COUNTER, INFO, HISTOGRAM };

/* The metrics of one name. */
struct family {
    uint16_t at; /* for its samples: where the value is */
    uint8_t samples, kind;
};

/* The sheet that is being written. */
struct sheet {
    struct writer *writer;
    const struct status *status;
    bool openmetrics;
    const struct family *family; /* the one that is written now */
    char name[64];               /* of it, without what its kind adds */
};

static const char *suffix_of(const struct sheet *sheet) {
    return sheet->family->kind == COUNTER ? "_total" : sheet->family->kind == INFO ? "_info" : "";
}

/* ---- Lines ---- */

/* Its label, if there is one, has a value of ours, which needs no escapes. */
static void name(const struct sheet *sheet, const char *label, const char *value) {
    writer_text(sheet->writer, sheet->name);
    writer_text(sheet->writer, suffix_of(sheet));
    if (label != NULL) {
        writer_print(sheet->writer, "{%s=\"%s\"}", label, value);
    }
}

static void value(const struct sheet *sheet, uint64_t number) {
    writer_print(sheet->writer, " %" PRIu64 "\n", number);
}

static void line(const struct sheet *sheet, const char *label, const char *of, uint64_t number) {
    name(sheet, label, of);
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

static const void *at(const struct sheet *sheet) {
    return (const char *)sheet->status + sheet->family->at;
}

static void number(const struct sheet *sheet) {
    line(sheet, NULL, NULL, *(const uint64_t *)at(sheet));
}

static void number_32(const struct sheet *sheet) {
    line(sheet, NULL, NULL, *(const uint32_t *)at(sheet));
}

/* ms, told in seconds. */
static void time_of(const struct sheet *sheet) {
    name(sheet, NULL, NULL);
    moment(sheet, *(const uint64_t *)at(sheet));
}

static void time_if_any(const struct sheet *sheet) {
    if (*(const uint64_t *)at(sheet) != 0) {
        time_of(sheet);
    }
}

static void histogram(const struct sheet *sheet) {
    const struct timing *timing = at(sheet);
    uint64_t sum = 0;

    for (unsigned i = 0; i < TIMING_BUCKETS - 1; i++) {
        sum += timing->buckets[i];
        writer_print(sheet->writer, "%s_bucket{le=\"", sheet->name);
        seconds(sheet, timing_limits_us[i], 1000000);
        writer_text(sheet->writer, "\"}");
        value(sheet, sum);
    }
    writer_print(sheet->writer, "%s_bucket{le=\"+Inf\"} %" PRIu64 "\n%s_sum ", sheet->name,
                 timing->count, sheet->name);
    seconds(sheet, timing->sum_us, 1000000);
    writer_print(sheet->writer, "\n%s_count %" PRIu64 "\n", sheet->name, timing->count);
}

/* ---- What is made of several ---- */

static void build(const struct sheet *sheet) {
    line(sheet, "version", CMCWH_VERSION, 1);
}

static void requests(const struct sheet *sheet) {
    static const uint16_t statuses[CMCWH_STATUSES] = CMCWH_STATUS_LIST;

    for (unsigned i = 0; i < CMCWH_STATUSES; i++) {
        writer_print(sheet->writer, "%s_total{code=\"%s%.0d\"}", sheet->name,
                     statuses[i] == 0 ? "other" : "", statuses[i]);
        value(sheet, sheet->status->server.answers[i]);
    }
}

static void errors(const struct sheet *sheet) {
    for (unsigned i = 0; i < CMCWH_ERRORS; i++) {
        line(sheet, "error", cmcwh_error_name(i), sheet->status->server.errors[i]);
    }
}

/* What was found in a ring's file was counted by the process before this one: a counter that begins
 * with it would look like as many new events. */
static uint64_t since_start(const struct sheet *sheet, unsigned count) {
    return sheet->status->events.totals[count] - sheet->status->found[count];
}

static void events(const struct sheet *sheet) {
    for (unsigned i = 0; i < CMCWH_COUNT_REPEATS; i++) {
        writer_print(sheet->writer, "%s_total{type=\"%s\",status=\"%s\"}", sheet->name,
                     cmcwh_count_type(i), cmcwh_count_status(i));
        value(sheet, since_start(sheet, i));
    }
}

/* Of all events, whatever else they count as. */
static void repeats(const struct sheet *sheet) {
    line(sheet, NULL, NULL, since_start(sheet, CMCWH_COUNT_REPEATS));
}

static void truncated(const struct sheet *sheet) {
    line(sheet, NULL, NULL, since_start(sheet, CMCWH_COUNT_TRUNCATED));
}

static void connections(const struct sheet *sheet) {
    const struct door_counters *door = &sheet->status->door;

    line(sheet, "state", "resting", door->resting);
    line(sheet, "state", "shaking", door->shaking);
    line(sheet, "state", "reading", door->reading);
    line(sheet, "state", "storing", door->storing);
    line(sheet, "state", "queued", door->queued);
    line(sheet, "state", "answering", door->answering);
}

static void handshakes(const struct sheet *sheet) {
    line(sheet, "result", "good", sheet->status->door.handshakes_good);
    line(sheet, "result", "bad", sheet->status->door.handshakes_bad);
}

/* What was loaded at the start was good. */
static void reload(const struct sheet *sheet) {
    const struct status_reload *last = &sheet->status->reload;

    line(sheet, NULL, NULL, last->time == 0 || last->good ? 1 : 0);
}

static void ready(const struct sheet *sheet) {
    char bytes[1];
    struct writer why = {.bytes = bytes, .size = sizeof bytes};

    line(sheet, NULL, NULL, status_ready(sheet->status, &why) ? 1 : 0);
}

static void colour(const struct sheet *sheet) {
    struct verdict verdict;

    verdict_of(&verdict, sheet->status);
    line(sheet, NULL, NULL, (uint64_t)verdict.colour);
}

/* ---- Sinks ---- */

/* The values of one, in one place. */
struct sink_values {
    uint64_t up, required, behind, delivered, lost, rejected, failures;
    uint64_t last_success, last_failure; /* ms */
};

static struct sink_values values_of(const struct status *status, const struct status_sink *sink) {
    return (struct sink_values){.up = sink->state == STATUS_WORKS ? 1 : 0,
                                .required = sink->required ? 1 : 0,
                                .behind = status->ring.behind[sink->reader],
                                .delivered = sink->delivered,
                                .lost = status->ring.lost[sink->reader],
                                .rejected = sink->rejected,
                                .failures = sink->failures,
                                .last_success = sink->last_success,
                                .last_failure = sink->last_error_at};
}

/* The URI up to its parameters: they change without another sink being there, two sinks never have
 * the same before them, and they may be secret some day. A long one is cut, and has its number. */
static void sink_name(const struct sheet *sheet, unsigned i) {
    enum { MOST = 240 };
    const char *uri = sheet->status->sinks[i].uri;

    name(sheet, NULL, NULL);
    writer_text(sheet->writer, "{sink=\"");
    if (!writer_label_most(sheet->writer, (struct cmcwh_text){uri, strcspn(uri, "?")}, MOST)) {
        writer_print(sheet->writer, "...#%u", i);
    }
    writer_text(sheet->writer, "\"}");
}

static void sinks(const struct sheet *sheet) {
    for (unsigned i = 0; i < sheet->status->sink_count; i++) {
        struct sink_values values = values_of(sheet->status, &sheet->status->sinks[i]);
        uint64_t number = *(const uint64_t *)((const char *)&values + sheet->family->at);

        sink_name(sheet, i);
        if (sheet->family->at >= offsetof(struct sink_values, last_success)) {
            moment(sheet, number);
        } else {
            value(sheet, number);
        }
    }
}

/* ---- The table ---- */

#define OF(member)      offsetof(struct status, member)
#define OF_SINK(member) offsetof(struct sink_values, member)

#define ALL_SAMPLES                                                                                \
    EACH(build)                                                                                    \
    EACH(colour)                                                                                   \
    EACH(ready)                                                                                    \
    EACH(requests)                                                                                 \
    EACH(errors)                                                                                   \
    EACH(events)                                                                                   \
    EACH(repeats)                                                                                  \
    EACH(truncated)                                                                                \
    EACH(number)                                                                                   \
    EACH(number_32)                                                                                \
    EACH(time_of)                                                                                  \
    EACH(time_if_any)                                                                              \
    EACH(histogram)                                                                                \
    EACH(sinks)                                                                                    \
    EACH(connections)                                                                              \
    EACH(handshakes)                                                                               \
    EACH(reload)

#define EACH(samples) SAMPLES_##samples,
enum { ALL_SAMPLES };
#undef EACH
#define EACH(samples) samples,
static void (*const all_samples[])(const struct sheet *sheet) = {ALL_SAMPLES};

#define METRIC(name, help, samples, at, kind) {(at), SAMPLES_##samples, (kind)},
static const struct family families[] = {
#include "admin/metrics.def"
};

/* The name of each, and what it is. */
static const uint8_t texts[] = {
#include "metrics.packed"
};

/* The last word of a name is its unit, if it is one. */
static void unit(const struct sheet *sheet) {
    static const char *const units[] = {"seconds", "bytes", "records"};
    const char *last = strrchr(sheet->name, '_') + 1;

    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (strcmp(last, units[i]) == 0) {
            writer_print(sheet->writer, "# UNIT %s %s\n", sheet->name, last);
        }
    }
}

static void head(const struct sheet *sheet, unsigned help) {
    static const char *const types[] = {"gauge", "counter", "info", "histogram"};
    bool open = sheet->openmetrics;
    const char *suffix = open ? "" : suffix_of(sheet);

    writer_print(sheet->writer, "# HELP %s%s ", sheet->name, suffix);
    packed_write(sheet->writer, texts, help);
    writer_print(sheet->writer, "\n# TYPE %s%s %s\n", sheet->name, suffix,
                 types[sheet->family->kind == INFO && !open ? GAUGE : sheet->family->kind]);
    if (open) {
        unit(sheet);
    }
}

static void take_name(struct sheet *sheet, unsigned name) {
    struct writer writer = {.bytes = sheet->name, .size = sizeof sheet->name - 1};

    packed_write(&writer, texts, name);
    sheet->name[writer.used] = '\0';
}

void metrics_write(struct writer *writer, const struct status *status, bool openmetrics) {
    struct sheet sheet = {.writer = writer, .status = status, .openmetrics = openmetrics};

    for (unsigned i = 0; i < sizeof families / sizeof *families; i++) {
        sheet.family = &families[i];
        take_name(&sheet, 2 * i);
        head(&sheet, 2 * i + 1);
        all_samples[families[i].samples](&sheet);
    }
    if (openmetrics) {
        writer_text(writer, "# EOF\n");
    }
}

const char *metrics_type(bool openmetrics) {
    return openmetrics ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
                       : "text/plain; version=0.0.4; charset=utf-8";
}
