/* A line a day. Not here: counting (cmcwh.c), and what is well (verdict.c). */
#include "admin/daily.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "admin/day.h"
#include "admin/verdict.h"
#include "platform/log.h"

#define HOUR UINT64_C(3600000)

int daily_read(const char *text) {
    static const char shape[] = "00:00";
    int hour, minute;

    for (size_t i = 0; i < sizeof shape; i++) {
        if (shape[i] == '0' ? text[i] < '0' || text[i] > '9' : text[i] != shape[i]) {
            return -1;
        }
    }
    hour = (text[0] - '0') * 10 + text[1] - '0';
    minute = (text[3] - '0') * 10 + text[4] - '0';
    return hour < 24 && minute < 60 ? hour * 60 + minute : -1;
}

/* The first time after `now` that is this minute of a day. */
static uint64_t after(uint64_t now, int minute) {
    time_t seconds = (time_t)(now / 1000), found = seconds;
    struct tm today;

    memset(&today, 0, sizeof today);
    (void)localtime_r(&seconds, &today);
    for (int days = 0; days < 3 && found <= seconds; days++) {
        struct tm day = {.tm_year = today.tm_year,
                         .tm_mon = today.tm_mon,
                         .tm_mday = today.tm_mday + days,
                         .tm_hour = minute / 60,
                         .tm_min = minute % 60,
                         .tm_isdst = -1};

        found = mktime(&day);
    }
    return (uint64_t)found * 1000;
}

bool daily_due(struct daily *daily, uint64_t now) {
    bool due = daily->next != 0 && now >= daily->next && now - daily->next < HOUR;

    if (daily->minute < 0) {
        return false;
    }
    if (due) { /* the minute may come again when clocks are set back */
        daily->next = after(now + 3 * HOUR, daily->minute);
    } else if (now >= daily->next || daily->next - now > 30 * HOUR) { /* or the clock was set */
        daily->next = after(now, daily->minute);
    }
    return due;
}

/* ---- The line ---- */

static void put_day(struct writer *writer, const struct status *status, int days) {
    static const unsigned shown[] = {CMCWH_QUEUED, CMCWH_SUCCEEDED, CMCWH_FAILED, CMCWH_DEFERRED};
    struct day_count day;
    const char *between = " (";
    uint64_t bounces = 0;

    day_count(&day, &status->events, status->now, days);
    writer_print(writer, "%s%s:", days == 0 ? "today" : "; yesterday",
                 day.whole ? "" : " at least");
    for (size_t i = 0; i < sizeof shown / sizeof *shown; i++) {
        writer_print(writer, " %" PRIu64 " %s,", day.counts[CMCWH_COUNT_DELIVERIES + shown[i]],
                     cmcwh_count_status(CMCWH_COUNT_DELIVERIES + shown[i]));
    }
    for (unsigned i = CMCWH_COUNT_BOUNCES; i < CMCWH_COUNT_BLOCKS; i++) {
        bounces += day.counts[i];
    }
    writer_print(writer, " %" PRIu64 " bounces", bounces);
    for (unsigned i = CMCWH_COUNT_BOUNCES; i < CMCWH_COUNT_BLOCKS; i++) {
        if (day.counts[i] > 0) {
            writer_print(writer, "%s%s %" PRIu64, between, cmcwh_count_status(i), day.counts[i]);
            between = ", ";
        }
    }
    writer_text(writer, between[0] == ',' ? ")" : "");
}

void daily_say(const struct status *status) {
    char text[1024];
    struct writer line = {.bytes = text, .size = sizeof text - 1};
    struct verdict verdict;

    verdict_of(&verdict, status);
    put_day(&line, status, 0);
    put_day(&line, status, -1);
    writer_text(&line, " (days of ");
    day_zone(&line, status->now);
    writer_text(&line, "). ");
    verdict_sentence(&line, &verdict, status, ENGLISH);
    text[line.used] = '\0';
    log_asked("%s", text);
}
