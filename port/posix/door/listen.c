/* What there is to know of an address before it is listened on. Not here: accepting, which is
 * civetweb's. */
#include "door/listen.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "platform/log.h"
#include "platform/network.h"

/* Is the address free? civetweb would only say that it could not start. */
static bool is_free(const char *text) {
    struct sockaddr_storage address;
    socklen_t length;
    int one = 1, descriptor, error = 0;

    (void)network_listener(text, &address, &length);
    descriptor = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (descriptor < 0) {
        error = errno;
    } else {
        (void)setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
        if (bind(descriptor, (const struct sockaddr *)&address, length) != 0) {
            error = errno;
        }
        (void)close(descriptor);
    }
    if (error != 0) {
        log_line(CMCWH_LOG_ERROR, "--listen: cannot listen on %s: %s", text, strerror(error));
    }
    return error == 0;
}

bool listen_join(const struct listeners *listeners, char *out, size_t room) {
    size_t used = 0;

    for (unsigned i = 0; i < listeners->count; i++) {
        int length =
            snprintf(out + used, room - used, "%s%s", i > 0 ? "," : "", listeners->text[i]);

        if (!is_free(listeners->text[i]) || length < 0 || (size_t)length >= room - used) {
            return false;
        }
        used += (size_t)length;
    }
    return true;
}

bool listen_privileged(const struct listeners *listeners) {
    for (unsigned i = 0; i < listeners->count; i++) {
        unsigned long port = strtoul(strrchr(listeners->text[i], ':') + 1, NULL, 10);

        if (port > 0 && port < 1024) {
            return true;
        }
    }
    return false;
}

bool listen_plain(const struct listeners *listeners) {
    for (unsigned i = 0; i < listeners->count; i++) {
        if (!network_secure(listeners->text[i])) {
            return true;
        }
    }
    return false;
}

static bool loopback(const char *text) {
    return strncmp(text, "127.", 4) == 0 || strncmp(text, "[::1]", 5) == 0;
}

void listen_warn(const struct listeners *listeners, bool guarded) {
    for (unsigned i = 0; i < listeners->count; i++) {
        const char *text = listeners->text[i];

        if (!loopback(text) && !guarded) {
            log_line(CMCWH_LOG_WARN,
                     "--listen: %s: anybody who can reach it may post: no --auth-file is given",
                     text);
        }
        if (!loopback(text) && !network_secure(text)) {
            log_line(CMCWH_LOG_WARN,
                     "--listen: %s: plain HTTP: credentials and events can be read on the way",
                     text);
        }
    }
}
