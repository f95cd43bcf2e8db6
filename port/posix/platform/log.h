/* The daemon's own messages: one line each on stderr. Where that is systemd's journal, "<4>" or so
 * stands in place of "cmcwh: ". */
#ifndef CMCWH_LOG_H
#define CMCWH_LOG_H

#include "cmcwh.h"

/* Messages less important than this are left out. Before other threads start. */
void log_set_level(enum cmcwh_level level);

/* From now on no message is waited for: one that stderr does not take at once is left out, and how
 * many were is said when it takes the next one. Nor is one and the same repeated more than a few
 * times a minute: it is counted. For a process that serves; before other threads start. */
void log_serve(void);

/* Says what was counted for a minute, or `all`. To be called every second or so. */
void log_sum_up(bool all);

/* Are messages of this level said? */
bool log_says(enum cmcwh_level level);

/* One line, "cmcwh: warn: ...". What could forge a line or a terminal sequence comes out escaped.
 * Any thread. */
void log_line(enum cmcwh_level level, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* An error of the system: what failed, and why. Returns false. */
bool log_failure(const char *what, int error);

/* One line for who typed the command, "cmcwh: ...", whatever the level. Escaped as every message
 * is. Any thread. */
void log_usage(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* One line that somebody has asked for, whatever the level and however often. */
void log_asked(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The same with nothing before it. */
void log_plain(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
