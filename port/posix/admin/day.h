/* Days and times as people here count them: in the time zone of this process (TZ, else that of the
 * system). Times are ms since 1970-01-01 00:00 UTC. Any thread. */
#ifndef CMCWH_DAY_H
#define CMCWH_DAY_H

#include <stdbool.h>
#include <stdint.h>

#include "cmcwh.h"
#include "platform/writer.h"

/* When the local day begins that is `days` after the one of this time: 0 is today, -1 yesterday.
 * Where a change of the clock leaves midnight out, it begins with what comes instead. */
uint64_t day_begin(uint64_t time, int days);

/* The zone at this time: "JST (UTC+09:00)"; "UTC"; where it has no name of letters "UTC+05:30". */
void day_zone(struct writer *writer, uint64_t time);

/* "2026-11-26 08:58:14", local. */
void day_local(struct writer *writer, uint64_t time);

/* "2026-11-25T23:58:14Z", UTC (RFC 3339). */
void day_utc(struct writer *writer, uint64_t time);

/* The events of a time from midnight to midnight. They are counted by hours of UTC, and an hour
 * belongs to the day in which it begins: where days begin at half past (India, say), the first half
 * hour of a day is told with the day before. */
struct day_count {
    uint64_t begin, end;
    uint64_t counts[CMCWH_COUNTS];
    bool whole; /* all since `begin` were counted, and still are; else there may be more */
};

/* The local day that is `days` after that of `now`: 0 or -1, for others were not counted. */
void day_count(struct day_count *day, const struct cmcwh_counters *counters, uint64_t now,
               int days);

#endif
