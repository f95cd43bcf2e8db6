/* What a broker, or the library, says of a connection, in words that say what to do. Not here: what
 * is done about it. */
#include "sink/mqtt.h"

#include <errno.h>
#include <mosquitto.h>
#include <mqtt_protocol.h>
#include <stdio.h>
#include <string.h>

#include "platform/client.h"
#include "platform/log.h"

bool mqtt_closed(int error) {
    return error == MOSQ_ERR_CONN_LOST ||
           (error == MOSQ_ERR_ERRNO &&
            (errno == ECONNRESET || errno == EPIPE || errno == EPROTO /* over TLS */));
}

/* What it says to our CONNECT. */
static int refused(struct sink *sink) {
    const struct mqtt *own = sink->own;
    const struct secrets *secrets = sink->loaded;

    switch (own->answer) {
    case MQTT_RC_BAD_USERNAME_OR_PASSWORD:
    case MQTT_RC_NOT_AUTHORIZED:
        (void)snprintf(sink->trouble, sizeof sink->trouble,
                       secrets->user[0] != '\0' ? "the broker refuses user '%.100s': see auth=FILE"
                                                : "the broker wants to know who comes: auth=FILE",
                       secrets->user);
        return -1;
    case MQTT_RC_CLIENTID_NOT_VALID:
        return sink_trouble(sink, "the broker refuses our id: see client=ID", 0);
    case MQTT_RC_UNSUPPORTED_PROTOCOL_VERSION:
        return sink_trouble(sink, "the broker does not speak this MQTT: see version=", 0);
    case MQTT_RC_RETAIN_NOT_SUPPORTED:
        return sink_trouble(sink, "the broker retains nothing: leave state= out", 0);
    default:
        (void)snprintf(sink->trouble, sizeof sink->trouble, "the broker refuses us: %s",
                       mosquitto_reason_string(own->answer));
        return -1;
    }
}

/* What came of TLS. */
static int untrusted(struct sink *sink) {
    const struct tls_loan *loan = &((const struct mqtt *)sink->own)->loan;
    const char *why = loan->why != NULL ? loan->why : "it ended early";

    if (loan->doubt != TLS_DOUBT_NONE) {
        struct client client = {.fault = client_doubt(loan->doubt)};

        (void)snprintf(client.why, sizeof client.why, "%s", why);
        client_explain(&client, 0, "ca=FILE", sink->trouble, sizeof sink->trouble);
    } else {
        (void)snprintf(sink->trouble, sizeof sink->trouble,
                       loan->refused
                           ? "the broker refuses us over TLS: %s: see cert=FILE and key=FILE"
                           : "no connection over TLS: %s: does it speak TLS on that port?",
                       why);
    }
    return -1;
}

static int ended(struct sink *sink, int goodbye) {
    if (goodbye == MQTT_RC_SESSION_TAKEN_OVER) {
        return sink_trouble(sink, "another client has come with our id: see client=ID", 0);
    }
    (void)snprintf(sink->trouble, sizeof sink->trouble, "the broker ended the connection: %s",
                   mosquitto_reason_string(goodbye));
    return -1;
}

/* It closed the connection, and did not say why. */
static int closed(struct sink *sink) {
    const struct mqtt *own = sink->own;
    const char *client = own->settings.client;

    if (own->answer < 0) {
        const bool tls = ((const struct secrets *)sink->loaded)->trust != NULL;
        const bool shown = own->settings.files.certificate != NULL;

        (void)snprintf(sink->trouble, sizeof sink->trouble,
                       "the broker closed the connection without an answer%s",
                       !tls     ? ": does that port want TLS (mqtts:)?"
                       : !shown ? ": does it want cert=FILE and key=FILE?"
                                : "");
    } else {
        (void)snprintf(sink->trouble, sizeof sink->trouble,
                       client != NULL
                           ? "the broker closed the connection: has another client the id '%.100s'?"
                           : "the broker closed the connection",
                       client);
    }
    return -1;
}

int mqtt_lost(struct sink *sink, int error) {
    struct mqtt *own = sink->own;

    own->hung_up = own->answer < 0 && own->loan.why == NULL && mqtt_closed(error);

    if (own->answer > 0) {
        return refused(sink);
    }
    if (own->goodbye != 0) {
        return ended(sink, own->goodbye);
    }
    if (error == MOSQ_ERR_TLS || own->loan.why != NULL) {
        return untrusted(sink);
    }
    switch (error) {
    case MOSQ_ERR_ERRNO:
        return mqtt_closed(error) ? closed(sink)
                                  : sink_trouble(sink, "the connection broke", errno);
    case MOSQ_ERR_CONN_LOST:
    case MOSQ_ERR_NO_CONN:
        return closed(sink);
    case MOSQ_ERR_KEEPALIVE:
        return sink_trouble(sink, "the broker does not answer any more", 0);
    case MOSQ_ERR_QOS_NOT_SUPPORTED:
        return sink_trouble(sink, "the broker takes no QoS 1: it acknowledges nothing", 0);
    case MOSQ_ERR_PROTOCOL:
    case MOSQ_ERR_MALFORMED_PACKET:
        return sink_trouble(sink, "what came is not MQTT: is it a broker, without TLS?", 0);
    default:
        return sink_trouble(sink, mosquitto_strerror(error), 0);
    }
}

/* Would the same message get the same again? */
static bool is_final(int reason) {
    return reason == MQTT_RC_NOT_AUTHORIZED || reason == MQTT_RC_TOPIC_NAME_INVALID ||
           reason == MQTT_RC_PACKET_TOO_LARGE;
}

bool mqtt_goes_on(struct sink *sink, const struct flight_message *message, int reason) {
    const bool forbidden = reason == MQTT_RC_NOT_AUTHORIZED, event = message->seq != 0;
    char trouble[SINK_TROUBLE];

    (void)snprintf(trouble, sizeof trouble,
                   forbidden ? "the broker forbids the topic '%s': see its access list (ACL)"
                             : "the broker does not take a message with the topic '%s': %s",
                   message->topic, mosquitto_reason_string(reason));
    if (event && (sink->required || !is_final(reason))) {
        memcpy(sink->trouble, trouble, sizeof trouble);
        return false;
    }
    log_line(CMCWH_LOG_WARN, "sink '%s': %s%s", sink->uri, trouble,
             event ? "; the event is dropped" : " (state=)");
    if (event) {
        sink_rejected(sink, 1);
    }
    return true;
}
