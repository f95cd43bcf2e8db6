/* What the status page says, without its looks. */
#include "admin/gist.h"

#include <string.h>

#include "admin/hide.h"

enum { HOUR_MS = 3600000, LOOKS = 4096 };

/* Which kind each count belongs to; GIST_KINDS: to none, for it is counted besides. */
static unsigned kind_of(unsigned count) {
    static const unsigned char deliveries[] = {GIST_OTHERS, GIST_QUEUED, GIST_SUCCEEDED,
                                               GIST_FAILED, GIST_DEFERRED};

    return count < CMCWH_COUNT_BOUNCES   ? deliveries[count]
           : count < CMCWH_COUNT_BLOCKS  ? GIST_BOUNCED
           : count < CMCWH_COUNT_REPEATS ? GIST_OTHERS
                                         : GIST_KINDS;
}

enum word gist_word(unsigned kind) {
    static const uint8_t names[GIST_KINDS] = {WORD_succeeded, WORD_queued,  WORD_deferred,
                                              WORD_failed,    WORD_bounced, WORD_others};

    return (enum word)names[kind];
}

uint64_t gist_day(const struct day_count *day, unsigned kind) {
    uint64_t sum = 0;

    for (unsigned i = 0; i < CMCWH_COUNTS; i++) {
        sum += kind_of(i) == kind ? day->counts[i] : 0;
    }
    return sum;
}

static void add_hour(struct gist_hours *hours, unsigned place, const struct cmcwh_hour *hour) {
    uint64_t all = 0;

    for (unsigned i = 0; i < CMCWH_COUNTS; i++) {
        unsigned kind = kind_of(i);

        if (kind < GIST_KINDS) {
            hours->counts[place][kind] += hour->counts[i];
            hours->sums[kind] += hour->counts[i];
            all += hour->counts[i];
        }
    }
    hours->highest = all > hours->highest ? all : hours->highest;
}

void gist_hours(struct gist_hours *hours, const struct cmcwh_counters *counters, uint64_t now) {
    uint64_t last = now / HOUR_MS;

    memset(hours, 0, sizeof *hours);
    for (unsigned place = 0; place < CMCWH_HOURS; place++) {
        hours->begin[place] = (last - (CMCWH_HOURS - 1 - place)) * HOUR_MS;
    }
    for (unsigned i = 0; i < CMCWH_HOURS; i++) {
        uint64_t hour = counters->hours[i].hour;

        if (hour != 0 && hour <= last && last - hour < CMCWH_HOURS) {
            add_hour(hours, (unsigned)(CMCWH_HOURS - 1 - (last - hour)), &counters->hours[i]);
        }
    }
}

static bool is_before(const struct gist_reason *a, const struct gist_reason *b) {
    return a->today != b->today           ? a->today > b->today
           : a->yesterday != b->yesterday ? a->yesterday > b->yesterday
                                          : a->total > b->total;
}

unsigned gist_reasons(struct gist_reason reasons[GIST_REASONS],
                      const struct cmcwh_counters *counters, const struct day_count *today,
                      const struct day_count *yesterday) {
    unsigned found = 0;

    for (unsigned i = 0; i < GIST_REASONS; i++) {
        unsigned count = CMCWH_COUNT_BOUNCES + i, place = found;
        struct gist_reason reason = {.number = cmcwh_count_bounce(count),
                                     .today = today->counts[count],
                                     .yesterday = yesterday->counts[count],
                                     .total = counters->totals[count]};

        if (reason.total == 0 && reason.today == 0 && reason.yesterday == 0) {
            continue;
        }
        for (; place > 0 && is_before(&reason, &reasons[place - 1]); place--) {
            reasons[place] = reasons[place - 1];
        }
        reasons[place] = reason;
        found++;
    }
    return found;
}

static bool is_failure(const struct cmcwh_event *event) {
    return event->kind == CMCWH_BOUNCES || event->kind == CMCWH_BLOCKS ||
           (event->kind == CMCWH_DELIVERIES && event->status == CMCWH_FAILED);
}

static bool look(struct gist_failures *failures, uint64_t seq) {
    if (cmcwh_ring_look(failures->ring, seq, &failures->record) <= 0) {
        return false;
    }
    cmcwh_record_read(&failures->record, &failures->event);
    return is_failure(&failures->event);
}

void gist_failures(struct gist_failures *failures, uint64_t safe) {
    failures->count = 0;
    for (uint64_t looks = 0; looks < LOOKS && looks < safe && failures->count < GIST_FAILURES;
         looks++) {
        if (look(failures, safe - looks)) {
            failures->seqs[failures->count++] = safe - looks;
        }
    }
}

bool gist_failure(struct gist_failures *failures, unsigned index) {
    bool there = look(failures, failures->seqs[index]);

    if (there && failures->hide) {
        hide_addresses(&failures->record);
    }
    return there;
}

enum word gist_why(const struct cmcwh_event *event) {
    return event->kind == CMCWH_BOUNCES      ? words_bounce(event->status)
           : event->kind == CMCWH_DELIVERIES ? WORD_failed
                                             : WORD_blocked;
}

enum word gist_state(const struct status_sink *sink) {
    static const uint8_t states[] = {[STATUS_OPENING] = WORD_opening,
                                     [STATUS_WORKS] = WORD_works,
                                     [STATUS_FAILS] = WORD_fails,
                                     [STATUS_HANGS] = WORD_hangs};

    return (enum word)states[sink->state];
}
