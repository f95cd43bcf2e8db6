/* Is all well? One colour, what is the matter, and what to do about it, in words. */
#ifndef CMCWH_VERDICT_H
#define CMCWH_VERDICT_H

#include "admin/language.h"
#include "admin/status.h"
#include "platform/writer.h"

enum verdict_colour {
    VERDICT_OK,
    VERDICT_AMBER, /* webhooks are taken; somebody should look at it */
    VERDICT_RED /* webhooks are refused, or were within the hour, or their events go no further */
};

/* In the order in which they are told. */
enum verdict_cause {
    /* Red. */
    VERDICT_STORAGE,     /* the ring's file cannot be written */
    VERDICT_FULL,        /* the ring is, of records that required sinks have not taken */
    VERDICT_SINK,        /* a required sink fails or hangs, or could not be opened for
                            VERDICT_OPENING */
    VERDICT_UNAVAILABLE, /* a request got 503 within VERDICT_LATELY */
    VERDICT_EXPIRED,     /* the certificate has */
    /* Amber. */
    VERDICT_BESTEFFORT,   /* a besteffort sink fails or hangs: the same */
    VERDICT_BEHIND,       /* more than half of the ring's records wait for a sink that works */
    VERDICT_LOST,         /* a besteffort sink has lost records within VERDICT_LATELY */
    VERDICT_REJECTED,     /* a sink's peer has refused records for good within VERDICT_LATELY */
    VERDICT_PEAK,         /* more than 80 % of the ring were in use within VERDICT_LATELY */
    VERDICT_SILENCE,      /* no event for longer than --quiet-after, or none since the start */
    VERDICT_UNAUTHORIZED, /* a request got 401, and none 200 since */
    VERDICT_EXPIRES,      /* the certificate does, within VERDICT_SOON */
    VERDICT_RELOAD,       /* the last one failed */
    VERDICT_CAUSES        /* how many there are */
};

/* All in ms. What is looked back at is amber or red for an hour, not for ever. */
#define VERDICT_LATELY  UINT64_C(3600000)
#define VERDICT_SOON    (14 * UINT64_C(86400000))
#define VERDICT_OPENING UINT64_C(10000)

struct verdict_reason {
    enum verdict_cause cause;
    enum verdict_colour colour;
    unsigned sink; /* index, for causes that are one's */
};

struct verdict {
    enum verdict_colour colour; /* the worst */
    unsigned count;             /* 0: all is well */
    struct verdict_reason reasons[VERDICT_CAUSES + 3 * CMCWH_READERS_MAX];
};

void verdict_of(struct verdict *verdict, const struct status *status);

/* "ok", "amber", "red"; and for people: "OK", "Attention", "Trouble", in Japanese "正常", "注意",
 * "異常". */
const char *verdict_colour_name(enum verdict_colour colour);
const char *verdict_colour_word(enum verdict_colour colour, enum language language);

/* One word for programs: "sink_failing", "ring_full". */
const char *verdict_cause_name(enum verdict_cause cause);

/* The whole in one sentence: "OK: last event 3 min ago, sinks up to date", or the word of the
 * colour, the first reason, and how many more there are. Plain text, as the next two; 1 KiB at
 * most. `status` is what the verdict is of. */
void verdict_sentence(struct writer *writer, const struct verdict *verdict,
                      const struct status *status, enum language language);

/* One reason: what is the matter; and what it means, and what to do. */
void verdict_reason(struct writer *writer, const struct verdict_reason *reason,
                    const struct status *status, enum language language);
void verdict_remedy(struct writer *writer, const struct verdict_reason *reason,
                    const struct status *status, enum language language);

/* Says it in the log: a line for each reason, and what to do about it; or that all is well. */
void verdict_log(const struct status *status);

#endif
