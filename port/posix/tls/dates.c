/* When a certificate of ours is to be renewed. */
#include "tls/dates.h"

#include "platform/log.h"

void tls_dates_say(const struct tls_dates *dates, const char *option, const char *path,
                   const char *peers) {
    enum { DAY = 86400, SOON = 14 };
    time_t now = time(NULL);

    if (dates->until < now) {
        log_line(CMCWH_LOG_WARN, "%s: %s: the certificate has expired: %s will refuse it", option,
                 path, peers);
    } else if (dates->from > now) {
        log_line(CMCWH_LOG_WARN, "%s: %s: the certificate is not valid yet, or the clock is wrong",
                 option, path);
    } else if (dates->until - now < SOON * DAY) {
        int days = (int)((dates->until - now) / DAY);

        log_line(CMCWH_LOG_WARN,
                 "%s: %s: the certificate ends in %d day%s: renew it, then send SIGHUP", option,
                 path, days, days == 1 ? "" : "s");
    }
}

uint64_t tls_dates_end(const struct tls_dates *dates) {
    return dates->until > 0 ? (uint64_t)dates->until * 1000 : 1;
}
