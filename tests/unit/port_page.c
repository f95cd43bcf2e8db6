/* The status page, with nothing and with everything to say, in both languages and both forms. */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "admin/gist.h"
#include "admin/page.h"

enum { CAPACITY = 64, HOUR = 3600000 };

/* 2026-11-26T05:20:00Z: 14:20 in Japan. */
static const uint64_t NOW = UINT64_C(1795670400000);

static struct cmcwh_record records[CAPACITY];
static uint32_t links[CAPACITY], places[CAPACITY];
static struct cmcwh_history history;
static struct cmcwh_ring ring;
static struct cmcwh_parser parser;
static uint64_t clock_ms;

static struct status status;
static char bytes[VIEW_MAX + 1];
static struct writer page;
static char uris[CMCWH_READERS_MAX][512];

static uint64_t now(void *context) {
    (void)context;
    return clock_ms;
}

static const struct cmcwh_port port = {.now = now};

static int setup(void **state) {
    const struct cmcwh_ring_config config = {.records = records,
                                             .links = links,
                                             .capacity = CAPACITY,
                                             .port = &port,
                                             .history = &history};

    (void)state;
    (void)setenv("TZ", "Asia/Tokyo", 1);
    tzset();
    memset(&status, 0, sizeof status);
    memset(&history, 0, sizeof history);
    history.places = places;
    clock_ms = NOW - 86400000;
    assert_int_equal(cmcwh_ring_init(&ring, &config, 1), CMCWH_OK);
    status.started = clock_ms - UINT64_C(86400000);
    status.now = NOW;
    return 0;
}

static void post_event(const char *type, const char *to, const char *state, const char *reason) {
    static char body[8192];

    (void)snprintf(body, sizeof body,
                   "{\"event_type\":\"%s\",\"event\":{\"%s\":[{\"to\":\"%s\",\"status\":\"%s\","
                   "\"reason\":\"%s\"}]}}",
                   type, type, to, state, reason);
    cmcwh_parser_init(&parser, &ring, CMCWH_JSON);
    assert_int_equal(cmcwh_parser_feed(&parser, body, strlen(body)), CMCWH_OK);
    assert_int_equal(cmcwh_parser_end(&parser), 1);
    assert_int_equal(cmcwh_parser_commit(&parser), 1);
}

/* The page in this form, as a text. */
static const char *shown(enum language language, bool text, bool hide) {
    const struct page_view view = {.ring = &ring, .language = language, .text = text, .hide = hide};

    cmcwh_ring_counters(&ring, &status.events);
    cmcwh_ring_state(&ring, &status.ring);
    page = (struct writer){.bytes = bytes, .size = sizeof bytes - 1};
    page_write(&page, &status, &view);
    assert_false(page.full);
    bytes[page.used] = '\0';
    return bytes;
}

static void assert_there(const char *text) {
    if (strstr(bytes, text) == NULL) {
        fail_msg("'%s' is not in:\n%s", text, bytes);
    }
}

static void assert_not_there(const char *text) {
    if (strstr(bytes, text) != NULL) {
        fail_msg("'%s' is in:\n%s", text, bytes);
    }
}

/* As much of a text as there is room for. */
static void copy(char *to, size_t size, const char *text) {
    size_t length = strlen(text) < size ? strlen(text) : size - 1;

    memcpy(to, text, length);
    to[length] = '\0';
}

/* Right after the start. */
static void nothing(void **state) {
    (void)state;
    shown(ENGLISH, false, false);
    assert_there("<html lang=\"en\">");
    assert_there("OK</span></h1>");
    assert_there("<b>none yet</b>");
    assert_there("No events in these 48 hours.");
    assert_there("No bounces.");
    assert_there("No failures.");
    assert_there("No request was refused.");
    assert_there("since 00:00, JST (UTC+09:00)");
    assert_there("data-offset=\"540\"");
    assert_there("no TLS");
    assert_not_there("{{");
    shown(JAPANESE, false, false);
    assert_there("<html lang=\"ja\">");
    assert_there("正常</span></h1>");
    assert_there("この 48 時間にイベントはありません。");
    assert_not_there("No ");
    shown(ENGLISH, true, false);
    assert_there("OK: ");
    assert_there("  Last event: none yet\n");
    shown(JAPANESE, true, false);
    assert_there("正常 — ");
}

/* Today and yesterday are those of the clock on the wall. */
static void days(void **state) {
    (void)state;
    post_event("bounces", "early@example.jp", "2", "550 no such user");
    clock_ms = NOW;
    post_event("bounces", "now@example.jp", "2", "550 no such user");
    post_event("bounces", "now@example.jp", "99", "554 no");
    post_event("deliveries", "now@example.jp", "succeeded", "");
    shown(ENGLISH, false, false);
    assert_there("Bounces<dd><b>2</b><small>Yesterday at least 1</small>");
    assert_there("<tr><td>unknown user<td>1<td>1<td>2");
    assert_there("<tr><td>other permanent error<td>1<td>0<td>1");
    assert_there("<tr><th>11-26 14:20:00<td>now@example.jp<td>other permanent error<p>554 no"
                 "<tr><th>14:20:00<td>now@example.jp<td>unknown user<p>550 no such user"
                 "<tr><th>11-25 14:20:00<td>early@example.jp");
    assert_there("Counted since 2026-11-25 14:20:00");
    shown(JAPANESE, false, false);
    assert_there("<tr><td>宛先ユーザー不明<td>1<td>1<td>2");
    assert_there("昨日 1 以上");
    shown(ENGLISH, true, false);
    assert_there(
        "\nToday  since 00:00, JST (UTC+09:00)\n  Last event: just now  2026-11-26 14:20:00\n");
    assert_there("  Bounces: 2  Yesterday at least 1\n");
    assert_there("  Reason                    Today     Yesterday  Total\n"
                 "  unknown user              1         1         2\n");
    assert_there("  2026-11-26 14:20:00       now@example.jp  unknown user  550 no such user\n");
    shown(JAPANESE, true, false);
    assert_there("  理由                      今日      昨日      累計\n"
                 "  宛先ユーザー不明          1         1         2\n");
}

/* What of a sink is not as it should be stands below what it is of. */
static void sinks(void **state) {
    (void)state;
    clock_ms = NOW;
    status.sink_count = 1;
    status.sinks[0] = (struct status_sink){.uri = "https://bus.example/in",
                                           .state = STATUS_FAILS,
                                           .delivered = 7,
                                           .rejected = 3,
                                           .failing_since = NOW - 120000,
                                           .next_try = NOW + 20000,
                                           .last_error_at = NOW,
                                           .last_error = "503"};
    shown(ENGLISH, false, false);
    assert_there("<td class=bad>fails (2 min ago), next try in 20 s<p>11-26 14:20:00 503");
    assert_there("<td>7<p>rejected 3");
    shown(JAPANESE, true, false);
    assert_there("、次の試行まで 20 秒  11-26 14:20:00 503");
    assert_there("7  受け取り拒否 3\n");
    status.sinks[0].next_try = status.sinks[0].rejected = 0;
    shown(ENGLISH, false, false);
    assert_there("<td class=bad>fails (2 min ago)<p>");
    assert_not_there("rejected");
}

static void hidden(void **state) {
    (void)state;
    post_event("bounces", "taro@example.jp", "2", "550 <taro@example.jp>: no such user");
    for (int text = 0; text < 2; text++) {
        shown(ENGLISH, text != 0, true);
        assert_there("****@example.jp");
        assert_not_there("taro");
        shown(ENGLISH, text != 0, false);
        assert_there("taro@example.jp");
    }
}

/* What others have written: markup, quotes, a mark of direction, an escape of a terminal. */
#define HOSTILE_JSON                                                                               \
    "<script>alert(1)</script>\\\"'><img src=x onerror=y>\\u200f\\u001b[2J{{said}}%s"
#define HOSTILE "<script>alert(1)</script>\"'><img src=x onerror=y>\xE2\x80\x8F\x1B[2J{{said}}%s"

static void be_hostile(void) {
    struct status_refusal *refusal = &status.refusals[0];

    for (int i = 0; i < 3; i++) {
        post_event("bounces", HOSTILE_JSON, "2", HOSTILE_JSON);
        post_event("deliveries", HOSTILE_JSON, "failed", HOSTILE_JSON);
    }
    status.refusal_count = 1;
    refusal->status = 404;
    refusal->time = NOW;
    copy(refusal->peer, sizeof refusal->peer, HOSTILE);
    copy(refusal->path, sizeof refusal->path, "/" HOSTILE);
    copy(refusal->detail, sizeof refusal->detail, HOSTILE);
    copy(refusal->field, sizeof refusal->field, HOSTILE);
    status.sink_count = 1;
    status.sinks[0] = (struct status_sink){.uri = "file:" HOSTILE,
                                           .required = true,
                                           .state = STATUS_FAILS,
                                           .last_error_at = NOW,
                                           .failing_since = NOW};
    copy(status.sinks[0].trouble, sizeof status.sinks[0].trouble, HOSTILE);
    copy(status.sinks[0].last_error, sizeof status.sinks[0].last_error, HOSTILE);
    status.reload.time = NOW;
    copy(status.reload.said, sizeof status.reload.said, HOSTILE);
}

static void hostile(void **state) {
    (void)state;
    be_hostile();
    for (int form = 0; form < 4; form++) {
        bool text = form >= 2;

        shown(form % 2 == 0 ? ENGLISH : JAPANESE, text, false);
        assert_not_there("\x1B");
        assert_not_there("\xE2\x80\x8F");
        if (text) {
            assert_there("<script>alert(1)</script>\"'><img");
            assert_there("\\u200f\\u001b[2J{{said}}%s");
        } else {
            assert_not_there("<script>alert");
            assert_not_there("<img");
            assert_not_there("'><");
            assert_there("&lt;script&gt;alert(1)&lt;/script&gt;");
        }
    }
}

/* Long texts, of whatever takes the most room: quotes, what cannot be seen, plain letters, kana. */
static void fill_with(const char *mark, const char *json_mark) {
    char text[512] = "", json[3000] = "";

    while (strlen(text) + strlen(mark) < 250) {
        strcat(text, mark);
        strcat(json, json_mark);
    }
    for (int i = 0; i < CAPACITY / 2; i++) {
        post_event("bounces", json, "3", json);
    }
    status.refusal_count = REFUSALS_LAST;
    for (unsigned i = 0; i < REFUSALS_LAST; i++) {
        struct status_refusal *refusal = &status.refusals[i];

        *refusal = (struct status_refusal){.time = NOW, .times = UINT32_MAX, .status = 422};
        copy(refusal->peer, sizeof refusal->peer, "2001:db8:1111:2222:3333:4444:5555:6666");
        copy(refusal->path, sizeof refusal->path, text);
        copy(refusal->detail, sizeof refusal->detail, text);
        copy(refusal->field, sizeof refusal->field, text);
    }
    status.sink_count = CMCWH_READERS_MAX;
    for (unsigned i = 0; i < CMCWH_READERS_MAX; i++) {
        struct status_sink *sink = &status.sinks[i];

        (void)snprintf(uris[i], sizeof uris[i], "file:%s", text);
        *sink = (struct status_sink){.uri = uris[i],
                                     .scheme = "file",
                                     .reader = (int)i,
                                     .required = i % 2 == 0,
                                     .state = STATUS_FAILS,
                                     .delivered = UINT64_MAX,
                                     .failures = UINT64_MAX,
                                     .rejected = UINT64_MAX,
                                     .last_rejected = NOW,
                                     .next_try = UINT64_MAX,
                                     .last_error_at = NOW,
                                     .failing_since = 1};
        copy(sink->trouble, sizeof sink->trouble, text);
        copy(sink->last_error, sizeof sink->last_error, text);
    }
    status.reload.time = NOW;
    copy(status.reload.said, sizeof status.reload.said, text);
    status.certificate_end = 1;
}

/* Counts as a busy site has them: in each hour, of each kind. */
static void be_busy(uint32_t least, uint32_t most, uint64_t total) {
    cmcwh_ring_counters(&ring, &status.events);
    cmcwh_ring_state(&ring, &status.ring);
    for (uint32_t h = 0; h < CMCWH_HOURS; h++) {
        struct cmcwh_hour *hour = &status.events.hours[h];

        hour->hour = (uint32_t)(NOW / HOUR) - h;
        for (unsigned c = 0; c < CMCWH_COUNTS; c++) {
            hour->counts[c] = least + (h * 37 + c * 611) % (most - least);
            status.events.totals[c] = total;
        }
    }
}

static void write_busy(int form) {
    const struct page_view view = {
        .ring = &ring, .language = form % 2 == 0 ? ENGLISH : JAPANESE, .text = form >= 2};

    page = (struct writer){.bytes = bytes, .size = sizeof bytes - 1};
    page_write(&page, &status, &view);
    assert_false(page.full);
    bytes[page.used] = '\0';
}

/* However much there is to say, and whatever it is made of. */
static void most(void **state) {
    static const char *const marks[][2] = {
        {"\"", "\\\""}, {"\x1B", "\\u001b"}, {"a", "a"}, {"あ", "あ"}};

    (void)state;
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
        assert_int_equal(setup(NULL), 0);
        fill_with(marks[i][0], marks[i][1]);
        be_busy(1000, 9999, 99999999);
        status.ring.fulls = UINT64_MAX;
        for (unsigned r = 0; r < CMCWH_READERS_MAX; r++) {
            status.ring.lost[r] = 99999999;
            status.ring.behind[r] = 99999999;
        }
        for (int form = 0; form < 4; form++) {
            write_busy(form);
            if (form < 2 && page.used > PAGE_MAX) {
                fail_msg("form %d, '%s': %zu bytes", form, marks[i][1], page.used);
            }
        }
    }
}

/* How often it stands between two others. */
static unsigned count(const char *begin, const char *what, const char *end) {
    const char *at = strstr(bytes, begin), *until = at != NULL ? strstr(at, end) : NULL;
    unsigned found = 0;

    assert_non_null(until);
    for (; (at = strstr(at, what)) != NULL && at < until; at++) {
        found++;
    }
    return found;
}

/* What a real site has is told whole: every hour, twenty failures, eight sinks. */
static void full(void **state) {
    (void)state;
    for (int i = 0; i < CAPACITY / 2; i++) {
        post_event("bounces", "hanako.yamada@mail.example.jp", "2",
                   "550 5.1.1 hanako.yamada: User unknown");
    }
    status.sink_count = CMCWH_READERS_MAX;
    for (unsigned i = 0; i < CMCWH_READERS_MAX; i++) {
        (void)snprintf(uris[i], sizeof uris[i], "file:/var/log/cmcwh/%u.log", i);
        status.sinks[i] = (struct status_sink){.uri = uris[i],
                                               .scheme = "file",
                                               .reader = (int)i,
                                               .required = true,
                                               .state = STATUS_WORKS,
                                               .delivered = 123456};
    }
    be_busy(0, 99, 12345);
    for (int form = 0; form < 2; form++) {
        write_busy(form);
        assert_true(page.used <= PAGE_MAX);
        assert_int_equal(
            count("\"failures\"", "<td>hanako.yamada@mail.example.jp<td>", "</section>"),
            GIST_FAILURES);
        assert_int_equal(count("\"sinks\"", "<td>file:/var/log/cmcwh/", "</section>"),
                         CMCWH_READERS_MAX);
        assert_true(count("<tbody>", "<tr><th>", "</details>") >=
                    CMCWH_HOURS / 4); /* several hours each */
    }
    write_busy(2);
    assert_int_equal(count("48 hours", ":00:00  ", "Bounces by reason"), CMCWH_HOURS);
    assert_there("Data: /events /events.csv /metrics /status.json\n");
}

/* The language and the form that a request gets. */
static void asked(void **state) {
    static const struct {
        const char *query, *accept, *accept_language;
        enum language language;
        bool text, hide;
    } cases[] = {
        {"", "", "", ENGLISH, true, false},
        {"", "*/*", "", ENGLISH, true, false},
        {"", "text/plain", "", ENGLISH, true, false},
        {"", "text/html,application/xhtml+xml,*/*;q=0.8", "ja,en-US;q=0.7,en;q=0.3", JAPANESE,
         false, false},
        {"", "text/html", "en-US,ja;q=0.5", ENGLISH, false, false},
        {"", "text/html", "de", ENGLISH, false, false},
        {"", "text/html", "ja-JP", JAPANESE, false, false},
        {"lang=ja", "text/html", "en", JAPANESE, false, false},
        {"lang=en&hide=addresses", "text/html", "ja", ENGLISH, false, true},
        {"%zz&lang=ja&%", "text/html", "en", JAPANESE, false, false},
        {"lang=fr&hide=1&x=y", "text/html", "ja", JAPANESE, false, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct request request = {.query = writer_view(cases[i].query)};
        struct page_view view = {.hide_always = false}, always = {.hide_always = true};

        request.headers[REQUEST_ACCEPT] = writer_view(cases[i].accept);
        request.headers[REQUEST_ACCEPT_LANGUAGE] = writer_view(cases[i].accept_language);
        page_asked(&view, &request);
        if (view.language != cases[i].language || view.text != cases[i].text ||
            view.hide != cases[i].hide) {
            fail_msg("case %zu: language %d, text %d, hide %d", i, view.language, view.text,
                     view.hide);
        }
        page_asked(&always, &request);
        assert_true(always.hide);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(nothing, setup), cmocka_unit_test_setup(days, setup),
        cmocka_unit_test_setup(sinks, setup),   cmocka_unit_test_setup(hidden, setup),
        cmocka_unit_test_setup(hostile, setup), cmocka_unit_test_setup(most, setup),
        cmocka_unit_test_setup(full, setup),    cmocka_unit_test(asked),
    };

    return cmocka_run_group_tests_name("the status page", tests, NULL, NULL);
}
