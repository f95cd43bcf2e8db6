/* A line a day in the log, at a time of the day: what happened, and how it is. */
#ifndef CMCWH_DAILY_H
#define CMCWH_DAILY_H

#include "admin/status.h"

/* "HH:MM" as a minute of the day; -1: it is none. */
int daily_read(const char *text);

/* When the line is due. Times are ms since 1970, days and minutes those of the local time. */
struct daily {
    int minute;    /* -1: never */
    uint64_t next; /* 0: not known yet */
};

/* Is it due? Once a day, also where a change of the clock leaves that minute out or has it twice;
 * not when the clock has jumped past it by more than an hour. To be asked every second or so. */
bool daily_due(struct daily *daily, uint64_t now);

/* Says the line: today and yesterday by status and reason, and the verdict. */
void daily_say(const struct status *status);

#endif
