/* MQTT sinks: what their URIs say, and what is wrong with these; and what does not need a broker of
 * what they do. */
#include "support.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "sink/dial.h"

/* Two addresses, the first of which does not answer. */
static struct sockaddr_in listens;
static struct addrinfo addresses[2];
static uint64_t waits[2];
static unsigned waited;

static struct addrinfo *two_addresses(struct sink *sink, const char *host, const char *port,
                                      int type) {
    (void)sink;
    (void)host;
    (void)port;
    addresses[1] = (struct addrinfo){.ai_family = AF_INET,
                                     .ai_socktype = type,
                                     .ai_addr = (struct sockaddr *)&listens,
                                     .ai_addrlen = sizeof listens};
    addresses[0] = addresses[1];
    addresses[0].ai_next = &addresses[1];
    return addresses;
}

static void keep_addresses(struct addrinfo *found) {
    (void)found;
}

static bool second_answers(const struct sink *sink, int descriptor, short events, uint64_t until) {
    (void)sink;
    (void)descriptor;
    (void)events;
    assert_true(waited < 2);
    waits[waited] = until;
    return waited++ > 0;
}

#define dial_find    two_addresses
#define dial_wait    second_answers
#define freeaddrinfo keep_addresses
#include "sink/mqtt.c"
#include "sink/mqtt_talk.c"
#undef dial_find
#undef dial_wait
#undef freeaddrinfo
#include "said.h"

static struct sink sink;

static const struct mqtt_settings *right(const char *uri) {
    static struct mqtt_settings settings;

    assert_true(sink_parse(&sink, uri, true));
    assert_quiet();
    memcpy(&settings, sink.own, sizeof settings);
    return &settings;
}

static void goes_to(const char *uri, const char *host, const char *port) {
    char split_host[256], split_port[8];

    (void)right(uri);
    assert_true(mqtt_split(sink.target, "1883", split_host, split_port));
    assert_string_equal(split_host, host);
    assert_string_equal(split_port, port);
    sink_free(&sink);
}

static void wrong(const char *uri, const char *why) {
    assert_false(sink_parse(&sink, uri, true));
    assert_int_equal(errno, EINVAL);
    assert_said(why);
}

static void brokers(void **state) {
    (void)state;
    goes_to("mqtt://broker", "broker", "1883");
    goes_to("mqtt:broker?retain=1", "broker", "1883");
    goes_to("mqtts://192.0.2.1:18883", "192.0.2.1", "18883");
    goes_to("mqtt://[2001:db8::1]", "2001:db8::1", "1883");
    goes_to("mqtt://[::1]:1884", "::1", "1884");
    wrong("mqtt:", "expected //HOST[:PORT] after the colon");
    wrong("mqtt://", "expected //HOST[:PORT]");
    wrong("mqtt://:1883", "expected //HOST[:PORT]");
    wrong("mqtt://broker:", "expected //HOST[:PORT]");
    wrong("mqtt://broker:mqtt", "expected //HOST[:PORT]");
    wrong("mqtt://broker:65536", "expected //HOST[:PORT]");
    wrong("mqtt://::1", "expected //HOST[:PORT]");
    wrong("mqtt://[::1", "expected //HOST[:PORT]");
    wrong("mqtt://[::1]1883", "expected //HOST[:PORT]");
    wrong("mqtt://broker/cmc/events", "and as topic=TEMPLATE what it is about");
    wrong("mqtt://broker/", "and as topic=TEMPLATE what it is about");
    wrong("mqtts://me:secret@broker", "name that with auth=FILE");
    assert_null(strstr(said(), "secret"));
}

static void parameters(void **state) {
    const struct mqtt_settings *settings = right("mqtt://broker");

    (void)state;
    assert_string_equal(settings->topic, "cmc/{event_type}/{status}");
    assert_null(settings->state);
    assert_null(settings->client);
    assert_false(settings->retain);
    assert_int_equal(settings->window, 20);
    assert_int_equal(settings->keepalive, 60);
    assert_int_equal(settings->version, 0);
    assert_true(sink.required && sink.encoding == CMCWH_ENCODE_JSON);
    sink_free(&sink);
    settings = right("mqtts://broker?topic=a/{to}&state=a/b&client=me&retain=1&window=1000&"
                     "keepalive=5&version=3.1.1&policy=besteffort&format=binary&ca=/x&auth=/y");
    assert_string_equal(settings->topic, "a/{to}");
    assert_string_equal(settings->state, "a/b");
    assert_string_equal(settings->client, "me");
    assert_true(settings->retain);
    assert_int_equal(settings->window, 1000);
    assert_int_equal(settings->keepalive, 5);
    assert_int_equal(settings->version, 4);
    assert_string_equal(settings->files.list, "/y");
    assert_true(!sink.required && sink.encoding == CMCWH_ENCODE_BINARY);
    sink_free(&sink);
    assert_int_equal(right("mqtt://broker?version=5")->version, 5);
    sink_free(&sink);
}

static void wrong_parameters(void **state) {
    (void)state;
    wrong("mqtt://broker?topic=", "expected a topic of 1 to 255 bytes");
    wrong("mqtt://broker?topic=cmc/#", "'topic=cmc/#': expected a topic without '+' and '#'");
    wrong("mqtt://broker?topic=cmc/{stauts}", "expected not '{stauts}' but {reason}, ");
    wrong("mqtt://broker?topic=cmc/{status", "expected a topic whose braces have a name");
    wrong("mqtt://broker?state=cmc/{status}", "expected state=TOPIC, without braces");
    wrong("mqtt://broker?state=$SYS/x", "does not begin with '$'");
    wrong("mqtt://broker?state=", "expected a topic of 1 to 255 bytes");
    wrong("mqtt://broker?client=", "expected client=ID");
    wrong("mqtt://broker?client=a/b", "expected client=ID");
    wrong("mqtt://broker?retain=yes", "expected retain=0 or 1");
    wrong("mqtt://broker?window=0", "expected window=N, from 1 to 1000");
    wrong("mqtt://broker?window=1001", "expected window=N, from 1 to 1000");
    wrong("mqtt://broker?keepalive=4", "expected keepalive=SECONDS, from 5 to 65535");
    wrong("mqtt://broker?version=4", "expected version=5 or 3.1.1");
    wrong("mqtt://broker?qos=2", "'qos=2': expected format, policy, only");
    wrong("mqtt://broker?auth=", "expected auth=FILE");
    wrong("mqtt://broker?format=cmc", "expected format=json, logfmt or binary");
}

/* The places of two sinks in a ring are told apart by their brokers. */
static void same(void **state) {
    static struct sink other;

    (void)state;
    (void)right("mqtt://broker?topic=a");
    assert_true(sink_parse(&other, "mqtt:broker?topic=b", true));
    assert_true(sink_same(&sink, &other));
    sink_free(&other);
    assert_true(sink_parse(&other, "mqtts://broker", true));
    assert_false(sink_same(&sink, &other));
    sink_free(&other);
    sink_free(&sink);
}

/* An address that does not answer leaves time to the next. */
static void an_address_that_is_silent(void **state) {
    socklen_t length = sizeof listens;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    struct mqtt *own;

    (void)state;
    listens =
        (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(bind(listener, (struct sockaddr *)&listens, length), 0);
    assert_int_equal(listen(listener, 2), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&listens, &length), 0);
    (void)right("mqtt://127.0.0.1");
    own = sink.own;
    own->library = mosquitto_new("me", true, &sink);
    split(&sink);
    (void)snprintf(own->port, sizeof own->port, "%u", ntohs(listens.sin_port));
    waited = 0;
    assert_int_equal(reach_any(&sink), 0);
    assert_int_equal(waited, 2);
    assert_true(waits[0] < waits[1]);
    mosquitto_destroy(own->library);
    sink_free(&sink);
    assert_int_equal(close(listener), 0);
}

/* A connection that stands for weeks, with nothing but the shortest pings, is none: 69 bytes are an
 * answer in TLS 1.2 with CBC. Nor are its events, each with an answer. */
static void a_broker_that_answers(void **state) {
    enum { PING = 5000, WEEKS = 4 * 7 * 24 * 3600 };
    struct mqtt own = {.library = NULL};
    uint64_t bytes = 5000;

    (void)state;
    for (uint64_t second = 0; second < WEEKS; second++) {
        bytes += second % (PING / 1000) == 0 ? 69 : 0;
        assert_false(is_flood(&own, bytes, second * 1000));
    }
    for (unsigned i = 0; i < 100000; i++) {
        own.heard.answers++;
        bytes += 1000;
        assert_false(is_flood(&own, bytes, (uint64_t)WEEKS * 1000));
    }
}

/* However long it was none. */
static void a_broker_that_sends_on_and_on(void **state) {
    struct mqtt own = {.library = NULL};

    (void)state;
    assert_false(is_flood(&own, 65536, 0));
    assert_true(is_flood(&own, 65537, 0));
    own.heard.answers = 1;
    assert_false(is_flood(&own, 65536 + 1024, 1));
    assert_false(is_flood(&own, 65536 + 1024, 1000000000));
    assert_true(is_flood(&own, 2 * 65536 + 1024 + 1, 1000000000));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(brokers),
                                       cmocka_unit_test(parameters),
                                       cmocka_unit_test(wrong_parameters),
                                       cmocka_unit_test(same),
                                       cmocka_unit_test(an_address_that_is_silent),
                                       cmocka_unit_test(a_broker_that_answers),
                                       cmocka_unit_test(a_broker_that_sends_on_and_on)};

    return cmocka_run_group_tests_name("MQTT sinks", tests, NULL, NULL);
}
