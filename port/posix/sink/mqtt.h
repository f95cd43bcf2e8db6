/* What the files of an MQTT sink share: mqtt.c is the sink, mqtt_uri.c has its URI, mqtt_talk.c
 * what is said and heard, mqtt_said.c the words for what goes wrong. libmosquitto speaks the
 * protocol, in the sink's own thread. */
#ifndef CMCWH_MQTT_H
#define CMCWH_MQTT_H

#include "sink/flight.h"
#include "sink/secrets.h"

/* What the URI says. */
struct mqtt_settings {
    struct secret_files files; /* stands first: see secrets.h */

    /* Parts of sink->target. */
    const char *topic;  /* a template: see topic.h */
    const char *state;  /* the topic that says whether we are there; NULL: none */
    const char *client; /* our id; NULL: one that nobody else has */

    uint64_t window;    /* messages in flight, up to FLIGHT_MOST */
    uint64_t keepalive; /* s */
    int version;        /* 5; 4 is 3.1.1; 0: 5, or what the broker speaks */
    bool retain;
};

struct mosquitto;

/* What such a medium owns. */
struct mqtt {
    struct mqtt_settings settings; /* stands first */

    /* While it is open. */
    struct mosquitto *library; /* NULL: it is not */
    struct flight flight;
    struct tls_loan loan;
    char host[256], port[8];
    char id[24];     /* when the URI says no other */
    uint64_t opened; /* ticks */
    uint64_t moved;  /* ticks at which the broker last acknowledged something */
    uint64_t sent;   /* events since all were last waited for */
    struct {         /* how much it sends: see mqtt_talk.c */
        uint64_t bytes, excess;
        uint64_t since;   /* ticks */
        uint64_t answers; /* since then */
    } heard;
    int answer;   /* to our CONNECT, as in MQTT 5; -1: none yet */
    int goodbye;  /* why it has ended the connection, as in MQTT 5; 0: it has not said */
    bool hung_up; /* it has ended it in place of an answer */
    bool wary;    /* one at a time, until one is taken: the last was not; beyond its end */
    bool failed;  /* something has come that is the end: sink->trouble says what */

    bool said_alone, said_old; /* see mqtt.c: once is enough */
};

/* What holds unless a URI says otherwise. */
extern const struct mqtt mqtt_unopened;

/* For struct sink_medium. */
extern const struct sink_parameter mqtt_parameters[];
const char *mqtt_target(char *text);

/* The host and the port of such a target; `standard` is the port if it names none. False: it is no
 * target. */
bool mqtt_split(const char *target, const char *standard, char host[256], char port[8]);

/* ---- What is said and heard: 0, or -1 with sink->trouble ---- */

/* Lets a new client of the library tell what the broker says; its context is the sink. */
void mqtt_listen(struct mosquitto *library);

/* Waits for the broker, until `ticks` at most, and takes what it has sent. */
int mqtt_step(struct sink *sink, uint64_t ticks);

/* The same until it is enough, SINK_TIMEOUT from the last acknowledgement at most: then `late` is
 * the trouble. */
int mqtt_run(struct sink *sink, bool (*enough)(const struct mqtt *own), const char *late);

/* Sends a message, which is then in flight; of an event, unless its seq is 0. */
int mqtt_publish(struct sink *sink, const char *topic, struct cmcwh_text text, bool retain,
                 uint64_t seq);

/* Ends the connection in order, as far as that can be done at once. Without one: nothing. */
void mqtt_hang_up(struct sink *sink);

/* ---- Words ---- */

/* Is this what the library says, with errno, when the broker has closed the connection? */
bool mqtt_closed(int error);

/* Sets sink->trouble, and whether the broker has hung up, when the library has said, with errno,
 * that the connection is of no more use. Returns -1. */
int mqtt_lost(struct sink *sink, int error);

/* The broker does not take this message, for a reason of MQTT 5 or since it is too long. Does the
 * sink go on without it? It does if it must, and otherwise sets sink->trouble. */
bool mqtt_goes_on(struct sink *sink, const struct flight_message *message, int reason);

#endif
