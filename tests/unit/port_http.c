/* An HTTP sink and a server that answers as a test likes. */
#include "support.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "platform/platform.h"
#include "said.h"
#include "sink/sink.h"

/* ---- The server ---- */

enum { ACTS = 16, REQUEST = 65536 };

/* What it does when a request has come whole. */
struct act {
    const char *reply; /* NULL: none */
    bool closes;       /* the connection, after that */
};

static struct server {
    int listener;
    unsigned port, acts;
    pthread_t thread;
    struct act act[ACTS];

    /* What has come, one request a step; to be looked at when it has ended. */
    unsigned step, connections;
    char requests[ACTS][REQUEST];
} server;

static bool is_whole(const char *request) {
    const char *end = strstr(request, "\r\n\r\n"), *length = strstr(request, "Content-Length: ");

    return end != NULL && length != NULL &&
           strlen(end + 4) == (size_t)strtoul(length + 16, NULL, 10);
}

/* False: the peer has closed the connection. */
static bool read_request(int connection, char *request) {
    size_t used = 0;

    while (!is_whole(request)) {
        ssize_t got = read(connection, request + used, REQUEST - 1 - used);

        if (got <= 0) {
            return false;
        }
        used += (size_t)got;
    }
    return true;
}

static void serve(int connection) {
    while (server.step < server.acts && read_request(connection, server.requests[server.step])) {
        const struct act *act = &server.act[server.step++];

        if (act->reply != NULL &&
            write(connection, act->reply, strlen(act->reply)) != (ssize_t)strlen(act->reply)) {
            return;
        }
        if (act->closes || act->reply == NULL) {
            return;
        }
    }
}

static void *server_thread(void *unused) {
    int connection;

    (void)unused;
    while ((connection = accept(server.listener, NULL, NULL)) >= 0) {
        server.connections++;
        serve(connection);
        (void)close(connection);
    }
    return NULL;
}

static void start_server(const struct act *acts, unsigned count) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;

    memset(&server, 0, sizeof server);
    memcpy(server.act, acts, count * sizeof *acts);
    server.acts = count;
    server.listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(server.listener, (const struct sockaddr *)&address, length), 0);
    assert_int_equal(listen(server.listener, 5), 0);
    assert_int_equal(getsockname(server.listener, (struct sockaddr *)&address, &length), 0);
    server.port = ntohs(address.sin_port);
    assert_int_equal(pthread_create(&server.thread, NULL, server_thread, NULL), 0);
}

/* The sink has closed its connection. */
static void end_server(void) {
    assert_int_equal(shutdown(server.listener, SHUT_RDWR), 0);
    assert_int_equal(pthread_join(server.thread, NULL), 0);
    assert_int_equal(close(server.listener), 0);
}

/* ---- The sink ---- */

static struct fixture fixture;
static struct platform platform;
static struct sink sink;
static char uri[512];

static void start(const char *parameters, const struct act *acts, unsigned count) {
    start_server(acts, count);
    (void)snprintf(uri, sizeof uri, "http://127.0.0.1:%u/in%s", server.port, parameters);
    assert_true(sink_parse(&sink, uri, true));
    assert_true(sink_load(&sink));
    fixture_init(&fixture, RING_MAX, false);
    assert_int_equal(platform_init(&platform), 0);
    fixture.ring.config.port = &platform.port;
    sink.ring = &fixture.ring;
    assert_int_equal(sink.medium->open(&sink), 0);
}

#define START(PARAMETERS, ...)                                                                     \
    do {                                                                                           \
        const struct act script[] = {__VA_ARGS__};                                                 \
        start(PARAMETERS, script, sizeof script / sizeof *script);                                 \
    } while (0)

static void end(void) {
    if (sink.descriptor >= 0) {
        sink.medium->close(&sink);
    }
    end_server();
    assert_int_equal(server.step, server.acts);
    sink_free(&sink);
}

static struct cmcwh_record records[32];

/* Makes events that are numbered from 0 in `to`. */
static void make_events(uint32_t count) {
    char body[256];

    for (uint32_t i = 0; i < count; i++) {
        (void)snprintf(body, sizeof body,
                       "{\"event_type\":\"deliveries\",\"server_composition\":\"pro\",\"event\":"
                       "{\"deliveries\":[{\"to\":\"u%u@x\",\"status\":\"queued\"}]}}",
                       (unsigned)i);
        assert_true(post(&fixture, CMCWH_JSON, body) >= 0);
        records[i] = take(&fixture);
    }
}

/* What a pump does with those that wait: 0, or -1. */
static int pump(uint32_t from, uint32_t count) {
    for (uint32_t i = from; i < from + count; i++) {
        if (i + 1 > sink.took && sink.medium->put(&sink, &records[i], "", 0) < 0) {
            return -1;
        }
    }
    return sink.medium->sync(&sink);
}

/* As its thread does it. */
static void reopen(void) {
    if (sink.descriptor >= 0) {
        sink.medium->close(&sink);
    }
    assert_int_equal(sink.medium->open(&sink), 0);
}

static void has(unsigned request, const char *text, bool there) {
    if ((strstr(server.requests[request], text) != NULL) != there) {
        fail_msg("'%s'%s in: %s", text, there ? " is not" : "", server.requests[request]);
    }
}

/* Request number `request` had these events and no others. */
static void had(unsigned request, uint32_t from, uint32_t count) {
    for (uint32_t i = 0; i < 32; i++) {
        char text[16];

        (void)snprintf(text, sizeof text, "\"u%u@x\"", (unsigned)i);
        has(request, text, i >= from && i < from + count);
    }
}

static const char *key_of(unsigned request) {
    static char key[2][17];
    static unsigned turn;
    const char *at = strstr(server.requests[request], "Idempotency-Key: ");

    assert_non_null(at);
    turn ^= 1;
    memcpy(key[turn], at + 17, 16);
    return key[turn];
}

#define OK           "HTTP/1.1 204 No Content\r\n\r\n"
#define ANSWER(HEAD) "HTTP/1.1 " HEAD "\r\nContent-Length: 0\r\n\r\n"

/* ---- The tests ---- */

static void one_connection(void **state) {
    (void)state;
    START("", {OK, false}, {OK, false}, {ANSWER("202 x"), false});
    make_events(3);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(pump(i, 1), 0);
        assert_int_equal(sink.took, i + 1);
    }
    end();
    assert_int_equal(server.connections, 1);
    had(0, 0, 1);
    had(1, 1, 1);
    had(2, 2, 1);
}

static void batches(void **state) {
    (void)state;
    START("?batch=3", {OK, false}, {OK, false}, {OK, false});
    make_events(7);
    for (uint32_t i = 0; i < 7; i++) {
        assert_int_equal(sink.medium->put(&sink, &records[i], "", 0), i % 3 == 2);
    }
    assert_int_equal(sink.medium->sync(&sink), 0);
    assert_int_equal(sink.medium->sync(&sink), 0); /* nothing more */
    end();
    had(0, 0, 3);
    had(1, 3, 3);
    had(2, 6, 1);
}

/* A server may close what rests, and say so or not; may answer with no more than it must. */
static void connections_end(void **state) {
    (void)state;
    START("", {ANSWER("200 x"), true},
          {"HTTP/1.1 200 x\r\nConnection: close\r\n\r\nto the end", true},
          {"HTTP/1.0 200 x\r\n\r\n", true}, {OK, false}, {NULL, true}, {OK, false});
    make_events(5);
    for (uint32_t i = 0; i < 5; i++) {
        assert_int_equal(pump(i, 1), 0);
        assert_int_equal(sink.medium->idle(&sink), 0);
        assert_true(sink.descriptor >= 0);
    }
    end();
    had(4, 4, 1);
    had(5, 4, 1); /* once more: it was closed without an answer */
    assert_string_equal(key_of(4), key_of(5));
}

/* Who says more than was asked for is not asked again: the rest of that is no answer. */
static void says_more(void **state) {
    (void)state;
    START("", {OK "HTTP/1.1 ", false}, {OK, false});
    make_events(2);
    assert_int_equal(pump(0, 1), 0);
    assert_int_equal(pump(1, 1), 0);
    end();
    assert_int_equal(server.connections, 2);
}

/* A status that has come stands, whatever becomes of the rest. */
static void half_answers(void **state) {
    (void)state;
    START("?timeout=1", {"HTTP/1.1 200 x\r\nContent-Length: 5\r\n\r\nab", true},
          {"HTTP/1.1 200 x\r\nContent-Length: 5\r\n\r\nab", false}, {"HTTP/1.1 20", true},
          {"HTTP/1.1 200 x\r\nContent-Le", true}, {"nonsense\r\n", false},
          {"HTTP/1.1 500 x\r\nContent-Length: 5\r\n\r\nab", true});
    make_events(3);
    assert_int_equal(pump(0, 1), 0);
    assert_int_equal(pump(1, 1), 0);
    assert_int_equal(pump(2, 1), -1);
    assert_non_null(strstr(sink.trouble, "the connection broke: it ends before it is whole"));
    reopen();
    assert_int_equal(pump(2, 1), -1);
    reopen();
    assert_int_equal(pump(2, 1), -1);
    assert_non_null(strstr(sink.trouble, "what came is no answer"));
    reopen();
    assert_int_equal(pump(2, 1), -1);
    assert_string_equal(sink.trouble, "answered 500; it says: 'ab'");
    assert_int_equal(sink.took, 2);
    end();
}

/* What fails comes again as it was, whatever has come since; then the rest. */
static void comes_again_as_it_was(void **state) {
    (void)state;
    START("?tries=2", {ANSWER("503 x\r\nRetry-After: 7"), false}, {ANSWER("401 x"), false},
          {OK, false}, {OK, false});
    make_events(5);
    assert_int_equal(pump(0, 2), -1);
    assert_string_equal(sink.trouble, "answered 503 Service Unavailable");
    assert_int_equal(sink.retry, 7000);
    reopen();
    assert_int_equal(pump(0, 4), -1);
    assert_non_null(strstr(sink.trouble, "see headers=FILE"));
    assert_int_equal(sink.retry, 0);
    reopen();
    assert_int_equal(pump(0, 5), 0);
    end();
    had(0, 0, 2);
    had(1, 0, 2);
    had(2, 0, 2);
    had(3, 2, 3);
    assert_string_equal(key_of(0), key_of(2));
    assert_quiet();
}

/* What was taken before something failed is not put again. */
static void goes_on_where_it_was(void **state) {
    (void)state;
    START("?batch=2", {OK, false}, {ANSWER("500 x"), false}, {OK, false}, {OK, false});
    make_events(6);
    assert_int_equal(pump(0, 6), -1);
    assert_int_equal(sink.took, 2);
    reopen();
    assert_int_equal(pump(0, 6), 0);
    end();
    had(1, 2, 2);
    had(2, 2, 2);
    had(3, 4, 2);
}

static void too_large(void **state) {
    (void)state;
    START("?tries=2", {ANSWER("413 x"), false}, {ANSWER("413 x"), false}, {OK, false}, {OK, false},
          {OK, false}, {OK, false}, {ANSWER("413 x"), false}, {ANSWER("413 x"), false},
          {ANSWER("413 x"), false}, {OK, false});
    make_events(6);
    assert_int_equal(pump(0, 4), 0);
    reopen();
    sink.required = false;
    assert_int_equal(pump(4, 2), -1);
    assert_non_null(strstr(sink.trouble, "one event is too large for it"));
    reopen();
    assert_int_equal(pump(4, 2), 0);
    end();
    had(0, 0, 4);
    had(1, 0, 2);
    had(2, 0, 1);
    had(5, 3, 1);
    had(6, 4, 2);
    had(7, 4, 1);
    had(8, 4, 1);
    had(9, 5, 1);
    assert_said("dropped 1 events, tried 2 times: answered 413 Content Too Large");
    assert_int_equal(sink.news.rejected, 1);
}

/* A request that waits for the sink comes again whole when a part of it has failed, with other
 * numbers: what was done with before is not, or what stands behind it would never be. */
static void whole_requests(void **state) {
    (void)state;
    START("?batch=2&tries=2&policy=besteffort", {ANSWER("422 x"), false}, {ANSWER("422 x"), false},
          {ANSWER("422 x"), false}, {ANSWER("422 x"), false}, {OK, false});
    make_events(4);
    fixture.ring.config.confirm = true;
    assert_int_equal(pump(0, 4), -1);
    reopen();
    assert_int_equal(pump(0, 4), -1);
    assert_said("dropped 2 events, tried 2 times");
    reopen();
    assert_int_equal(pump(0, 4), 0);
    assert_said("dropped 2 events, tried 2 times");
    assert_int_equal(sink.news.rejected, 4);
    assert_int_equal(pump(0, 1), 0); /* it is another one that all is through */
    end();
    had(1, 0, 2);
    had(2, 2, 2);
    had(3, 2, 2);
    had(4, 0, 1);
}

static void whole_requests_too_large(void **state) {
    (void)state;
    START("?tries=2&policy=besteffort", {ANSWER("413 x"), false}, {OK, false},
          {ANSWER("413 x"), false}, {ANSWER("413 x"), false}, {ANSWER("413 x"), false},
          {OK, false});
    make_events(4);
    fixture.ring.config.confirm = true;
    assert_int_equal(pump(0, 4), -1);
    reopen();
    assert_int_equal(pump(0, 4), 0);
    assert_said("dropped 1 events, tried 2 times");
    end();
    had(3, 2, 1);
    had(4, 2, 1);
    had(5, 3, 1);
}

/* What will never be taken: a required sink stands still, and says so once; one with a file for
 * it sets it aside; the others drop it. */
static void never(void **state) {
    char dead[64], parameters[128], text[4096];
    FILE *file;

    (void)state;
    START("?tries=2", {ANSWER("422 x"), false}, {ANSWER("422 x"), false}, {ANSWER("422 x"), false},
          {OK, false});
    make_events(2);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(pump(0, 2), -1);
        assert_string_equal(sink.trouble, "answered 422 Unprocessable Content");
        reopen();
        if (i == 1) {
            assert_said("stands still before 2 events, tried 2 times: answered 422");
        } else {
            assert_quiet();
        }
    }
    assert_int_equal(pump(0, 2), 0);
    end();
    assert_int_equal(sink.news.rejected, 0);

    (void)snprintf(dead, sizeof dead, "/tmp/cmcwh-dead-%ld", (long)getpid());
    (void)snprintf(parameters, sizeof parameters, "?tries=1&dead=%s", dead);
    START(parameters, {"HTTP/1.1 422 x\r\nContent-Length: 3\r\n\r\nno\n", false}, {OK, false});
    make_events(3);
    assert_int_equal(pump(0, 2), 0);
    assert_said("set aside 2 events in '/tmp/cmcwh-dead-");
    assert_int_equal(sink.news.rejected, 2);
    assert_int_equal(sink.took, 2);
    assert_int_equal(pump(2, 1), 0);
    end();
    file = fopen(dead, "r");
    assert_non_null(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    assert_int_equal(fclose(file), 0);
    assert_int_equal(unlink(dead), 0);
    assert_non_null(
        strstr(text, "\"status\":422,\"events\":2,\"answer\":\"no\\u000a\"}}\n{\"seq\":1,"));
    assert_non_null(strstr(text, "\"u1@x\""));
    assert_null(strstr(text, "\"u2@x\""));
}

/* A dead letter that cannot be written is no reason to go on. */
static void no_place_for_letters(void **state) {
    (void)state;
    START("?tries=1&dead=/nowhere/x", {ANSWER("422 x"), false});
    make_events(1);
    assert_int_equal(pump(0, 1), -1);
    assert_non_null(strstr(sink.trouble, "dead-letter file '/nowhere/x'"));
    assert_int_equal(sink.took, 0);
    assert_int_equal(sink.news.rejected, 0);
    end();
}

/* What the file names is sent, and not shown when the server says it again. */
static void secrets(void **state) {
    static const char list[] = "bearer tokentoken\nX-Tenant: acme 7\napi_key keykey\n";
    static const char *const answers[][2] = {{"bad tokentoken", "'bad **********'"},
                                             {"no keykey", "'no ******'"},
                                             {"of acme 7", "'of ******'"},
                                             {"7 is no", "'7 is no'"}};
    char parameters[128], reply[ACTS][128];
    struct act script[5] = {
        [4] = {"HTTP/1.1 302 x\r\nLocation: /?t=tokentoken\r\nContent-Length: 0\r\n\r\n", false}};

    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        (void)snprintf(reply[i], sizeof reply[i], "HTTP/1.1 401 x\r\nContent-Length: %zu\r\n\r\n%s",
                       strlen(answers[i][0]), answers[i][0]);
        script[i] = (struct act){reply[i], false};
    }
    (void)snprintf(parameters, sizeof parameters, "?format=cmc&headers=%s",
                   file_of(list, sizeof list - 1, 0600));
    start(parameters, script, 5);
    make_events(1);
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(pump(0, 1), -1);
        assert_non_null(strstr(sink.trouble, i < 4 ? answers[i][1] : "'/?t=**********'"));
        reopen();
    }
    end();
    has(0, "\r\nAuthorization: Bearer tokentoken\r\nX-Tenant: acme 7\r\n", true);
    has(0, "\r\n\r\n{\"api_key\":\"keykey\",\"server_composition\":\"pro\",", true);
    has(0, "\r\nCmcwh-Events: ", true);
    assert_quiet();
}

/* The end is not waited for. */
static void stops(void **state) {
    (void)state;
    START("?timeout=60", {"", false});
    make_events(1);
    sink.stop = true;
    assert_int_equal(pump(0, 1), -1);
    end();
}

static void uris(void **state) {
    static const struct {
        const char *uri, *why;
    } wrong[] = {
        {"http://h/?format=logfmt", "'format=logfmt': expected format=json or cmc"},
        {"http://h/?form=yes", "'form=yes': expected form=0 or 1"},
        {"http://h/?form=1", "form=1 is for format=cmc"},
        {"http://h/?batch=0", "'batch=0': expected batch=EVENTS, from 1 to 1000"},
        {"http://h/?batch=1001", "from 1 to 1000"},
        {"http://h/?format=cmc&batch=201", "with format=cmc 200 at most"},
        {"http://h/?wait=60001", "'wait=60001': expected wait=MS, from 0 to 60000"},
        {"http://h/?tries=0", "'tries=0': expected tries=N, from 1 to 1000"},
        {"http://h/?timeout=61", "'timeout=61': expected timeout=SECONDS, from 1 to 60"},
        {"http://h/?query=a%0d", "'query=a%0d': expected query="},
        {"http://h/?query=a%2", "'query=a%2': expected query="},
        {"http://h/?query=a#b", "expected query="},
        {"http://h/?dead=", "'dead=': expected dead=PATH"},
        {"http://h/?a=b&c=d", "'a=b': expected format, policy, only"},
        {"http://h/?headers=/nowhere", "/nowhere"},
        {"http://h/?ca=/nowhere", "ca=/nowhere"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        bool right = sink_parse(&sink, wrong[i].uri, true);

        if (right && sink_load(&sink)) {
            fail_msg("'%s' was taken", wrong[i].uri);
        }
        assert_said(wrong[i].why);
        if (right) {
            sink_free(&sink);
        }
    }
    assert_true(sink_parse(&sink, "http://h:81?query=a%3D1%26b%3D%252&batch=7&wait=8", true));
    assert_string_equal(sink.target, "//h:81");
    assert_int_equal(sink.batch, 7);
    assert_int_equal(sink.wait, 8);
    sink_free(&sink);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(one_connection),
                                       cmocka_unit_test(batches),
                                       cmocka_unit_test(connections_end),
                                       cmocka_unit_test(says_more),
                                       cmocka_unit_test(half_answers),
                                       cmocka_unit_test(too_large),
                                       cmocka_unit_test(comes_again_as_it_was),
                                       cmocka_unit_test(goes_on_where_it_was),
                                       cmocka_unit_test(whole_requests),
                                       cmocka_unit_test(whole_requests_too_large),
                                       cmocka_unit_test(never),
                                       cmocka_unit_test(no_place_for_letters),
                                       cmocka_unit_test(secrets),
                                       cmocka_unit_test(stops),
                                       cmocka_unit_test(uris)};

    return cmocka_run_group_tests_name("a sink for HTTP", tests, NULL, NULL);
}
