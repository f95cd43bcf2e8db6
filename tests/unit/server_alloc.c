/* The server behind civetweb's own threads, which reads bodies with mg_read. No memory is allocated
 * for a request but by civetweb itself: a request to our handler costs as many allocations as one
 * to a handler that does nothing. */
#include "support.h"

#include <arpa/inet.h>
#include <civetweb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#if !defined(SANITIZED) && defined(__GLIBC__)
#define COUNTS 1
#else
#define COUNTS 0 /* a sanitizer has its own allocator */
#endif

static unsigned allocations;

#if COUNTS
/* NOLINTBEGIN(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp): glibc's own names. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);
/* NOLINTEND(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */
void *malloc(size_t size);
void *calloc(size_t count, size_t size);
void *realloc(void *old, size_t size);

void *malloc(size_t size) {
    __atomic_fetch_add(&allocations, 1, __ATOMIC_RELAXED);
    return __libc_malloc(size);
}

void *calloc(size_t count, size_t size) {
    __atomic_fetch_add(&allocations, 1, __ATOMIC_RELAXED);
    return __libc_calloc(count, size);
}

void *realloc(void *old, size_t size) {
    __atomic_fetch_add(&allocations, 1, __ATOMIC_RELAXED);
    return __libc_realloc(old, size);
}
#endif

#ifdef SANITIZED
/* NOLINTBEGIN(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp): ThreadSanitizer's own. */
const char *__tsan_default_suppressions(void);

/* civetweb's own threads, which the daemon does not start, race with who stops them. */
const char *__tsan_default_suppressions(void) {
    return "race:mg_stop\n";
}
/* NOLINTEND(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */
#endif

static struct fixture f;
static struct cmcwh_server server;
static struct cmcwh_worker worker;
static bool bare;

static int begin_request(struct mg_connection *connection) {
    static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    char bytes[4096];

    if (!bare) {
        return cmcwh_server_handle(&server, &worker, NULL, connection);
    }
    while (mg_read(connection, bytes, sizeof bytes) > 0) {
    }
    (void)mg_write(connection, answer, sizeof answer - 1);
    return 200;
}

static int http_error(struct mg_connection *connection, int status, const char *message) {
    (void)message;
    return cmcwh_server_refuse(&server, &worker, connection, status);
}

static int dial(int port) {
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int descriptor = socket(AF_INET, SOCK_STREAM, 0);

    assert_int_equal(connect(descriptor, (struct sockaddr *)&address, sizeof address), 0);
    return descriptor;
}

/* Sends `count` requests over one connection and reads the answers. */
static void converse(int port, const char *body, unsigned count) {
    int descriptor = dial(port);
    static char text[65536];

    for (unsigned i = 0; i < count; i++) {
        int length =
            snprintf(text, sizeof text,
                     "POST /mails HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                     "Connection: keep-alive\r\nContent-Length: %zu\r\n\r\n%s",
                     strlen(body), body);

        assert_int_equal(send(descriptor, text, (size_t)length, 0), length);
        assert_true(recv(descriptor, text, sizeof text, 0) > 0);
        assert_memory_equal(text, "HTTP/1.1 200", 12);
        (void)cmcwh_ring_acknowledge(&f.ring, f.reader);
        if (!bare) {
            struct cmcwh_record record;

            while (cmcwh_ring_read(&f.ring, f.reader, &record) > 0) {
            }
            (void)cmcwh_ring_acknowledge(&f.ring, f.reader);
        }
    }
    (void)close(descriptor);
}

static unsigned count_for(int port, const char *body, bool is_bare) {
    unsigned before;

    bare = is_bare;
    converse(port, body, 3); /* civetweb settles */
    before = __atomic_load_n(&allocations, __ATOMIC_RELAXED);
    converse(port, body, 200);
    return __atomic_load_n(&allocations, __ATOMIC_RELAXED) - before;
}

static struct mg_context *start(int *port) {
    const char *settings[] = {"listening_ports",   "127.0.0.1:0", "num_threads", "1",
                              "enable_keep_alive", "yes",         NULL};
    struct mg_callbacks callbacks = {.begin_request = begin_request, .http_error = http_error};
    struct cmcwh_server_config config = {
        .ring = &f.ring, .path = "/mails", .body_max = 1 << 20, .keep_alive = 60};
    struct mg_server_port listener;
    struct mg_context *civetweb;

    fixture_init(&f, 1024, false);
    assert_int_equal(cmcwh_server_init(&server, &config), CMCWH_OK);
    (void)mg_init_library(0);
    civetweb = mg_start(&callbacks, NULL, settings);
    assert_non_null(civetweb);
    assert_int_equal(mg_get_server_ports(civetweb, 1, &listener), 1);
    *port = listener.port;
    return civetweb;
}

static void stop(struct mg_context *civetweb) {
    mg_stop(civetweb);
    (void)mg_exit_library();
}

static void none_of_ours(void **state) {
    static char body[32768];
    unsigned with_bare, with_ours;
    char *out = body + sprintf(body, "{\"event_type\":\"bounces\",\"event\":{\"bounces\":[");
    struct mg_context *civetweb;
    int port;

    (void)state;
    out = repeat(out, "{\"reason\":\"\\u65e5 550 5.1.1 no such user\",\"to\":\"a@b\",\"x\":[{}]},",
                 100);
    (void)strcpy(out, "{}]}}");
    civetweb = start(&port);
    with_bare = count_for(port, body, true);
    with_ours = count_for(port, body, false);
    stop(civetweb);
    assert_int_equal(with_ours, with_bare);
    assert_true(!COUNTS || with_bare >= 200); /* the counter counts: civetweb copies the URI */
}

/* All answers to what is sent over a connection whose other half is then closed. */
static const char *answers_to(int port, const char *text) {
    static char answers[4096];
    int descriptor = dial(port);
    size_t used = 0;
    ssize_t came;

    assert_int_equal(send(descriptor, text, strlen(text), 0), strlen(text));
    assert_int_equal(shutdown(descriptor, SHUT_WR), 0);
    while ((came = recv(descriptor, answers + used, sizeof answers - 1 - used, 0)) > 0) {
        used += (size_t)came;
    }
    (void)close(descriptor);
    answers[used] = '\0';
    return answers;
}

#define HEAD(length)                                                                               \
    "POST /mails HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n" length "\r\n"
#define CHUNKED HEAD("Transfer-Encoding: chunked\r\n")
#define EVENT   "{\"event_type\":\"bounces\",\"event\":{\"bounces\":[{}]}}" /* 49 bytes */

/* What mg_read makes of a body, chunks decoded. */
static void bodies_of_mg_read(void **state) {
    static const struct {
        const char *sent, *status, *why;
    } cases[] = {
        {HEAD("Content-Length: 49\r\n") EVENT, "200", "\"stored\":1"},
        {HEAD("Content-Length: 49\r\n") "{", "400", "truncated_body"},
        {CHUNKED "1\r\n{\r\n30\r\n"
                 "\"event_type\":\"bounces\",\"event\":{\"bounces\":[{}]}}"
                 "\r\n0\r\n\r\n",
         "200", "\"stored\":1"},
        {CHUNKED "1\r\n{\r\n", "400", "truncated_body"},
        {CHUNKED "x\r\n", "400", "truncated_body"},
        {HEAD("Expect: 100-continue\r\nContent-Length: 49\r\n") EVENT, "100", "\"stored\":1"},
        {" GET / HTTP/1.1\r\n\r\n", "400", "malformed_request"},
    };
    int port;
    struct mg_context *civetweb = start(&port);

    (void)state;
    bare = false;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *answers = answers_to(port, cases[i].sent);

        assert_memory_equal(answers, "HTTP/1.1 ", 9);
        assert_memory_equal(answers + 9, cases[i].status, 3);
        if (strstr(answers, cases[i].why) == NULL) {
            fail_msg("case %zu: '%s'", i, answers);
        }
    }
    stop(civetweb);
    assert_int_equal(server.in_flight, 0);
    assert_int_equal(server.counters.events, 3);
}

static void bad_configs(void **state) {
    const struct cmcwh_server_config good = {.ring = &f.ring, .path = "/mails", .body_max = 1};
    struct cmcwh_server_config bad[4] = {good, good, good, good};

    (void)state;
    assert_int_equal(cmcwh_server_init(&server, &good), CMCWH_OK);
    bad[0].ring = NULL;
    bad[1].path = NULL;
    bad[2].path = "mails";
    bad[3].body_max = 0;
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(cmcwh_server_init(&server, &bad[i]), CMCWH_ERR_ARGUMENT);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(none_of_ours),
                                       cmocka_unit_test(bodies_of_mg_read),
                                       cmocka_unit_test(bad_configs)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
