/* Points in time, as people write them. */
#include "support.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "platform/when.h"

static const uint64_t now = UINT64_C(1769317386120); /* 2026-01-25T05:03:06.120Z */

static void zone(const char *name) {
    assert_int_equal(setenv("TZ", name, 1), 0);
    tzset();
}

/* What is read is this time, as it is printed. */
static void is(const char *text, const char *time) {
    char out[WHEN_SIZE];
    uint64_t when;

    if (!when_read(text, now, &when)) {
        fail_msg("'%s' is a time", text);
    }
    assert_string_equal(when_print(when, out), time);
}

static void with_a_zone(void **state) {
    (void)state;
    zone("JST-9");
    is("2026-01-25T05:03:06Z", "2026-01-25T05:03:06.000Z");
    is("2026-01-25T05:03:06.120Z", "2026-01-25T05:03:06.120Z");
    is("2026-01-25t05:03:06.1z", "2026-01-25T05:03:06.100Z");
    is("2026-01-25T05:03:06.1209999Z", "2026-01-25T05:03:06.120Z");
    is("2026-01-25 14:03:06+09:00", "2026-01-25T05:03:06.000Z");
    is("2026-01-25T00:03-05:30", "2026-01-25T05:33:00.000Z");
    is("2024-02-29T00:00:00Z", "2024-02-29T00:00:00.000Z");
    is("2000-02-29T23:59:60Z", "2000-03-01T00:00:00.000Z");
    is("9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999Z");
    is("2038-01-19T03:14:08Z", "2038-01-19T03:14:08.000Z");
}

static void local(void **state) {
    (void)state;
    zone("JST-9");
    is("2026-01-25", "2026-01-24T15:00:00.000Z");
    is("2026-01-25 14:03", "2026-01-25T05:03:00.000Z");
    is("2026-01-25 14:03:06", "2026-01-25T05:03:06.000Z");
    is("2026-01-25T14:03:06.12", "2026-01-25T05:03:06.120Z");
    is("1970-01-01", "1970-01-01T00:00:00.000Z"); /* nothing is older */
    zone("CET-1CEST,M3.5.0,M10.5.0/3");
    is("2026-01-25", "2026-01-24T23:00:00.000Z");
    is("2026-07-25", "2026-07-24T22:00:00.000Z");
    zone("UTC0");
    is("2026-01-25 05:03", "2026-01-25T05:03:00.000Z");
}

static void ago(void **state) {
    (void)state;
    is("0s", "2026-01-25T05:03:06.120Z");
    is("6s", "2026-01-25T05:03:00.120Z");
    is("90m", "2026-01-25T03:33:06.120Z");
    is("2h", "2026-01-25T03:03:06.120Z");
    is("3d", "2026-01-22T05:03:06.120Z");
    is("999999999d", "1970-01-01T00:00:00.000Z");
}

static void no_time(void **state) {
    static const char *const texts[] = {"",
                                        "now",
                                        "2",
                                        "h",
                                        "2 h",
                                        "-2h",
                                        "2hours",
                                        "1w",
                                        "1000000000d",
                                        "2h3m",
                                        "25.1.2026",
                                        "2026-1-25",
                                        "2026/01/25",
                                        "20260125",
                                        "2026-00-25",
                                        "2026-13-25",
                                        "2026-01-00",
                                        "2026-01-32",
                                        "2026-02-29",
                                        "2100-02-29",
                                        "1969-12-31",
                                        "2026-01-25 ",
                                        "2026-01-25x",
                                        "2026-01-25Z",
                                        "2026-01-25 14",
                                        "2026-01-25 24:00",
                                        "2026-01-25 14:60",
                                        "2026-01-25 14:03:",
                                        "2026-01-25 14:03:61",
                                        "2026-01-25 14:03:06.",
                                        "2026-01-25 14:03:06 ",
                                        "2026-01-25  14:03",
                                        "2026-01-25T14:03:06+9:00",
                                        "2026-01-25T14:03:06+0900",
                                        "2026-01-25T14:03:06+24:00",
                                        "2026-01-25T14:03:06+09:60",
                                        "2026-01-25T14:03:06+09:00 ",
                                        "2026-01-25T14:03:06Zulu",
                                        " 2026-01-25"};
    uint64_t when;

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        if (when_read(texts[i], now, &when)) {
            fail_msg("'%s' is no time", texts[i]);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(with_a_zone), cmocka_unit_test(local),
                                       cmocka_unit_test(ago), cmocka_unit_test(no_time)};

    return cmocka_run_group_tests_name("points in time", tests, NULL, NULL);
}
