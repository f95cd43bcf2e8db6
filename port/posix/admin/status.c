/* The snapshot of everything that can be counted, and how it is told. Not here: the counting, which
 * is with whom it happens to. */
#include "admin/status.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "platform/log.h"

void status_take(struct status *status, struct cmcwh_server *server, struct cmcwh_ring *ring,
                 struct sink *sinks, unsigned sink_count) {
    cmcwh_server_count(server, &status->server);
    cmcwh_ring_state(ring, &status->ring);
    status->sink_count = sink_count;
    for (unsigned i = 0; i < sink_count; i++) {
        struct status_sink *sink = &status->sinks[i];
        struct sink_news news;

        sink->uri = sinks[i].uri;
        sink->reader = sinks[i].pump.config.reader;
        sink->required = sinks[i].required;
        sink_ask(&sinks[i], &news);
        sink->delivered = news.delivered;
        memcpy(sink->trouble, news.failing, sizeof sink->trouble);
    }
}

/* ---- The walk ---- */

/* Who walks: whom to call, and with what. */
struct walk {
    void (*visit)(void *context, const struct status_value *value);
    void *context;
    struct status_value value;
};

static void tell(struct walk *walk, const char *name, uint64_t value) {
    walk->value.name = name;
    walk->value.value = value;
    walk->visit(walk->context, &walk->value);
}

static void walk_server(struct walk *walk, const struct cmcwh_server_counters *counters) {
    static const int statuses[CMCWH_STATUSES] = CMCWH_STATUS_LIST;
    char label[16];

    walk->value = (struct status_value){.of = STATUS_SERVER};
    tell(walk, "requests", counters->requests);
    walk->value.label = label;
    for (unsigned i = 0; i < CMCWH_STATUSES; i++) {
        (void)snprintf(label, sizeof label, "%s%.0d", statuses[i] == 0 ? "other" : "", statuses[i]);
        tell(walk, "answers", counters->answers[i]);
    }
    walk->value.label = NULL;
    tell(walk, "events", counters->events);
}

static void walk_ring(struct walk *walk, const struct cmcwh_ring_state *ring) {
    walk->value = (struct status_value){.of = STATUS_RING};
    tell(walk, "in_use", ring->in_use);
    tell(walk, "capacity", ring->capacity);
    tell(walk, "stored", ring->stored);
}

static void walk_sink(struct walk *walk, const struct status_sink *sink,
                      const struct cmcwh_ring_state *ring) {
    walk->value =
        (struct status_value){.of = STATUS_SINK, .label = sink->uri, .trouble = sink->trouble};
    tell(walk, "behind", ring->behind[sink->reader]);
    tell(walk, "lost", ring->lost[sink->reader]);
    walk->value.flag = true;
    tell(walk, "failed", ring->failed[sink->reader]);
    walk->value.flag = false;
    tell(walk, "delivered", sink->delivered);
}

void status_walk(const struct status *status,
                 void (*visit)(void *context, const struct status_value *value), void *context) {
    struct walk walk = {.visit = visit, .context = context};

    walk_server(&walk, &status->server);
    walk_ring(&walk, &status->ring);
    for (unsigned i = 0; i < status->sink_count; i++) {
        walk_sink(&walk, &status->sinks[i], &status->ring);
    }
}

/* ---- In the log ---- */

/* The values of one thing, gathered. */
struct line {
    struct status_value first; /* of the line */
    char values[512];
    size_t used;
};

static void end_line(struct line *line) {
    static const char *const names[] = {"", "ring", "sink"};
    bool sink = line->first.of == STATUS_SINK, trouble = sink && line->first.trouble[0] != '\0';

    if (line->used > 0) {
        log_asked("%s%s%s%s%s%s%s", names[line->first.of], sink ? " '" : "",
                  sink ? line->first.label : "", sink ? "'" : "",
                  line->values + (line->first.of == STATUS_SERVER), trouble ? ": " : "",
                  trouble ? line->first.trouble : "");
    }
    line->used = 0;
}

static void add_to_line(void *context, const struct status_value *value) {
    struct line *line = context;
    bool answers = value->of == STATUS_SERVER && value->label != NULL;
    int length;

    if (answers && value->value == 0) {
        return;
    }
    if (value->of != line->first.of ||
        (value->of == STATUS_SINK && value->label != line->first.label)) {
        end_line(line);
    }
    if (line->used == 0) {
        line->first = *value;
    }
    length = value->flag
                 ? snprintf(line->values + line->used, sizeof line->values - line->used, " %s=%s",
                            value->name, value->value != 0 ? "yes" : "no")
                 : snprintf(line->values + line->used, sizeof line->values - line->used,
                            " %s=%" PRIu64, answers ? value->label : value->name, value->value);
    line->used += (size_t)length < sizeof line->values - line->used ? (size_t)length : 0;
}

void status_log(const struct status *status) {
    struct line line = {.used = 0};

    status_walk(status, add_to_line, &line);
    end_line(&line);
}

/* ---- The ring ---- */

/* Whom the most records wait for; NULL: nobody. Those that a besteffort sink has not taken make
 * room when it is needed. */
static const struct status_sink *slowest(const struct status *status) {
    const struct status_sink *found = NULL;
    uint32_t most = 0;

    for (unsigned i = 0; i < status->sink_count; i++) {
        const struct status_sink *sink = &status->sinks[i];

        if (sink->required && status->ring.behind[sink->reader] > most) {
            most = status->ring.behind[sink->reader];
            found = sink;
        }
    }
    return found;
}

void status_look(struct status_watch *watch, const struct status *status) {
    enum { LOOKS = 60000 / STATUS_LOOK };
    const struct status_sink *sink = slowest(status);
    uint32_t capacity = status->ring.capacity,
             waiting = sink == NULL ? 0 : status->ring.behind[sink->reader];

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
