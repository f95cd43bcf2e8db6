/* syslog: the local daemon's socket, UDP and TCP. None of them acknowledges: "taken" means that the
 * system has taken the bytes. */
#include "sink/sink.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "platform/network.h"
#include "platform/platform.h"

static void syslog_close(struct sink *sink) {
    (void)close(sink->descriptor);
    sink->descriptor = -1;
}

/* Minutes east of UTC: local daemons expect local time. */
static int32_t utc_offset(void) {
    time_t now = time(NULL);
    struct tm local;

    return localtime_r(&now, &local) == NULL ? 0 : (int32_t)(local.tm_gmtoff / 60);
}

static void send_timeout(int descriptor) {
    struct timeval limit = {.tv_sec = SINK_TIMEOUT / 1000};

    (void)setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
}

static int local_open(struct sink *sink) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char *path = sink->target[0] != '\0' ? sink->target : "/dev/log";

    if (strlen(path) >= sizeof address.sun_path) {
        return sink_trouble(sink, "the socket's path is too long", 0);
    }
    memcpy(address.sun_path, path, strlen(path) + 1);
    sink->descriptor = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (sink->descriptor < 0) {
        return sink_trouble(sink, "no socket", errno);
    }
    if (connect(sink->descriptor, (const struct sockaddr *)&address, sizeof address) != 0) {
        (void)sink_trouble(sink, "no syslog daemon answers there", errno);
        syslog_close(sink);
        return -1;
    }
    send_timeout(sink->descriptor);
    sink->identity.utc_offset = utc_offset();
    return 0;
}

/* Connects within SINK_TIMEOUT. */
static int try_connect(const struct addrinfo *address, uint64_t start) {
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
            if (sink_ready(descriptor, POLLOUT, start)) {
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

static int remote_open(struct sink *sink, int type) {
    struct addrinfo hints = {.ai_socktype = type}, *found = NULL;
    char host[256] = "", port[8] = "";
    uint64_t start = platform_ticks();
    int error;

    (void)network_split(sink->target, host, sizeof host, port, sizeof port);
    error = getaddrinfo(host, port, &hints, &found);
    if (error != 0) {
        (void)snprintf(sink->trouble, sizeof sink->trouble, "host '%.200s': %s", host,
                       gai_strerror(error));
        return -1;
    }
    for (const struct addrinfo *at = found; at != NULL && sink->descriptor < 0; at = at->ai_next) {
        sink->descriptor = try_connect(at, start);
        error = errno;
    }
    freeaddrinfo(found);
    return sink->descriptor < 0 ? sink_trouble(sink, "cannot be reached", error) : 0;
}

static int udp_open(struct sink *sink) {
    return remote_open(sink, SOCK_DGRAM);
}

static int tcp_open(struct sink *sink) {
    return remote_open(sink, SOCK_STREAM);
}

static int datagram_write(void *context, const void *bytes, size_t length) {
    struct sink *sink = context;
    uint64_t start = platform_ticks();

    while (send(sink->descriptor, bytes, length, MSG_NOSIGNAL) < 0) {
        bool full = errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS;

        if (errno != EINTR && !(full && sink_ready(sink->descriptor, POLLOUT, start))) {
            return sink_trouble(sink, "does not take messages", errno);
        }
    }
    return 0;
}

/* A message written to a connection that the peer has closed would be lost without a word. */
static bool peer_closed(int descriptor) {
    char byte;
    ssize_t got;

    do {
        got = recv(descriptor, &byte, 1, MSG_DONTWAIT);
    } while (got > 0); /* it has nothing to say to us */
    return got == 0 || (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
}

static int tcp_write(void *context, const void *bytes, size_t length) {
    struct sink *sink = context;
    const char *from = bytes;
    uint64_t start = platform_ticks();

    if (peer_closed(sink->descriptor)) {
        return sink_trouble(sink, "the peer has closed the connection", 0);
    }
    while (length > 0) {
        ssize_t sent = send(sink->descriptor, from, length, MSG_NOSIGNAL);

        if (sent > 0) {
            from += sent;
            length -= (size_t)sent;
            start = platform_ticks();
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            if (!sink_ready(sink->descriptor, POLLOUT, start)) {
                return sink_trouble(sink, "the peer takes nothing more", 0);
            }
        } else if (errno != EINTR) {
            return sink_trouble(sink, "the connection broke", errno);
        }
    }
    return 0;
}

const struct sink_medium sink_syslog = {"syslog", local_open, datagram_write,
                                        NULL,     NULL,       syslog_close};

const struct sink_medium sink_udp = {"syslog+udp", udp_open, datagram_write,
                                     NULL,         NULL,     syslog_close};

const struct sink_medium sink_tcp = {"syslog+tcp", tcp_open, tcp_write, NULL, NULL, syslog_close};
