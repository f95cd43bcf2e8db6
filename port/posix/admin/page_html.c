/* The status page in HTML: what page.html leaves open. Not here: what is said (gist.c, verdict.c)
 * and in which words (words.h). */
#include "admin/page.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "admin/gist.h"
#include "admin/verdict.h"

/* How much is told. Where all there is to say would be longer than a page may be, it is told again,
 * shorter: with the last of these no page is too long. */
struct measure {
    uint8_t reasons, failures, refusals; /* lines */
    uint8_t hours;                       /* that a line of the table has */
    uint16_t told, address, text;        /* bytes of HTML of what others have written */
    bool words;                          /* the script knows the reasons in Japanese */
};
static const struct measure measures[] = {
    {5, GIST_FAILURES, 10, 1, 600, 80, 128, true}, {5, GIST_FAILURES, 8, 2, 600, 72, 104, false},
    {5, GIST_FAILURES, 6, 2, 600, 64, 80, false},  {5, GIST_FAILURES, 5, 3, 500, 56, 64, false},
    {4, GIST_FAILURES, 5, 4, 400, 48, 48, false},  {4, GIST_FAILURES, 4, 4, 400, 36, 32, false},
    {3, GIST_FAILURES, 3, 6, 200, 28, 20, false},  {2, GIST_FAILURES / 4, 2, 8, 120, 16, 10, false},
};

enum { TOLD = 1024 }; /* of what the verdict says, at most */

struct page {
    struct writer *out;
    const struct status *status;
    const struct page_view *view;
    const struct measure *measure;
    struct verdict verdict;
    struct day_count today, yesterday;
    struct gist_hours hours;
    struct gist_failures failures;
};

static const char *say(const struct page *page, enum word word) {
    return words(word, page->view->language);
}

static void put(struct page *page, const char *text) {
    writer_text(page->out, text);
}

static void put_word(struct page *page, enum word word) {
    put(page, say(page, word));
}

static void put_number(struct page *page, uint64_t number) {
    writer_print(page->out, "%" PRIu64, number);
}

/* ---- Texts of others, and times ---- */

static void put_cut(struct page *page, struct cmcwh_text text, size_t most) {
    writer_html_cut(page->out, text, most);
}

static void put_plain(struct page *page, const char *text, size_t most) {
    put_cut(page, writer_view(text), most);
}

/* Part of "2026-11-26 08:58:14". */
static void put_moment(struct page *page, uint64_t time, size_t from, size_t length) {
    char text[32];
    struct writer local = {.bytes = text, .size = sizeof text};

    day_local(&local, time);
    if (local.used >= from + length) {
        writer_bytes(page->out, text + from, length);
    }
}

static void put_whole_moment(struct page *page, uint64_t time) {
    put_moment(page, time, 0, 19);
}

static void put_short_moment(struct page *page, uint64_t time) {
    put_moment(page, time, 5, 14);
}

/* In a list, the newest first: with the date where it changes. `day` is when that of the line above
 * began; UINT64_MAX: there is none. */
static void put_next_moment(struct page *page, uint64_t time, bool seconds, uint64_t *day) {
    bool dated = time < *day;

    put_moment(page, time, dated ? 5 : 11, (dated ? 11U : 5U) + (seconds ? 3U : 0U));
    *day = dated ? day_begin(time, 0) : *day;
}

static void put_ago(struct page *page, uint64_t time) {
    language_ago(page->out, page->status->now, time, page->view->language);
}

/* ---- The head ---- */

static void put_lang(struct page *page) {
    put(page, language_choose(page->view->language, "en", "ja"));
}

static void put_said(struct page *page) {
    put(page, verdict_colour_word(page->verdict.colour, page->view->language));
}

static const char *colour_class(enum verdict_colour colour) {
    static const char *const names[] = {
        [VERDICT_OK] = "green", [VERDICT_AMBER] = "amber", [VERDICT_RED] = "red"};

    return names[colour];
}

static void put_colour(struct page *page) {
    put(page, colour_class(page->verdict.colour));
}

static void put_host(struct page *page) {
    char name[65] = "";

    (void)gethostname(name, sizeof name - 1);
    put_plain(page, name, sizeof name);
}

static void put_title(struct page *page) {
    put_said(page);
    put(page, " · cmcwh ");
    put_host(page);
}

static void put_icon(struct page *page) {
    static const char *const colours[] = {
        [VERDICT_OK] = "2a5", [VERDICT_AMBER] = "e90", [VERDICT_RED] = "d22"};

    writer_print(page->out,
                 "data:image/svg+xml,%%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 2 "
                 "2'%%3E%%3Ccircle cx='1' cy='1' r='1' fill='%%23%s'/%%3E%%3C/svg%%3E",
                 colours[page->verdict.colour]);
}

/* ---- For the script ---- */

static void put_after(struct page *page) {
    put_number(page, page->status->ring.safe);
}

/* Minutes that the local clock is ahead of UTC. */
static void put_offset(struct page *page) {
    time_t seconds = (time_t)(page->status->now / 1000);
    struct tm parts = {.tm_gmtoff = 0};

    (void)localtime_r(&seconds, &parts);
    writer_print(page->out, "%ld", parts.tm_gmtoff / 60);
}

/* CMC's words in Japanese. None has a quote. */
static void put_live_words(struct page *page) {
    static const struct {
        const char *name;
        enum word word;
    } names[] = {{"deliveries", WORD_delivery}, {"bounces", WORD_bounced},
                 {"blocks", WORD_blocked},      {"queued", WORD_queued},
                 {"succeeded", WORD_succeeded}, {"failed", WORD_failed},
                 {"deferred", WORD_deferred}};

    put(page, "{");
    for (size_t i = 0; i < sizeof names / sizeof *names && page->view->language != ENGLISH; i++) {
        writer_print(page->out, "%s\"%s\":\"%s\"", i > 0 ? "," : "", names[i].name,
                     say(page, names[i].word));
    }
    for (unsigned i = 0;
         i < GIST_REASONS && page->measure->words && page->view->language != ENGLISH; i++) {
        unsigned number = i < GIST_REASONS - 1 ? i : CMCWH_BOUNCE_OTHER;

        writer_print(page->out, ",\"%s\":\"%s\"", cmcwh_bounce_name(number),
                     words_bounce(number, page->view->language));
    }
    put(page, "}");
}

static void put_link(struct page *page, enum language language, bool hide, const char *more,
                     enum word word) {
    writer_print(page->out, "<a href=\"?lang=%s%s\"%s>%s</a>",
                 language_choose(language, "en", "ja"), hide ? "&amp;hide=addresses" : "", more,
                 say(page, word));
}

static void put_links(struct page *page) {
    const struct page_view *view = page->view;
    bool english = view->language == ENGLISH;

    put_link(page, english ? JAPANESE : ENGLISH, view->hide && !view->hide_always,
             english ? " lang=\"ja\" hreflang=\"ja\"" : " lang=\"en\" hreflang=\"en\"",
             WORD_other_language);
    if (view->hide_always) {
        writer_print(page->out, "<span>%s</span>", say(page, WORD_hidden));
    } else {
        put_link(page, view->language, !view->hide, "", view->hide ? WORD_show : WORD_hide);
    }
}

static void put_hide_query(struct page *page) {
    put(page, page->view->hide && !page->view->hide_always ? "?hide=addresses" : "");
}

/* ---- (1) and (2): how it is, and what to do ---- */

/* What one of the verdict's functions has written: texts of others may be in it. */
static void put_told(struct page *page, const struct writer *told, size_t from) {
    put_cut(page, (struct cmcwh_text){told->bytes + from, told->used - from}, page->measure->told);
}

/* All is well: the sentence without the word, which stands above it. */
static void put_well(struct page *page, struct writer *told) {
    size_t word = strlen(verdict_colour_word(page->verdict.colour, page->view->language)) +
                  strlen(language_choose(page->view->language, ": ", " — "));

    verdict_sentence(told, &page->verdict, page->status, page->view->language);
    put(page, "<p>");
    put_told(page, told, word < told->used ? word : 0);
    put(page, "</p>");
}

static void put_reason(struct page *page, const struct verdict_reason *reason,
                       struct writer *told) {
    writer_print(page->out, "<li class=%s><b>", colour_class(reason->colour));
    verdict_reason(told, reason, page->status, page->view->language);
    put_told(page, told, 0);
    put(page, "</b><br>");
    told->used = 0;
    verdict_remedy(told, reason, page->status, page->view->language);
    put_told(page, told, 0);
    told->used = 0;
}

static void put_verdict(struct page *page) {
    char text[TOLD];
    struct writer told = {.bytes = text, .size = sizeof text};
    unsigned count = page->verdict.count, most = page->measure->reasons,
             shown = count < most ? count : most;

    if (count == 0) {
        put_well(page, &told);
        return;
    }
    put(page, "<ul>");
    for (unsigned i = 0; i < shown; i++) {
        put_reason(page, &page->verdict.reasons[i], &told);
    }
    if (count > shown) {
        writer_print(page->out, "<li>%s %u", say(page, WORD_more), count - shown);
    }
    put(page, "</ul>");
}

/* ---- (3) Today ---- */

static void put_zone(struct page *page) {
    put_word(page, WORD_since_midnight);
    day_zone(page->out, page->status->now);
}

/* A count of a day. */
static void put_count(struct page *page, const struct day_count *day, uint64_t count) {
    put(page, day->whole ? "" : say(page, WORD_at_least));
    put_number(page, count);
    put(page, day->whole ? "" : say(page, WORD_or_more));
}

/* What a figure is called, and where its value begins. */
static void begin_figure(struct page *page, enum word word) {
    writer_print(page->out, "<div><dt>%s<dd><b>", say(page, word));
}

static void begin_small(struct page *page) {
    put(page, "</b><small>");
}

static void end_figure(struct page *page) {
    put(page, "</small></div>");
}

/* When something was last; 0: never. */
static void put_last(struct page *page, enum word word, uint64_t time) {
    begin_figure(page, word);
    if (time == 0) {
        put_word(page, WORD_none_yet);
        begin_small(page);
    } else {
        put_ago(page, time);
        begin_small(page);
        put_whole_moment(page, time);
    }
    end_figure(page);
}

static void put_kind(struct page *page, unsigned kind) {
    uint64_t today = gist_day(&page->today, kind), yesterday = gist_day(&page->yesterday, kind);

    if (kind == GIST_OTHERS && today == 0 && yesterday == 0) {
        return;
    }
    begin_figure(page, gist_word(kind));
    put_count(page, &page->today, today);
    begin_small(page);
    put_word(page, WORD_yesterday);
    put(page, " ");
    put_count(page, &page->yesterday, yesterday);
    end_figure(page);
}

static unsigned per_cent(const struct cmcwh_ring_state *ring, uint32_t records) {
    return ring->capacity == 0 ? 0 : (unsigned)((uint64_t)records * 100 / ring->capacity);
}

static void put_ring(struct page *page) {
    const struct cmcwh_ring_state *ring = &page->status->ring;

    begin_figure(page, WORD_ring);
    writer_print(page->out, "%" PRIu32 "</b> / %" PRIu32 "<b>", ring->in_use, ring->capacity);
    begin_small(page);
    writer_print(page->out, "%s %" PRIu32 " (%u %%)", say(page, WORD_peak), ring->peak,
                 per_cent(ring, ring->peak));
    if (ring->fulls > 0) {
        writer_print(page->out, ", %s %" PRIu64, say(page, WORD_fulls), ring->fulls);
    }
    writer_print(page->out,
                 "</small><svg class=\"bar\" viewBox=\"0 0 100 4\" preserveAspectRatio=\"none\" "
                 "aria-hidden=\"true\"><path class=s1 d=\"M0 0H%uV4H0z\"/></svg></div>",
                 per_cent(ring, ring->in_use));
}

static void put_figures(struct page *page) {
    put_last(page, WORD_last_event, page->status->events.last_event);
    put_kind(page, GIST_BOUNCED);
    for (unsigned kind = 0; kind < GIST_KINDS; kind++) {
        if (kind != GIST_BOUNCED) {
            put_kind(page, kind);
        }
    }
    put_ring(page);
}

/* Why counts are at least so. */
static void put_counted(struct page *page) {
    if (!page->today.whole || !page->yesterday.whole) {
        put(page, "<small>");
        put_word(page, WORD_counted_since);
        put_whole_moment(page, page->status->events.since);
        put_word(page, WORD_counted_before);
        put(page, "</small>");
    }
}

/* ---- (4) The picture ---- */

/* In the picture's own units: so many for an hour, and for all that came in the highest. Few beside
 * many are seen too. */
enum { HEIGHT = 100, LEAST = 2, HIGHEST = HEIGHT - LEAST * GIST_KINDS };

/* How high the kinds up to this one stand upon each other. */
static unsigned height(const struct gist_hours *hours, unsigned place, unsigned kind) {
    unsigned high = 0;

    for (unsigned k = 0; k <= kind; k++) {
        uint64_t count = hours->counts[place][k];

        high += count > 0 ? (unsigned)(count * HIGHEST / hours->highest) + LEAST : 0;
    }
    return high;
}

/* One area in steps for each kind, the highest behind the others. */
static void put_area(struct page *page, unsigned kind) {
    writer_print(page->out, "<path class=\"s%u\" d=\"M0 %d", kind, HEIGHT);
    for (unsigned place = 0, next; place < CMCWH_HOURS; place = next) {
        unsigned high = height(&page->hours, place, kind);

        for (next = place + 1; next < CMCWH_HOURS && height(&page->hours, next, kind) == high;
             next++) {
        }
        writer_print(page->out, "V%uh%u", HEIGHT - high, next - place);
    }
    writer_print(page->out, "V%d\"/>", HEIGHT);
}

/* A line where a day begins. */
static void put_midnight(struct page *page, int days) {
    uint64_t begin = day_begin(page->status->now, days), first = page->hours.begin[0];

    if (begin > first) {
        writer_print(page->out, "<path class=\"day\" d=\"M%u 0V%d\"/>",
                     (unsigned)((begin - first) / 3600000), HEIGHT);
    }
}

static void put_axis(struct page *page) {
    static const unsigned places[] = {0, CMCWH_HOURS / 2, CMCWH_HOURS - 1};

    put(page, "<div class=\"axis\">");
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        put(page, "<span>");
        put_moment(page, page->hours.begin[places[i]], 5, 11);
        put(page, "</span>");
    }
    put(page, "</div>");
}

static void put_legend(struct page *page) {
    put(page, "<figcaption>");
    for (unsigned kind = 0; kind < GIST_KINDS; kind++) {
        if (page->hours.sums[kind] > 0) {
            writer_print(page->out, "<span><i class=s%u></i>%s %" PRIu64 "</span>", kind,
                         say(page, gist_word(kind)), page->hours.sums[kind]);
        }
    }
    writer_print(page->out, "<span>%s %" PRIu64 "</span></figcaption>", say(page, WORD_most),
                 page->hours.highest);
}

static void put_column(struct page *page, enum word word) {
    writer_print(page->out, "<th>%s", say(page, word));
}

/* The `hours` from this one on. */
static void put_hours(struct page *page, unsigned place, unsigned hours, uint64_t *day) {
    put(page, "<tr><th>");
    put_next_moment(page, page->hours.begin[place], false, day);
    for (unsigned kind = 0; kind < GIST_KINDS; kind++) {
        uint64_t sum = 0;

        for (unsigned i = 0; i < hours; i++) {
            sum += page->hours.counts[place + i][kind];
        }
        if (page->hours.sums[kind] > 0) {
            writer_print(page->out, "<td>%" PRIu64, sum);
        }
    }
}

static bool have_events(const struct gist_hours *all, unsigned place, unsigned hours) {
    bool some = false;

    for (unsigned i = 0; i < hours; i++) {
        some = some || height(all, place + i, GIST_KINDS - 1) > 0;
    }
    return some;
}

/* The newest first. */
static void put_all_hours(struct page *page) {
    uint64_t day = UINT64_MAX;
    unsigned hours = page->measure->hours;

    for (unsigned end = CMCWH_HOURS; end > 0; end -= hours) {
        if (have_events(&page->hours, end - hours, hours)) {
            put_hours(page, end - hours, hours, &day);
        }
    }
}

static void put_hours_table(struct page *page) {
    writer_print(page->out, "<details id=\"table\"><summary id=\"open-table\">%s</summary>",
                 say(page, WORD_as_table));
    put(page, "<div class=\"wide\" id=\"scroll\" tabindex=\"0\" role=\"region\" "
              "aria-labelledby=\"open-table\">");
    writer_print(page->out, "<table><caption><small>%s</small></caption><thead><tr>",
                 say(page, WORD_quiet_hours));
    put_column(page, WORD_hour);
    for (unsigned kind = 0; kind < GIST_KINDS; kind++) {
        if (page->hours.sums[kind] > 0) {
            put_column(page, gist_word(kind));
        }
    }
    put(page, "<tbody>");
    put_all_hours(page);
    put(page, "</table></div></details>");
}

static void put_picture(struct page *page) {
    if (page->hours.highest == 0) {
        writer_print(page->out, "<p>%s</p>", say(page, WORD_no_events));
        return;
    }
    writer_print(page->out,
                 "<figure><svg role=\"img\" aria-labelledby=\"p-t p-d\" viewBox=\"0 0 %d %d\" "
                 "preserveAspectRatio=\"none\"><title id=\"p-t\">%s</title>",
                 CMCWH_HOURS, HEIGHT, say(page, WORD_picture));
    writer_print(page->out, "<desc id=\"p-d\">%s</desc>", say(page, WORD_picture_says));
    for (unsigned kind = GIST_KINDS; kind-- > 0;) {
        if (page->hours.sums[kind] > 0) {
            put_area(page, kind);
        }
    }
    writer_print(page->out, "<path class=\"gap\" d=\"M0 %dH%d\"/>", HEIGHT / 2, CMCWH_HOURS);
    put_midnight(page, -1);
    put_midnight(page, 0);
    put(page, "</svg>");
    put_axis(page);
    put_legend(page);
    put(page, "</figure>");
    put_hours_table(page);
}

/* ---- Tables ---- */

static void begin_table(struct page *page, enum word caption) {
    writer_print(page->out, "<table><caption><h2>%s</h2></caption><thead><tr>", say(page, caption));
}

static void end_head(struct page *page) {
    put(page, "<tbody>");
}

static void put_empty(struct page *page, enum word heading, enum word text) {
    writer_print(page->out, "<h2>%s</h2><p>%s</p>", say(page, heading), say(page, text));
}

/* ---- (5) Why mails did not arrive ---- */

static void put_bounces(struct page *page) {
    struct gist_reason reasons[GIST_REASONS];
    unsigned count = gist_reasons(reasons, &page->status->events, &page->today, &page->yesterday);

    if (count == 0) {
        put_empty(page, WORD_reasons, WORD_no_bounces);
        return;
    }
    begin_table(page, WORD_reasons);
    put_column(page, WORD_reason);
    put_column(page, WORD_today);
    put_column(page, WORD_yesterday);
    put_column(page, WORD_total);
    end_head(page);
    for (unsigned i = 0; i < count; i++) {
        writer_print(page->out, "<tr><td>%s",
                     words_bounce(reasons[i].number, page->view->language));
        writer_print(page->out, "<td>%" PRIu64 "<td>%" PRIu64 "<td>%" PRIu64, reasons[i].today,
                     reasons[i].yesterday, reasons[i].total);
    }
    put(page, "</table>");
}

static void put_failure(struct page *page, const struct cmcwh_event *event, uint64_t *day) {
    put(page, "<tr><th>");
    put_next_moment(page, event->received, true, day);
    put(page, "<td>");
    put_cut(page, event->texts[CMCWH_TO], page->measure->address);
    writer_print(page->out, "<td>%s<p>", gist_why(event, page->view->language));
    put_cut(page, event->texts[CMCWH_REASON], page->measure->text);
}

static void put_failures(struct page *page) {
    struct gist_failures *failures = &page->failures;
    uint64_t day = UINT64_MAX;

    if (failures->count == 0) {
        put_empty(page, WORD_failures, WORD_no_failures);
        return;
    }
    begin_table(page, WORD_failures);
    put_column(page, WORD_time);
    put_column(page, WORD_recipient);
    put_column(page, WORD_reason);
    end_head(page);
    for (unsigned i = 0; i < failures->count && i < page->measure->failures; i++) {
        if (gist_failure(failures, i)) {
            put_failure(page, &failures->event, &day);
        }
    }
    put(page, "</table>");
}

/* ---- (6) Sinks ---- */

static void put_sink_state(struct page *page, const struct status_sink *sink) {
    bool bad = sink->state == STATUS_FAILS || sink->state == STATUS_HANGS;

    writer_print(page->out, "<td%s>%s", bad ? " class=bad" : "", say(page, gist_state(sink)));
    if (bad && sink->failing_since > 0) {
        put(page, " (");
        put_ago(page, sink->failing_since);
        put(page, ")");
    }
    put(page, "<p>");
    if (sink->last_error_at > 0) {
        put_short_moment(page, sink->last_error_at);
        put(page, " ");
        put_plain(page, sink->last_error, page->measure->text);
    }
}

static void put_sinks(struct page *page) {
    begin_table(page, WORD_sinks);
    put_column(page, WORD_sink);
    put_column(page, WORD_state);
    put_column(page, WORD_behind);
    put_column(page, WORD_delivered);
    end_head(page);
    for (unsigned i = 0; i < page->status->sink_count; i++) {
        const struct status_sink *sink = &page->status->sinks[i];
        uint64_t lost = page->status->ring.lost[sink->reader];

        put(page, "<tr><td>");
        put_plain(page, sink->uri, page->measure->address);
        writer_print(page->out, "<p>%s",
                     say(page, sink->required ? WORD_required : WORD_besteffort));
        put_sink_state(page, sink);
        writer_print(page->out, "<td>%" PRIu32, page->status->ring.behind[sink->reader]);
        if (lost > 0) {
            writer_print(page->out, "<p>%s %" PRIu64, say(page, WORD_lost), lost);
        }
        writer_print(page->out, "<td>%" PRIu64, sink->delivered);
    }
    put(page, "</table>");
}

/* ---- (7) Refusals ---- */

static void put_refusal(struct page *page, const struct status_refusal *refusal, uint64_t *day) {
    put(page, "<tr><th>");
    put_next_moment(page, refusal->time, true, day);
    writer_print(page->out, "<td>%d", refusal->status);
    if (refusal->times > 1) {
        writer_print(page->out, "<p>×%" PRIu32, refusal->times);
    }
    put(page, "<td>");
    put_plain(page, refusal->peer, CMCWH_ADDRESS_SIZE);
    put(page, " ");
    put_plain(page, refusal->path, page->measure->address);
    put(page, "<p>");
    put_plain(page, refusal->detail[0] != '\0' ? refusal->detail : refusal->error,
              page->measure->text);
    if (refusal->field[0] != '\0') {
        put(page, " (");
        put_plain(page, refusal->field, page->measure->address);
        put(page, ")");
    }
}

static void put_refusals(struct page *page) {
    uint64_t day = UINT64_MAX;
    unsigned count = page->status->refusal_count;

    if (count == 0) {
        put_empty(page, WORD_refusals, WORD_no_refusals);
        return;
    }
    begin_table(page, WORD_refusals);
    put_column(page, WORD_time);
    put_column(page, WORD_answer);
    put_column(page, WORD_from_where);
    end_head(page);
    for (unsigned i = 0; i < count && i < page->measure->refusals; i++) {
        put_refusal(page, &page->status->refusals[i], &day);
    }
    put(page, "</table>");
}

/* ---- (8) The rest ---- */

static void put_certificate(struct page *page) {
    uint64_t now = page->status->now, end = page->status->certificate_end;

    begin_figure(page, WORD_certificate);
    if (end == 0) {
        put_word(page, WORD_no_tls);
        begin_small(page);
    } else {
        put_moment(page, end, 0, 10);
        begin_small(page);
        put_word(page, end > now ? WORD_left : WORD_expired);
        language_span(page->out, end > now ? end - now : now - end, page->view->language);
    }
    end_figure(page);
}

static void put_reload(struct page *page) {
    if (page->status->reload.time == 0) {
        return;
    }
    begin_figure(page, WORD_reload);
    put_word(page, page->status->reload.good ? WORD_good : WORD_fails);
    begin_small(page);
    put_whole_moment(page, page->status->reload.time);
    put(page, " ");
    put_plain(page, page->status->reload.said, page->measure->text);
    end_figure(page);
}

static void put_house(struct page *page) {
    const struct status *status = page->status;

    put_last(page, WORD_last_ok, status->server.last_ok);
    put_last(page, WORD_last_request, status->server.last_request);
    put_certificate(page);
    put_reload(page);
    begin_figure(page, WORD_uptime);
    language_span(page->out, status->now - status->started, page->view->language);
    begin_small(page);
    put_whole_moment(page, status->started);
    end_figure(page);
    begin_figure(page, WORD_memory);
    writer_print(page->out, "%" PRIu64 ".%u MiB", status->process.rss >> 20,
                 (unsigned)(((status->process.rss & 0xFFFFF) * 10) >> 20));
    begin_small(page);
    writer_print(page->out, "%s %" PRIu64 " / %" PRIu64, say(page, WORD_descriptors),
                 status->process.descriptors, status->process.descriptors_max);
    end_figure(page);
    begin_figure(page, WORD_version);
    put(page, CMCWH_VERSION);
    begin_small(page);
    end_figure(page);
}

/* ---- The whole ---- */

/* What is sent as it stands, then a word or what a function writes. */
struct piece {
    const char *text;
    void (*part)(struct page *page);
    enum word word;
};

#define TEXT(text)       {(text), NULL, WORDS_COUNT},
#define WORD(text, name) {(text), NULL, WORD_##name},
#define PART(text, name) {(text), put_##name, WORDS_COUNT},
static const struct piece pieces[] = {
#include "page.inc"
};

const char page_policy[] = PAGE_POLICY;

static void put_pieces(struct page *page) {
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        const struct piece *piece = &pieces[i];

        put(page, piece->text);
        if (piece->part != NULL) {
            piece->part(page);
        } else if (piece->word != WORDS_COUNT) {
            put_word(page, piece->word);
        }
    }
}

void page_html(struct writer *writer, const struct status *status, const struct page_view *view) {
    struct page page = {.out = writer,
                        .status = status,
                        .view = view,
                        .failures = {.ring = view->ring, .hide = view->hide}};
    const struct writer begin = *writer;

    day_count(&page.today, &status->events, status->now, 0);
    day_count(&page.yesterday, &status->events, status->now, -1);
    gist_hours(&page.hours, &status->events, status->now);
    verdict_of(&page.verdict, status);
    gist_failures(&page.failures, status->ring.safe);
    for (size_t i = 0; i < sizeof measures / sizeof *measures; i++) {
        *writer = begin;
        page.measure = &measures[i];
        put_pieces(&page);
        if (writer->used - begin.used <= PAGE_MAX) {
            return;
        }
    }
}
