/* What the status page says, whatever it looks like: which counts belong together, and which events
 * are failures. */
#ifndef CMCWH_GIST_H
#define CMCWH_GIST_H

#include "admin/day.h"
#include "admin/status.h"
#include "admin/words.h"
#include "cmcwh.h"

/* Events by what became of the mail, each in one of these. */
enum {
    GIST_SUCCEEDED,
    GIST_QUEUED,
    GIST_DEFERRED,
    GIST_FAILED,
    GIST_BOUNCED,
    GIST_OTHERS, /* blocks, and what this program does not know */
    GIST_KINDS
};

enum word gist_word(unsigned kind);
uint64_t gist_day(const struct day_count *day, unsigned kind);

/* The last 48 hours, [CMCWH_HOURS - 1] is that of `now`. */
struct gist_hours {
    uint32_t counts[CMCWH_HOURS][GIST_KINDS];
    uint64_t begin[CMCWH_HOURS];        /* ms since 1970 */
    uint64_t sums[GIST_KINDS], highest; /* of all hours; of one hour, all kinds */
};
void gist_hours(struct gist_hours *hours, const struct cmcwh_counters *counters, uint64_t now);

/* Bounces for one reason. */
struct gist_reason {
    unsigned number; /* CMC's; 0 unknown */
    uint64_t today, yesterday, total;
};
enum { GIST_REASONS = CMCWH_COUNT_BLOCKS - CMCWH_COUNT_BOUNCES };

/* Those that there were, most today first. Returns how many. */
unsigned gist_reasons(struct gist_reason reasons[GIST_REASONS],
                      const struct cmcwh_counters *counters, const struct day_count *today,
                      const struct day_count *yesterday);

/* The last mails that did not arrive. Any thread. */
enum { GIST_FAILURES = 20 };
struct gist_failures {
    struct cmcwh_ring *ring;
    bool hide; /* addresses */
    unsigned count;
    uint64_t seqs[GIST_FAILURES]; /* the newest first */
    struct cmcwh_record record;
    struct cmcwh_event event; /* the one that was looked at */
};

/* Looks for them, some thousands of events back from this one; `ring` and `hide` are set. */
void gist_failures(struct gist_failures *failures, uint64_t safe);

/* Looks at one of them. False: it has left the ring. */
bool gist_failure(struct gist_failures *failures, unsigned index);

/* What came back, in a word: of a bounce its reason, else what CMC calls it. */
enum word gist_why(const struct cmcwh_event *event);

/* How a sink is. */
enum word gist_state(const struct status_sink *sink);

#endif
