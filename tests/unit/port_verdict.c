/* Is all well? Each cause alone, where it begins and ends, and together with others. */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "admin/verdict.h"
#include "said.h"

#define NOW    UINT64_C(1700000000000) /* 2023-11-15 07:13:20 in Japan */
#define SECOND UINT64_C(1000)
#define MINUTE (60 * SECOND)
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)

static struct status status;
static struct verdict verdict;

/* All is well: two sinks, one besteffort, which have taken everything. */
static int setup(void **state) {
    (void)state;
    assert_int_equal(setenv("TZ", "JST-9", 1), 0);
    tzset();
    memset(&status, 0, sizeof status);
    status.now = NOW;
    status.started = NOW - DAY;
    status.events.last_event = NOW - 3 * MINUTE;
    status.server.last_request = status.server.last_ok = NOW - 3 * MINUTE;
    status.ring.capacity = 1000;
    status.sinks[0] =
        (struct status_sink){.uri = "file:a", .reader = 1, .required = true, .state = STATUS_WORKS};
    status.sinks[1] = (struct status_sink){.uri = "udp:b", .reader = 0, .state = STATUS_WORKS};
    status.sink_count = 2;
    return 0;
}

static const char *sentence(enum language language) {
    static char text[1024];
    struct writer writer = {.bytes = text, .size = sizeof text - 1};

    verdict_of(&verdict, &status);
    verdict_sentence(&writer, &verdict, &status, language);
    assert_false(writer.full);
    text[writer.used] = '\0';
    return text;
}

static const char *remedy(unsigned reason, enum language language) {
    static char text[1024];
    struct writer writer = {.bytes = text, .size = sizeof text - 1};

    verdict_of(&verdict, &status);
    assert_true(reason < verdict.count);
    verdict_remedy(&writer, &verdict.reasons[reason], &status, language);
    assert_false(writer.full);
    assert_true(writer.used > 0);
    text[writer.used] = '\0';
    return text;
}

static void assert_well(void) {
    verdict_of(&verdict, &status);
    if (verdict.count > 0) {
        fail_msg("%s", sentence(ENGLISH));
    }
    assert_int_equal(verdict.colour, VERDICT_OK);
}

/* This is the matter, and nothing else. */
static void assert_cause(enum verdict_cause cause, enum verdict_colour colour) {
    verdict_of(&verdict, &status);
    assert_int_equal(verdict.count, 1);
    assert_int_equal(verdict.reasons[0].cause, cause);
    assert_int_equal(verdict.reasons[0].colour, colour);
    assert_int_equal(verdict.colour, colour);
    (void)remedy(0, ENGLISH);
    (void)remedy(0, JAPANESE);
}

static void assert_told(const char *english, const char *japanese) {
    assert_string_equal(sentence(ENGLISH), english);
    assert_string_equal(sentence(JAPANESE), japanese);
}

static void well(void **state) {
    (void)state;
    assert_well();
    assert_told("OK: last event 3 min ago, sinks up to date",
                "正常 — 最終受信 3 分前、書き出しに遅れなし");
    status.ring.behind[0] = 2;
    status.ring.behind[1] = 12;
    assert_well();
    assert_told("OK: last event 3 min ago, records still to be written: 12",
                "正常 — 最終受信 3 分前、書き出し待ち 12 件");
    status.ring.behind[0] = status.ring.behind[1] = 0;
    status.events.last_event = 0;
    assert_well();
    assert_told("OK: no event since the start 24 h ago, sinks up to date",
                "正常 — 起動（24 時間前）から受信なし、書き出しに遅れなし");
    status.events.last_event = NOW + DAY; /* the clock was set back */
    assert_well();
    assert_told("OK: last event just now, sinks up to date",
                "正常 — 最終受信 たった今、書き出しに遅れなし");
}

static void storage(void **state) {
    (void)state;
    status.storage_fails = true;
    assert_cause(VERDICT_STORAGE, VERDICT_RED);
    assert_told("Trouble: the ring's file cannot be written",
                "異常 — リングのファイルに書き込めません");
}

static void full(void **state) {
    (void)state;
    status.ring.in_use = 1000;
    status.ring.behind[1] = 1000;
    assert_cause(VERDICT_FULL, VERDICT_RED);
    assert_told("Trouble: the ring is full, and waits for sink 'file:a' to take its records",
                "異常 — リングが満杯で、書き出し先 'file:a' への書き出し待ち");
    status.ring.behind[1] = 999;
    assert_cause(VERDICT_BEHIND, VERDICT_AMBER);
    /* What a besteffort sink has not taken makes room. */
    status.ring.behind[1] = 0;
    status.ring.behind[0] = 1000;
    assert_cause(VERDICT_BEHIND, VERDICT_AMBER);
}

static void sink_fails(void **state) {
    (void)state;
    status.sinks[0].state = STATUS_FAILS;
    status.sinks[0].failing_since = NOW - 5 * MINUTE;
    (void)strcpy(status.sinks[0].trouble, "cannot be written: No space left on device");
    assert_cause(VERDICT_SINK, VERDICT_RED);
    assert_told(
        "Trouble: sink 'file:a' has not worked for 5 min: cannot be written: No space left "
        "on device",
        "異常 — 書き出し先 'file:a' が 5 分前から動いていません: cannot be written: No space left "
        "on device");
    assert_non_null(strstr(remedy(0, ENGLISH), "wait in the ring"));
    assert_non_null(strstr(remedy(0, JAPANESE), "リングで待ち"));
    status.confirms = true;
    assert_non_null(strstr(remedy(0, ENGLISH), "Webhooks get 503 until it works"));
    assert_non_null(strstr(remedy(0, JAPANESE), "復旧するまで Webhook には 503"));
    status.sinks[0].state = STATUS_HANGS;
    assert_cause(VERDICT_SINK, VERDICT_RED);
    status.sinks[0].required = false;
    assert_cause(VERDICT_BESTEFFORT, VERDICT_AMBER);
    assert_non_null(strstr(remedy(0, ENGLISH), "lost to this sink"));
    assert_non_null(strstr(remedy(0, JAPANESE), "残りません"));
    status.ring.behind[1] = 1000; /* that one is behind goes without saying */
    assert_cause(VERDICT_BESTEFFORT, VERDICT_AMBER);
}

/* At the start a sink may take a moment. */
static void sink_opens(void **state) {
    (void)state;
    status.sinks[0].state = STATUS_OPENING;
    status.started = NOW - 10 * SECOND + 1;
    assert_well();
    status.started--;
    assert_cause(VERDICT_SINK, VERDICT_RED);
    assert_told("Trouble: sink 'file:a' has not worked for 10 s: it could not be opened yet",
                "異常 — 書き出し先 'file:a' が 10 秒前から動いていません: まだ開けていません");
}

static void unavailable(void **state) {
    (void)state;
    status.last_unavailable = NOW - HOUR;
    assert_well();
    status.last_unavailable = NOW - HOUR + 1;
    assert_cause(VERDICT_UNAVAILABLE, VERDICT_RED);
    status.last_unavailable = NOW - 7 * MINUTE;
    assert_told("Trouble: a webhook got 503 7 min ago",
                "異常 — Webhook に 503 を返しました（7 分前）");
    status.last_unavailable = NOW + 1;
    assert_cause(VERDICT_UNAVAILABLE, VERDICT_RED);
}

static void certificate(void **state) {
    (void)state;
    status.certificate_end = NOW + 14 * DAY;
    assert_well();
    status.certificate_end--;
    assert_cause(VERDICT_EXPIRES, VERDICT_AMBER);
    assert_told(
        "Attention: the certificate ends in 13 days, on 2023-11-29 07:13:19 JST (UTC+09:00)",
        "注意 — 証明書の期限まで 13 日（2023-11-29 07:13:19 JST (UTC+09:00)）");
    status.certificate_end = NOW + 1;
    assert_cause(VERDICT_EXPIRES, VERDICT_AMBER);
    status.certificate_end = NOW;
    assert_cause(VERDICT_EXPIRED, VERDICT_RED);
    status.certificate_end = NOW - 3 * DAY;
    assert_told(
        "Trouble: the certificate expired 3 days ago, on 2023-11-12 07:13:20 JST (UTC+09:00)",
        "異常 — 証明書の期限が切れています（3 日前、2023-11-12 07:13:20 JST (UTC+09:00)）");
}

static void behind(void **state) {
    (void)state;
    status.ring.behind[1] = 500;
    assert_well();
    status.ring.behind[1] = 501;
    assert_cause(VERDICT_BEHIND, VERDICT_AMBER);
    assert_told(
        "Attention: sink 'file:a' is behind: 501 of 1000 records in the ring wait for it",
        "注意 — 書き出し先 'file:a' が遅れています: リングの全 1000 件中 501 件が書き出し待ち");
    assert_non_null(strstr(remedy(0, ENGLISH), "webhooks get 503"));
    status.ring.behind[1] = 0;
    status.ring.behind[0] = 501;
    assert_cause(VERDICT_BEHIND, VERDICT_AMBER);
    assert_non_null(strstr(remedy(0, ENGLISH), "loses the oldest"));
    assert_non_null(strstr(remedy(0, JAPANESE), "取りこぼします"));
}

static void lost(void **state) {
    (void)state;
    status.ring.lost[0] = 7;
    assert_well(); /* long ago */
    status.sinks[1].last_loss = NOW - HOUR + 1;
    assert_cause(VERDICT_LOST, VERDICT_AMBER);
    status.sinks[1].last_loss = NOW - 2 * MINUTE;
    assert_told("Attention: sink 'udp:b' lost events 2 min ago, 7 since the start",
                "注意 — 書き出し先 'udp:b' がイベントを取りこぼしました（2 分前、起動から 7 件）");
    status.sinks[1].last_loss = NOW - HOUR;
    assert_well();
}

static void rejected(void **state) {
    (void)state;
    status.sinks[0].rejected = 12;
    assert_well(); /* long ago */
    status.sinks[0].last_rejected = NOW - HOUR + 1;
    assert_cause(VERDICT_REJECTED, VERDICT_AMBER);
    status.sinks[0].last_rejected = NOW - 2 * MINUTE;
    assert_told(
        "Attention: sink 'file:a' was refused events for good 2 min ago, 12 since the start",
        "注意 — 書き出し先 'file:a' の相手がイベントの受け取りを拒みました（2 分前、起動から "
        "12 件）");
    assert_non_null(strstr(remedy(0, ENGLISH), "dead=PATH"));
    assert_non_null(strstr(remedy(0, JAPANESE), "dead=PATH"));
    status.sinks[0].last_rejected = NOW - HOUR;
    assert_well();
}

static void peak(void **state) {
    (void)state;
    status.ring_peak_hour = 800;
    assert_well();
    status.ring_peak_hour = 801;
    assert_cause(VERDICT_PEAK, VERDICT_AMBER);
    assert_told(
        "Attention: the ring was nearly full within the last hour: 801 of 1000 records were "
        "in use",
        "注意 — 直近 1 時間でリングが満杯近くに: 全 1000 件中 801 件を使用");
    /* Not when a besteffort sink fills it, or nobody has to take anything. */
    status.ring.behind[0] = 501;
    assert_cause(VERDICT_BEHIND, VERDICT_AMBER);
    status.ring.behind[0] = 0;
    status.sinks[0].required = false;
    assert_well();
}

/* A ring as large as there may be. */
static void large_peak(void **state) {
    (void)state;
    status.ring.capacity = 1U << 30;
    status.ring_peak_hour = (1U << 30) / 5 * 4;
    assert_well();
    status.ring_peak_hour = 1U << 30;
    assert_cause(VERDICT_PEAK, VERDICT_AMBER);
}

static void silence(void **state) {
    (void)state;
    status.events.last_event = NOW - 5 * HOUR;
    assert_well(); /* nobody has said what is too long */
    status.quiet_after = 5 * HOUR;
    assert_well();
    status.quiet_after--;
    assert_cause(VERDICT_SILENCE, VERDICT_AMBER);
    assert_told("Attention: no event has come for 5 h", "注意 — 受信が 5 時間ありません");
    /* None since the start. */
    status.events.last_event = 0;
    status.started = NOW - status.quiet_after;
    assert_well();
    status.started--;
    assert_cause(VERDICT_SILENCE, VERDICT_AMBER);
    assert_told("Attention: no event has come since the start 5 h ago",
                "注意 — 起動（5 時間前）から受信がありません");
}

static void unauthorized(void **state) {
    (void)state;
    status.last_unauthorized = status.server.last_ok;
    assert_well();
    status.last_unauthorized++;
    assert_cause(VERDICT_UNAUTHORIZED, VERDICT_AMBER);
    assert_told(
        "Attention: wrong or no credentials came 2 min ago, and no webhook has been taken since",
        "注意 — 認証エラー（401）がありました（2 分前）。その後の受信はありません");
    status.server.last_ok = 0;
    assert_cause(VERDICT_UNAUTHORIZED, VERDICT_AMBER);
}

static void reload(void **state) {
    (void)state;
    status.reload.good = true;
    status.reload.time = NOW - DAY;
    assert_well();
    status.reload.good = false;
    (void)strcpy(status.reload.said, "could not be read again: --tls-cert a.pem");
    assert_cause(VERDICT_RELOAD, VERDICT_AMBER);
    assert_told("Attention: the reload 24 h ago failed: could not be read again: --tls-cert a.pem",
                "注意 — 再読み込みに失敗（24 時間前）: could not be read again: --tls-cert a.pem");
    status.reload.time = 0;
    assert_well();
}

/* The worst comes first; the others are counted. */
static void together(void **state) {
    (void)state;
    status.reload.time = NOW;
    status.certificate_end = NOW - 1;
    status.last_unavailable = NOW;
    verdict_of(&verdict, &status);
    assert_int_equal(verdict.colour, VERDICT_RED);
    assert_int_equal(verdict.count, 3);
    assert_told("Trouble: a webhook got 503 just now (and 2 more)",
                "異常 — Webhook に 503 を返しました（たった今）（ほか 2 件）");
}

/* Everything at once has its place, and its text. */
static void everything(void **state) {
    static char uri[5000];
    bool seen[VERDICT_CAUSES] = {false};

    (void)state;
    memset(uri, 'x', sizeof uri - 1);
    status.storage_fails = true;
    status.last_unavailable = status.last_unauthorized = NOW;
    status.quiet_after = 1;
    status.ring_peak_hour = 1000;
    status.reload.time = NOW;
    memset(status.reload.said, 'y', sizeof status.reload.said - 1);
    status.sink_count = CMCWH_READERS_MAX;
    for (unsigned i = 0; i < CMCWH_READERS_MAX; i++) {
        status.sinks[i] = (struct status_sink){.uri = uri,
                                               .reader = (int)i,
                                               .required = true,
                                               .last_loss = NOW,
                                               .last_rejected = NOW,
                                               .state = STATUS_WORKS};
        status.ring.behind[i] = 1000;
        memset(status.sinks[i].trouble, 'z', SINK_TROUBLE - 1);
    }
    status.sinks[2].state = STATUS_HANGS;
    status.ring.behind[3] = 600;
    for (unsigned turn = 0; turn < 3; turn++) {
        status.certificate_end = NOW + turn;
        verdict_of(&verdict, &status);
        assert_true(verdict.count <= sizeof verdict.reasons / sizeof *verdict.reasons);
        for (unsigned i = 0; i < verdict.count; i++) {
            char text[1024];
            struct writer writer = {.bytes = text, .size = sizeof text};

            seen[verdict.reasons[i].cause] = true;
            assert_true(i == 0 || verdict.reasons[i - 1].cause <= verdict.reasons[i].cause);
            verdict_reason(&writer, &verdict.reasons[i], &status, JAPANESE);
            verdict_remedy(&writer, &verdict.reasons[i], &status, JAPANESE);
            assert_false(writer.full);
        }
        (void)sentence(ENGLISH);
        (void)sentence(JAPANESE);
        status.sinks[1].required = false; /* fails too, from the second turn on */
        status.sinks[1].state = STATUS_FAILS;
        status.ring.behind[1] = 0;
    }
    for (unsigned i = 0; i < VERDICT_CAUSES; i++) {
        assert_true(seen[i]);
        assert_true(strlen(verdict_cause_name((enum verdict_cause)i)) > 0);
        for (unsigned other = 0; other < i; other++) {
            assert_string_not_equal(verdict_cause_name((enum verdict_cause)i),
                                    verdict_cause_name((enum verdict_cause)other));
        }
    }
}

/* What is cut is cut between characters. */
static void long_names(void **state) {
    static char uri[400] = "file:";

    (void)state;
    for (unsigned i = 5; i + 3 < sizeof uri; i += 3) {
        memcpy(uri + i, "あ", 3);
    }
    status.sinks[0].uri = uri;
    status.ring.behind[1] = 501;
    uri[5 + 51 * 3] = '\0'; /* 158 bytes, and the next one would be cut */
    {
        char expected[500];

        (void)snprintf(expected, sizeof expected, "Attention: sink '%s...' is behind: ", uri);
        memcpy(uri + 5 + 51 * 3, "あ", 3);
        assert_int_equal(strncmp(sentence(ENGLISH), expected, strlen(expected)), 0);
    }
}

static void in_the_log(void **state) {
    (void)state;
    verdict_log(&status);
    assert_string_equal(said(), "OK: last event 3 min ago, sinks up to date\n");
    status.storage_fails = true;
    status.reload.time = NOW;
    verdict_log(&status);
    assert_said("Trouble: the ring's file cannot be written. Webhooks get 503.");
    verdict_log(&status);
    assert_said("Attention: the reload just now failed: . Mend the file");
}

static bool ready(const char *expected) {
    char text[1024];
    struct writer writer = {.bytes = text, .size = sizeof text - 1};
    bool is_ready = status_ready(&status, &writer);

    text[writer.used] = '\0';
    assert_string_equal(text, expected);
    return is_ready;
}

/* Only what keeps a webhook from being taken now. */
static void readiness(void **state) {
    (void)state;
    assert_true(ready(""));
    status.last_unavailable = status.certificate_end = NOW;
    status.sinks[0].state = STATUS_FAILS;
    status.ring.failed[1] = true;
    (void)strcpy(status.sinks[0].trouble, "is full");
    assert_true(ready("")); /* the ring takes it */
    status.confirms = true;
    assert_false(ready("sink 'file:a': is full"));
    status.sinks[0].trouble[0] = '\0'; /* not opened yet */
    assert_false(ready("sink 'file:a': does not work"));
    status.ring.failed[1] = false;
    status.ring.failed[0] = true; /* a besteffort one */
    assert_true(ready(""));
    status.ring.behind[0] = 1000;
    assert_true(ready(""));
    status.ring.behind[1] = 1000;
    assert_false(ready("the ring is full"));
    status.storage_fails = status.stopping = true;
    assert_false(ready("it is stopping; the ring's file cannot be written; the ring is full"));
}

#define TEST(test) cmocka_unit_test_setup(test, setup)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(well),       TEST(storage),      TEST(full),        TEST(sink_fails),
        TEST(sink_opens), TEST(unavailable),  TEST(certificate), TEST(behind),
        TEST(lost),       TEST(rejected),     TEST(peak),        TEST(large_peak),
        TEST(silence),    TEST(unauthorized), TEST(reload),      TEST(together),
        TEST(everything), TEST(long_names),   TEST(in_the_log),  TEST(readiness)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
