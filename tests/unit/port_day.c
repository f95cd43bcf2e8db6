/* Days as people count them, in several zones. The zones are given by their rules, so that no
 * database of them need be there. */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "admin/day.h"
#include "admin/language.h"

#define TOKYO    "JST-9"
#define KOLKATA  "IST-5:30"
#define NEW_YORK "EST5EDT,M3.2.0,M11.1.0"
#define BEIRUT   "EET-2EEST,M3.5.0/0,M10.5.0/0" /* there is no midnight before the summer */
#define HAVANA   "CST5CDT,M3.2.0/0,M11.1.0/1"   /* there are two at its end */

enum { MINUTE = 60000, HOUR = 60 * MINUTE };

static void in(const char *zone) {
    assert_int_equal(setenv("TZ", zone, 1), 0);
    tzset();
}

static uint64_t utc(int year, int month, int day, int hour, int minute) {
    struct tm parts = {.tm_year = year - 1900,
                       .tm_mon = month - 1,
                       .tm_mday = day,
                       .tm_hour = hour,
                       .tm_min = minute};

    return (uint64_t)timegm(&parts) * 1000;
}

static const char *text_of(void (*put)(struct writer *writer, uint64_t time), uint64_t time) {
    static char text[128];
    struct writer writer = {.bytes = text, .size = sizeof text - 1};

    put(&writer, time);
    assert_false(writer.full);
    text[writer.used] = '\0';
    return text;
}

static void assert_day(uint64_t time, int days, uint64_t begin) {
    if (day_begin(time, days) != begin) {
        char expected[128];

        (void)snprintf(expected, sizeof expected, "%s", text_of(day_utc, begin));
        fail_msg("%s, not %s", text_of(day_utc, day_begin(time, days)), expected);
    }
}

static void days(void **state) {
    uint64_t night = utc(2026, 11, 25, 15, 0); /* 26 November in Japan */

    (void)state;
    in(TOKYO);
    assert_day(night, 0, night);
    assert_day(night - 1, 0, utc(2026, 11, 24, 15, 0));
    assert_day(night + 24 * HOUR - 1, 0, night);
    assert_day(night, -1, utc(2026, 11, 24, 15, 0));
    assert_day(night, 1, utc(2026, 11, 26, 15, 0));
    in("UTC0");
    assert_day(night, 0, utc(2026, 11, 25, 0, 0));
    assert_day(utc(2027, 1, 1, 0, 0), -1, utc(2026, 12, 31, 0, 0));
    assert_day(utc(2028, 3, 1, 5, 0), -1, utc(2028, 2, 29, 0, 0));
    in(KOLKATA);
    assert_day(night, 0, utc(2026, 11, 24, 18, 30));
    assert_day(utc(2026, 11, 25, 18, 30), 0, utc(2026, 11, 25, 18, 30));
}

/* Days of 23 and 25 hours. */
static void clocks_change(void **state) {
    (void)state;
    in(NEW_YORK);
    assert_day(utc(2026, 3, 8, 18, 0), 0, utc(2026, 3, 8, 5, 0));
    assert_day(utc(2026, 3, 8, 18, 0), 1, utc(2026, 3, 9, 4, 0));
    assert_day(utc(2026, 11, 1, 18, 0), 0, utc(2026, 11, 1, 4, 0));
    assert_day(utc(2026, 11, 1, 18, 0), 1, utc(2026, 11, 2, 5, 0));
    assert_day(utc(2026, 11, 2, 4, 59), -1, utc(2026, 10, 31, 4, 0)); /* 23:59 of the long day */
    in(BEIRUT);
    assert_day(utc(2026, 3, 29, 12, 0), 0, utc(2026, 3, 28, 22, 0)); /* at one o'clock */
    assert_day(utc(2026, 3, 28, 22, 0), 0, utc(2026, 3, 28, 22, 0));
    assert_day(utc(2026, 3, 28, 21, 59), 0, utc(2026, 3, 27, 22, 0));
    assert_day(utc(2026, 10, 25, 12, 0), 0, utc(2026, 10, 24, 22, 0));
    in(HAVANA);
    assert_day(utc(2026, 11, 1, 12, 0), 0, utc(2026, 11, 1, 4, 0)); /* the first midnight */
    assert_day(utc(2026, 3, 8, 12, 0), 0, utc(2026, 3, 8, 5, 0));
}

/* A clock that is not set, or absurd, does no harm. */
static void odd_times(void **state) {
    (void)state;
    in(TOKYO);
    assert_day(0, 0, 0);
    assert_day(0, -1, 0);
    (void)day_begin(UINT64_MAX, 0);
    (void)text_of(day_local, UINT64_MAX);
    (void)text_of(day_utc, UINT64_MAX);
    (void)text_of(day_zone, UINT64_MAX);
}

static void zones(void **state) {
    uint64_t summer = utc(2026, 7, 1, 0, 0), winter = utc(2026, 1, 1, 0, 0);

    (void)state;
    in(TOKYO);
    assert_string_equal(text_of(day_zone, summer), "JST (UTC+09:00)");
    in("UTC0");
    assert_string_equal(text_of(day_zone, summer), "UTC");
    in(KOLKATA);
    assert_string_equal(text_of(day_zone, summer), "IST (UTC+05:30)");
    in(NEW_YORK);
    assert_string_equal(text_of(day_zone, summer), "EDT (UTC-04:00)");
    assert_string_equal(text_of(day_zone, winter), "EST (UTC-05:00)");
    in("<-03>3");
    assert_string_equal(text_of(day_zone, summer), "UTC-03:00");
    in("<-0330>3:30");
    assert_string_equal(text_of(day_zone, summer), "UTC-03:30");
}

static void stamps(void **state) {
    uint64_t time = utc(2026, 11, 25, 23, 58) + 14999;

    (void)state;
    in(TOKYO);
    assert_string_equal(text_of(day_local, time), "2026-11-26 08:58:14");
    assert_string_equal(text_of(day_utc, time), "2026-11-25T23:58:14Z");
}

static struct cmcwh_counters counters;

static void count_at(uint64_t time, uint32_t events) {
    uint32_t hour = (uint32_t)(time / HOUR);

    counters.hours[hour % CMCWH_HOURS].hour = hour;
    counters.hours[hour % CMCWH_HOURS].counts[CMCWH_COUNT_BLOCKS] = events;
}

static uint64_t blocks(uint64_t now, int days_after, bool whole) {
    struct day_count day;

    day_count(&day, &counters, now, days_after);
    assert_true(day.begin == day_begin(now, days_after));
    assert_true(day.end == day_begin(now, days_after + 1));
    assert_int_equal(day.whole, whole);
    assert_true(day.counts[CMCWH_COUNT_OTHER] == 0);
    return day.counts[CMCWH_COUNT_BLOCKS];
}

static void sums(void **state) {
    uint64_t midnight = utc(2026, 11, 25, 15, 0), now = midnight + 5 * HOUR;

    (void)state;
    in(TOKYO);
    memset(&counters, 0, sizeof counters);
    counters.since = 1;
    count_at(now, 1);
    count_at(midnight, 2);
    count_at(midnight - HOUR, 4);
    count_at(midnight - 24 * HOUR, 8);
    count_at(midnight - 25 * HOUR, 16);
    assert_true(blocks(now, 0, true) == 3);
    assert_true(blocks(now, -1, true) == 12);
    /* Since the start, or what was found again: there may have been more. */
    counters.since = midnight;
    assert_true(blocks(now, 0, true) == 3);
    assert_true(blocks(now, -1, false) == 12);
    counters.at_least = true;
    assert_true(blocks(now, 0, false) == 3);
}

/* An hour is its day's in which it begins. */
static void half_hours(void **state) {
    uint64_t midnight = utc(2026, 11, 25, 18, 30);

    (void)state;
    in(KOLKATA);
    memset(&counters, 0, sizeof counters);
    count_at(midnight, 1); /* the hour from 23:30 on */
    count_at(midnight + HOUR, 2);
    assert_true(blocks(midnight + 2 * HOUR, 0, true) == 2);
    assert_true(blocks(midnight + 2 * HOUR, -1, true) == 1);
}

/* At the end of a long day, the first hours of the day before are counted no more. */
static void long_days(void **state) {
    uint64_t end = utc(2026, 11, 2, 5, 0);

    (void)state;
    in(NEW_YORK);
    memset(&counters, 0, sizeof counters);
    count_at(end - 1, 1);
    count_at(end - 25 * HOUR, 2);
    count_at(end - 48 * HOUR, 4);
    assert_true(blocks(end - 1, 0, true) == 3);
    assert_true(blocks(end - 1, -1, false) == 4);
    assert_true(blocks(end - HOUR - 1, -1, true) == 4);
}

static const char *span(uint64_t ms, enum language language) {
    static char text[64];
    struct writer writer = {.bytes = text, .size = sizeof text - 1};

    language_span(&writer, ms, language);
    text[writer.used] = '\0';
    return text;
}

static void spans(void **state) {
    (void)state;
    assert_string_equal(span(0, ENGLISH), "0 s");
    assert_string_equal(span(59999, ENGLISH), "59 s");
    assert_string_equal(span(119999, ENGLISH), "119 s");
    assert_string_equal(span(120000, ENGLISH), "2 min");
    assert_string_equal(span(2 * HOUR - 1, ENGLISH), "119 min");
    assert_string_equal(span(2 * HOUR, ENGLISH), "2 h");
    assert_string_equal(span(48 * HOUR, ENGLISH), "2 days");
    assert_string_equal(span(120000, JAPANESE), "2 分");
    assert_string_equal(span(5 * HOUR, JAPANESE), "5 時間");
    assert_string_equal(span(72 * HOUR, JAPANESE), "3 日");
}

static void ago(void **state) {
    char text[64];
    struct writer writer = {.bytes = text, .size = sizeof text - 1};

    (void)state;
    language_ago(&writer, 5000, 4001, ENGLISH);
    language_ago(&writer, 5000, 9000, JAPANESE);
    language_ago(&writer, 5000, 4000, ENGLISH);
    language_ago(&writer, 5000, 2000, JAPANESE);
    text[writer.used] = '\0';
    assert_string_equal(text, "just nowたった今1 s ago3 秒前");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(days),       cmocka_unit_test(clocks_change), cmocka_unit_test(odd_times),
        cmocka_unit_test(zones),      cmocka_unit_test(stamps),        cmocka_unit_test(sums),
        cmocka_unit_test(half_hours), cmocka_unit_test(long_days),     cmocka_unit_test(spans),
        cmocka_unit_test(ago)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
