/* What the daemon tells of itself, from a snapshot. */
#include "support.h"

#include <stdio.h>
#include <string.h>

#define platform_ticks test_ticks
#include "admin/status.c"
#include "said.h"

static struct status status;
static uint64_t now;

uint64_t test_ticks(void) {
    return now;
}

static int setup(void **state) {
    static const int statuses[CMCWH_STATUSES] = CMCWH_STATUS_LIST;

    (void)state;
    memset(&status, 0, sizeof status);
    status.server.requests = 9;
    status.server.events = UINT64_MAX;
    for (unsigned i = 0; i < CMCWH_STATUSES; i++) {
        status.server.answers[i] = statuses[i] == 200 ? 5 : statuses[i] == 0 ? 1 : 0;
    }
    status.ring.in_use = 3;
    status.ring.capacity = 1024;
    status.ring.stored = 12;
    status.ring.behind[0] = 2;
    status.ring.lost[1] = 7;
    status.ring.failed[1] = true;
    status.sinks[0] = (struct status_sink){.uri = "stdout:",
                                           .reader = 1,
                                           .state = STATUS_FAILS,
                                           .delivered = 4,
                                           .failures = 2,
                                           .rejected = 3,
                                           .last_rejected = 1700000060999,
                                           .next_try = 1700000061999,
                                           .failing_since = 1700000000000,
                                           .last_error_at = 1700000060999,
                                           .trouble = "takes nothing more",
                                           .last_error = "takes nothing more"};
    status.sinks[1] = (struct status_sink){.uri = "file:a",
                                           .reader = 0,
                                           .state = STATUS_WORKS,
                                           .delivered = 6,
                                           .last_success = 1700000000000};
    status.sink_count = 2;
    return 0;
}

#define DOOR    "connections open=0 limit=0 accepted=0 crowded=0 slow=0\n"
#define PROCESS "version=" CMCWH_VERSION " memory=0 descriptors=0\n"

/* What never happened is not said. */
static void lines(void **state) {
    (void)state;
    status_log(&status);
    assert_string_equal(said(), "requests=9 200=5 other=1 events=18446744073709551615\n"
                                "ring in_use=3 capacity=1024 stored=12 peak=0 peak_hour=0 full=0\n"
                                "sink 'stdout:' behind=0 lost=7 failed=yes delivered=4 rejected=3 "
                                "last_rejected=2023-11-14T22:14:20Z failures=2 "
                                "failing_since=2023-11-14T22:13:20Z next_try=2023-11-14T22:14:21Z "
                                "last_error=2023-11-14T22:14:20Z: takes nothing "
                                "more\n"
                                "sink 'file:a' behind=2 lost=0 failed=no delivered=6 "
                                "last_success=2023-11-14T22:13:20Z\n" DOOR PROCESS);
    status.sink_count = 0;
    status_log(&status);
    assert_string_equal(
        said(), "requests=9 200=5 other=1 events=18446744073709551615\n"
                "ring in_use=3 capacity=1024 stored=12 peak=0 peak_hour=0 full=0\n" DOOR PROCESS);
}

static void what_has_happened(void **state) {
    (void)state;
    status.sink_count = 0;
    status.server.last_request = 1700000000999;
    status.server.last_ok = 1699999999000;
    status.server.errors[0] = 2;
    status.server.errors[CMCWH_ERRORS - 1] = 1;
    status.events.last_event = 1700000000000;
    status.events.at_least = true;
    status.events.totals[CMCWH_COUNT_DELIVERIES + CMCWH_SUCCEEDED] = 3;
    status.events.totals[CMCWH_COUNT_BOUNCES + 2] = 4;
    status.events.totals[CMCWH_COUNT_BOUNCES + 12] = 5;
    status.events.totals[CMCWH_COUNT_BLOCKS] = 6;
    status.events.totals[CMCWH_COUNT_REPEATS] = 7;
    status.events.totals[CMCWH_COUNT_TRUNCATED] = 8;
    status.ring_in_file = true;
    status.sync_time.count = 4;
    status.sync_time.sum_us = 1001;
    status.sync_failures = 1;
    status.door = (struct door_counters){
        .accepted = 5, .open = 1, .limit = 16, .handshakes_good = 3, .handshakes_bad = 1};
    status.certificate_end = 1700000000000;
    status.started = 1700000000000;
    status.reload.time = 1700000000000;
    status_log(&status);
    assert_string_equal(
        said(), "requests=9 200=5 other=1 events=18446744073709551615 "
                "last_request=2023-11-14T22:13:20Z last_200=2023-11-14T22:13:19Z\n"
                "refused malformed_json=2 other=1\n"
                "events at least deliveries.succeeded=3 bounces.2=4 bounces.99=5 blocks=6 "
                "repeats=7 truncated=8 last=2023-11-14T22:13:20Z\n"
                "ring in_use=3 capacity=1024 stored=12 peak=0 peak_hour=0 full=0 syncs=4 "
                "sync_us=250 sync_failures=1\n"
                "connections open=1 limit=16 accepted=5 crowded=0 slow=0 handshakes=3 "
                "handshakes_failed=1 certificate_ends=2023-11-14T22:13:20Z\n"
                "version=" CMCWH_VERSION " started=2023-11-14T22:13:20Z memory=0 descriptors=0 "
                "reload=2023-11-14T22:13:20Z reload_failed=yes\n");
}

/* The longest lines there can be are whole. */
static void longest(void **state) {
    static char uri[5000];
    char line[SINK_TROUBLE + 2];

    (void)state;
    memset(&status.server, 0xFF, sizeof status.server);
    memset(&status.events, 0xFF, sizeof status.events);
    memset(&status.ring, 0xFF, sizeof status.ring);
    memset(status.ring.failed, 0, sizeof status.ring.failed);
    memset(&status.door, 0xFF, sizeof status.door);
    memset(uri, 'x', sizeof uri - 1);
    status.events.at_least = true;
    status.server.last_request = status.server.last_ok = 1700000000000;
    status.events.last_event = status.certificate_end = 1700000000000;
    status.sinks[0].uri = uri;
    status.sinks[0].last_success = 1700000000000;
    memset(status.sinks[0].trouble, 'y', SINK_TROUBLE - 1);
    (void)snprintf(line, sizeof line, "%s\n", status.sinks[0].trouble);
    status_log(&status);
    uri[200] = '\0';
    {
        const char *text = said();

        assert_non_null(strstr(text, " last_200=2023-11-14T22:13:20Z\n"));
        assert_non_null(strstr(text, " other=18446744073709551615\n"));
        assert_non_null(strstr(text, " last=2023-11-14T22:13:20Z\n"));
        assert_non_null(strstr(text, uri));
        assert_non_null(strstr(text, line));
        assert_non_null(strstr(text, " certificate_ends=2023-11-14T22:13:20Z\n"));
    }
}

static void look_often(struct status_watch *watch, unsigned looks, uint32_t waiting) {
    status.ring.behind[0] = waiting;
    for (unsigned i = 0; i < looks; i++) {
        status_look(watch, &status);
    }
}

/* Said when it has lasted, once, and again only after it was better. */
static void nearly_full(void **state) {
    enum { MINUTE = 60000 / STATUS_LOOK };
    struct status_watch watch = {0};

    (void)state;
    status.sinks[1].required = true;
    look_often(&watch, MINUTE - 1, 1000);
    look_often(&watch, 1, 800); /* better for a moment */
    look_often(&watch, MINUTE - 1, 896);
    assert_quiet();
    look_often(&watch, 1, 1024);
    assert_said("nearly full for a minute: 1024 of 1024 records wait for sink 'file:a'");
    look_often(&watch, 10 * MINUTE, 1024);
    look_often(&watch, 1, 512); /* not half empty yet */
    look_often(&watch, 2 * MINUTE, 1024);
    assert_quiet();
    look_often(&watch, 1, 511);
    look_often(&watch, MINUTE, 1024);
    assert_said("nearly full");
}

/* What a besteffort sink has not taken gives way; a ring of one record is full or empty. */
static void full_of_nothing(void **state) {
    struct status_watch watch = {0};

    (void)state;
    look_often(&watch, 100, 1024);
    status.sink_count = 0;
    look_often(&watch, 100, 1024);
    assert_quiet();
    status.sink_count = 2;
    status.sinks[1].required = true;
    status.ring.capacity = 1;
    look_often(&watch, 100, 0);
    assert_quiet();
    look_often(&watch, 100, 1);
    assert_said("1 of 1 records");
}

/* ---- What is seen between looks ---- */

enum { MINUTE_MS = 60000 };

static uint32_t peak_within_an_hour(const struct status_source *source, uint32_t in_use) {
    status.ring.in_use = in_use;
    take_kept(&status, source);
    return status.ring_peak_hour;
}

/* A new peak is seen though it is over; one that is none, if it lasts; for an hour. */
static void peaks(void **state) {
    static struct status_source source;
    struct cmcwh_ring_state ring = {.peak = 900, .in_use = 10};

    (void)state;
    memset(&source, 0, sizeof source);
    now = UINT64_C(500) * MINUTE_MS;
    assert_int_equal(peak_within_an_hour(&source, 7), 7);
    note_fill(&source, &ring);
    assert_int_equal(peak_within_an_hour(&source, 7), 900);
    now += 59 * MINUTE_MS;
    ring.in_use = 50;
    note_fill(&source, &ring);
    assert_int_equal(peak_within_an_hour(&source, 7), 900);
    now += MINUTE_MS;
    assert_int_equal(peak_within_an_hour(&source, 7), 50);
    ring.in_use = 40; /* in the place of the first */
    note_fill(&source, &ring);
    assert_int_equal(peak_within_an_hour(&source, 60), 60);
    assert_int_equal(peak_within_an_hour(&source, 0), 50);
    now += 59 * MINUTE_MS;
    assert_int_equal(peak_within_an_hour(&source, 0), 40);
}

static void what_is_told(void **state) {
    static struct status_source source;

    (void)state;
    memset(&source, 0, sizeof source);
    status_init(&source);
    status_reloaded(&source, true, "files are opened anew");
    take_kept(&status, &source);
    assert_true(status.reload.good && status.reload.time != 0 && !status.stopping);
    assert_string_equal(status.reload.said, "files are opened anew");
    status_reloaded(&source, false, "no");
    status_stops(&source);
    take_kept(&status, &source);
    assert_true(!status.reload.good && status.stopping);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup(lines, setup),
                                       cmocka_unit_test_setup(longest, setup),
                                       cmocka_unit_test_setup(what_has_happened, setup),
                                       cmocka_unit_test_setup(nearly_full, setup),
                                       cmocka_unit_test_setup(full_of_nothing, setup),
                                       cmocka_unit_test_setup(peaks, setup),
                                       cmocka_unit_test_setup(what_is_told, setup)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
