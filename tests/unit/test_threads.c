/* Several requests and sinks at a time, on a real lock; made for ThreadSanitizer as well. */
#include "disk.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PRODUCERS = 4, REQUESTS = 1500, CAPACITY = 64 };

static struct cmcwh_record records[CAPACITY];
static uint32_t links[CAPACITY], places[CAPACITY], marks[2 * CAPACITY];
static struct cmcwh_history history = {
    .places = places, .marks = marks, .mark_count = 2 * CAPACITY};
static struct cmcwh_ring ring;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;

static void lock(void *context) {
    (void)context;
    (void)pthread_mutex_lock(&mutex);
}

static void unlock(void *context) {
    (void)context;
    (void)pthread_mutex_unlock(&mutex);
}

static bool wait_for(void *context, uint32_t ms) {
    struct timespec until;

    (void)context;
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += (time_t)(ms / 1000);
    until.tv_nsec += (long)(ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    return pthread_cond_timedwait(&condition, &mutex, &until) == 0;
}

static void wake(void *context) {
    (void)context;
    (void)pthread_cond_broadcast(&condition);
}

static uint64_t now(void *context) {
    struct timespec time;

    (void)context;
    (void)clock_gettime(CLOCK_REALTIME, &time);
    return (uint64_t)time.tv_sec * 1000 + (uint64_t)time.tv_nsec / 1000000;
}

static const struct cmcwh_port port = {
    .now = now, .lock = lock, .unlock = unlock, .wait = wait_for, .wake = wake};

static uint32_t gather;              /* of the ring; ms */
static unsigned requests = REQUESTS; /* of each producer */
static bool refused;                 /* some request, by the storage; under the lock */

/* What each request came to, by its number: 0 unknown, 1 answered with 200, 2 refused. */
static unsigned char outcomes[PRODUCERS * REQUESTS];
static unsigned events_of(unsigned request) {
    return 1 + request * 7 % 5;
}

static void *produce(void *context) {
    unsigned producer = *(unsigned *)context;
    static struct cmcwh_parser parsers[PRODUCERS];
    struct cmcwh_parser *parser = &parsers[producer];

    for (unsigned i = 0; i < requests; i++) {
        unsigned request = producer * REQUESTS + i;
        char body[512], *out = body;
        int result;

        out += sprintf(out, "{\"event_type\":\"bounces\",\"event\":{\"bounces\":[");
        for (unsigned event = 0; event < events_of(request); event++) {
            out += sprintf(out, "%s{\"to\":\"%u\",\"status\":\"%u\"}", event > 0 ? "," : "",
                           request, event);
        }
        out += sprintf(out, "]}}");
        cmcwh_parser_init(parser, &ring, CMCWH_JSON);
        result = cmcwh_parser_feed(parser, body, (size_t)(out - body));
        if (result >= 0 && i % 11 != 0) { /* some clients go away */
            result = cmcwh_parser_end(parser);
            if (result >= 0) {
                result = cmcwh_parser_commit(parser);
            }
        } else {
            result = -1;
        }
        if (result < 0) {
            cmcwh_parser_abort(parser);
        }
        if (result == CMCWH_ERR_STORAGE || result == CMCWH_ERR_FULL) {
            lock(NULL);
            refused = true;
            unlock(NULL);
        }
        outcomes[request] = result >= 0 ? 1 : 2;
    }
    return NULL;
}

/* A sink that keeps what it was given: which event came how often, and that seq only grows. */
struct keeper {
    struct cmcwh_sink sink;
    bool required, done;
    unsigned fail_every, calls;
    uint64_t last_seq, undo_seq;
    bool mid;
    unsigned char seen[PRODUCERS * REQUESTS][5], undo_seen[PRODUCERS * REQUESTS][5];
    char buffer[CMCWH_ENCODED_MAX];
};

static int keeper_write(void *context, const void *bytes, size_t length) {
    struct keeper *keeper = context;
    const char *at = bytes, *end = at + length;

    if (!keeper->mid) {
        keeper->undo_seq = keeper->last_seq;
        if (keeper->fail_every != 0) {
            memcpy(keeper->undo_seen, keeper->seen, sizeof keeper->seen);
        }
        keeper->mid = true;
    }
    if (keeper->fail_every != 0 && ++keeper->calls % keeper->fail_every == 0) {
        return -1;
    }
    while (at < end) {
        uint64_t seq = strtoull(at + 7, NULL, 10);
        const char *to = strstr(at, "\"to\":\""), *status = strstr(at, "\"status\":\"");
        unsigned long request = strtoul(to + 6, NULL, 10), event = strtoul(status + 10, NULL, 10);

        if (seq <= keeper->last_seq || request >= PRODUCERS * REQUESTS || event >= 5) {
            abort();
        }
        keeper->last_seq = seq;
        keeper->seen[request][event]++;
        at = (const char *)memchr(at, '\n', (size_t)(end - at)) + 1;
    }
    return 0;
}

static int keeper_sync(void *context) {
    ((struct keeper *)context)->mid = false;
    return 0;
}

static void keeper_undo(void *context) {
    struct keeper *keeper = context;

    keeper->mid = false;
    if (keeper->fail_every != 0) {
        keeper->last_seq = keeper->undo_seq;
        memcpy(keeper->seen, keeper->undo_seen, sizeof keeper->seen);
    }
}

static void *keep(void *context) {
    struct keeper *keeper = context;
    bool done = false;

    while (!done) {
        int moved;

        lock(NULL);
        done = keeper->done;
        unlock(NULL);
        while ((moved = cmcwh_sink_pump(&keeper->sink)) != 0) {
            if (moved < 0) {
                cmcwh_ring_fail(&ring, keeper->sink.config.reader, 0);
            }
        }
        if (!done) {
            (void)cmcwh_ring_wait(&ring, keeper->sink.config.reader, 1);
        }
    }
    return NULL;
}

/* Looks at events while all others work: each that is found is whole, and safe. */
static bool looked_enough;
static unsigned looks_found;

static void *look(void *context) {
    bool enough = false;

    (void)context;
    for (uint64_t back = 0; !enough; back = (back + 7) % (2 * CAPACITY)) {
        struct cmcwh_ring_state before, after;
        struct cmcwh_record record;
        uint64_t seq;

        cmcwh_ring_state(&ring, &before);
        seq = before.stored - back;
        if (cmcwh_ring_look(&ring, seq, &record) > 0) {
            cmcwh_ring_state(&ring, &after);
            if (cmcwh_record_check(&record) < 0 || event_of(&record).seq != seq ||
                seq > after.safe) {
                abort();
            }
            looks_found++;
        }
        lock(NULL);
        enough = looked_enough;
        unlock(NULL);
    }
    return NULL;
}

static struct keeper keepers[2];
static struct disk disk;

/* A disk that fails works again when that has met a request. */
static int write_or_heal(void *context, uint64_t offset, const void *bytes, size_t length) {
    lock(NULL);
    if (refused) {
        disk.fail_at = 0;
    }
    unlock(NULL);
    return disk.storage.write(context, offset, bytes, length);
}

static void open_ring(struct cmcwh_ring_config *config) {
    static struct cmcwh_storage storage;
    struct cmcwh_geometry geometry = {.records = CAPACITY, .block = 256};
    struct cmcwh_recovery found;

    storage = disk.storage;
    storage.write = write_or_heal;
    refused = false;
    config->storage = &storage;
    disk.forgets = true;
    assert_int_equal(cmcwh_storage_format(&disk.storage, &geometry), CMCWH_OK);
    assert_int_equal(cmcwh_ring_open(&ring, config, &found), CMCWH_OK);
    disk.fail_at = disk.fail_count == 0 ? 0 : disk.calls + 500;
}

/* Every event of a request that was answered was counted once, and none of any other. */
static void assert_counted(void) {
    static struct cmcwh_counters counters;
    uint64_t expected[5] = {0};

    for (unsigned request = 0; request < PRODUCERS * REQUESTS; request++) {
        for (unsigned event = 0; outcomes[request] == 1 && event < events_of(request); event++) {
            expected[event]++;
        }
    }
    cmcwh_ring_counters(&ring, &counters);
    assert_memory_equal(counters.totals + CMCWH_COUNT_BOUNCES, expected, sizeof expected);
    assert_int_equal(counters.totals[CMCWH_COUNT_REPEATS], 0);
}

enum kind { MEMORY, CONFIRMED, STORED };

/* Runs producers and `count` sinks until all is done. */
static void run(enum kind kind, unsigned count) {
    struct cmcwh_ring_config config = {.records = records,
                                       .links = links,
                                       .capacity = CAPACITY,
                                       .port = &port,
                                       .confirm = kind == CONFIRMED,
                                       .history = &history,
                                       .gather = gather,
                                       .room_wait = disk.fail_count == 0 ? 10000 : 100};
    pthread_t producers[PRODUCERS], sinks[2], looker;
    unsigned numbers[PRODUCERS];

    memset(outcomes, 0, sizeof outcomes);
    if (kind == STORED) {
        open_ring(&config);
    } else {
        assert_int_equal(cmcwh_ring_init(&ring, &config, 1), CMCWH_OK);
    }
    for (unsigned i = 0; i < count; i++) {
        struct cmcwh_sink_config sink = {.ring = &ring,
                                         .reader =
                                             cmcwh_ring_attach(&ring, NULL, keepers[i].required),
                                         .encoding = CMCWH_ENCODE_JSON,
                                         .context = &keepers[i],
                                         .write = keeper_write,
                                         .sync = keeper_sync,
                                         .undo = keeper_undo,
                                         .buffer = keepers[i].buffer,
                                         .buffer_size = sizeof keepers[i].buffer};

        assert_int_equal(cmcwh_sink_init(&keepers[i].sink, &sink), CMCWH_OK);
        assert_int_equal(pthread_create(&sinks[i], NULL, keep, &keepers[i]), 0);
    }
    looked_enough = false;
    assert_int_equal(pthread_create(&looker, NULL, look, NULL), 0);
    for (unsigned i = 0; i < PRODUCERS; i++) {
        numbers[i] = i;
        assert_int_equal(pthread_create(&producers[i], NULL, produce, &numbers[i]), 0);
    }
    for (unsigned i = 0; i < PRODUCERS; i++) {
        (void)pthread_join(producers[i], NULL);
    }
    for (unsigned i = 0; i < count; i++) {
        lock(NULL);
        keepers[i].done = true;
        unlock(NULL);
        (void)pthread_join(sinks[i], NULL);
    }
    lock(NULL);
    looked_enough = true;
    unlock(NULL);
    (void)pthread_join(looker, NULL);
    assert_true(looks_found > 0);
    disk.fail_at = 0;
    assert_int_equal(cmcwh_ring_flush(&ring), CMCWH_OK);
    assert_int_equal(ring.in_use, 0);
    assert_counted();
}

/* Every event of a request that was answered is there once, and none of any other. */
static void assert_exact(const struct keeper *keeper) {
    for (unsigned request = 0; request < PRODUCERS * REQUESTS; request++) {
        assert_int_equal(outcomes[request] != 0, request % REQUESTS < requests);
        for (unsigned event = 0; event < 5; event++) {
            bool expected = outcomes[request] == 1 && event < events_of(request);

            assert_int_equal(keeper->seen[request][event], expected);
        }
    }
}

static unsigned answered(void) {
    unsigned count = 0;

    for (unsigned request = 0; request < PRODUCERS * REQUESTS; request++) {
        count += outcomes[request] == 1;
    }
    return count;
}

static void all_is_there_from(enum kind first) {
    for (enum kind kind = first; kind <= STORED; kind++) {
        memset(keepers, 0, sizeof keepers);
        keepers[0].required = keepers[1].required = true;
        disk_init(&disk, 3 * 256 + CAPACITY * CMCWH_RECORD_SIZE);
        run(kind, 2);
        assert_exact(&keepers[0]);
        assert_exact(&keepers[1]);
        assert_int_equal(answered(), PRODUCERS * (requests - (requests + 10) / 11));
        assert_int_equal(keepers[0].last_seq, keepers[0].sink.delivered); /* without gaps */
    }
}

static void all_is_there_once_and_in_order(void **state) {
    (void)state;
    all_is_there_from(MEMORY);
}

static void they_wait_for_others(void **state) {
    (void)state;
    gather = 1;
    requests = REQUESTS / 10;
    all_is_there_from(CONFIRMED);
    gather = 0;
    requests = REQUESTS;
}

/* A sink that keeps failing: what was answered is there, what was refused is not. */
static void a_sink_that_fails(void **state) {
    (void)state;
    memset(keepers, 0, sizeof keepers);
    keepers[0].required = true;
    keepers[0].fail_every = 13;
    run(CONFIRMED, 2); /* the second is besteffort: must see nothing that was refused */
    assert_exact(&keepers[0]);
    assert_true(answered() > 0);
    assert_true(answered() < PRODUCERS * (requests - (requests + 10) / 11));
    assert_int_equal(keepers[0].last_seq, keepers[0].sink.delivered);
    for (unsigned request = 0; request < PRODUCERS * REQUESTS; request++) {
        for (unsigned event = 0; event < 5; event++) {
            assert_true(keepers[1].seen[request][event] <= (outcomes[request] == 1));
        }
    }
}

/* A storage that fails for a while: requests are refused meanwhile, nothing of them is seen. */
static void a_storage_that_fails(void **state) {
    (void)state;
    memset(keepers, 0, sizeof keepers);
    keepers[0].required = keepers[1].required = true;
    disk_init(&disk, 3 * 256 + CAPACITY * CMCWH_RECORD_SIZE);
    disk.fail_count = UINT32_MAX; /* a flush may be the first to fail: until a request does */
    run(STORED, 2);
    assert_exact(&keepers[0]);
    assert_exact(&keepers[1]);
    assert_true(answered() > 0);
    assert_true(answered() < PRODUCERS * (requests - (requests + 10) / 11));
    assert_int_equal(keepers[0].last_seq, keepers[0].sink.delivered);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_is_there_once_and_in_order), cmocka_unit_test(they_wait_for_others),
        cmocka_unit_test(a_sink_that_fails), cmocka_unit_test(a_storage_that_fails)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
