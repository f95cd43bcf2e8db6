/* What is said of the dates of a certificate of ours, whatever library has read it. */
#ifndef CMCWH_TLS_DATES_H
#define CMCWH_TLS_DATES_H

#include <stdint.h>
#include <time.h>

struct tls_dates {
    time_t from, until; /* it is valid */
};

/* Says so when a certificate has expired, so that `peers` will refuse it, or ends within 14 days. A
 * device whose clock is not set yet must still start: said, not refused. */
void tls_dates_say(const struct tls_dates *dates, const char *option, const char *path,
                   const char *peers);

/* When it ends, in ms since 1970; 1: long ago. */
uint64_t tls_dates_end(const struct tls_dates *dates);

#endif
