/* Points in time: RFC 3339, local time, and how long ago. */
#include "platform/when.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "platform/writer.h"

/* ---- Reading ---- */

/* Takes a number of so many digits, and what must stand behind it (0: nothing). */
static bool take(const char **text, size_t digits, char behind, int *number) {
    const char *at = *text;

    *number = 0;
    for (size_t i = 0; i < digits; i++, at++) {
        if (*at < '0' || *at > '9') {
            return false;
        }
        *number = 10 * *number + (*at - '0');
    }
    if (behind != '\0' && *at++ != behind) {
        return false;
    }
    *text = at;
    return true;
}

static int days_of(int year, int month) {
    static const char days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

    return days[month - 1] + (month == 2 && leap);
}

static bool take_date(const char **text, struct tm *tm) {
    int year, month, day;

    if (!take(text, 4, '-', &year) || !take(text, 2, '-', &month) || !take(text, 2, '\0', &day) ||
        year < 1970 || month < 1 || month > 12 || day < 1 || day > days_of(year, month)) {
        return false;
    }
    tm->tm_year = year - 1900;
    tm->tm_mon = month - 1;
    tm->tm_mday = day;
    return true;
}

/* HH:MM[:SS[.FRACTION]], the fraction cut to milliseconds. */
static bool take_clock(const char **text, struct tm *tm, unsigned *ms) {
    unsigned worth = 100;

    if (!take(text, 2, ':', &tm->tm_hour) || !take(text, 2, '\0', &tm->tm_min) ||
        tm->tm_hour > 23 || tm->tm_min > 59) {
        return false;
    }
    if (**text != ':') {
        return true;
    }
    ++*text;
    if (!take(text, 2, '\0', &tm->tm_sec) || tm->tm_sec > 60) {
        return false;
    }
    if (**text == '.') {
        size_t digits = strspn(++*text, "0123456789");

        for (size_t i = 0; i < digits; i++, worth /= 10) {
            *ms += worth * (unsigned)((*text)[i] - '0');
        }
        *text += digits;
        return digits > 0;
    }
    return true;
}

/* Z, or +HH:MM; and then nothing. */
static bool take_zone(const char *text, int *seconds) {
    int sign = *text == '-' ? -1 : 1, hours, minutes;

    if (strcmp(text, "Z") == 0 || strcmp(text, "z") == 0) {
        *seconds = 0;
        return true;
    }
    if ((*text != '+' && *text != '-') || (text++, !take(&text, 2, ':', &hours)) ||
        !take(&text, 2, '\0', &minutes) || hours > 23 || minutes > 59 || *text != '\0') {
        return false;
    }
    *seconds = sign * 60 * (60 * hours + minutes);
    return true;
}

/* A day, with or without a time, in the zone that it names or here. */
static bool read_calendar(const char *text, uint64_t *when) {
    struct tm tm = {.tm_isdst = -1};
    unsigned ms = 0;
    int zone = 0;
    time_t seconds;

    if (!take_date(&text, &tm)) {
        return false;
    }
    if (*text != '\0' && ((*text != ' ' && *text != 'T' && *text != 't') ||
                          (text++, !take_clock(&text, &tm, &ms)))) {
        return false;
    }
    if (*text != '\0' && !take_zone(text, &zone)) {
        return false;
    }
    seconds = *text == '\0' ? mktime(&tm) : timegm(&tm) - zone;
    *when = seconds < 0 ? 0 : 1000 * (uint64_t)seconds + ms;
    return true;
}

/* A number and a unit. */
static bool read_ago(const char *text, uint64_t now, uint64_t *when) {
    static const struct {
        char name;
        uint64_t ms;
    } units[] = {{'s', 1000}, {'m', 60000}, {'h', 3600000}, {'d', 86400000}};
    size_t digits = strspn(text, "0123456789");

    if (digits == 0 || digits > 9 || strlen(text) != digits + 1) {
        return false;
    }
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (units[i].name == text[digits]) {
            uint64_t ago = units[i].ms * strtoull(text, NULL, 10);

            *when = ago < now ? now - ago : 0;
            return true;
        }
    }
    return false;
}

bool when_read(const char *text, uint64_t now, uint64_t *when) {
    return read_ago(text, now, when) || read_calendar(text, when);
}

/* ---- Printing ---- */

/* Without strftime, which brings the languages of the C library with it. */
const char *when_print(uint64_t when, char out[WHEN_SIZE]) {
    time_t seconds = (time_t)(when / 1000);
    struct tm tm = {.tm_mday = 1};
    struct writer writer = {.bytes = out, .size = WHEN_SIZE - 1};

    (void)gmtime_r(&seconds, &tm);
    writer_print(&writer, "%04d-%02d-%02dT%02d:%02d:%02d.%03uZ", tm.tm_year + 1900, tm.tm_mon + 1,
                 tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (unsigned)(when % 1000));
    out[writer.used] = '\0';
    return out;
}
