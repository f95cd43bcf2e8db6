/* The status page as text, for curl and a terminal. Numbers stand first in their lines: the width
 * of what comes behind them is nobody's business. */
#include "admin/page.h"

#include <inttypes.h>

#include "admin/gist.h"
#include "admin/verdict.h"

struct text {
    struct writer *out;
    const struct status *status;
    enum language language;
    struct day_count today, yesterday;
};

static void put(struct text *text, const char *what) {
    writer_text(text->out, what);
}

static const char *say(const struct text *text, enum word word) {
    return words(word, text->language);
}

enum {
    CUT_ADDRESS = 128,
    CUT_TEXT = 320, /* bytes of what others have written */
    TOLD = 1024
}; /* of what the verdict says, at most */

static void put_others(struct text *text, const char *what) {
    writer_plain_cut(text->out, writer_view(what), CUT_TEXT);
}

static void put_heading(struct text *text, enum word word) {
    writer_print(text->out, "\n%s\n", say(text, word));
}

static void put_nothing(struct text *text, enum word word) {
    writer_print(text->out, "  %s\n", say(text, word));
}

/* When, and how long ago. */
static void put_last(struct text *text, enum word word, uint64_t time) {
    writer_print(text->out, "  %s: ", say(text, word));
    if (time == 0) {
        put(text, say(text, WORD_none_yet));
    } else {
        day_local(text->out, time);
        put(text, " (");
        language_ago(text->out, text->status->now, time, text->language);
        put(text, ")");
    }
    put(text, "\n");
}

static void put_counted(struct text *text) {
    if (!text->today.whole || !text->yesterday.whole) {
        writer_print(text->out, "  %s", say(text, WORD_counted_since));
        day_local(text->out, text->status->events.since);
        writer_print(text->out, "%s\n", say(text, WORD_counted_before));
    }
}

static void put_today(struct text *text) {
    const struct cmcwh_ring_state *ring = &text->status->ring;

    put_heading(text, WORD_today);
    writer_print(text->out, "  %s", say(text, WORD_since_midnight));
    day_zone(text->out, text->status->now);
    put(text, "\n");
    put_last(text, WORD_last_event, text->status->events.last_event);
    writer_print(text->out, "  %s: %" PRIu32 " / %" PRIu32, say(text, WORD_ring), ring->in_use,
                 ring->capacity);
    writer_print(text->out, ", %s %" PRIu32 ", %s %" PRIu64 "\n", say(text, WORD_peak), ring->peak,
                 say(text, WORD_fulls), ring->fulls);
    writer_print(text->out, "  %s / %s\n", say(text, WORD_today), say(text, WORD_yesterday));
    for (unsigned kind = 0; kind < GIST_KINDS; kind++) {
        writer_print(text->out, "%10" PRIu64 " %10" PRIu64 "  %s\n", gist_day(&text->today, kind),
                     gist_day(&text->yesterday, kind), say(text, gist_word(kind)));
    }
    put_counted(text);
}

/* Hours without events are left out, the newest comes first. */
static void put_hours(struct text *text) {
    struct gist_hours hours;

    gist_hours(&hours, &text->status->events, text->status->now);
    put_heading(text, WORD_two_days);
    if (hours.highest == 0) {
        put_nothing(text, WORD_no_events);
        return;
    }
    for (unsigned kind = 0; kind < GIST_KINDS; kind++) {
        writer_print(text->out, "%s%s", kind == 0 ? "  " : " / ", say(text, gist_word(kind)));
    }
    put(text, "\n");
    for (unsigned hour = CMCWH_HOURS; hour-- > 0;) {
        uint32_t sum = 0;

        for (unsigned kind = 0; kind < GIST_KINDS; kind++) {
            sum += hours.counts[hour][kind];
        }
        for (unsigned kind = 0; kind < GIST_KINDS && sum > 0; kind++) {
            writer_print(text->out, " %8" PRIu32, hours.counts[hour][kind]);
        }
        if (sum > 0) {
            put(text, "  ");
            day_local(text->out, hours.begin[hour]);
            put(text, "\n");
        }
    }
}

static void put_bounces(struct text *text) {
    struct gist_reason reasons[GIST_REASONS];
    unsigned count = gist_reasons(reasons, &text->status->events, &text->today, &text->yesterday);

    put_heading(text, WORD_reasons);
    if (count == 0) {
        put_nothing(text, WORD_no_bounces);
        return;
    }
    writer_print(text->out, "  %s / %s / %s\n", say(text, WORD_today), say(text, WORD_yesterday),
                 say(text, WORD_total));
    for (unsigned i = 0; i < count; i++) {
        writer_print(text->out, "%10" PRIu64 " %10" PRIu64 " %10" PRIu64 "  %s\n", reasons[i].today,
                     reasons[i].yesterday, reasons[i].total,
                     words_bounce(reasons[i].number, text->language));
    }
}

static void put_failure(struct text *text, const struct cmcwh_event *event) {
    put(text, "  ");
    day_local(text->out, event->received);
    put(text, "  ");
    writer_plain_cut(text->out, event->texts[CMCWH_TO], CUT_ADDRESS);
    writer_print(text->out, "  %s  ", gist_why(event, text->language));
    writer_plain_cut(text->out, event->texts[CMCWH_REASON], CUT_TEXT);
    put(text, "\n");
}

static void put_failures(struct text *text, const struct page_view *view) {
    struct gist_failures failures = {.ring = view->ring, .hide = view->hide};

    put_heading(text, WORD_failures);
    gist_failures(&failures, text->status->ring.safe);
    for (unsigned i = 0; i < failures.count; i++) {
        if (gist_failure(&failures, i)) {
            put_failure(text, &failures.event);
        }
    }
    if (failures.count == 0) {
        put_nothing(text, WORD_no_failures);
    }
}

static void put_sink(struct text *text, const struct status_sink *sink) {
    put(text, "  ");
    put_others(text, sink->uri);
    writer_print(text->out, " (%s): %s, %s %" PRIu32 ", %s %" PRIu64,
                 say(text, sink->required ? WORD_required : WORD_besteffort),
                 say(text, gist_state(sink)), say(text, WORD_behind),
                 text->status->ring.behind[sink->reader], say(text, WORD_delivered),
                 sink->delivered);
    writer_print(text->out, ", %s %" PRIu64 "\n", say(text, WORD_lost),
                 text->status->ring.lost[sink->reader]);
    if (sink->last_error_at > 0) {
        writer_print(text->out, "    %s ", say(text, WORD_last_error));
        day_local(text->out, sink->last_error_at);
        put(text, ": ");
        put_others(text, sink->last_error);
        put(text, "\n");
    }
}

static void put_refusals(struct text *text) {
    put_heading(text, WORD_refusals);
    for (unsigned i = 0; i < text->status->refusal_count; i++) {
        const struct status_refusal *refusal = &text->status->refusals[i];

        put(text, "  ");
        day_local(text->out, refusal->time);
        writer_print(text->out, "  %d  ", refusal->status);
        put_others(text, refusal->peer);
        put(text, "  ");
        put_others(text, refusal->path);
        put(text, "  ");
        put_others(text, refusal->detail[0] != '\0' ? refusal->detail : refusal->error);
        put(text, "  ");
        put_others(text, refusal->field);
        writer_print(text->out, "  ×%" PRIu32 "\n", refusal->times);
    }
    if (text->status->refusal_count == 0) {
        put_nothing(text, WORD_no_refusals);
    }
}

static void put_verdict(struct text *text) {
    struct verdict verdict;
    char told[TOLD];
    struct writer line = {.bytes = told, .size = sizeof told};

    verdict_of(&verdict, text->status);
    verdict_sentence(&line, &verdict, text->status, text->language);
    writer_plain(text->out, (struct cmcwh_text){told, line.used});
    put(text, "\n");
    for (unsigned i = 0; i < verdict.count; i++) {
        line.used = 0;
        verdict_reason(&line, &verdict.reasons[i], text->status, text->language);
        writer_print(text->out,
                     "\n  %s: ", verdict_colour_word(verdict.reasons[i].colour, text->language));
        writer_plain(text->out, (struct cmcwh_text){told, line.used});
        line.used = 0;
        verdict_remedy(&line, &verdict.reasons[i], text->status, text->language);
        put(text, "\n    ");
        writer_plain(text->out, (struct cmcwh_text){told, line.used});
        put(text, "\n");
    }
}

static void put_house(struct text *text) {
    const struct status *status = text->status;

    put_heading(text, WORD_house);
    put_last(text, WORD_last_ok, status->server.last_ok);
    put_last(text, WORD_last_request, status->server.last_request);
    writer_print(text->out, "  %s: ", say(text, WORD_certificate));
    if (status->certificate_end == 0) {
        put(text, say(text, WORD_no_tls));
    } else {
        day_local(text->out, status->certificate_end);
    }
    put(text, "\n");
    put_last(text, WORD_reload, status->reload.time);
    if (status->reload.time > 0) {
        put(text, "    ");
        put_others(text, status->reload.said);
        put(text, "\n");
    }
    put_last(text, WORD_started, status->started);
    writer_print(text->out, "  %s: %" PRIu64 " KiB, %s %" PRIu64 " / %" PRIu64 "\n",
                 say(text, WORD_memory), status->process.rss >> 10, say(text, WORD_descriptors),
                 status->process.descriptors, status->process.descriptors_max);
    writer_print(text->out, "  %s: %s\n", say(text, WORD_version), CMCWH_VERSION);
    writer_print(text->out, "  %s: /events /events.csv /metrics /status.json\n",
                 say(text, WORD_data));
}

void page_text(struct writer *writer, const struct status *status, const struct page_view *view) {
    struct text text = {.out = writer, .status = status, .language = view->language};

    day_count(&text.today, &status->events, status->now, 0);
    day_count(&text.yesterday, &status->events, status->now, -1);
    put_verdict(&text);
    put_today(&text);
    put_hours(&text);
    put_bounces(&text);
    put_failures(&text, view);
    put_heading(&text, WORD_sinks);
    for (unsigned i = 0; i < status->sink_count; i++) {
        put_sink(&text, &status->sinks[i]);
    }
    put_refusals(&text);
    put_house(&text);
}
