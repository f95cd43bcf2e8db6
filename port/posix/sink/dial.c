/* Reaching a peer, waiting for a descriptor, writing all. Not here: any protocol, or the name of a
 * medium. */
#include "sink/dial.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "platform/descriptor.h"
#include "platform/network.h"
#include "platform/platform.h"

bool dial_wait(const struct sink *sink, int descriptor, short events, uint64_t until) {
    enum { SLICE = 100 }; /* ms after which a stop is noticed */

    for (;;) {
        uint64_t now = platform_ticks(), left = until > now ? until - now : 0;
        struct pollfd entry = {.fd = descriptor, .events = events};
        int ready = poll(&entry, 1, left < SLICE ? (int)left : SLICE);

        if (ready > 0) {
            return true;
        }
        if (left == 0 || (ready < 0 && errno != EINTR) || sink_stopping(sink)) {
            return false;
        }
    }
}

/* The descriptor, or -1. */
static int try_connect(const struct sink *sink, const struct addrinfo *address, uint64_t until) {
    int error = 0, one = 1;
    unsigned timeout = 2 * SINK_TIMEOUT;
    socklen_t length = sizeof error;
    int descriptor =
        socket(address->ai_family, address->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (descriptor < 0) {
        return -1;
    }
    if (address->ai_socktype == SOCK_STREAM) {
        (void)setsockopt(descriptor, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
        (void)setsockopt(descriptor, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout, sizeof timeout);
    }
    if (connect(descriptor, address->ai_addr, address->ai_addrlen) != 0) {
        error = errno;
        if (error == EINPROGRESS) {
            error = ETIMEDOUT;
            if (dial_wait(sink, descriptor, POLLOUT, until)) {
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

/* The addresses of a peer, to be freed. NULL: sink->trouble says why not. */
static struct addrinfo *find(struct sink *sink, const char *peer, int type) {
    struct addrinfo hints = {.ai_socktype = type}, *found = NULL;
    char host[256] = "", port[8] = "";
    int error;

    (void)network_split(peer, host, sizeof host, port, sizeof port);
    error = getaddrinfo(host, port, &hints, &found);
    if (error != 0) {
        (void)snprintf(sink->trouble, sizeof sink->trouble, "host '%.200s': %s", host,
                       gai_strerror(error));
    }
    return error == 0 ? found : NULL;
}

/* Names may be known later, as after a power cut that everything had. */
enum outcome dial_look(struct sink *sink, bool reach) {
    struct addrinfo *found = reach ? find(sink, sink->target, SOCK_DGRAM) : NULL;
    enum outcome outcome = !reach || found != NULL ? OUTCOME_RIGHT : OUTCOME_FAILED;

    if (found != NULL) {
        freeaddrinfo(found);
    }
    return outcome;
}

int dial(struct sink *sink, const char *peer, int type) {
    struct addrinfo *found = find(sink, peer, type);
    uint64_t until = platform_ticks() + SINK_TIMEOUT;
    int error = 0;

    if (found == NULL) {
        return -1;
    }
    for (const struct addrinfo *at = found; at != NULL && sink->descriptor < 0; at = at->ai_next) {
        sink->descriptor = try_connect(sink, at, until);
        error = errno;
    }
    freeaddrinfo(found);
    return sink->descriptor < 0 ? sink_trouble(sink, "cannot be reached", error) : 0;
}

const char *dial_target(char *text) {
    char host[256], port[8];

    if (strncmp(text, "//", 2) == 0) {
        memmove(text, text + 2, strlen(text + 2) + 1);
    }
    return network_split(text, host, sizeof host, port, sizeof port)
               ? NULL
               : "//HOST:PORT after the colon";
}

/* A peer that talks on and on fills its own window, and holds up nobody. */
bool dial_hung_up(int descriptor) {
    struct pollfd entry = {.fd = descriptor, .events = POLLIN | POLLRDHUP};
    char dropped[4096];

    if (poll(&entry, 1, 0) <= 0) {
        return false;
    }
    return (entry.revents & ~POLLIN) != 0 ||
           recv(descriptor, dropped, sizeof dropped, MSG_DONTWAIT) == 0;
}

/* write() for sockets too: SIGPIPE is ignored wherever sinks run. */
size_t send_most(struct sink *sink, const void *bytes, size_t length, const char *broken) {
    const char *from = bytes;
    uint64_t until = platform_ticks() + SINK_TIMEOUT;
    size_t left = length;

    while (left > 0) {
        ssize_t sent = sink->shared ? descriptor_try(sink->descriptor, from, left)
                                    : write(sink->descriptor, from, left);

        if (sent > 0) {
            from += sent;
            left -= (size_t)sent;
            sink_moves(sink);
            until = platform_ticks() + SINK_TIMEOUT;
        } else if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS)) {
            if (errno == ENOBUFS) { /* poll() knows nothing of it */
                (void)poll(NULL, 0, 10);
            }
            if (platform_ticks() >= until || !dial_wait(sink, sink->descriptor, POLLOUT, until)) {
                (void)sink_trouble(sink, "takes nothing more", 0);
                break;
            }
        } else if (sent == 0 || errno != EINTR) {
            (void)sink_trouble(sink, broken, sent == 0 ? EIO : errno);
            break;
        }
    }
    return length - left;
}

int send_all(struct sink *sink, const void *bytes, size_t length, const char *broken) {
    return send_most(sink, bytes, length, broken) == length ? 0 : -1;
}
