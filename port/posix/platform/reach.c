/* Reaching a peer over the network. Not here: what is said to it. */
#include "platform/reach.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "platform/platform.h"

bool patience_over(const struct patience *patience) {
    return platform_ticks() >= patience->until ||
           (patience->over != NULL && patience->over(patience->context));
}

bool patience_wait(const struct patience *patience, int descriptor, short events) {
    enum { SLICE = 100 }; /* ms after which it is asked whether it is over */

    for (;;) {
        uint64_t now = platform_ticks(), left = patience->until > now ? patience->until - now : 0;
        struct pollfd entry = {.fd = descriptor, .events = events};
        int ready = poll(&entry, 1, left < SLICE ? (int)left : SLICE);

        if (ready > 0) {
            return true;
        }
        if ((ready < 0 && errno != EINTR) || patience_over(patience)) {
            return false;
        }
    }
}

int reach_find(const char *host, const char *port, int type, struct addrinfo **found) {
    struct addrinfo hints = {.ai_socktype = type};

    *found = NULL;
    return getaddrinfo(host, port, &hints, found);
}

/* The descriptor, or -1. */
static int try_connect(const struct addrinfo *address, unsigned silence,
                       const struct patience *patience) {
    int error = 0, one = 1;
    socklen_t length = sizeof error;
    int descriptor =
        socket(address->ai_family, address->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (descriptor < 0) {
        return -1;
    }
    if (address->ai_socktype == SOCK_STREAM) {
        (void)setsockopt(descriptor, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
        (void)setsockopt(descriptor, IPPROTO_TCP, TCP_USER_TIMEOUT, &silence, sizeof silence);
    }
    if (connect(descriptor, address->ai_addr, address->ai_addrlen) != 0) {
        error = errno;
        if (error == EINPROGRESS) {
            error = ETIMEDOUT;
            if (patience_wait(patience, descriptor, POLLOUT)) {
                (void)getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &length);
            }
        }
    }
    if (error != 0) {
        (void)close(descriptor);
        errno = error;
        return -1;
    }
    return descriptor;
}

uint64_t reach_share(const struct addrinfo *found, uint64_t until) {
    uint64_t now = platform_ticks(), rest = until > now ? until - now : 0;
    unsigned left = 1;

    while ((found = found->ai_next) != NULL) {
        left++;
    }
    return now + rest / left;
}

int reach(const struct addrinfo *found, unsigned silence, const struct patience *patience) {
    struct patience share = *patience;
    int descriptor = -1;

    for (const struct addrinfo *at = found; at != NULL && descriptor < 0; at = at->ai_next) {
        share.until = reach_share(at, patience->until);
        descriptor = try_connect(at, silence, &share);
    }
    return descriptor;
}
