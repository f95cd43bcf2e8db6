/* MQTT: an event is a message of QoS 1, taken when the broker has acknowledged it. Not here: what
 * is said to the broker (mqtt_talk.c), topics (topic.c), which events it has taken (flight.c). */
#include "sink/mqtt.h"

#include <errno.h>
#include <inttypes.h>
#include <mosquitto.h>
#include <mqtt_protocol.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "platform/log.h"
#include "platform/platform.h"
#include "platform/reach.h"
#include "platform/writer.h"
#include "sink/dial.h"
#include "sink/topic.h"

/* ---- Its beginning ---- */

static bool secure(const struct sink *sink) {
    return sink->medium == &sink_mqtts;
}

static void split(struct sink *sink) {
    struct mqtt *own = sink->own;

    (void)mqtt_split(sink->target, secure(sink) ? "8883" : "1883", own->host, own->port);
}

/* Our id, which no other client may have. */
static const char *id_of(struct mqtt *own) {
    if (own->id[0] == '\0') { /* 23 bytes are taken everywhere */
        (void)snprintf(own->id, sizeof own->id, "cmcwh%08" PRIx32 "%08" PRIx32, platform_random(),
                       platform_random());
    }
    return own->settings.client != NULL ? own->settings.client : own->id;
}

/* Tells the library all that it is to say. False: no memory. */
static bool prepare(struct sink *sink, int version) {
    struct mqtt *own = sink->own;
    const struct secrets *secrets = sink->loaded;
    const char *state = own->settings.state;
    struct mosquitto *library = own->library;
    void *tls = secrets->trust == NULL ? NULL : tls_trust_lend(secrets->trust, &own->loan);

    mqtt_listen(library);
    return (secrets->trust == NULL ||
            (tls != NULL && mosquitto_int_option(library, MOSQ_OPT_SSL_CTX_WITH_DEFAULTS, 0) == 0 &&
             mosquitto_void_option(library, MOSQ_OPT_SSL_CTX, tls) == 0)) &&
           mosquitto_int_option(library, MOSQ_OPT_PROTOCOL_VERSION, version) == 0 &&
           mosquitto_int_option(library, MOSQ_OPT_TCP_NODELAY, 1) == 0 &&
           mosquitto_int_option(library, MOSQ_OPT_SEND_MAXIMUM, (int)own->flight.room) == 0 &&
           (secrets->user[0] == '\0' ||
            mosquitto_username_pw_set(library, secrets->user, secrets->password) == 0) &&
           (state == NULL || mosquitto_will_set(library, state, 7, "offline", 1, true) == 0);
}

/* Connects to one of the broker's addresses: the library would not go on to the next. 0, or the
 * library's error, with errno. The system keeps little of what a broker sends, and so does the
 * library, before mqtt_step has seen whether that is too much. */
static int call(struct sink *sink, const struct addrinfo *to, uint64_t until) {
    static const int little = 4096;
    struct mqtt *own = sink->own;
    char address[NI_MAXHOST];
    int error, reached = ETIMEDOUT;
    socklen_t length = sizeof reached;

    if (getnameinfo(to->ai_addr, to->ai_addrlen, address, sizeof address, NULL, 0,
                    NI_NUMERICHOST) != 0) {
        return MOSQ_ERR_INVAL;
    }
    error = mosquitto_connect_async(own->library, address, (int)strtol(own->port, NULL, 10),
                                    (int)own->settings.keepalive);
    if (error != MOSQ_ERR_SUCCESS) {
        return error;
    }
    sink_moves(sink);
    (void)setsockopt(mosquitto_socket(own->library), SOL_SOCKET, SO_RCVBUF, &little, sizeof little);
    if (dial_wait(sink, mosquitto_socket(own->library), POLLOUT, until)) {
        (void)getsockopt(mosquitto_socket(own->library), SOL_SOCKET, SO_ERROR, &reached, &length);
    }
    errno = reached;
    return reached == 0 ? MOSQ_ERR_SUCCESS : MOSQ_ERR_ERRNO;
}

/* To the first that can be reached. That is no more than TCP; TLS may have come to its end by now
 * all the same. */
static int reach_any(struct sink *sink) {
    const struct mqtt *own = sink->own;
    struct addrinfo *found = dial_find(sink, own->host, own->port, SOCK_STREAM);
    uint64_t until = platform_ticks() + SINK_TIMEOUT;
    int error = MOSQ_ERR_INVAL, why = 0;

    if (found == NULL) {
        return -1;
    }
    for (const struct addrinfo *to = found; to != NULL && error != MOSQ_ERR_SUCCESS;
         to = to->ai_next) {
        error = call(sink, to, reach_share(to, until));
        why = errno;
    }
    freeaddrinfo(found);
    errno = why;
    if (error == MOSQ_ERR_ERRNO && !mqtt_closed(error)) {
        return sink_trouble(sink, "cannot be reached", errno);
    }
    return error == MOSQ_ERR_SUCCESS ? 0 : mqtt_lost(sink, error);
}

static bool has_answered(const struct mqtt *own) {
    return own->answer == 0;
}

static int connect_as(struct sink *sink, int version) {
    struct mqtt *own = sink->own;

    mqtt_hang_up(sink);
    own->heard.bytes = own->heard.excess = own->heard.answers = 0;
    own->heard.since = platform_ticks();
    own->answer = -1;
    own->goodbye = 0;
    own->hung_up = own->failed = false;
    split(sink);
    own->loan = (struct tls_loan){.host = own->host};
    own->library = mosquitto_new(id_of(own), true, sink);
    if (own->library == NULL || !flight_open(&own->flight, (unsigned)own->settings.window + 1) ||
        !prepare(sink, version)) {
        return sink_trouble(sink, "no memory for a connection", 0);
    }
    if (reach_any(sink) < 0 || mqtt_run(sink, has_answered, "the broker does not answer") < 0) {
        return -1;
    }
    if (own->settings.state != NULL) {
        return mqtt_publish(sink, own->settings.state, writer_view("online"), true, 0);
    }
    return 0;
}

/* A broker that does not speak MQTT 5 says so, or just hangs up, again and again: one that does it
 * once may be about to end. Who speaks 3.1.1 to one that knows more is not told of events that it
 * drops. */
static int open_any(struct sink *sink) {
    struct mqtt *own = sink->own;
    int wanted = own->settings.version;
    int result = connect_as(sink, wanted != 0 ? wanted : MQTT_PROTOCOL_V5);

    if (result < 0 && wanted == 0 && own->hung_up) {
        result = connect_as(sink, MQTT_PROTOCOL_V5);
    }
    if (result < 0 && wanted == 0 &&
        (own->hung_up || own->answer == MQTT_RC_UNSUPPORTED_PROTOCOL_VERSION)) {
        result = connect_as(sink, MQTT_PROTOCOL_V311);
        if (result == 0 && !own->said_old) {
            log_line(CMCWH_LOG_WARN,
                     "sink '%s': the broker does not speak MQTT 5, so that it cannot say when it "
                     "forbids a topic",
                     sink->uri);
            own->said_old = true;
        }
    }
    return result;
}

/* ---- The medium ---- */

static enum outcome mqtt_look(struct sink *sink, bool reach) {
    const struct mqtt *own = sink->own;

    split(sink);
    return reach ? dial_known(sink, own->host, own->port) : OUTCOME_RIGHT;
}

/* The library's own beginning is for one thread: here it is main. */
static void *mqtt_load(const struct sink *sink) {
    (void)mosquitto_lib_init();
    return secrets_load(sink, SECRETS_MQTT, secure(sink));
}

static int mqtt_open(struct sink *sink) {
    struct mqtt *own = sink->own;

    if (open_any(sink) < 0) {
        mqtt_hang_up(sink);
        return -1;
    }
    sink->descriptor = mosquitto_socket(own->library);
    own->opened = platform_ticks();
    return 0;
}

static const char silent[] = "the broker acknowledges nothing";

static bool has_room(const struct mqtt *own) {
    return own->flight.count < (own->wary ? 1 : own->settings.window);
}

static bool has_landed(const struct mqtt *own) {
    return own->flight.count == 0;
}

/* Events that come as fast as they go must not keep those before them in the ring: after so many
 * windows all of them are waited for, and leave it. */
enum { ENOUGH = 10 };

static int mqtt_put(void *context, const struct cmcwh_record *record, const void *bytes,
                    size_t length) {
    struct sink *sink = context;
    struct mqtt *own = sink->own;
    const size_t newline = sink->encoding == CMCWH_ENCODE_BINARY ? 0 : 1;
    struct cmcwh_event event;
    char topic[TOPIC_MOST + 1];

    cmcwh_record_read(record, &event);
    topic_make(own->settings.topic, &event, topic);
    if (mqtt_run(sink, has_room, silent) < 0 ||
        mqtt_publish(sink, topic, (struct cmcwh_text){bytes, length - newline},
                     own->settings.retain, event.seq) < 0) {
        return -1;
    }
    return ++own->sent >= ENOUGH * own->settings.window;
}

static int mqtt_sync(void *context) {
    struct mqtt *own = ((struct sink *)context)->own;

    own->sent = 0;
    return mqtt_run(context, has_landed, silent);
}

/* Brokers that let us in and put us out again, as for another with our id, have us wait longer and
 * longer. */
static int mqtt_idle(struct sink *sink) {
    const struct mqtt *own = sink->own;

    sink->proven = platform_ticks() - own->opened >= SINK_TIMEOUT;
    return mqtt_step(sink, 0);
}

#define MQTT(SCHEME, HELP)                                                                         \
    {                                                                                              \
        .scheme = (SCHEME), .help = (HELP), .encoding = CMCWH_ENCODE_JSON, .target = mqtt_target,  \
        .parameters = mqtt_parameters, .own = &mqtt_unopened, .own_size = sizeof mqtt_unopened,    \
        .look = mqtt_look, .load = mqtt_load, .unload = secrets_unload, .open = mqtt_open,         \
        .put = mqtt_put, .sync = mqtt_sync, .idle = mqtt_idle, .close = mqtt_hang_up               \
    }

const struct sink_medium sink_mqtt = MQTT("mqtt", "mqtt://HOST[:PORT]");
const struct sink_medium sink_mqtts = MQTT("mqtts", "mqtts://HOST[:PORT]");
