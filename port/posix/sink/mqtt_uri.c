/* The URI of an MQTT sink. Not here: the sink, and what its library needs. */
#include "sink/mqtt.h"

#include <stdio.h>
#include <string.h>

#include "platform/network.h"
#include "platform/number.h"
#include "sink/topic.h"

const struct mqtt mqtt_unopened = {
    .settings = {.topic = "cmc/{event_type}/{status}", .window = 20, .keepalive = 60}};

bool mqtt_split(const char *target, const char *standard, char host[256], char port[8]) {
    char whole[PATH_MAX + 8];
    const char *behind = target[0] == '[' ? strchr(target, ']') : target;

    if (behind == NULL || strpbrk(target, "/@") != NULL ||
        strchr(behind, ':') != strrchr(behind, ':')) {
        return false;
    }
    (void)snprintf(whole, sizeof whole, strchr(behind, ':') == NULL ? "%s:%s" : "%s", target,
                   standard);
    return network_split(whole, host, 256, port, 8);
}

const char *mqtt_target(char *text) {
    char host[256], port[8];

    if (strncmp(text, "//", 2) == 0) {
        memmove(text, text + 2, strlen(text + 2) + 1);
    }
    return mqtt_split(text, "1", host, port)
               ? NULL
               : "//HOST[:PORT] after the colon, and as topic=TEMPLATE what it is about";
}

static struct mqtt_settings *of(const struct sink *sink) {
    return sink->own;
}

static bool set_topic(struct sink *sink, const char *value) {
    of(sink)->topic = value;
    return topic_check(value, sink->trouble);
}

static bool set_state(struct sink *sink, const char *value) {
    of(sink)->state = value;
    return strpbrk(value, "{}") == NULL && topic_check(value, sink->trouble);
}

static bool set_client(struct sink *sink, const char *value) {
    enum { LONGEST = 128 };

    of(sink)->client = value;
    return value[0] != '\0' && strlen(value) <= LONGEST && topic_sound(value);
}

static bool set_retain(struct sink *sink, const char *value) {
    of(sink)->retain = value[0] == '1';
    return strcmp(value, "0") == 0 || strcmp(value, "1") == 0;
}

static bool set_window(struct sink *sink, const char *value) {
    return number_read(value, 1, FLIGHT_MOST, &of(sink)->window);
}

/* What the library takes. */
static bool set_keepalive(struct sink *sink, const char *value) {
    return number_read(value, 5, UINT16_MAX, &of(sink)->keepalive);
}

static bool set_version(struct sink *sink, const char *value) {
    of(sink)->version = strcmp(value, "5") == 0 ? 5 : 4;
    return of(sink)->version == 5 || strcmp(value, "3.1.1") == 0;
}

const struct sink_parameter mqtt_parameters[] = {
    {"topic", "topic=TEMPLATE", set_topic},
    {"state", "state=TOPIC, without braces", set_state},
    {"client", "client=ID, of 1 to 128 bytes without '/', '+' and '#'", set_client},
    {"retain", "retain=0 or 1", set_retain},
    {"window", "window=N, from 1 to 1000", set_window},
    {"keepalive", "keepalive=SECONDS, from 5 to 65535", set_keepalive},
    {"version", "version=5 or 3.1.1", set_version},
    {"auth", "auth=FILE", secrets_set_list},
    SECRETS_PARAMETERS,
    {NULL, NULL, NULL}};
