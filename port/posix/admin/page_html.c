/* The status page: what page.html leaves open, and the same as text, for curl and a terminal. Both
 * are written as HTML: as text, each tag of it becomes a line, a column, or nothing. Not here: what
 * is said (gist.c, verdict.c) and in which words (words.h). */
#include "admin/page.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "admin/gist.h"
#include "admin/packed.h"
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

/* As text there is room for more. */
static const struct measure measure_of_text = {UINT8_MAX, GIST_FAILURES, REFUSALS_LAST, 1,
                                               TOLD,      128,           320,           false};

struct page {
    struct writer *out;
    const struct status *status;
    const struct page_view *view;
    const struct measure *measure;
    enum language language;
    bool text;

    /* As text. */
    unsigned column; /* of its line; 0: none has begun */
    size_t cell;     /* where what stands in it begins */

    struct verdict verdict;
    struct day_count today, yesterday;
    struct gist_hours hours;
    struct gist_failures failures;
};

/* ---- HTML, and what text has for it ---- */

/* Ends what stands in this line. */
static void break_line(struct page *page) {
    struct writer *out = page->out;

    while (out->used > 0 && out->bytes[out->used - 1] == ' ') {
        out->used--;
    }
    if (out->used > 0 && out->bytes[out->used - 1] != '\n') {
        writer_text(out, "\n");
    }
    page->column = 0;
}

/* How wide a terminal shows what the cell has: kana and kanji, of three bytes, take two places. */
static unsigned cell_width(const struct page *page) {
    unsigned width = 0;

    for (size_t i = page->cell; i < page->out->used; i++) {
        unsigned char byte = (unsigned char)page->out->bytes[i];

        width += byte >= 0xE0 ? 2 : (byte & 0xC0) != 0x80 ? 1 : 0;
    }
    return width;
}

/* The first has room for a time, or a reason. */
static void next_column(struct page *page) {
    unsigned room = page->column == 1 ? 24 : 8;

    if (page->column > 0) {
        for (unsigned width = cell_width(page); width < room; width++) {
            writer_text(page->out, " ");
        }
        writer_text(page->out, "  ");
    }
    page->column++;
    page->cell = page->out->used;
}

/* Behind its name, what a tag is as text. \n: a new line, if there is none yet; \f: an empty one
 * before it; \t: the next column. Other tags are nothing. */
static const char tags[][8] = {"h2\f",   "/h2\n", "/div\n", "tr\n  ",   "th\t", "td\t",
                               "dt\n  ", "dd: ",  "li\f  ", "br\n    ", "p  ",  "small  "};

/* What is done for it. */
static const char *find_tag(const char *name, size_t length) {
    for (size_t i = 0; i < sizeof tags / sizeof *tags; i++) {
        if (strcspn(tags[i], "\n\f\t: ") == length && memcmp(tags[i], name, length) == 0) {
            return tags[i] + length;
        }
    }
    return "";
}

static void put_tag(struct page *page, const char *name) {
    for (const char *what = find_tag(name, strcspn(name, " >")); *what != '\0'; what++) {
        if (*what == '\t') {
            next_column(page);
        } else if (*what == '\n') {
            break_line(page);
        } else if (*what == '\f') {
            break_line(page);
            writer_text(page->out, "\n");
        } else {
            writer_bytes(page->out, what, 1);
        }
    }
}

/* HTML of ours. What is told as text too has whole tags. */
static void put(struct page *page, const char *html) {
    if (!page->text) {
        writer_text(page->out, html);
        return;
    }
    while (*html != '\0') {
        size_t text = strcspn(html, "<");

        writer_bytes(page->out, html, text);
        html += text;
        if (*html == '<') {
            put_tag(page, html + 1);
            html = strchr(html, '>') + 1;
        }
    }
}

/* ---- Words, numbers, times, and texts of others ---- */

static void put_word(struct page *page, const char *before, enum word word) {
    put(page, before);
    words_write(page->out, word, page->language);
}

static void put_number(struct page *page, const char *before, uint64_t number) {
    put(page, before);
    writer_print(page->out, "%" PRIu64, number);
}

static void put_cut(struct page *page, struct cmcwh_text text, size_t most) {
    (page->text ? writer_plain_cut : writer_html_cut)(page->out, text, most);
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

    if (page->text) {
        put_whole_moment(page, time);
        return;
    }
    put_moment(page, time, dated ? 5 : 11, (dated ? 11U : 5U) + (seconds ? 3U : 0U));
    *day = dated ? day_begin(time, 0) : *day;
}

static void put_ago(struct page *page, uint64_t time) {
    language_ago(page->out, page->status->now, time, page->language);
}

/* ---- The head ---- */

static void put_lang(struct page *page) {
    put(page, language_choose(page->language, "en", "ja"));
}

static void put_said(struct page *page) {
    put(page, verdict_colour_word(page->verdict.colour, page->language));
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
    static const char colours[][4] = {
        [VERDICT_OK] = "2a5", [VERDICT_AMBER] = "e90", [VERDICT_RED] = "d22"};

    put(page, "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 2 2'%3E"
              "%3Ccircle cx='1' cy='1' r='1' fill='%23");
    put(page, colours[page->verdict.colour]);
    put(page, "'/%3E%3C/svg%3E");
}

/* ---- For the script ---- */

static void put_after(struct page *page) {
    put_number(page, "", page->status->ring.safe);
}

/* Minutes that the local clock is ahead of UTC. */
static void put_offset(struct page *page) {
    time_t seconds = (time_t)(page->status->now / 1000);
    struct tm parts = {.tm_gmtoff = 0};

    (void)localtime_r(&seconds, &parts);
    writer_print(page->out, "%ld", parts.tm_gmtoff / 60);
}

static void put_member(struct page *page, const char *before, const char *name, enum word value) {
    put(page, before);
    put(page, name);
    put_word(page, "\":\"", value);
    put(page, "\"");
}

/* CMC's words in Japanese. None has a quote. */
static void put_live_words(struct page *page) {
    static const struct {
        char name[11];
        uint8_t word;
    } names[] = {{"deliveries", WORD_delivery}, {"bounces", WORD_bounced},
                 {"blocks", WORD_blocked},      {"queued", WORD_queued},
                 {"succeeded", WORD_succeeded}, {"failed", WORD_failed},
                 {"deferred", WORD_deferred}};

    put(page, "{");
    for (size_t i = 0; i < sizeof names / sizeof *names && page->language != ENGLISH; i++) {
        put_member(page, i > 0 ? ",\"" : "\"", names[i].name, names[i].word);
    }
    for (unsigned i = 0; i < GIST_REASONS && page->measure->words && page->language != ENGLISH;
         i++) {
        unsigned number = cmcwh_count_bounce(CMCWH_COUNT_BOUNCES + i);

        put_member(page, ",\"", cmcwh_bounce_name(number), words_bounce(number));
    }
    put(page, "}");
}

static void put_link(struct page *page, enum language language, bool hide, const char *more,
                     enum word word) {
    put(page, "<a href=\"?lang=");
    put(page, language_choose(language, "en", "ja"));
    put(page, hide ? "&amp;hide=addresses\"" : "\"");
    put(page, more);
    put_word(page, ">", word);
    put(page, "</a>");
}

static void put_links(struct page *page) {
    const struct page_view *view = page->view;
    bool english = page->language == ENGLISH;

    put_link(page, english ? JAPANESE : ENGLISH, view->hide && !view->hide_always,
             english ? " lang=\"ja\" hreflang=\"ja\"" : " lang=\"en\" hreflang=\"en\"",
             WORD_other_language);
    if (view->hide_always) {
        put_word(page, "<span>", WORD_hidden);
        put(page, "</span>");
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
    size_t word = strlen(verdict_colour_word(page->verdict.colour, page->language)) +
                  strlen(language_choose(page->language, ": ", " — "));

    verdict_sentence(told, &page->verdict, page->status, page->language);
    put(page, "<p>");
    put_told(page, told, word < told->used ? word : 0);
    put(page, "</p>");
}

static void put_reason(struct page *page, const struct verdict_reason *reason,
                       struct writer *told) {
    put(page, reason->colour == VERDICT_RED ? "<li class=red><b>" : "<li class=amber><b>");
    if (page->text) {
        put(page, verdict_colour_word(reason->colour, page->language));
        put(page, ": ");
    }
    verdict_reason(told, reason, page->status, page->language);
    put_told(page, told, 0);
    put(page, "</b><br>");
    told->used = 0;
    verdict_remedy(told, reason, page->status, page->language);
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
        put_word(page, "<li>", WORD_more);
        put_number(page, " ", count - shown);
    }
    put(page, "</ul>");
}

/* ---- (3) Today ---- */

static void put_zone(struct page *page) {
    put_word(page, "", WORD_since_midnight);
    day_zone(page->out, page->status->now);
}

/* A count of a day. */
static void put_count(struct page *page, const struct day_count *day, uint64_t count) {
    if (!day->whole) {
        put_word(page, "", WORD_at_least);
    }
    put_number(page, "", count);
    if (!day->whole) {
        put_word(page, "", WORD_or_more);
    }
}

/* What a figure is called, and where its value begins. */
static void begin_figure(struct page *page, enum word word) {
    put_word(page, "<div><dt>", word);
    put(page, "<dd><b>");
}

#define SMALL "</b><small>"

static void begin_small(struct page *page) {
    put(page, SMALL);
}

static void end_figure(struct page *page) {
    put(page, "</small></div>");
}

/* When something was last; 0: never. */
static void put_last(struct page *page, enum word word, uint64_t time) {
    begin_figure(page, word);
    if (time == 0) {
        put_word(page, "", WORD_none_yet);
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
    put_word(page, SMALL, WORD_yesterday);
    put(page, " ");
    put_count(page, &page->yesterday, yesterday);
    end_figure(page);
}

static unsigned per_cent(const struct cmcwh_ring_state *ring, uint32_t records) {
    return ring->capacity == 0 ? 0 : (unsigned)((uint64_t)records * 100 / ring->capacity);
}

static void put_bar(struct page *page, unsigned filled) {
    put_number(page,
               "<svg class=\"bar\" viewBox=\"0 0 100 4\" preserveAspectRatio=\"none\" "
               "aria-hidden=\"true\"><path class=s1 d=\"M0 0H",
               filled);
    put(page, "V4H0z\"/></svg>");
}

static void put_ring(struct page *page) {
    const struct cmcwh_ring_state *ring = &page->status->ring;

    begin_figure(page, WORD_ring);
    put_number(page, "", ring->in_use);
    put_number(page, "</b> / ", ring->capacity);
    put_word(page, "<b>" SMALL, WORD_peak);
    put_number(page, " ", ring->peak);
    put_number(page, " (", per_cent(ring, ring->peak));
    put(page, " %)");
    if (ring->fulls > 0) {
        put_word(page, ", ", WORD_fulls);
        put_number(page, " ", ring->fulls);
    }
    put(page, "</small>");
    if (!page->text) {
        put_bar(page, per_cent(ring, ring->in_use));
    }
    put(page, "</div>");
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
        put_word(page, "<small>", WORD_counted_since);
        put_whole_moment(page, page->status->events.since);
        put_word(page, "", WORD_counted_before);
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
    put_number(page, "<path class=\"s", kind);
    put_number(page, "\" d=\"M0 ", HEIGHT);
    for (unsigned place = 0, next; place < CMCWH_HOURS; place = next) {
        unsigned high = height(&page->hours, place, kind);

        for (next = place + 1; next < CMCWH_HOURS && height(&page->hours, next, kind) == high;
             next++) {
        }
        put_number(page, "V", HEIGHT - high);
        put_number(page, "h", next - place);
    }
    put_number(page, "V", HEIGHT);
    put(page, "\"/>");
}

/* A line where a day begins. */
static void put_midnight(struct page *page, int days) {
    uint64_t begin = day_begin(page->status->now, days), first = page->hours.begin[0];

    if (begin > first) {
        put_number(page, "<path class=\"day\" d=\"M", (begin - first) / 3600000);
        put_number(page, " 0V", HEIGHT);
        put(page, "\"/>");
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
            put_number(page, "<span><i class=s", kind);
            put_word(page, "></i>", gist_word(kind));
            put_number(page, " ", page->hours.sums[kind]);
            put(page, "</span>");
        }
    }
    put_word(page, "<span>", WORD_most);
    put_number(page, " ", page->hours.highest);
    put(page, "</span></figcaption>");
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
            put_number(page, "<td>", sum);
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
    put_word(page, "<table><caption><small>", WORD_quiet_hours);
    put_word(page, "</small></caption><thead><tr><th>", WORD_hour);
    for (unsigned kind = 0; kind < GIST_KINDS; kind++) {
        if (page->hours.sums[kind] > 0) {
            put_word(page, "<th>", gist_word(kind));
        }
    }
    put(page, "<tbody>");
    put_all_hours(page);
    put(page, "</table>");
}

static void put_figure(struct page *page) {
    put_number(page, "<figure><svg role=\"img\" aria-labelledby=\"p-t p-d\" viewBox=\"0 0 ",
               CMCWH_HOURS);
    put_number(page, " ", HEIGHT);
    put_word(page, "\" preserveAspectRatio=\"none\"><title id=\"p-t\">", WORD_picture);
    put_word(page, "</title><desc id=\"p-d\">", WORD_picture_says);
    put(page, "</desc>");
    for (unsigned kind = GIST_KINDS; kind-- > 0;) {
        if (page->hours.sums[kind] > 0) {
            put_area(page, kind);
        }
    }
    put_number(page, "<path class=\"gap\" d=\"M0 ", HEIGHT / 2);
    put_number(page, "H", CMCWH_HOURS);
    put(page, "\"/>");
    put_midnight(page, -1);
    put_midnight(page, 0);
    put(page, "</svg>");
    put_axis(page);
    put_legend(page);
    put(page, "</figure>");
}

static void put_picture(struct page *page) {
    if (page->hours.highest == 0) {
        put_word(page, "<p>", WORD_no_events);
        put(page, "</p>");
        return;
    }
    if (page->text) {
        put_hours_table(page);
        return;
    }
    put_figure(page);
    put_word(page, "<details id=\"table\"><summary id=\"open-table\">", WORD_as_table);
    put(page, "</summary><div class=\"wide\" id=\"scroll\" tabindex=\"0\" role=\"region\" "
              "aria-labelledby=\"open-table\">");
    put_hours_table(page);
    put(page, "</div></details>");
}

/* ---- Tables ---- */

struct table {
    uint8_t heading, nothing; /* words: what it is called; what is said if it has no rows */
    uint8_t columns[4], count;
};

/* Are there rows to be put into it? */
static bool begin_table(struct page *page, const struct table *table, bool rows) {
    if (!rows) {
        put_word(page, "<h2>", table->heading);
        put_word(page, "</h2><p>", table->nothing);
        put(page, "</p>");
        return false;
    }
    put_word(page, "<table><caption><h2>", table->heading);
    put(page, "</h2></caption><thead><tr>");
    for (unsigned i = 0; i < table->count; i++) {
        put_word(page, "<th>", table->columns[i]);
    }
    put(page, "<tbody>");
    return true;
}

static void end_table(struct page *page) {
    put(page, "</table>");
}

/* ---- (5) Why mails did not arrive ---- */

static void put_bounces(struct page *page) {
    static const struct table table = {
        WORD_reasons, WORD_no_bounces, {WORD_reason, WORD_today, WORD_yesterday, WORD_total}, 4};
    struct gist_reason reasons[GIST_REASONS];
    unsigned count = gist_reasons(reasons, &page->status->events, &page->today, &page->yesterday);

    if (!begin_table(page, &table, count > 0)) {
        return;
    }
    for (unsigned i = 0; i < count; i++) {
        put_word(page, "<tr><td>", words_bounce(reasons[i].number));
        put_number(page, "<td>", reasons[i].today);
        put_number(page, "<td>", reasons[i].yesterday);
        put_number(page, "<td>", reasons[i].total);
    }
    end_table(page);
}

static void put_failure(struct page *page, const struct cmcwh_event *event, uint64_t *day) {
    put(page, "<tr><th>");
    put_next_moment(page, event->received, true, day);
    put(page, "<td>");
    put_cut(page, event->texts[CMCWH_TO], page->measure->address);
    put_word(page, "<td>", gist_why(event));
    put(page, "<p>");
    put_cut(page, event->texts[CMCWH_REASON], page->measure->text);
}

static void put_failures(struct page *page) {
    static const struct table table = {
        WORD_failures, WORD_no_failures, {WORD_time, WORD_recipient, WORD_reason}, 3};
    struct gist_failures *failures = &page->failures;
    uint64_t day = UINT64_MAX;

    if (!begin_table(page, &table, failures->count > 0)) {
        return;
    }
    for (unsigned i = 0; i < failures->count && i < page->measure->failures; i++) {
        if (gist_failure(failures, i)) {
            put_failure(page, &failures->event, &day);
        }
    }
    end_table(page);
}

/* ---- (6) Sinks ---- */

static void put_sink_state(struct page *page, const struct status_sink *sink) {
    bool bad = sink->state == STATUS_FAILS || sink->state == STATUS_HANGS;

    put_word(page, bad ? "<td class=bad>" : "<td>", gist_state(sink));
    if (bad && sink->failing_since > 0) {
        put(page, " (");
        put_ago(page, sink->failing_since);
        put(page, ")");
    }
    if (sink->next_try > page->status->now) {
        put_word(page, "", WORD_next_try);
        language_span(page->out, sink->next_try - page->status->now, page->language);
    }
    put(page, "<p>");
    if (sink->last_error_at > 0) {
        put_short_moment(page, sink->last_error_at);
        put(page, " ");
        put_plain(page, sink->last_error, page->measure->text);
    }
}

/* Below a figure of the table, what is not as it should be of it. */
static void put_bad(struct page *page, enum word word, uint64_t number) {
    if (number > 0) {
        put_word(page, "<p>", word);
        put_number(page, " ", number);
    }
}

static void put_sink(struct page *page, const struct status_sink *sink) {
    put(page, "<tr><td>");
    put_plain(page, sink->uri, page->measure->address);
    put_word(page, "<p>", sink->required ? WORD_required : WORD_besteffort);
    put_sink_state(page, sink);
    put_number(page, "<td>", page->status->ring.behind[sink->reader]);
    put_bad(page, WORD_lost, page->status->ring.lost[sink->reader]);
    put_number(page, "<td>", sink->delivered);
    put_bad(page, WORD_rejected, sink->rejected);
}

static void put_sinks(struct page *page) {
    static const struct table table = {
        WORD_sinks, 0, {WORD_sink, WORD_state, WORD_behind, WORD_delivered}, 4};

    (void)begin_table(page, &table, true);
    for (unsigned i = 0; i < page->status->sink_count; i++) {
        put_sink(page, &page->status->sinks[i]);
    }
    end_table(page);
}

/* ---- (7) Refusals ---- */

static void put_refusal(struct page *page, const struct status_refusal *refusal, uint64_t *day) {
    put(page, "<tr><th>");
    put_next_moment(page, refusal->time, true, day);
    put_number(page, "<td>", (unsigned)refusal->status);
    if (refusal->times > 1) {
        put_number(page, "<p>×", refusal->times);
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
    static const struct table table = {
        WORD_refusals, WORD_no_refusals, {WORD_time, WORD_answer, WORD_from_where}, 3};
    uint64_t day = UINT64_MAX;
    unsigned count = page->status->refusal_count;

    if (!begin_table(page, &table, count > 0)) {
        return;
    }
    for (unsigned i = 0; i < count && i < page->measure->refusals; i++) {
        put_refusal(page, &page->status->refusals[i], &day);
    }
    end_table(page);
}

/* ---- (8) The rest ---- */

static void put_certificate(struct page *page) {
    uint64_t now = page->status->now, end = page->status->certificate_end;

    begin_figure(page, WORD_certificate);
    if (end == 0) {
        put_word(page, "", WORD_no_tls);
        begin_small(page);
    } else {
        put_moment(page, end, 0, 10);
        put_word(page, SMALL, end > now ? WORD_left : WORD_expired);
        language_span(page->out, end > now ? end - now : now - end, page->language);
    }
    end_figure(page);
}

static void put_reload(struct page *page) {
    if (page->status->reload.time == 0) {
        return;
    }
    begin_figure(page, WORD_reload);
    put_word(page, "", page->status->reload.good ? WORD_good : WORD_fails);
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
    language_span(page->out, status->now - status->started, page->language);
    begin_small(page);
    put_whole_moment(page, status->started);
    end_figure(page);
    begin_figure(page, WORD_memory);
    put_number(page, "", status->process.rss >> 20);
    put_number(page, ".", ((status->process.rss & 0xFFFFF) * 10) >> 20);
    put_word(page, " MiB" SMALL, WORD_descriptors);
    put_number(page, " ", status->process.descriptors);
    put_number(page, " / ", status->process.descriptors_max);
    end_figure(page);
    begin_figure(page, WORD_version);
    put(page, CMCWH_VERSION);
    begin_small(page);
    end_figure(page);
}

/* ---- The whole ---- */

/* The texts of the page, which are sent as they stand. */
static const uint8_t texts[] = {
#include "page.packed"
};

/* What follows each of them: a word, what a function writes, or nothing. */
#define TEXT(text)
#define WORD(text, name)
#define PART(text, name) PART_##name,
enum {
    BEFORE_PARTS = WORDS_COUNT,
#include "page.inc"
};
#undef PART
#define PART(text, name) put_##name,
static void (*const parts[])(struct page *page) = {
#include "page.inc"
};
#undef TEXT
#undef WORD
#undef PART
#define TEXT(text)       WORDS_COUNT,
#define WORD(text, name) WORD_##name,
#define PART(text, name) PART_##name,
static const uint8_t follows[] = {
#include "page.inc"
};

const char page_policy[] = PAGE_POLICY;

static void put_pieces(struct page *page) {
    for (unsigned i = 0; i < sizeof follows; i++) {
        unsigned next = follows[i];

        packed_write(page->out, texts, i);
        if (next < WORDS_COUNT) {
            put_word(page, "", (enum word)next);
        } else if (next > WORDS_COUNT) {
            parts[next - WORDS_COUNT - 1](page);
        }
    }
}

/* In the order of page.html. */
static void put_text(struct page *page) {
    char text[TOLD];
    struct writer told = {.bytes = text, .size = sizeof text};

    page->measure = &measure_of_text;
    verdict_sentence(&told, &page->verdict, page->status, page->language);
    put_told(page, &told, 0);
    if (page->verdict.count > 0) {
        put_verdict(page);
    }
    put_word(page, "<h2>", WORD_today);
    put(page, "<small>");
    put_zone(page);
    put(page, "</h2>");
    put_figures(page);
    put_counted(page);
    put_word(page, "<h2>", WORD_two_days);
    put(page, "</h2>");
    put_picture(page);
    put_bounces(page);
    put_failures(page);
    put_sinks(page);
    put_refusals(page);
    put_word(page, "<h2>", WORD_house);
    put(page, "</h2>");
    put_house(page);
    begin_figure(page, WORD_data);
    put(page, "/events /events.csv /metrics /status.json</div>");
}

void page_write(struct writer *writer, const struct status *status, const struct page_view *view) {
    struct page page = {.out = writer,
                        .status = status,
                        .view = view,
                        .language = view->language,
                        .text = view->text,
                        .failures = {.ring = view->ring, .hide = view->hide}};
    const struct writer begin = *writer;

    day_count(&page.today, &status->events, status->now, 0);
    day_count(&page.yesterday, &status->events, status->now, -1);
    gist_hours(&page.hours, &status->events, status->now);
    verdict_of(&page.verdict, status);
    gist_failures(&page.failures, status->ring.safe);
    if (page.text) {
        put_text(&page);
        return;
    }
    for (size_t i = 0; i < sizeof measures / sizeof *measures; i++) {
        *writer = begin;
        page.measure = &measures[i];
        put_pieces(&page);
        if (writer->used - begin.used <= PAGE_MAX) {
            return;
        }
    }
}
