/* What was refused: said, and kept for a while. Not here: why, and what is answered (cmcwh.c). */
#include "door/refusals.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "platform/log.h"
#include "platform/platform.h"

enum { MINUTE = 60000 /* ms */ };

void refusals_init(struct refusals *refusals) {
    memset(refusals, 0, sizeof *refusals);
    (void)pthread_mutex_init(&refusals->mutex, NULL);
}

static enum cmcwh_level level_of(int status) {
    return status == 503 || status == 401 ? CMCWH_LOG_WARN : CMCWH_LOG_INFO;
}

/* What is said of the path: only a wrong one is of interest. */
static const char *path_of(const struct cmcwh_refusal *refusal) {
    return refusal->answer->status == 404 ? refusal->path : "";
}

/* Is it of this kind? Paths are told apart by their beginnings. */
static bool is_of(const struct refusals_kind *kind, const struct cmcwh_refusal *refusal) {
    return kind->status == refusal->answer->status &&
           strcmp(kind->error, refusal->answer->error) == 0 &&
           strcmp(kind->peer, refusal->peer) == 0 &&
           strncmp(kind->path, path_of(refusal), sizeof kind->path - 1) == 0;
}

static void say_first(const struct cmcwh_refusal *refusal) {
    const struct cmcwh_answer *answer = refusal->answer;
    const char *path = path_of(refusal);
    char offset[32] = "", field[64] = "";

    if (answer->has_offset) {
        (void)snprintf(offset, sizeof offset, " at offset %" PRIu64, answer->offset);
    }
    if (answer->field != NULL && answer->field[0] != '\0') {
        (void)snprintf(field, sizeof field, ", field %s", answer->field);
    }
    log_line(level_of(answer->status), "%d to %s: %s%s%s%s%.256s: %s", answer->status,
             refusal->peer, answer->error, offset, field, path[0] != '\0' ? ": " : "", path,
             answer->detail);
}

static void sum_up(struct refusals_kind *kind) {
    if (kind->more > 0) {
        log_line(level_of(kind->status), "%d to %s: %s%s%s: %u more in the last minute",
                 kind->status, kind->peer, kind->error, kind->path[0] != '\0' ? ": " : "",
                 kind->path, kind->more);
    }
    kind->status = 0;
}

/* Counts it, if there is one of its kind, or place for one. True: it is the first. */
static bool count(struct refusals *refusals, const struct cmcwh_refusal *refusal) {
    struct refusals_kind *place = NULL;

    for (size_t i = 0; i < REFUSALS_KINDS; i++) {
        struct refusals_kind *kind = &refusals->kinds[i];

        if (kind->status == 0) {
            place = place != NULL ? place : kind;
        } else if (is_of(kind, refusal)) {
            kind->more++;
            return false;
        }
    }
    if (place == NULL) {
        refusals->crowd_since = refusals->crowd > 0 ? refusals->crowd_since : platform_ticks();
        refusals->crowd++;
        return false;
    }
    place->status = refusal->answer->status;
    place->error = refusal->answer->error;
    place->more = 0;
    place->since = platform_ticks();
    (void)snprintf(place->peer, sizeof place->peer, "%s", refusal->peer);
    (void)snprintf(place->path, sizeof place->path, "%s", path_of(refusal));
    return true;
}

static bool is_like(const struct status_refusal *last, const struct cmcwh_refusal *refusal) {
    return last->status == refusal->answer->status &&
           strcmp(last->error, refusal->answer->error) == 0 &&
           strcmp(last->peer, refusal->peer) == 0;
}

static void fill(struct status_refusal *last, const struct cmcwh_refusal *refusal, uint64_t now) {
    const struct cmcwh_answer *answer = refusal->answer;

    last->time = now;
    last->status = answer->status;
    last->has_offset = answer->has_offset;
    last->offset = answer->offset;
    (void)snprintf(last->peer, sizeof last->peer, "%s", refusal->peer);
    (void)snprintf(last->path, sizeof last->path, "%s", refusal->path);
    (void)snprintf(last->error, sizeof last->error, "%s", answer->error);
    (void)snprintf(last->detail, sizeof last->detail, "%s", answer->detail);
    (void)snprintf(last->field, sizeof last->field, "%s",
                   answer->field == NULL ? "" : answer->field);
}

/* Among the last ones, in place of its like, else in a new place or that of the oldest. */
static void keep(struct refusals *refusals, const struct cmcwh_refusal *refusal) {
    struct status_refusal *last = refusals->last;
    uint64_t now = platform_now();
    uint32_t times = 0;
    unsigned place = 0;

    while (place < refusals->last_count && !is_like(&last[place], refusal)) {
        place++;
    }
    if (place < refusals->last_count) {
        times = last[place].times;
    } else if (place < REFUSALS_LAST) {
        refusals->last_count++;
    } else {
        place--;
    }
    memmove(&last[1], &last[0], place * sizeof *last);
    fill(&last[0], refusal, now);
    last[0].times = times + 1;
    if (refusal->answer->status == 401) {
        refusals->last_unauthorized = now;
    } else if (refusal->answer->status == 503) {
        refusals->last_unavailable = now;
    }
}

void refusals_say(struct refusals *refusals, const struct cmcwh_refusal *refusal) {
    bool first;

    (void)pthread_mutex_lock(&refusals->mutex);
    first = count(refusals, refusal);
    keep(refusals, refusal);
    (void)pthread_mutex_unlock(&refusals->mutex);
    if (first || log_says(CMCWH_LOG_DEBUG)) {
        say_first(refusal);
    }
}

unsigned refusals_last(struct refusals *refusals, struct status_refusal last[REFUSALS_LAST],
                       uint64_t *unauthorized, uint64_t *unavailable) {
    unsigned count;

    (void)pthread_mutex_lock(&refusals->mutex);
    count = refusals->last_count;
    memcpy(last, refusals->last, count * sizeof *last);
    *unauthorized = refusals->last_unauthorized;
    *unavailable = refusals->last_unavailable;
    (void)pthread_mutex_unlock(&refusals->mutex);
    return count;
}

void refusals_sum_up(struct refusals *refusals, bool all) {
    uint64_t now = platform_ticks();

    (void)pthread_mutex_lock(&refusals->mutex);
    for (size_t i = 0; i < REFUSALS_KINDS; i++) {
        struct refusals_kind *kind = &refusals->kinds[i];

        if (kind->status != 0 && (all || now - kind->since >= MINUTE)) {
            sum_up(kind);
        }
    }
    if (refusals->crowd > 0 && (all || now - refusals->crowd_since >= MINUTE)) {
        log_line(CMCWH_LOG_WARN,
                 "%u more requests of other peers or kinds were refused in the "
                 "last minute",
                 refusals->crowd);
        refusals->crowd = 0;
    }
    (void)pthread_mutex_unlock(&refusals->mutex);
}
