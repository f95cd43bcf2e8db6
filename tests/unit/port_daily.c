/* The line a day: once each day at its minute, whatever the clock does. */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "admin/daily.h"
#include "admin/day.h"
#include "said.h"

#define MINUTE UINT64_C(60000)
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)

static void minutes(void **state) {
    static const char *const wrong[] = {"",       "24:00", "23:60", "9:00",  "09.00",  "09:0",
                                        "09:000", " 9:00", "-9:00", "0a:00", "09:00 ", "noon"};

    (void)state;
    assert_int_equal(daily_read("00:00"), 0);
    assert_int_equal(daily_read("09:05"), 545);
    assert_int_equal(daily_read("23:59"), 1439);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(daily_read(wrong[i]), -1);
    }
}

/* How often it is due, asked every 40 s from `from` to `to`; and when it was last, as local time.
 */
static char last[32];
static unsigned times(struct daily *daily, uint64_t from, uint64_t to) {
    unsigned count = 0;

    for (uint64_t now = from; now < to; now += 40000) {
        if (daily_due(daily, now)) {
            time_t seconds = (time_t)(now / 1000);
            struct tm local;

            assert_non_null(localtime_r(&seconds, &local));
            (void)strftime(last, sizeof last, "%d %H:%M", &local);
            count++;
        }
    }
    return count;
}

static void zone(const char *name) {
    assert_int_equal(setenv("TZ", name, 1), 0);
    tzset();
}

static void once_a_day(void **state) {
    struct daily daily = {.minute = 545};
    const uint64_t noon = UINT64_C(1764039600000); /* 2025-11-25 12:00 in Japan */

    (void)state;
    zone("JST-9");
    assert_int_equal(times(&daily, noon, noon + 20 * HOUR), 0);
    assert_int_equal(times(&daily, noon + 20 * HOUR, noon + 22 * HOUR), 1);
    assert_string_equal(last, "26 09:05");
    assert_int_equal(times(&daily, noon + 22 * HOUR, noon + 100 * DAY), 99);
    daily = (struct daily){.minute = -1};
    assert_int_equal(times(&daily, noon, noon + 3 * DAY), 0);
}

/* 2026-03-29 02:00 to 03:00 lacks in Berlin, 2026-10-25 has it twice; midnight in Cairo, 04-24. */
static void clocks_are_set_on_and_back(void **state) {
    static const struct {
        const char *zone;
        uint64_t noon; /* before the change, in UTC */
    } changes[] = {{"CET-1CEST,M3.5.0,M10.5.0/3", UINT64_C(1774699200000)},
                   {"CET-1CEST,M3.5.0,M10.5.0/3", UINT64_C(1792843200000)},
                   {"EET-2EEST,M4.5.5/0,M10.5.4/24", UINT64_C(1776945600000)},
                   {"EET-2EEST,M4.5.5/0,M10.5.4/24", UINT64_C(1793188800000)}};

    (void)state;
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        zone(changes[i].zone);
        for (int minute = 0; minute < 1440; minute += 15) {
            struct daily daily = {.minute = minute};
            uint64_t begin = day_begin(changes[i].noon, -1), end = day_begin(changes[i].noon, 4);

            assert_int_equal(times(&daily, begin - MINUTE, end), 5);
        }
    }
}

static void the_clock_is_set(void **state) {
    struct daily daily = {.minute = 0};
    const uint64_t noon = UINT64_C(1764072000000);

    (void)state;
    zone("UTC0");
    /* From 1970, as at the start of a device without a clock, and back. */
    assert_int_equal(times(&daily, 1000, HOUR), 0);
    assert_int_equal(times(&daily, noon, noon + HOUR), 0);
    assert_int_equal(times(&daily, noon - 10 * DAY, noon - 9 * DAY), 1);
    /* A little, as by a time server. */
    daily = (struct daily){.minute = 0};
    assert_int_equal(times(&daily, noon, noon + 12 * HOUR - MINUTE), 0);
    assert_int_equal(times(&daily, noon + 12 * HOUR + MINUTE, noon + 12 * HOUR + 2 * MINUTE), 1);
    assert_int_equal(times(&daily, noon + 12 * HOUR - MINUTE, noon + 13 * HOUR), 0);
}

static void the_line(void **state) {
    static struct status status;
    struct cmcwh_hour *hour;

    (void)state;
    zone("JST-9");
    status.now = UINT64_C(1764039600000); /* 2025-11-25 12:00 */
    status.started = status.events.since = status.now - 13 * HOUR;
    hour = &status.events.hours[(status.now / HOUR) % CMCWH_HOURS];
    hour->hour = (uint32_t)(status.now / HOUR);
    hour->counts[CMCWH_COUNT_DELIVERIES + CMCWH_QUEUED] = 5;
    hour->counts[CMCWH_COUNT_BOUNCES + 2] = 3;
    hour->counts[CMCWH_COUNT_BOUNCES + 12] = 1;
    hour = &status.events.hours[(status.now / HOUR - 20) % CMCWH_HOURS];
    hour->hour = (uint32_t)(status.now / HOUR - 20);
    hour->counts[CMCWH_COUNT_DELIVERIES + CMCWH_FAILED] = 7;
    daily_say(&status);
    assert_said("today: 5 queued, 0 succeeded, 0 failed, 0 deferred, 4 bounces (unknown user 3, "
                "other permanent error 1); yesterday at least: 0 queued, 0 succeeded, 7 failed, 0 "
                "deferred, 0 bounces (days of JST (UTC+09:00)). OK: ");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(minutes), cmocka_unit_test(once_a_day),
                                       cmocka_unit_test(clocks_are_set_on_and_back),
                                       cmocka_unit_test(the_clock_is_set),
                                       cmocka_unit_test(the_line)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
