/* Points in time, as people write them and as they are printed. */
#ifndef CMCWH_WHEN_H
#define CMCWH_WHEN_H

#include <stdbool.h>
#include <stdint.h>

/* What WHEN_EXPECTED says, read at `now`; both in milliseconds since 1970-01-01 00:00 UTC. A time
 * without a zone is local, a day begins at its first minute. */
#define WHEN_EXPECTED                                                                              \
    "a time, such as 2026-01-25, '2026-01-25 14:03', 2026-01-25T05:03:06Z, or how long ago, such " \
    "as 90m, 2h or 3d"
bool when_read(const char *text, uint64_t now, uint64_t *when);

/* With the zero at its end. */
enum { WHEN_SIZE = 32 };

/* As in an event's JSON: RFC 3339, UTC, with milliseconds. Returns `out`. */
const char *when_print(uint64_t when, char out[WHEN_SIZE]);

#endif
