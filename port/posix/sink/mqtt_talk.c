/* A connection to an MQTT broker: what is sent, what comes back, and its end. libmosquitto speaks
 * the protocol, in the sink's own thread. Not here: its beginning (mqtt.c), words for what goes
 * wrong (mqtt_said.c). */
#include "sink/mqtt.h"

#include <linux/tcp.h> /* netinet's does not know all of TCP_INFO */
#include <mosquitto.h>
#include <mqtt_protocol.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include "platform/log.h"
#include "platform/platform.h"
#include "sink/dial.h"

/* ---- What the broker says ---- */

static void on_connect(struct mosquitto *library, void *context, int reason, int flags,
                       const mosquitto_property *properties) {
    static const int before_5[] = {MQTT_RC_SUCCESS,
                                   MQTT_RC_UNSUPPORTED_PROTOCOL_VERSION,
                                   MQTT_RC_CLIENTID_NOT_VALID,
                                   MQTT_RC_SERVER_UNAVAILABLE,
                                   MQTT_RC_NOT_AUTHORIZED,
                                   MQTT_RC_NOT_AUTHORIZED};
    struct mqtt *own = ((struct sink *)context)->own;
    bool old = reason < (int)(sizeof before_5 / sizeof *before_5);

    (void)library;
    (void)flags;
    (void)properties;
    own->answer = old ? before_5[reason] : reason;
}

static void on_disconnect(struct mosquitto *library, void *context, int reason,
                          const mosquitto_property *properties) {
    struct mqtt *own = ((struct sink *)context)->own;

    (void)library;
    (void)properties;
    if (reason >= MQTT_RC_UNSPECIFIED && own->goodbye == 0) {
        own->goodbye = reason;
    }
}

/* The broker says that nobody gets this: it is no fault of ours, and may be of somebody's. */
static void say_alone(struct sink *sink, const struct flight_message *message) {
    struct mqtt *own = sink->own;

    if (!own->said_alone && !own->settings.retain && message->seq != 0) {
        log_line(CMCWH_LOG_WARN,
                 "sink '%s': the broker takes events of which nobody gets any: no subscription "
                 "matches the topic '%s'",
                 sink->uri, message->topic);
        own->said_alone = true;
    }
}

static void on_publish(struct mosquitto *library, void *context, int id, int reason,
                       const mosquitto_property *properties) {
    struct sink *sink = context;
    struct mqtt *own = sink->own;
    struct flight_message *message = flight_find(&own->flight, (uint16_t)id);
    uint64_t seq;

    (void)library;
    (void)properties;
    if (message == NULL || own->failed) {
        return;
    }
    own->moved = platform_ticks();
    own->heard.answers++;
    if (reason >= MQTT_RC_UNSPECIFIED && !mqtt_goes_on(sink, message, reason)) {
        own->wary = own->failed = true;
        return;
    }
    if (reason == MQTT_RC_NO_MATCHING_SUBSCRIBERS) {
        say_alone(sink, message);
    }
    own->wary = own->wary && message->seq == 0;
    seq = flight_land(&own->flight, message);
    if (seq != 0) {
        sink_took(sink, seq);
    }
}

void mqtt_listen(struct mosquitto *library) {
    mosquitto_connect_v5_callback_set(library, on_connect);
    mosquitto_disconnect_v5_callback_set(library, on_disconnect);
    mosquitto_publish_v5_callback_set(library, on_publish);
}

/* ---- What is said to it ---- */

/* A broker that gathers small packets (Nagle) sends none of its acknowledgements before the system
 * has said that the last one came: that must not take the system's 40 ms. It forgets this again. */
static void hasten(int socket) {
    static const int yes = 1;

    (void)setsockopt(socket, IPPROTO_TCP, TCP_QUICKACK, &yes, sizeof yes);
}

/* The library makes room for whatever length a peer announces. No answer is long, and pings are
 * answered as long as the connection stands: who sends much more than that is no broker. What was
 * not sent in the past may not be sent at once. */
static bool is_flood(struct mqtt *own, uint64_t bytes, uint64_t now) {
    enum { ANY = 65536, ANSWER = 1024, SECOND = 32 /* one a ping, every 5 s at most */ };
    uint64_t due = ANSWER * own->heard.answers + SECOND * (now - own->heard.since) / 1000;
    uint64_t excess = own->heard.excess + (bytes - own->heard.bytes);

    own->heard.excess = excess > due ? excess - due : 0;
    own->heard.bytes = bytes;
    own->heard.since = now;
    own->heard.answers = 0;
    return own->heard.excess > ANY;
}

static bool floods(struct mqtt *own) {
    struct tcp_info info = {0};
    socklen_t length = sizeof info;

    return getsockopt(mosquitto_socket(own->library), IPPROTO_TCP, TCP_INFO, &info, &length) == 0 &&
           is_flood(own, info.tcpi_bytes_received, platform_ticks());
}

int mqtt_step(struct sink *sink, uint64_t ticks) {
    struct mqtt *own = sink->own;
    struct mosquitto *library = own->library;
    /* While TLS is being agreed on the library would always write. */
    short writes = own->answer == 0 && mosquitto_want_write(library) ? POLLOUT : 0;
    int error;

    sink_moves(sink);
    hasten(mosquitto_socket(library));
    (void)dial_wait(sink, mosquitto_socket(library), (short)(POLLIN | writes), ticks);
    error = mosquitto_loop_read(library, 1);
    error = error == MOSQ_ERR_SUCCESS ? mosquitto_loop_write(library, 1) : error;
    error = error == MOSQ_ERR_SUCCESS ? mosquitto_loop_misc(library) : error;
    if (own->failed) {
        return -1;
    }
    if (error != MOSQ_ERR_SUCCESS) {
        return mqtt_lost(sink, error);
    }
    return floods(own) ? sink_trouble(sink, "sends more than a broker would", 0) : 0;
}

int mqtt_run(struct sink *sink, bool (*enough)(const struct mqtt *own), const char *late) {
    enum { SECOND = 1000 };
    struct mqtt *own = sink->own;

    own->moved = platform_ticks();
    while (!enough(own)) {
        uint64_t now = platform_ticks(), until = own->moved + SINK_TIMEOUT;

        if (now >= until || sink_stopping(sink)) {
            own->wary = own->wary || own->answer == 0;
            return sink_trouble(sink, late, 0);
        }
        if (mqtt_step(sink, now + SECOND < until ? now + SECOND : until) < 0) {
            return -1;
        }
    }
    return 0;
}

int mqtt_publish(struct sink *sink, const char *topic, struct cmcwh_text text, bool retain,
                 uint64_t seq) {
    struct mqtt *own = sink->own;
    int id = 0,
        error = mosquitto_publish(own->library, &id, topic, (int)text.length, text.data, 1, retain);

    if (error != MOSQ_ERR_SUCCESS && error != MOSQ_ERR_OVERSIZE_PACKET) {
        return mqtt_lost(sink, error);
    }
    flight_add(&own->flight, (uint16_t)id, seq, topic);
    if (error == MOSQ_ERR_OVERSIZE_PACKET) { /* the broker has said what is */
        on_publish(own->library, sink, id, MQTT_RC_PACKET_TOO_LARGE, NULL);
    }
    return own->failed ? -1 : 0;
}

/* If it does not get as far as the broker, that says "offline" for us. */
void mqtt_hang_up(struct sink *sink) {
    struct mqtt *own = sink->own;

    if (own->library != NULL && own->answer == 0) {
        if (own->settings.state != NULL) {
            (void)mosquitto_publish(own->library, NULL, own->settings.state, 7, "offline", 0, true);
        }
        (void)mosquitto_disconnect(own->library);
    }
    mosquitto_destroy(own->library);
    flight_close(&own->flight);
    own->library = NULL;
    sink->descriptor = -1;
}
