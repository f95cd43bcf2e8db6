/* syslog: the local daemon's socket, UDP and TCP. None of them acknowledges: "taken" means that the
 * system has taken the bytes. Not here: how a message is written (cmcwh.c). */
#include "sink/dial.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "platform/number.h"
#include "platform/platform.h"

/* Minutes east of UTC: local daemons expect local time. */
static int32_t utc_offset(void) {
    time_t now = time(NULL);
    struct tm local;

    return localtime_r(&now, &local) == NULL ? 0 : (int32_t)(local.tm_gmtoff / 60);
}

/* Where the daemon is. False, with sink->trouble: there cannot be one. */
static bool local_address(struct sink *sink, struct sockaddr_un *address) {
    const char *path = sink->target[0] != '\0' ? sink->target : "/dev/log";

    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address->sun_path) {
        return sink_trouble(sink, "the socket's path is too long", 0) == 0;
    }
    memcpy(address->sun_path, path, strlen(path) + 1);
    return true;
}

/* The daemon may start after us. */
static enum outcome local_look(struct sink *sink, bool reach) {
    struct sockaddr_un address;
    struct stat status;

    (void)reach;
    if (!local_address(sink, &address)) {
        return OUTCOME_WRONG;
    }
    if (stat(address.sun_path, &status) != 0) {
        return sink_unfit(sink, "no syslog daemon answers there", errno,
                          errno == ENOENT ? OUTCOME_FAILED : outcome_of(errno));
    }
    if (!S_ISSOCK(status.st_mode)) {
        return sink_unfit(sink, "is not a socket", 0, OUTCOME_WRONG);
    }
    return faccessat(AT_FDCWD, address.sun_path, W_OK, AT_EACCESS) == 0
               ? OUTCOME_RIGHT
               : sink_unfit(sink, "cannot be written", errno, outcome_of(errno));
}

static int local_open(struct sink *sink) {
    struct sockaddr_un address;

    if (!local_address(sink, &address)) {
        return -1;
    }
    sink->descriptor = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (sink->descriptor < 0) {
        return sink_trouble(sink, "no socket", errno);
    }
    if (connect(sink->descriptor, (const struct sockaddr *)&address, sizeof address) != 0) {
        (void)sink_trouble(sink, "no syslog daemon answers there", errno);
        sink_close(sink);
        return -1;
    }
    sink->identity.utc_offset = utc_offset();
    return 0;
}

static int datagram_write(void *context, const void *bytes, size_t length) {
    return send_all(context, bytes, length, "does not take messages");
}

/* What only UDP has. */
struct datagrams {
    bool proven; /* a message was taken, and nothing came back for a while */
};

static const struct datagrams unproven;

static int udp_open(struct sink *sink) {
    struct datagrams *own = sink->own;

    own->proven = false;
    return dial(sink, sink->target, SOCK_DGRAM);
}

/* That nobody listens comes back after a while, and is waited for once. Later it is only looked at:
 * then the messages that were sent just before are lost, as UDP has it. */
static int udp_sync(void *context) {
    enum { A_WHILE = 500 }; /* ms */
    struct sink *sink = context;
    struct datagrams *own = sink->own;
    int error = 0;
    socklen_t length = sizeof error;

    if (!own->proven) {
        (void)dial_wait(sink, sink->descriptor, 0, platform_ticks() + A_WHILE);
    }
    (void)getsockopt(sink->descriptor, SOL_SOCKET, SO_ERROR, &error, &length);
    if (error != 0) {
        return sink_trouble(sink, "does not take messages", error);
    }
    own->proven = true;
    return 0;
}

/* Enough: what follows would be lost too, if nobody listens. */
static int udp_write(void *context, const void *bytes, size_t length) {
    return datagram_write(context, bytes, length) < 0 ? -1 : 1;
}

static int tcp_open(struct sink *sink) {
    return dial(sink, sink->target, SOCK_STREAM);
}

/* A message written to a connection that the peer has closed would be lost without a word. */
static int tcp_write(void *context, const void *bytes, size_t length) {
    struct sink *sink = context;

    return dial_hung_up(sink->descriptor)
               ? sink_trouble(sink, "the peer has closed the connection", 0)
               : send_all(sink, bytes, length, "the connection broke");
}

static bool set_max(struct sink *sink, const char *value) {
    uint64_t max = 0;
    bool right = number_read(value, CMCWH_SYSLOG_LEAST, 65507, &max); /* what a datagram takes */

    sink->identity.max = (uint32_t)max;
    return right;
}

static const struct sink_parameter parameters[] = {{"max", "max=BYTES, from 240 to 65507", set_max},
                                                   {NULL, NULL, NULL}};

const struct sink_medium sink_syslog = {.scheme = "syslog",
                                        .help = "syslog:",
                                        .encoding = CMCWH_ENCODE_RFC3164,
                                        .fixed = true,
                                        .single = true,
                                        .look = local_look,
                                        .parameters = parameters,
                                        .open = local_open,
                                        .write = datagram_write,
                                        .close = sink_close};

const struct sink_medium sink_udp = {.scheme = "syslog+udp",
                                     .help = "syslog+udp://HOST:PORT",
                                     .encoding = CMCWH_ENCODE_RFC5424,
                                     .fixed = true,
                                     .besteffort = true,
                                     .single = true,
                                     .target = dial_target,
                                     .own = &unproven,
                                     .own_size = sizeof unproven,
                                     .look = dial_look,
                                     .parameters = parameters,
                                     .open = udp_open,
                                     .write = udp_write,
                                     .sync = udp_sync,
                                     .close = sink_close};

const struct sink_medium sink_tcp = {.scheme = "syslog+tcp",
                                     .help = "syslog+tcp://HOST:PORT",
                                     .encoding = CMCWH_ENCODE_RFC6587,
                                     .fixed = true,
                                     .target = dial_target,
                                     .look = dial_look,
                                     .parameters = parameters,
                                     .open = tcp_open,
                                     .write = tcp_write,
                                     .close = sink_close};
