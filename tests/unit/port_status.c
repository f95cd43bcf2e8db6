/* What the daemon tells of itself, from a snapshot. */
#include "support.h"

#include <stdio.h>
#include <string.h>

#include "admin/status.h"
#include "said.h"

static struct status status;

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
    status.sinks[0] = (struct status_sink){
        .uri = "stdout:", .reader = 1, .delivered = 4, .trouble = "takes nothing more"};
    status.sinks[1] = (struct status_sink){.uri = "file:a", .reader = 0, .delivered = 6};
    status.sink_count = 2;
    return 0;
}

static void lines(void **state) {
    (void)state;
    status_log(&status);
    assert_string_equal(said(), "requests=9 200=5 other=1 events=18446744073709551615\n"
                                "ring in_use=3 capacity=1024 stored=12\n"
                                "sink 'stdout:' behind=0 lost=7 failed=yes delivered=4: takes "
                                "nothing more\n"
                                "sink 'file:a' behind=2 lost=0 failed=no delivered=6\n");
    status.sink_count = 0;
    status_log(&status);
    assert_string_equal(said(), "requests=9 200=5 other=1 events=18446744073709551615\n"
                                "ring in_use=3 capacity=1024 stored=12\n");
}

/* The longest line there can be is whole. */
static void longest(void **state) {
    const char *line;

    (void)state;
    memset(status.server.answers, 0xFF, sizeof status.server.answers);
    status.server.requests = UINT64_MAX;
    status_log(&status);
    line = said();
    assert_non_null(strstr(line, " events=18446744073709551615\n"));
}

/* One name and label, one value. */
static void unique(void *context, const struct status_value *value) {
    char *seen = context, key[64];

    (void)snprintf(key, sizeof key, "[%d %s %s]", (int)value->of, value->name,
                   value->label == NULL ? "" : value->label);
    assert_null(strstr(seen, key));
    assert_true(strlen(seen) + strlen(key) < 2048);
    (void)strcat(seen, key); /* NOLINT(clang-analyzer-security.insecureAPI.strcpy) */
}

static void walk(void **state) {
    char seen[2048] = "";

    (void)state;
    status_walk(&status, unique, seen);
    assert_non_null(strstr(seen, "[0 answers 200]"));
    assert_non_null(strstr(seen, "[0 answers 503]"));
    assert_non_null(strstr(seen, "[0 answers other]"));
    assert_non_null(strstr(seen, "[2 delivered file:a]"));
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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(lines, setup), cmocka_unit_test_setup(longest, setup),
        cmocka_unit_test_setup(walk, setup), cmocka_unit_test_setup(nearly_full, setup),
        cmocka_unit_test_setup(full_of_nothing, setup)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
