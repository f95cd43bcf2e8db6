/* No memory is allocated for a request but by civetweb itself: a request to our handler costs as
 * many allocations as one to a handler that does nothing. */
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

/* Sends `count` requests over one connection and reads the answers. */
static void converse(int port, const char *body, unsigned count) {
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int descriptor = socket(AF_INET, SOCK_STREAM, 0);
    static char text[65536];

    assert_int_equal(connect(descriptor, (struct sockaddr *)&address, sizeof address), 0);
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

static void none_of_ours(void **state) {
    const char *settings[] = {"listening_ports",   "127.0.0.1:0", "num_threads", "1",
                              "enable_keep_alive", "yes",         NULL};
    struct mg_callbacks callbacks = {.begin_request = begin_request};
    struct cmcwh_server_config config = {.ring = &f.ring,
                                         .path = "/mails",
                                         .body_max = 1 << 20,
                                         .body_timeout = 10000,
                                         .keep_alive = 60};
    struct mg_server_port port;
    struct mg_context *civetweb;
    static char body[32768];
    unsigned with_bare, with_ours;
    char *out = body + sprintf(body, "{\"event_type\":\"bounces\",\"event\":{\"bounces\":[");

    (void)state;
    out = repeat(out, "{\"reason\":\"\\u65e5 550 5.1.1 no such user\",\"to\":\"a@b\",\"x\":[{}]},",
                 100);
    (void)strcpy(out, "{}]}}");
    fixture_init(&f, 1024, false);
    assert_int_equal(cmcwh_server_init(&server, &config), CMCWH_OK);
    (void)mg_init_library(0);
    civetweb = mg_start(&callbacks, NULL, settings);
    assert_non_null(civetweb);
    assert_int_equal(mg_get_server_ports(civetweb, 1, &port), 1);
    with_bare = count_for(port.port, body, true);
    with_ours = count_for(port.port, body, false);
    mg_stop(civetweb);
    (void)mg_exit_library();
    assert_int_equal(with_ours, with_bare);
    assert_true(!COUNTS || with_bare >= 200); /* the counter counts: civetweb copies the URI */
}

static void bad_configs(void **state) {
    const struct cmcwh_server_config good = {
        .ring = &f.ring, .path = "/mails", .body_max = 1, .body_timeout = 1};
    struct cmcwh_server_config bad[5] = {good, good, good, good, good};

    (void)state;
    assert_int_equal(cmcwh_server_init(&server, &good), CMCWH_OK);
    bad[0].ring = NULL;
    bad[1].path = NULL;
    bad[2].path = "mails";
    bad[3].body_max = 0;
    bad[4].body_timeout = 0;
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(cmcwh_server_init(&server, &bad[i]), CMCWH_ERR_ARGUMENT);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(none_of_ours),
                                       cmocka_unit_test(bad_configs)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
