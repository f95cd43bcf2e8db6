/* Local days. Not here: what is counted. */
#include "admin/day.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { HOUR = 3600 /* s */ };

static struct tm local(uint64_t time) {
    time_t seconds = (time_t)(time / 1000);
    struct tm parts;

    memset(&parts, 0, sizeof parts);
    (void)localtime_r(&seconds, &parts);
    return parts;
}

static bool same_day(time_t seconds, const struct tm *day) {
    struct tm parts;

    return localtime_r(&seconds, &parts) != NULL && parts.tm_yday == day->tm_yday &&
           parts.tm_year == day->tm_year;
}

uint64_t day_begin(uint64_t time, int days) {
    enum { STEP = HOUR / 4, CHANGE = 3 * HOUR }; /* no clock is set on by more at once */
    struct tm now = local(time), day = {.tm_year = now.tm_year,
                                        .tm_mon = now.tm_mon,
                                        .tm_mday = now.tm_mday + days,
                                        .tm_hour = 12,
                                        .tm_isdst = -1};
    time_t begin;

    (void)mktime(&day); /* noon is there every day, and is of the right one */
    now = day;
    now.tm_hour = now.tm_min = now.tm_sec = 0;
    now.tm_isdst = -1;
    begin = mktime(&now) - CHANGE;
    for (int step = 0; step < 2 * CHANGE / STEP && !same_day(begin, &day); step++) {
        begin += STEP;
    }
    return begin > 0 ? (uint64_t)begin * 1000 : 0;
}

void day_zone(struct writer *writer, uint64_t time) {
    struct tm parts = local(time);
    long minutes = parts.tm_gmtoff / 60;
    bool named = parts.tm_zone != NULL && isalpha((unsigned char)parts.tm_zone[0]);
    char sign = minutes < 0 ? '-' : '+';

    if (named) {
        writer_text(writer, parts.tm_zone);
    }
    if (named && minutes == 0) {
        return;
    }
    minutes = labs(minutes);
    writer_print(writer, "%sUTC%c%02ld:%02ld%s", named ? " (" : "", sign, minutes / 60,
                 minutes % 60, named ? ")" : "");
}

void day_local(struct writer *writer, uint64_t time) {
    struct tm parts = local(time);

    writer_print(writer, "%04d-%02d-%02d %02d:%02d:%02d", parts.tm_year + 1900, parts.tm_mon + 1,
                 parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec);
}

void day_utc(struct writer *writer, uint64_t time) {
    time_t seconds = (time_t)(time / 1000);
    struct tm parts;

    memset(&parts, 0, sizeof parts);
    (void)gmtime_r(&seconds, &parts);
    writer_print(writer, "%04d-%02d-%02dT%02d:%02d:%02dZ", parts.tm_year + 1900, parts.tm_mon + 1,
                 parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec);
}

static uint64_t hour_of(uint64_t time) {
    return time / 1000 / HOUR;
}

void day_count(struct day_count *day, const struct cmcwh_counters *counters, uint64_t now,
               int days) {
    memset(day, 0, sizeof *day);
    day->begin = day_begin(now, days);
    day->end = day_begin(now, days + 1);
    day->whole = !counters->at_least && counters->since <= day->begin &&
                 hour_of(now) - hour_of(day->begin) < CMCWH_HOURS;
    for (unsigned i = 0; i < CMCWH_HOURS; i++) {
        const struct cmcwh_hour *hour = &counters->hours[i];
        uint64_t begin = (uint64_t)hour->hour * HOUR * 1000;

        for (unsigned c = 0; begin >= day->begin && begin < day->end && c < CMCWH_COUNTS; c++) {
            day->counts[c] += hour->counts[c];
        }
    }
}
