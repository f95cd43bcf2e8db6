/* A sink's peer is reached, a descriptor waited for, all of it written. Not here: any protocol, or
 * the name of a medium. */
#include "sink/dial.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "platform/descriptor.h"
#include "platform/network.h"
#include "platform/platform.h"
#include "platform/reach.h"

static bool stopping(const void *sink) {
    return sink_stopping(sink);
}

static struct patience patience_of(const struct sink *sink, uint64_t until) {
    return (struct patience){.until = until, .over = stopping, .context = sink};
}

bool dial_wait(const struct sink *sink, int descriptor, short events, uint64_t until) {
    const struct patience patience = patience_of(sink, until);

    return patience_wait(&patience, descriptor, events);
}

struct addrinfo *dial_find(struct sink *sink, const char *host, const char *port, int type) {
    struct addrinfo *found;
    int error = reach_find(host, port, type, &found);

    if (error != 0) {
        (void)snprintf(sink->trouble, sizeof sink->trouble, "host '%.200s': %s", host,
                       gai_strerror(error));
    }
    return error == 0 ? found : NULL;
}

enum outcome dial_known(struct sink *sink, const char *host, const char *port) {
    struct addrinfo *found = dial_find(sink, host, port, SOCK_DGRAM);

    if (found == NULL) {
        return OUTCOME_FAILED;
    }
    freeaddrinfo(found);
    return OUTCOME_RIGHT;
}

enum outcome dial_look(struct sink *sink, bool reach) {
    char host[256] = "", port[8] = "";

    (void)network_split(sink->target, host, sizeof host, port, sizeof port);
    return reach ? dial_known(sink, host, port) : OUTCOME_RIGHT;
}

int dial(struct sink *sink, const char *peer, int type) {
    const struct patience patience = patience_of(sink, platform_ticks() + SINK_TIMEOUT);
    char host[256] = "", port[8] = "";
    struct addrinfo *found;
    int error;

    (void)network_split(peer, host, sizeof host, port, sizeof port);
    found = dial_find(sink, host, port, type);
    if (found == NULL) {
        return -1;
    }
    sink->descriptor = reach(found, 2 * SINK_TIMEOUT, &patience);
    error = errno;
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
