/* What was refused is said once, and then counted. */
#include "support.h"

#include <stdio.h>
#include <string.h>

#define platform_ticks test_ticks
#include "door/refusals.c"
#include "said.h"

static uint64_t now;
static bool debugs;
static struct refusals refusals;

uint64_t test_ticks(void) {
    return now;
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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(once_and_then_a_number, setup),
        cmocka_unit_test_setup(kinds_and_peers_are_told_apart, setup),
        cmocka_unit_test_setup(wrong_paths, setup), cmocka_unit_test_setup(many_are_a_crowd, setup),
        cmocka_unit_test_setup(each_one_when_debugging, setup)};

    return cmocka_run_group_tests_name("refusals", tests, NULL, NULL);
}
