/* Requests that are being stored, and those that wait for them, at a door whose storage takes as
 * long as a test likes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "platform/platform.h"

static uint32_t ahead; /* ms that the door's clock is before the real one; atomic */

static uint64_t test_ticks(void) {
    return platform_ticks() + __atomic_load_n(&ahead, __ATOMIC_RELAXED);
}

#define platform_ticks test_ticks
#include "door/door.c"
#undef platform_ticks
#include "behind.h"
#include "said.h"

enum { RECORDS = 64, BLOCK = 4096, CLIENTS = 24, HANGS = 60 /* s */ };

#define EVENT "{\"event_type\":\"bounces\",\"event\":{\"bounces\":[{}]}}"
#define POST                                                                                       \
    "POST /mails HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"                        \
    "Content-Length: 49\r\n\r\n" EVENT

/* Until `reached`, which must come. */
#define await(reached)                                                                             \
    while (!(reached)) {                                                                           \
        (void)poll(NULL, 0, 1);                                                                    \
    }

/* ---- A storage with a gate: so many syncs may pass ---- */

enum { ALL = 1000000 };

static uint8_t bytes[3 * BLOCK + RECORDS * CMCWH_RECORD_SIZE];
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t gate_moves = PTHREAD_COND_INITIALIZER;
static unsigned may_pass, before_gate;

static int read_bytes(void *context, uint64_t offset, void *to, size_t length) {
    (void)context;
    memcpy(to, bytes + offset, length);
    return 0;
}

static int write_bytes(void *context, uint64_t offset, const void *from, size_t length) {
    (void)context;
    memcpy(bytes + offset, from, length);
    return 0;
}

static int pass_gate(void *context) {
    (void)context;
    (void)pthread_mutex_lock(&gate);
    before_gate++;
    while (may_pass == 0) {
        (void)pthread_cond_wait(&gate_moves, &gate);
    }
    may_pass--;
    before_gate--;
    (void)pthread_mutex_unlock(&gate);
    return 0;
}

static void let_pass(unsigned count) {
    (void)pthread_mutex_lock(&gate);
    may_pass = count;
    (void)pthread_cond_broadcast(&gate_moves);
    (void)pthread_mutex_unlock(&gate);
}

static unsigned waits_before_gate(void) {
    unsigned count;

    (void)pthread_mutex_lock(&gate);
    count = before_gate;
    (void)pthread_mutex_unlock(&gate);
    return count;
}

/* ---- The door ---- */

static struct platform platform;
static struct cmcwh_record records[RECORDS];
static uint32_t links[RECORDS];
static struct cmcwh_ring ring;
static struct cmcwh_server server;
static struct listener listener;
static struct door *door;
static int clients[CLIENTS];

static void settled(void *context, struct mg_connection *connection) {
    (void)context;
    door_settled(exchange_of(connection));
}

static void open_door(unsigned workers) {
    static const char *const text[] = {"127.0.0.1:0"};
    static const struct cmcwh_storage storage = {NULL, read_bytes, write_bytes, pass_gate};
    const struct listeners listeners = {"--listen", text, 1};
    const struct door_config config = {.server = &server,
                                       .listeners = &listener,
                                       .listener_count = 1,
                                       .workers = workers,
                                       .connections = 32,
                                       .slow = 1,
                                       .timeout = HANGS * 1000,
                                       .keep = HANGS * 1000,
                                       .longest = 65536};
    struct cmcwh_ring_config ring_config = {.records = records,
                                            .links = links,
                                            .capacity = RECORDS,
                                            .port = &platform.port,
                                            .storage = &storage};
    struct cmcwh_server_config server_config = behind_exchanges(&ring);
    struct cmcwh_geometry geometry = {.records = RECORDS, .block = BLOCK};
    struct cmcwh_recovery found;

    let_pass(ALL);
    ahead = 0;
    server_config.settled = settled;
    assert_int_equal(platform_init(&platform), 0);
    assert_int_equal(cmcwh_storage_format(&storage, &geometry), CMCWH_OK);
    assert_int_equal(cmcwh_ring_open(&ring, &ring_config, &found), CMCWH_OK);
    assert_int_equal(cmcwh_ring_attach(&ring, "reader", true), 0);
    assert_int_equal(cmcwh_server_init(&server, &server_config), CMCWH_OK);
    assert_int_equal(listen_open(&listeners, 1, &listener), OUTCOME_RIGHT);
    door = door_open(&config);
    assert_non_null(door);
    let_pass(0);
}

/* What is left of it: so many events were answered with 200, and nothing of any other request is in
 * the ring; but so many came another way. */
static void leave_door(unsigned stored, unsigned others) {
    struct cmcwh_server_counters counters;
    struct cmcwh_ring_state state;

    listen_close(&listener, 1);
    let_pass(ALL);
    cmcwh_server_count(&server, &counters);
    cmcwh_ring_state(&ring, &state);
    assert_int_equal(counters.events, stored);
    assert_int_equal(state.behind[0], stored + others);
    assert_int_equal(state.in_use, stored + others);
    assert_null(ring.waiting);
    assert_int_equal(server.in_flight, 0);
    for (unsigned i = 0; i < CLIENTS; i++) {
        (void)close(clients[i]);
        clients[i] = -1;
    }
    (void)said();
}

static unsigned count_in(enum state state) {
    unsigned count = 0;

    for (unsigned i = 0; i < door->config.connections; i++) {
        uint32_t word = word_of(&door->connections[i]);

        count += !is_held(word) && state_in(word) == state;
    }
    return count;
}

static void send_one(unsigned client) {
    const struct sockaddr_in address = {.sin_family = AF_INET,
                                        .sin_port = htons((uint16_t)listener.port),
                                        .sin_addr = {htonl(INADDR_LOOPBACK)}};

    clients[client] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(clients[client], (const struct sockaddr *)&address, sizeof address),
                     0);
    assert_int_equal(send(clients[client], POST, sizeof POST - 1, 0), sizeof POST - 1);
}

/* The status that has come, 0: the connection was closed without one. */
static int status_of(unsigned client) {
    char answer[1024];
    ssize_t came = recv(clients[client], answer, sizeof answer - 1, 0);

    answer[came > 0 ? came : 0] = '\0';
    return came > 9 ? (int)strtol(answer + 9, NULL, 10) : 0; /* behind "HTTP/1.1 " */
}

/* ---- Tests ---- */

/* Whatever hangs ends the program. */
static int setup(void **state) {
    (void)state;
    (void)alarm(HANGS);
    (void)signal(SIGPIPE, SIG_IGN);
    for (unsigned i = 0; i < CLIENTS; i++) {
        clients[i] = -1;
    }
    return 0;
}

/* Those who were refused, and do not hang up, do not take the turn of whoever still waits. */
static void refused_ones_are_not_called(void **state) {
    enum { WORKERS = 2, STORED = SHARED * WORKERS + 1, REFUSED = 4 };

    (void)state;
    open_door(WORKERS);
    send_one(0);
    await(waits_before_gate() == 1);
    for (unsigned i = 1; i < STORED; i++) {
        send_one(i);
        await(count_in(STORES) == i);
    }
    for (unsigned i = STORED; i < STORED + REFUSED; i++) {
        send_one(i);
    }
    await(count_in(QUEUES) == REFUSED);
    (void)__atomic_fetch_add(&ahead, QUEUE, __ATOMIC_RELAXED);
    for (unsigned i = STORED; i < STORED + REFUSED; i++) {
        assert_int_equal(status_of(i), 503);
    }
    await(count_in(LINGERS) == REFUSED);
    send_one(STORED + REFUSED);
    await(count_in(QUEUES) == 1);
    let_pass(ALL);
    assert_int_equal(status_of(STORED + REFUSED), 200);
    for (unsigned i = 0; i < STORED; i++) {
        assert_int_equal(status_of(i), 200);
    }
    door_drain(door, 0);
    assert_true(door_close(door));
    leave_door(STORED + 1, 0);
}

static void *flush_ring(void *unused) {
    (void)unused;
    ring.keeper.dirty = true;
    (void)cmcwh_ring_flush(&ring);
    return NULL;
}

/* Some other thread is at the storage, and a request waits for that. */
static pthread_t begin_waiting(void) {
    pthread_t other;

    open_door(1);
    assert_int_equal(pthread_create(&other, NULL, flush_ring, NULL), 0);
    await(waits_before_gate() == 1);
    send_one(0);
    send_one(1);
    await(count_in(STORES) == 2);
    return other;
}

/* The workers have ended, and door_close is yet to come. */
static void end_workers(void) {
    __atomic_store_n(&door->stop, true, __ATOMIC_RELEASE);
    assert_int_equal(eventfd_write(door->wake, 1), 0);
    assert_true(end_threads(door));
    for (unsigned i = 0; i <= door->config.workers; i++) {
        door->threads[i].started = false;
    }
}

/* The ring knows nothing any more of a request whose connection was closed at the end. */
static void closed_while_another_stores(void **state) {
    pthread_t other = begin_waiting();

    (void)state;
    assert_true(door_close(door));
    assert_null(ring.waiting);
    let_pass(ALL);
    assert_int_equal(pthread_join(other, NULL), 0);
    assert_int_equal(status_of(0), 503);
    assert_int_equal(status_of(1), 503);
    leave_door(0, 0);
}

/* Closing begins no write, which might hang. */
static void closing_does_not_store(void **state) {
    pthread_t other = begin_waiting();

    (void)state;
    end_workers();
    let_pass(1);
    assert_int_equal(pthread_join(other, NULL), 0);
    assert_true(door_close(door));
    assert_int_equal(status_of(0), 503);
    assert_int_equal(status_of(1), 503);
    leave_door(0, 0);
}

/* The thread that looks at the time does not hang in a write to the storage: when that is free, it
 * leaves it to a worker, who has been called. */
static void looking_at_the_time_does_not_store(void **state) {
    pthread_t other = begin_waiting();

    (void)state;
    end_workers();
    let_pass(1);
    assert_int_equal(pthread_join(other, NULL), 0);
    for (unsigned i = 0; i < door->config.connections; i++) {
        struct connection *c = &door->connections[i];

        if (hold(c, word_of(c))) {
            be_late(&door->threads[door->config.workers], c);
        }
    }
    assert_int_equal(count_in(STORES), 2);
    assert_true(door_close(door));
    leave_door(0, 0);
}

/* What has been stored by then is answered so. */
static void closed_after_it_was_stored(void **state) {
    static struct cmcwh_parser parser;
    pthread_t other = begin_waiting();

    (void)state;
    end_workers();
    let_pass(ALL);
    assert_int_equal(pthread_join(other, NULL), 0);
    cmcwh_parser_init(&parser, &ring, CMCWH_JSON);
    assert_int_equal(cmcwh_parser_feed(&parser, EVENT, sizeof EVENT - 1), CMCWH_OK);
    assert_int_equal(cmcwh_parser_end(&parser), 1);
    assert_int_equal(cmcwh_parser_commit(&parser), 1); /* all that waits is stored at once */
    assert_true(door_close(door));
    assert_int_equal(status_of(0), 200);
    assert_int_equal(status_of(1), 200);
    leave_door(2, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(refused_ones_are_not_called, setup),
        cmocka_unit_test_setup(closed_while_another_stores, setup),
        cmocka_unit_test_setup(closing_does_not_store, setup),
        cmocka_unit_test_setup(looking_at_the_time_does_not_store, setup),
        cmocka_unit_test_setup(closed_after_it_was_stored, setup)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
