/* What was refused is said once, and then counted. */
#include "support.h"

#include <stdio.h>
#include <string.h>

#define platform_ticks test_ticks
#define platform_now   test_now
#include "door/refusals.c"
#include "said.h"

static uint64_t now, time_now;
static bool debugs;
static struct refusals refusals;

uint64_t test_ticks(void) {
    return now;
}

uint64_t test_now(void) {
    return time_now;
}

bool log_says(enum cmcwh_level level) {
    return level < CMCWH_LOG_DEBUG || debugs;
}

static int setup(void **state) {
    (void)state;
    now = 1000;
    debugs = false;
    refusals_init(&refusals);
    return 0;
}

static void refuse(int status, const char *error, const char *peer, const char *path) {
    const struct cmcwh_answer answer = {.status = status,
                                        .error = error,
                                        .detail = "it is so",
                                        .field = status == 422 ? "event" : NULL,
                                        .offset = 7,
                                        .has_offset = status == 400 || status == 422};
    const struct cmcwh_refusal refusal = {peer, path, &answer};

    refusals_say(&refusals, &refusal);
}

static void once_and_then_a_number(void **state) {
    (void)state;
    for (unsigned i = 0; i < 100; i++) {
        refuse(400, "malformed_json", "192.0.2.1", "/mails");
    }
    assert_string_equal(said(), "400 to 192.0.2.1: malformed_json at offset 7: it is so\n");
    now += 59999;
    refusals_sum_up(&refusals, false);
    assert_quiet();
    now++;
    refusals_sum_up(&refusals, false);
    assert_string_equal(said(), "400 to 192.0.2.1: malformed_json: 99 more in the last minute\n");
    refusals_sum_up(&refusals, true);
    assert_quiet();
    refuse(400, "malformed_json", "192.0.2.1", "/mails");
    assert_string_equal(said(), "400 to 192.0.2.1: malformed_json at offset 7: it is so\n");
    now += 60000;
    refusals_sum_up(&refusals, false); /* it was alone */
    assert_quiet();
}

static void kinds_and_peers_are_told_apart(void **state) {
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        refuse(422, "wrong_type", "192.0.2.1", "/mails");
        refuse(422, "missing_field", "192.0.2.1", "/mails");
        refuse(422, "wrong_type", "2001:db8::1", "/mails");
        refuse(503, "ring_full", "192.0.2.1", "/mails");
    }
    assert_string_equal(said(),
                        "422 to 192.0.2.1: wrong_type at offset 7, field event: it is so\n"
                        "422 to 192.0.2.1: missing_field at offset 7, field event: it is "
                        "so\n"
                        "422 to 2001:db8::1: wrong_type at offset 7, field event: it is so\n"
                        "503 to 192.0.2.1: ring_full: it is so\n");
}

/* What is asked for matters where there is nothing; it may be long. */
static void wrong_paths(void **state) {
    char path[2000], other[2000];

    (void)state;
    memset(path, 'x', sizeof path);
    path[0] = '/';
    path[sizeof path - 1] = '\0';
    memcpy(other, path, sizeof path);
    other[REFUSALS_PATH + 10] = 'y'; /* taken for the same */
    refuse(404, "not_found", "192.0.2.1", "/mail");
    refuse(404, "not_found", "192.0.2.1", "/mail");
    refuse(404, "not_found", "192.0.2.1", path);
    refuse(404, "not_found", "192.0.2.1", other);
    refuse(405, "method_not_allowed", "192.0.2.1", "/mails");
    assert_said("404 to 192.0.2.1: not_found: /mail: it is so\n404 to 192.0.2.1: not_found: /xxx");
    refusals_sum_up(&refusals, true);
    assert_said("404 to 192.0.2.1: not_found: /mail: 1 more in the last minute\n"
                "404 to 192.0.2.1: not_found: /xxx");
}

/* However many peers and kinds there are, few lines come of them. */
static void many_are_a_crowd(void **state) {
    char peer[16];
    unsigned lines = 0;

    (void)state;
    for (unsigned i = 0; i < 1000; i++) {
        (void)snprintf(peer, sizeof peer, "192.0.2.%u", i % 250);
        refuse(401, "unauthorized", peer, "/mails");
    }
    refusals_sum_up(&refusals, true);
    for (const char *at = said(); *at != '\0'; at++) {
        lines += *at == '\n';
    }
    assert_int_equal(lines, 2 * REFUSALS_KINDS + 1);
    for (unsigned i = 0; i < REFUSALS_KINDS + 1U; i++) {
        (void)snprintf(peer, sizeof peer, "192.0.2.%u", i);
        refuse(401, "unauthorized", peer, "/mails");
    }
    (void)said();
    now += 60000;
    refusals_sum_up(&refusals, false);
    assert_string_equal(
        said(), "1 more requests of other peers or kinds were refused in the last minute\n");
}

/* Whoever looks for a fault sees each. */
static void each_one_when_debugging(void **state) {
    (void)state;
    debugs = true;
    refuse(400, "malformed_json", "192.0.2.1", "/mails");
    refuse(400, "malformed_json", "192.0.2.1", "/mails");
    assert_string_equal(said(), "400 to 192.0.2.1: malformed_json at offset 7: it is so\n"
                                "400 to 192.0.2.1: malformed_json at offset 7: it is so\n");
}

static struct status_refusal last[REFUSALS_LAST];
static uint64_t unauthorized, unavailable;

static unsigned ask(void) {
    return refusals_last(&refusals, last, &unauthorized, &unavailable);
}

/* The newest comes first; the same of one peer takes one place, whatever it asks for. */
static void last_ones(void **state) {
    (void)state;
    assert_int_equal(ask(), 0);
    assert_true(unauthorized == 0 && unavailable == 0);
    time_now = 5;
    refuse(422, "wrong_type", "192.0.2.1", "/mails");
    time_now = 6;
    refuse(404, "not_found", "192.0.2.1", "/a");
    refuse(404, "not_found", "192.0.2.2", "/b");
    assert_int_equal(ask(), 3);
    assert_string_equal(last[0].peer, "192.0.2.2");
    assert_string_equal(last[0].path, "/b");
    assert_int_equal(last[0].times, 1);
    assert_false(last[0].has_offset);
    time_now = 7;
    refuse(404, "not_found", "192.0.2.1", "/c");
    assert_int_equal(ask(), 3);
    assert_string_equal(last[0].path, "/c");
    assert_int_equal(last[0].times, 2);
    assert_true(last[0].time == 7);
    assert_string_equal(last[1].path, "/b");
    assert_true(last[2].time == 5);
    assert_int_equal(last[2].status, 422);
    assert_string_equal(last[2].error, "wrong_type");
    assert_string_equal(last[2].detail, "it is so");
    assert_string_equal(last[2].field, "event");
    assert_true(last[2].has_offset && last[2].offset == 7);
}

/* The oldest goes, and whoever does the same all the time pushes nobody out. */
static void as_many_as_there_are_places(void **state) {
    char peer[16];

    (void)state;
    for (unsigned i = 0; i <= REFUSALS_LAST; i++) {
        (void)snprintf(peer, sizeof peer, "192.0.2.%u", i);
        refuse(400, "malformed_json", peer, "/mails");
        assert_int_equal(ask(), i < REFUSALS_LAST ? i + 1 : REFUSALS_LAST);
        assert_string_equal(last[0].peer, peer);
    }
    assert_string_equal(last[REFUSALS_LAST - 1].peer, "192.0.2.1");
    for (unsigned i = 0; i < 1000; i++) {
        refuse(400, "malformed_json", "192.0.2.1", "/mails");
    }
    assert_int_equal(ask(), REFUSALS_LAST);
    assert_string_equal(last[0].peer, "192.0.2.1");
    assert_int_equal(last[0].times, 1001);
    assert_string_equal(last[REFUSALS_LAST - 1].peer, "192.0.2.2");
}

/* Bytes are kept as they came, and only so many. */
static void hostile_paths_are_kept_short(void **state) {
    char path[1000];

    (void)state;
    memset(path, '\x1B', sizeof path);
    path[0] = '/';
    path[sizeof path - 1] = '\0';
    refuse(404, "not_found", "192.0.2.1", path);
    assert_int_equal(ask(), 1);
    assert_int_equal(strlen(last[0].path), REFUSALS_PATH - 1);
    assert_memory_equal(last[0].path, path, REFUSALS_PATH - 1);
}

static void when_it_was(void **state) {
    (void)state;
    time_now = 11;
    refuse(401, "unauthorized", "192.0.2.1", "/mails");
    refuse(403, "forbidden", "192.0.2.1", "/mails");
    time_now = 12;
    refuse(503, "ring_full", "192.0.2.1", "/mails");
    time_now = 13;
    refuse(429, "too_many_requests", "192.0.2.1", "/mails");
    (void)ask();
    assert_true(unauthorized == 11);
    assert_true(unavailable == 12);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(once_and_then_a_number, setup),
        cmocka_unit_test_setup(kinds_and_peers_are_told_apart, setup),
        cmocka_unit_test_setup(wrong_paths, setup),
        cmocka_unit_test_setup(many_are_a_crowd, setup),
        cmocka_unit_test_setup(each_one_when_debugging, setup),
        cmocka_unit_test_setup(last_ones, setup),
        cmocka_unit_test_setup(as_many_as_there_are_places, setup),
        cmocka_unit_test_setup(hostile_paths_are_kept_short, setup),
        cmocka_unit_test_setup(when_it_was, setup)};

    return cmocka_run_group_tests_name("refusals", tests, NULL, NULL);
}
