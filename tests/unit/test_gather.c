/* Requests that wait for others to share a sync with: how long, together with whom, and what ends
 * it sooner. The clock is the test's, and one thread asks again and again, as on a device that has
 * several parsers. */
#include "disk.h"

#include <stdio.h>
#include <string.h>

enum { CAPACITY = 6, BLOCK = 256, PARSERS = CAPACITY + 1, GATHER = 250, START = 1000 };

static struct disk disk;
static struct cmcwh_ring ring;
static struct cmcwh_record records[CAPACITY];
static uint32_t links[CAPACITY];
static struct cmcwh_parser parsers[PARSERS];
static uint64_t ticks;
static unsigned syncs; /* of the sink */
static size_t synced;  /* bytes of it */
static size_t written;
static struct cmcwh_sink sink;
static char buffer[2 * CMCWH_ENCODED_MAX]; /* has room for all that fit into the ring */
static int log_reader, udp_reader;

static uint64_t steady(void *context) {
    (void)context;
    return ticks;
}

static const struct cmcwh_port clock_only = {.ticks = steady};
static const struct cmcwh_port no_clock;

static int write_log(void *context, const void *bytes, size_t length) {
    (void)context;
    (void)bytes;
    written += length;
    return 0;
}

static int sync_log(void *context) {
    (void)context;
    syncs++;
    synced = written;
    return 0;
}

static void attach(void) {
    struct cmcwh_sink_config config = {.ring = &ring,
                                       .encoding = CMCWH_ENCODE_JSON,
                                       .write = write_log,
                                       .sync = sync_log,
                                       .buffer = buffer,
                                       .buffer_size = sizeof buffer};

    log_reader = config.reader = cmcwh_ring_attach(&ring, "log", true);
    udp_reader = cmcwh_ring_attach(&ring, "udp", false);
    assert_int_equal(cmcwh_sink_init(&sink, &config), CMCWH_OK);
    syncs = 0;
    synced = written = 0;
    ticks = START;
}

static struct cmcwh_ring_config usual(void) {
    return (struct cmcwh_ring_config){.records = records,
                                      .links = links,
                                      .capacity = CAPACITY,
                                      .port = &clock_only,
                                      .gather = GATHER};
}

static void on_storage(const struct cmcwh_port *port) {
    struct cmcwh_geometry geometry = {.records = CAPACITY, .block = BLOCK};
    struct cmcwh_ring_config config = usual();
    struct cmcwh_recovery found;

    disk_init(&disk, 3 * BLOCK + CAPACITY * CMCWH_RECORD_SIZE);
    assert_int_equal(cmcwh_storage_format(&disk.storage, &geometry), CMCWH_OK);
    config.port = port;
    config.storage = &disk.storage;
    assert_int_equal(cmcwh_ring_open(&ring, &config, &found), CMCWH_OK);
    attach();
    disk.syncs = disk.calls = 0;
}

static void in_memory(void) {
    struct cmcwh_ring_config config = usual();

    config.confirm = true;
    assert_int_equal(cmcwh_ring_init(&ring, &config, 1), CMCWH_OK);
    attach();
}

/* A request of one event. Returns what its commit says, or what failed before. */
static int request(unsigned parser) {
    static const char body[] =
        "{\"event_type\":\"bounces\",\"event\":{\"bounces\":[{\"to\":\"x\"}]}}";
    int result;

    cmcwh_parser_init(&parsers[parser], &ring, CMCWH_JSON);
    result = cmcwh_parser_feed(&parsers[parser], body, sizeof body - 1);
    result = result < 0 ? result : cmcwh_parser_end(&parsers[parser]);
    return result < 0 ? result : cmcwh_parser_commit(&parsers[parser]);
}

static int ask(unsigned parser) {
    return cmcwh_parser_confirm(&parsers[parser]);
}

static void assert_pending(unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(ask(i), CMCWH_PENDING);
    }
}

static unsigned read_by(int reader) {
    struct cmcwh_record record;
    unsigned count = 0;

    while (cmcwh_ring_read(&ring, reader, &record) > 0) {
        count++;
    }
    return count;
}

/* ---- On storage ---- */

/* One write of the records, which stand side by side, one of the state, one sync. */
static void one_sync_for_all(void **state) {
    (void)state;
    on_storage(&clock_only);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(request(i), CMCWH_PENDING);
        ticks += 100;
    }
    assert_int_equal(START + 300, ticks);
    ticks = START + GATHER - 1;
    assert_pending(3);
    assert_int_equal(disk.calls, 0);
    assert_int_equal(read_by(log_reader), 0);
    ticks++;
    assert_int_equal(ask(2), 1); /* whoever asks stores for all */
    assert_int_equal(disk.syncs, 1);
    assert_int_equal(disk.calls, 5);
    assert_int_equal(ask(0), 1);
    assert_int_equal(ask(1), 1);
    assert_int_equal(disk.calls, 5);
    assert_int_equal(read_by(log_reader), 3);
}

/* The time is that of the first who waits, and the next one's begins with it. */
static void each_group_has_its_time(void **state) {
    (void)state;
    on_storage(&clock_only);
    for (unsigned round = 0; round < 3; round++) {
        assert_int_equal(request(0), CMCWH_PENDING);
        ticks += GATHER - 1;
        assert_int_equal(request(1), CMCWH_PENDING);
        assert_pending(2);
        ticks++;
        assert_int_equal(ask(1), 1);
        assert_int_equal(ask(0), 1);
        assert_int_equal(disk.syncs, round + 1);
    }
}

/* Commits a request while another one is being written. */
static void come_meanwhile(struct disk *unused) {
    (void)unused;
    disk.cut = NULL;
    assert_int_equal(request(1), CMCWH_PENDING);
}

static void whoever_comes_during_a_sync_waits(void **state) {
    (void)state;
    on_storage(&clock_only);
    assert_int_equal(request(0), CMCWH_PENDING);
    ticks += GATHER;
    disk.cut = come_meanwhile;
    assert_int_equal(ask(0), 1);
    assert_null(disk.cut);
    assert_int_equal(ask(1), CMCWH_PENDING);
    assert_int_equal(disk.syncs, 1);
    ticks += GATHER;
    assert_int_equal(ask(1), 1);
    assert_int_equal(disk.syncs, 2);
}

static void the_storage_fails_for_all(void **state) {
    (void)state;
    on_storage(&clock_only);
    assert_int_equal(request(0), CMCWH_PENDING);
    assert_int_equal(request(1), CMCWH_PENDING);
    ticks += GATHER;
    disk.fail_at = disk.calls + 1;
    disk.fail_count = 1;
    assert_int_equal(ask(0), CMCWH_ERR_STORAGE);
    assert_int_equal(ask(1), CMCWH_ERR_STORAGE);
    ticks += 1000;
    assert_int_equal(request(0), CMCWH_PENDING);
    ticks += GATHER;
    assert_int_equal(ask(0), 1);
    assert_int_equal(read_by(log_reader), 1);
}

/* The others wait as long as they would have, and are stored without it. */
static void the_first_goes_away(void **state) {
    (void)state;
    on_storage(&clock_only);
    assert_int_equal(request(0), CMCWH_PENDING);
    ticks += 100;
    assert_int_equal(request(1), CMCWH_PENDING);
    cmcwh_parser_abort(&parsers[0]);
    ticks = START + GATHER;
    assert_int_equal(ask(1), CMCWH_PENDING);
    ticks += 100;
    assert_int_equal(ask(1), 1);
    assert_int_equal(read_by(log_reader), 1);
}

static void full_on_storage(void **state) {
    (void)state;
    on_storage(&clock_only);
    for (unsigned i = 0; i < CAPACITY; i++) {
        assert_int_equal(request(i), CMCWH_PENDING);
    }
    assert_pending(CAPACITY);
    assert_int_equal(request(CAPACITY), CMCWH_ERR_FULL);
    assert_int_equal(ask(0), 1);
    assert_int_equal(disk.syncs, 1);
}

/* ---- In memory ---- */

static void one_sync_of_the_sink(void **state) {
    (void)state;
    in_memory();
    assert_int_equal(request(0), CMCWH_PENDING);
    ticks += GATHER - 1;
    assert_int_equal(request(1), CMCWH_PENDING);
    assert_int_equal(cmcwh_sink_pump(&sink), 0);
    assert_false(cmcwh_ring_wait(&ring, log_reader, 0));
    assert_pending(2);
    ticks++;
    assert_true(cmcwh_ring_wait(&ring, log_reader, 0));
    assert_int_equal(read_by(udp_reader), 0);
    assert_int_equal(cmcwh_sink_pump(&sink), 2);
    assert_int_equal(syncs, 1);
    assert_true(synced > 0 && synced == written);
    assert_int_equal(ask(0), 1);
    assert_int_equal(ask(1), 1);
    assert_int_equal(read_by(udp_reader), 2);
}

/* A sink that is done does not sync for each request because another one is not. */
static void slow_neighbour(void **state) {
    int slow;

    (void)state;
    in_memory();
    slow = cmcwh_ring_attach(&ring, "slow", true);
    assert_int_equal(request(0), CMCWH_PENDING);
    ticks += GATHER;
    assert_int_equal(cmcwh_sink_pump(&sink), 1);
    assert_int_equal(request(1), CMCWH_PENDING);
    assert_int_equal(cmcwh_sink_pump(&sink), 0);
    ticks += GATHER - 1;
    assert_int_equal(request(2), CMCWH_PENDING);
    assert_int_equal(cmcwh_sink_pump(&sink), 0);
    ticks++;
    assert_int_equal(cmcwh_sink_pump(&sink), 2);
    assert_int_equal(syncs, 2);
    assert_pending(3);
    assert_int_equal(read_by(slow), 3); /* what it waits for is long since due */
    assert_int_equal(cmcwh_ring_acknowledge(&ring, slow), CMCWH_OK);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(ask(i), 1);
    }
}

static void the_sink_fails_for_all(void **state) {
    (void)state;
    in_memory();
    assert_int_equal(request(0), CMCWH_PENDING);
    assert_int_equal(request(1), CMCWH_PENDING);
    cmcwh_ring_fail(&ring, log_reader, 0);
    assert_int_equal(ask(0), CMCWH_ERR_STORAGE);
    assert_int_equal(ask(1), CMCWH_ERR_STORAGE);
    assert_int_equal(request(0), CMCWH_PENDING);
    assert_int_equal(cmcwh_sink_pump(&sink), 0);
    ticks += GATHER;
    assert_int_equal(cmcwh_sink_pump(&sink), 1);
    assert_int_equal(ask(0), 1);
}

static void full_in_memory(void **state) {
    (void)state;
    in_memory();
    for (unsigned i = 0; i < CAPACITY; i++) {
        assert_int_equal(request(i), CMCWH_PENDING);
    }
    assert_int_equal(cmcwh_sink_pump(&sink), 0);
    assert_int_equal(request(CAPACITY), CMCWH_ERR_FULL);
    assert_int_equal(cmcwh_sink_pump(&sink), CAPACITY);
    assert_int_equal(syncs, 1);
    assert_int_equal(ask(0), 1);
}

/* ---- Both ---- */

static void enough(void **state) {
    (void)state;
    on_storage(&clock_only);
    assert_int_equal(cmcwh_ring_gathered(&ring, false), UINT32_MAX);
    assert_int_equal(cmcwh_ring_gathered(&ring, true), UINT32_MAX);
    assert_int_equal(request(0), CMCWH_PENDING);
    assert_int_equal(cmcwh_ring_gathered(&ring, false), GATHER);
    ticks += 100;
    assert_int_equal(request(1), CMCWH_PENDING);
    assert_int_equal(cmcwh_ring_gathered(&ring, false), GATHER - 100);
    assert_pending(2);
    assert_int_equal(cmcwh_ring_gathered(&ring, true), 0);
    assert_int_equal(ask(1), 1);
    assert_int_equal(ask(0), 1);
    assert_int_equal(disk.syncs, 1);
    assert_int_equal(request(0), CMCWH_PENDING); /* who comes later waits */
    assert_int_equal(cmcwh_ring_gathered(&ring, false), GATHER);

    in_memory();
    assert_int_equal(request(0), CMCWH_PENDING);
    assert_int_equal(cmcwh_sink_pump(&sink), 0);
    assert_int_equal(cmcwh_ring_gathered(&ring, true), 0);
    assert_int_equal(cmcwh_sink_pump(&sink), 1);
    assert_int_equal(ask(0), 1);
}

static void nobody_waits_without_a_clock(void **state) {
    (void)state;
    on_storage(&no_clock);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(request(i), 1);
        assert_int_equal(disk.syncs, i + 1);
    }
}

/* The time for sinks and storage begins when that for others is over, and is the same for all. */
static void time_to_be_safe(void **state) {
    struct cmcwh_ring_config config = usual();

    (void)state;
    config.confirm = true;
    config.confirm_wait = 100;
    assert_int_equal(cmcwh_ring_init(&ring, &config, 1), CMCWH_OK);
    attach();
    assert_int_equal(request(0), CMCWH_PENDING);
    ticks += GATHER + config.confirm_wait - 1;
    assert_int_equal(request(1), CMCWH_PENDING);
    assert_pending(2);
    assert_int_equal(cmcwh_sink_pump(&sink), 2);
    assert_int_equal(ask(0), 1);
    assert_int_equal(ask(1), 1);

    assert_int_equal(request(0), CMCWH_PENDING);
    assert_int_equal(cmcwh_ring_gathered(&ring, true), 0);
    ticks += config.confirm_wait - 1;
    assert_pending(1);
    ticks++;
    assert_int_equal(ask(0), CMCWH_ERR_STORAGE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_sync_for_all),
        cmocka_unit_test(each_group_has_its_time),
        cmocka_unit_test(whoever_comes_during_a_sync_waits),
        cmocka_unit_test(the_storage_fails_for_all),
        cmocka_unit_test(the_first_goes_away),
        cmocka_unit_test(full_on_storage),
        cmocka_unit_test(one_sync_of_the_sink),
        cmocka_unit_test(slow_neighbour),
        cmocka_unit_test(the_sink_fails_for_all),
        cmocka_unit_test(full_in_memory),
        cmocka_unit_test(enough),
        cmocka_unit_test(nobody_waits_without_a_clock),
        cmocka_unit_test(time_to_be_safe),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
