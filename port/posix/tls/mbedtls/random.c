/* The kernel's numbers, each time: nothing is kept that a fork or a snapshot could repeat, and no
 * file is opened, which a root of its own need not have. */
#include "tls/mbedtls/random.h"

#include <errno.h>
#include <mbedtls/entropy.h>
#include <sys/random.h>

#include "platform/log.h"

static bool fill(unsigned char *bytes, size_t length, unsigned flags) {
    while (length > 0) {
        ssize_t came = getrandom(bytes, length, flags);

        if (came > 0) {
            bytes += came;
            length -= (size_t)came;
        } else if (errno != EINTR) {
            return false;
        }
    }
    return true;
}

bool tls_random_begin(void) {
    unsigned char byte;

    if (!fill(&byte, 1, GRND_NONBLOCK) && errno == EAGAIN) {
        log_line(CMCWH_LOG_WARN, "TLS waits for the kernel to have random numbers");
        (void)fill(&byte, 1, 0);
    }
    return fill(&byte, 1, GRND_NONBLOCK) ||
           log_failure("random numbers for TLS (getrandom)", errno);
}

int tls_random(void *unused, unsigned char *bytes, size_t length) {
    (void)unused;
    return fill(bytes, length, 0) ? 0 : MBEDTLS_ERR_ENTROPY_SOURCE_FAILED;
}
