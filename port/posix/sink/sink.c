/* What all sinks have in common: the URI, the thread, trying again. */
#include "sink/sink.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "platform/log.h"
#include "platform/network.h"
#include "platform/platform.h"

enum { MEDIA = 6 };

static const struct sink_medium *const media[MEDIA] = {&sink_file, &sink_stdout, &sink_syslog,
                                                       &sink_udp,  &sink_tcp,    &sink_serial};

int sink_trouble(struct sink *sink, const char *what, int error) {
    (void)snprintf(sink->trouble, sizeof sink->trouble, "%s%s%s", what, error != 0 ? ": " : "",
                   error != 0 ? strerror(error) : "");
    return -1;
}

bool sink_ready(int descriptor, short events, uint64_t start) {
    for (;;) {
        uint64_t passed = platform_ticks() - start;
        struct pollfd entry = {.fd = descriptor, .events = events};
        int ready = passed >= SINK_TIMEOUT ? 0 : poll(&entry, 1, (int)(SINK_TIMEOUT - passed));

        if (ready > 0) {
            return true;
        }
        if (ready == 0 || errno != EINTR) {
            return false;
        }
    }
}

/* A size with k, M or G. */
static bool parse_size(const char *text, uint64_t *size) {
    static const char units[] = "kMG";
    char *end;
    const char *unit;

    *size = strtoull(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *size == 0 || *size > UINT64_C(1) << 32) {
        return false;
    }
    unit = *end == '\0' ? NULL : strchr(units, *end);
    if (unit != NULL) {
        *size <<= 10 * (unit - units + 1);
        end++;
    }
    return *end == '\0';
}

static bool parse_format(struct sink *sink, const char *value) {
    bool syslog = strncmp(sink->medium->scheme, "syslog", 6) == 0;

    if (syslog) {
        return strcmp(value, "logfmt") == 0;
    }
    if (strcmp(value, "json") == 0) {
        sink->encoding = CMCWH_ENCODE_JSON;
    } else if (strcmp(value, "logfmt") == 0) {
        sink->encoding = CMCWH_ENCODE_LOGFMT;
    } else if (strcmp(value, "binary") == 0) {
        sink->encoding = CMCWH_ENCODE_BINARY;
    } else {
        return false;
    }
    return true;
}

/* One parameter of a URI. Returns what was expected instead, or NULL. */
static const char *parameter(struct sink *sink, const char *name, const char *value) {
    uint64_t number;

    if (strcmp(name, "format") == 0) {
        return parse_format(sink, value) ? NULL : "format=json, logfmt or binary; syslog: logfmt";
    }
    if (strcmp(name, "policy") == 0) {
        sink->required = strcmp(value, "required") == 0;
        return sink->required || strcmp(value, "besteffort") == 0 ? NULL
                                                                  : "policy=required or besteffort";
    }
    if (strcmp(name, "rotate") == 0 && sink->medium == &sink_file) {
        return parse_size(value, &sink->rotate) ? NULL : "rotate=SIZE, such as 512k, 10M or 1G";
    }
    if (strcmp(name, "keep") == 0 && sink->medium == &sink_file) {
        number = strtoull(value, NULL, 10);
        sink->keep = (unsigned)number;
        return strspn(value, "0123456789") == strlen(value) && number >= 1 && number <= 1000
                   ? NULL
                   : "keep=N, from 1 to 1000";
    }
    if (strcmp(name, "baud") == 0 && sink->medium == &sink_serial) {
        number = strtoull(value, NULL, 10);
        sink->baud = (unsigned)number;
        return strspn(value, "0123456789") == strlen(value) && number <= 4000000
                   ? NULL
                   : "baud=RATE, such as 9600 or 115200";
    }
    return "format, policy, for files rotate and keep, for serial lines baud";
}

static bool wrong(const char *uri, const char *what, const char *expected) {
    log_usage("--sink: '%s': '%s': expected %s", uri, what, expected);
    return false;
}

static bool parse_parameters(struct sink *sink, char *text) {
    char *save = NULL;

    for (char *part = strtok_r(text, "&", &save); part != NULL; part = strtok_r(NULL, "&", &save)) {
        char name[16] = "", *equals = strchr(part, '=');
        const char *expected = "NAME=VALUE";

        if (equals != NULL && (size_t)(equals - part) < sizeof name) {
            memcpy(name, part, (size_t)(equals - part));
            expected = parameter(sink, name, equals + 1);
        }
        if (expected != NULL) {
            return wrong(sink->uri, part, expected);
        }
    }
    return true;
}

static const char *expected_target(const struct sink *sink) {
    char host[256], port[8];

    if ((sink->medium == &sink_file || sink->medium == &sink_serial) && sink->target[0] == '\0') {
        return "a path after the colon";
    }
    if (sink->medium == &sink_stdout && sink->target[0] != '\0') {
        return "nothing after 'stdout:'";
    }
    if ((sink->medium == &sink_udp || sink->medium == &sink_tcp) &&
        !network_split(sink->target, host, sizeof host, port, sizeof port)) {
        return "//HOST:PORT after the colon";
    }
    return NULL;
}

bool sink_parse(struct sink *sink, const char *uri, bool durable) {
    const char *colon = strchr(uri, ':'), *rest, *expected;
    char *question;

    *sink = (struct sink){.uri = uri,
                          .durable = durable,
                          .required = true,
                          .keep = 5,
                          .baud = 115200,
                          .descriptor = -1,
                          .encoding = CMCWH_ENCODE_JSON};
    for (size_t i = 0; colon != NULL && i < MEDIA; i++) {
        if (strlen(media[i]->scheme) == (size_t)(colon - uri) &&
            memcmp(media[i]->scheme, uri, (size_t)(colon - uri)) == 0) {
            sink->medium = media[i];
        }
    }
    if (colon == NULL || sink->medium == NULL) {
        return wrong(uri, uri, "file:, stdout:, syslog:, syslog+udp:, syslog+tcp: or serial:");
    }
    sink->required = sink->medium != &sink_udp;
    sink->encoding = sink->medium == &sink_syslog ? CMCWH_ENCODE_RFC3164
                     : sink->medium == &sink_udp  ? CMCWH_ENCODE_RFC5424
                     : sink->medium == &sink_tcp  ? CMCWH_ENCODE_RFC6587
                                                  : CMCWH_ENCODE_JSON;
    rest = colon + 1;
    if ((sink->medium == &sink_udp || sink->medium == &sink_tcp) && strncmp(rest, "//", 2) == 0) {
        rest += 2;
    }
    if (strlen(rest) >= sizeof sink->target) {
        return wrong(uri, uri, "a shorter path");
    }
    memcpy(sink->target, rest, strlen(rest) + 1);
    question = strchr(sink->target, '?');
    if (question != NULL) {
        *question++ = '\0';
    }
    expected = expected_target(sink);
    if (expected != NULL) {
        return wrong(uri, uri, expected);
    }
    return question == NULL || parse_parameters(sink, question);
}

bool sink_prepare(struct sink *sink, struct cmcwh_ring *ring, char *buffer) {
    struct cmcwh_sink_config config = {.ring = ring,
                                       .encoding = sink->encoding,
                                       .syslog = &sink->identity,
                                       .context = sink,
                                       .write = sink->medium->write,
                                       .sync = sink->medium->sync,
                                       .undo = sink->medium->undo,
                                       .single = sink->medium == &sink_syslog ||
                                                 sink->medium == &sink_udp,
                                       .buffer = buffer,
                                       .buffer_size = SINK_BUFFER};

    char name[PATH_MAX + 32];

    sink->ring = ring;
    (void)gethostname(sink->hostname, sizeof sink->hostname - 1);
    (void)snprintf(sink->process_id, sizeof sink->process_id, "%ld", (long)getpid());
    sink->identity = (struct cmcwh_syslog){
        .hostname = sink->hostname, .process_id = sink->process_id, .facility = 2};
    /* Its place in a ring file is under this name, whatever its parameters. */
    (void)snprintf(name, sizeof name, "%s:%s", sink->medium->scheme, sink->target);
    config.reader = cmcwh_ring_attach(ring, name, sink->required);
    if (cmcwh_sink_init(&sink->pump, &config) < 0) {
        log_line(CMCWH_LOG_ERROR, "--sink: '%s': could not be attached", sink->uri);
        return false;
    }
    if (sink->medium->open(sink) < 0) {
        log_line(sink->required ? CMCWH_LOG_ERROR : CMCWH_LOG_WARN, "--sink: '%s': %s%s", sink->uri,
                 sink->trouble, sink->required ? "" : "; will be tried again");
        return !sink->required;
    }
    return true;
}

/* The ring's lock guards the requests to a sink's thread as well: it already waits there. */
static void lock(const struct sink *sink) {
    sink->ring->config.port->lock(sink->ring->config.port->context);
}

static void unlock(const struct sink *sink) {
    sink->ring->config.port->wake(sink->ring->config.port->context);
    sink->ring->config.port->unlock(sink->ring->config.port->context);
}

static bool asked(struct sink *sink, bool *what, bool clear) {
    bool value;

    lock(sink);
    value = *what;
    *what = value && !clear;
    sink->ring->config.port->unlock(sink->ring->config.port->context);
    return value;
}

/* What a sink's thread keeps in mind between rounds. */
struct trial {
    uint32_t pause;   /* ms until the next try, grows */
    uint64_t since;   /* ticks at which the trouble began, 0: none */
    uint64_t said;    /* losses that were said */
    uint64_t said_at; /* ticks */
};

static void fail(struct sink *sink, struct trial *trial) {
    uint64_t until;

    if (trial->since == 0) {
        trial->since = platform_ticks();
        trial->pause = 100;
        log_line(CMCWH_LOG_ERROR, "sink '%s': %s; trying again%s", sink->uri, sink->trouble,
                 sink->required ? ", requests may get 503" : "");
    } else {
        trial->pause = trial->pause < 15000 ? 2 * trial->pause : 30000;
    }
    if (sink->descriptor >= 0) {
        sink->medium->close(sink);
    }
    cmcwh_ring_fail(sink->ring, sink->pump.config.reader, trial->pause);
    until = platform_ticks() + trial->pause;
    lock(sink);
    while (!sink->stop && platform_ticks() < until) {
        (void)sink->ring->config.port->wait(sink->ring->config.port->context,
                                            (uint32_t)(until - platform_ticks()));
    }
    sink->ring->config.port->unlock(sink->ring->config.port->context);
}

static void succeed(struct sink *sink, struct trial *trial) {
    if (trial->since != 0) {
        log_line(CMCWH_LOG_INFO, "sink '%s': works again after %.1f s", sink->uri,
                 (double)(platform_ticks() - trial->since) / 1000);
        trial->since = 0;
    }
}

/* Says how many records a besteffort sink has lost, once a minute at most. */
static void say_lost(struct sink *sink, struct trial *trial, bool last) {
    uint64_t now = platform_ticks(), lost;
    struct cmcwh_ring_state state;

    if (sink->required || (!last && trial->said_at != 0 && now - trial->said_at < 60000)) {
        return;
    }
    cmcwh_ring_state(sink->ring, &state);
    lost = state.lost[sink->pump.config.reader];
    if (lost > trial->said) {
        log_line(CMCWH_LOG_WARN, "sink '%s': fell behind and lost %llu events, %llu in all",
                 sink->uri, (unsigned long long)(lost - trial->said), (unsigned long long)lost);
        trial->said = lost;
        trial->said_at = now;
    }
}

/* One round: opens if need be, and takes what there is. Returns how many records, or -1. */
static int work(struct sink *sink) {
    if (asked(sink, &sink->reopen, true) && sink->descriptor >= 0) {
        sink->medium->close(sink);
    }
    if (sink->descriptor < 0 && sink->medium->open(sink) < 0) {
        return -1;
    }
    return cmcwh_sink_pump(&sink->pump);
}

/* Where no request waits for this sink, it lets a few more records come before it writes: waking
 * for each one costs more than writing it, and what it syncs competes with the ring's own syncs.
 * Not when the ring fills. */
static void gather(struct sink *sink) {
    struct cmcwh_ring_state state;

    if (sink->required && sink->ring->config.confirm) {
        return;
    }
    cmcwh_ring_state(sink->ring, &state);
    if (state.in_use < state.capacity / 2) {
        (void)poll(NULL, 0, sink->durable && sink->ring->config.storage != NULL ? 10 : 1);
    }
}

static void *run(void *context) {
    struct sink *sink = context;
    struct trial trial = {0};

    if (sink->descriptor < 0) {
        trial.since = platform_ticks(); /* said at the start */
        trial.pause = 100;
        cmcwh_ring_fail(sink->ring, sink->pump.config.reader, trial.pause);
    }
    while (!asked(sink, &sink->stop, false)) {
        int count = work(sink);

        if (count < 0) {
            fail(sink, &trial);
        } else if (count > 0) { /* that it could be opened proves little: the disk may be full */
            succeed(sink, &trial);
        } else if (!cmcwh_ring_wait(sink->ring, sink->pump.config.reader, 1000)) {
            (void)cmcwh_ring_flush(sink->ring);
        }
        if (count >= 0) {
            gather(sink);
        }
        say_lost(sink, &trial, false);
    }
    say_lost(sink, &trial, true);
    return NULL;
}

bool sink_start(struct sink *sink) {
    int error = pthread_create(&sink->thread, NULL, run, sink);

    sink->running = error == 0;
    if (error != 0) {
        log_line(CMCWH_LOG_ERROR, "sink '%s': no thread: %s", sink->uri, strerror(error));
    }
    return sink->running;
}

void sink_reopen(struct sink *sink) {
    lock(sink);
    sink->reopen = true;
    unlock(sink);
}

static uint32_t behind(struct sink *sink, bool *hopeless) {
    struct cmcwh_ring_state state;

    cmcwh_ring_state(sink->ring, &state);
    /* What a dead sink has not taken is safe in a ring file. */
    *hopeless = sink->ring->config.storage != NULL && state.failed[sink->pump.config.reader];
    return state.behind[sink->pump.config.reader];
}

uint32_t sink_finish(struct sink *sink, uint64_t ms) {
    uint64_t start = platform_ticks();
    bool hopeless;
    uint32_t left = behind(sink, &hopeless);
    struct timespec deadline;

    while (sink->running && left > 0 && !hopeless && platform_ticks() - start < ms) {
        (void)poll(NULL, 0, 10);
        left = behind(sink, &hopeless);
    }
    lock(sink);
    sink->stop = true;
    unlock(sink);
    if (sink->running) {
        /* A thread that hangs in a write must not keep the process: it ends with it. */
        (void)clock_gettime(CLOCK_REALTIME, &deadline);
        deadline.tv_sec += 1;
        sink->running = pthread_timedjoin_np(sink->thread, NULL, &deadline) != 0;
    }
    if (!sink->running && sink->descriptor >= 0) {
        sink->medium->close(sink);
    }
    return left;
}
