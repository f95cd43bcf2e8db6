/* syslog: the local daemon's socket, UDP and TCP. None of them acknowledges: "taken" means that the
 * system has taken the bytes. Not here: how a message is written (cmcwh.c). */
#include "sink/dial.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

/* Minutes east of UTC: local daemons expect local time. */
static int32_t utc_offset(void) {
    time_t now = time(NULL);
    struct tm local;

    return localtime_r(&now, &local) == NULL ? 0 : (int32_t)(local.tm_gmtoff / 60);
}

static int local_open(struct sink *sink) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char *path = sink->target[0] != '\0' ? sink->target : "/dev/log";

    if (strlen(path) >= sizeof address.sun_path) {
        return sink_trouble(sink, "the socket's path is too long", 0);
    }
    memcpy(address.sun_path, path, strlen(path) + 1);
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

static int udp_open(struct sink *sink) {
    return dial(sink, sink->target, SOCK_DGRAM);
}

static int tcp_open(struct sink *sink) {
    return dial(sink, sink->target, SOCK_STREAM);
}

static int datagram_write(void *context, const void *bytes, size_t length) {
    return send_all(context, bytes, length, "does not take messages");
}

/* A message written to a connection that the peer has closed would be lost without a word. */
static int tcp_write(void *context, const void *bytes, size_t length) {
    struct sink *sink = context;

    return dial_hung_up(sink->descriptor)
               ? sink_trouble(sink, "the peer has closed the connection", 0)
               : send_all(sink, bytes, length, "the connection broke");
}

const struct sink_medium sink_syslog = {.scheme = "syslog",
                                        .help = "syslog:",
                                        .encoding = CMCWH_ENCODE_RFC3164,
                                        .fixed = true,
                                        .single = true,
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
                                     .open = udp_open,
                                     .write = datagram_write,
                                     .close = sink_close};

const struct sink_medium sink_tcp = {.scheme = "syslog+tcp",
                                     .help = "syslog+tcp://HOST:PORT",
                                     .encoding = CMCWH_ENCODE_RFC6587,
                                     .fixed = true,
                                     .target = dial_target,
                                     .open = tcp_open,
                                     .write = tcp_write,
                                     .close = sink_close};
