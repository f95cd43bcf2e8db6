/* What waits for a peer waits neither for ever nor when the end has been asked for. */
#include "support.h"

#include <arpa/inet.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "platform/platform.h"
#include "platform/reach.h"
#include "sink/dial.h"

/* The tests would not end if it were waited for. */
static const uint64_t never = UINT64_MAX;

static struct platform platform;
static struct cmcwh_ring ring;
static struct cmcwh_record record;
static uint32_t links;
static struct sink sink;
static int ends[2];

static int set_up(void **state) {
    struct cmcwh_ring_config config = {
        .records = &record, .links = &links, .capacity = 1, .port = &platform.port};

    (void)state;
    sink = (struct sink){.ring = &ring};
    return platform_init(&platform) != 0 || cmcwh_ring_init(&ring, &config, 1) < 0 ||
           socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) != 0;
}

static int tear_down(void **state) {
    (void)state;
    return close(ends[0]) != 0 || close(ends[1]) != 0;
}

static void fill(int descriptor) {
    static const char bytes[4096];

    while (write(descriptor, bytes, sizeof bytes) > 0) {
    }
}

static void waits_for_what_comes(void **state) {
    (void)state;
    assert_true(dial_wait(&sink, ends[0], POLLOUT, never));
    assert_int_equal(write(ends[1], "x", 1), 1);
    assert_true(dial_wait(&sink, ends[0], POLLIN, never));
    assert_true(dial_wait(&sink, ends[0], POLLIN, 0));
    assert_false(dial_wait(&sink, ends[0], 0, 0));
}

static void waits_no_longer_than_it_may(void **state) {
    (void)state;
    assert_false(dial_wait(&sink, ends[0], POLLIN, platform_ticks() + 150));
    fill(ends[0]);
    assert_false(dial_wait(&sink, ends[0], POLLOUT, 0));
}

static void does_not_wait_when_it_is_to_stop(void **state) {
    (void)state;
    sink.stop = true;
    assert_false(dial_wait(&sink, ends[0], POLLIN, never));
    fill(ends[0]);
    sink.descriptor = ends[0];
    assert_int_equal(send_all(&sink, "x", 1, "broken"), -1);
    assert_string_equal(sink.trouble, "takes nothing more");
}

/* A peer that talks without pause: only some of it is read, and its end is seen all the same. */
static void a_peer_may_talk_as_it_likes(void **state) {
    char byte;

    (void)state;
    assert_false(dial_hung_up(ends[0]));
    fill(ends[1]);
    assert_false(dial_hung_up(ends[0]));
    assert_int_equal(read(ends[0], &byte, 1), 1);
    assert_int_equal(shutdown(ends[1], SHUT_WR), 0);
    assert_true(dial_hung_up(ends[0]));
}

/* A listener on loopback, and an address that leads to it. */
static int listen_at(struct sockaddr_in *address, struct addrinfo *found, int backlog) {
    socklen_t length = sizeof *address;
    int descriptor = socket(AF_INET, SOCK_STREAM, 0);

    *address =
        (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    *found = (struct addrinfo){.ai_family = AF_INET,
                               .ai_socktype = SOCK_STREAM,
                               .ai_addr = (struct sockaddr *)address,
                               .ai_addrlen = length};
    assert_int_equal(bind(descriptor, (struct sockaddr *)address, length), 0);
    assert_int_equal(listen(descriptor, backlog), 0);
    assert_int_equal(getsockname(descriptor, (struct sockaddr *)address, &length), 0);
    return descriptor;
}

/* One whose listener takes nobody more is like one behind a firewall that drops. */
static void an_address_that_is_silent_leaves_time(void **state) {
    enum { CROWD = 16 };
    const struct patience patience = {.until = platform_ticks() + 4000};
    struct sockaddr_in addresses[2];
    struct addrinfo found[2];
    int silent = listen_at(&addresses[0], &found[0], 0), other, crowd[CROWD], reached;

    (void)state;
    other = listen_at(&addresses[1], &found[1], 5);
    for (unsigned i = 0; i < CROWD; i++) {
        crowd[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)connect(crowd[i], found[0].ai_addr, found[0].ai_addrlen);
    }
    found[0].ai_next = &found[1];
    reached = reach(found, 60000, &patience);
    assert_true(reached >= 0);
    assert_false(patience_over(&patience)); /* a connection that takes longer could still come */
    for (unsigned i = 0; i < CROWD; i++) {
        assert_int_equal(close(crowd[i]), 0);
    }
    assert_int_equal(close(reached), 0);
    assert_int_equal(close(other), 0);
    assert_int_equal(close(silent), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(waits_for_what_comes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(waits_no_longer_than_it_may, set_up, tear_down),
        cmocka_unit_test_setup_teardown(does_not_wait_when_it_is_to_stop, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_peer_may_talk_as_it_likes, set_up, tear_down),
        cmocka_unit_test(an_address_that_is_silent_leaves_time)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
