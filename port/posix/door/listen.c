/* Sockets that listen. Not here: accepting (door.c). */
#include "door/listen.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "platform/log.h"
#include "platform/network.h"

enum { BACKLOG = 1024 };

#ifndef IPV6_FREEBIND /* some C libraries do not name it */
#define IPV6_FREEBIND 78
#endif

static void set(int socket, int level, int name, int value) {
    (void)setsockopt(socket, level, name, &value, sizeof value);
}

/* An address that this machine does not have yet is no fault: its link may be down, or a lease not
 * have come. The socket gets connections as soon as it is there. */
static bool bind_to(int socket, const char *option, const char *text,
                    const struct sockaddr_storage *address, socklen_t length) {
    const struct sockaddr *at = (const struct sockaddr *)address;
    bool six = address->ss_family == AF_INET6;

    if (bind(socket, at, length) == 0) {
        return true;
    }
    if (errno != EADDRNOTAVAIL) {
        return false;
    }
    set(socket, six ? IPPROTO_IPV6 : IPPROTO_IP, six ? IPV6_FREEBIND : IP_FREEBIND, 1);
    if (bind(socket, at, length) != 0) {
        return false;
    }
    log_line(CMCWH_LOG_WARN,
             "%s: %s: this machine does not have that address yet: it is listened on as soon as it "
             "has",
             option, text);
    return true;
}

/* A socket that listens, or -1. Connections have these settings from it. */
static int open_socket(const char *option, const char *text, unsigned defer) {
    struct sockaddr_storage address;
    socklen_t length;
    int opened;

    (void)network_listener(text, &address, &length);
    opened = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (opened < 0) {
        return -1;
    }
    set(opened, SOL_SOCKET, SO_REUSEADDR, 1);
    set(opened, SOL_SOCKET, SO_KEEPALIVE, 1);
    set(opened, IPPROTO_TCP, TCP_NODELAY, 1);
    set(opened, IPPROTO_TCP, TCP_DEFER_ACCEPT, (int)defer);
    if (address.ss_family == AF_INET6) {
        set(opened, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    }
    if (!bind_to(opened, option, text, &address, length) || listen(opened, BACKLOG) != 0) {
        int error = errno;

        (void)close(opened);
        errno = error;
        return -1;
    }
    return opened;
}

static void refuse(const char *option, const char *text, int error) {
    log_line(CMCWH_LOG_ERROR, "%s: cannot listen on %s: %s%s", option, text, strerror(error),
             error == EACCES ? ": ports below 1024 are root's, or CAP_NET_BIND_SERVICE's" : "");
}

enum outcome listen_open(const struct listeners *listeners, unsigned defer, struct listener *out) {
    for (unsigned i = 0; i < listeners->count; i++) {
        const char *text = listeners->text[i];
        union network_address address = {.any = {.sa_family = AF_UNSPEC}};
        socklen_t length = sizeof address;

        out[i].secure = network_secure(text);
        out[i].socket = open_socket(listeners->option, text, defer);
        if (out[i].socket < 0 || getsockname(out[i].socket, &address.any, &length) != 0) {
            int error = errno;

            refuse(listeners->option, text, error);
            return outcome_of(error);
        }
        out[i].port = ntohs(address.four.sin_port); /* where IPv6 has it too */
    }
    return OUTCOME_RIGHT;
}

enum outcome listen_look(const struct listeners *listeners) {
    enum outcome outcome = OUTCOME_RIGHT;

    for (unsigned i = 0; i < listeners->count; i++) {
        struct sockaddr_storage address;
        socklen_t length;
        int opened;

        (void)network_listener(listeners->text[i], &address, &length);
        opened = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (opened < 0 ||
            (bind(opened, (const struct sockaddr *)&address, length) != 0 && errno != EADDRINUSE)) {
            refuse(listeners->option, listeners->text[i], errno);
            outcome = OUTCOME_WRONG;
        }
        if (opened >= 0) {
            (void)close(opened);
        }
    }
    return outcome;
}

void listen_close(struct listener *listener, unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        if (listener[i].socket > 0) {
            (void)close(listener[i].socket);
        }
        listener[i].socket = 0;
    }
}

void listen_say(const struct listeners *listeners, const struct listener *listener,
                const char *path) {
    for (unsigned i = 0; i < listeners->count; i++) {
        const char *text = listeners->text[i];

        log_plain("listening on %s://%.*s:%u%s", listener[i].secure ? "https" : "http",
                  (int)(strrchr(text, ':') - text), text, listener[i].port, path);
    }
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

bool listen_loopback(const char *text) {
    return strncmp(text, "127.", 4) == 0 || strncmp(text, "[::1]", 5) == 0;
}

void listen_warn(const struct listeners *listeners, bool guarded) {
    for (unsigned i = 0; i < listeners->count; i++) {
        const char *text = listeners->text[i];

        if (!listen_loopback(text) && !guarded) {
            log_line(CMCWH_LOG_WARN,
                     "--listen: %s: anybody who can reach it may post: no --auth-file is given",
                     text);
        }
        if (!listen_loopback(text) && !network_secure(text)) {
            log_line(CMCWH_LOG_WARN,
                     "--listen: %s: plain HTTP: credentials and events can be read on the way",
                     text);
        }
    }
}
