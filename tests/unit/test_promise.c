/* When a device with one thread may answer 200: the three sequences of calls in cmcwh.h, on a port
 * with neither threads nor a clock, while the sink or the storage fails at each of its calls. */
#include "disk.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

enum { CAPACITY = 16, BLOCK = 256, REQUESTS = 5 };

enum mode { MEMORY, CONFIRM, STORAGE };

/* Where the sink writes to. One write of it or sync after another fails, from `fail_at` on. */
static struct medium {
    char text[1 << 16];
    size_t used, stable; /* bytes written; of them synced */
    unsigned calls, fail_at, fail_count;
} medium;

static struct device {
    enum mode mode;
    struct cmcwh_ring ring;
    struct cmcwh_sink sink;
    struct cmcwh_parser parser;
    struct cmcwh_record records[CAPACITY];
    uint32_t links[CAPACITY];
    char buffer[CMCWH_ENCODED_MAX];
} device;

static struct disk disk;

static bool medium_fails(void) {
    medium.calls++;
    return medium.fail_at != 0 && medium.calls >= medium.fail_at &&
           medium.calls - medium.fail_at < medium.fail_count;
}

static int medium_write(void *context, const void *bytes, size_t length) {
    bool failed = medium_fails();

    (void)context;
    length = failed ? length / 2 : length; /* a part gets through */
    assert_true(medium.used + length < sizeof medium.text);
    memcpy(medium.text + medium.used, bytes, length);
    medium.used += length;
    return failed ? -1 : 0;
}

static int medium_sync(void *context) {
    (void)context;
    if (medium_fails()) {
        return -1;
    }
    medium.stable = medium.used;
    return 0;
}

static void medium_undo(void *context) {
    (void)context;
    medium.used = medium.stable;
}

static void device_start(enum mode mode) {
    struct cmcwh_geometry geometry = {.records = CAPACITY, .block = BLOCK};
    struct cmcwh_ring_config ring = {.records = device.records,
                                     .links = device.links,
                                     .capacity = CAPACITY,
                                     .confirm = mode == CONFIRM};
    struct cmcwh_sink_config sink = {.ring = &device.ring,
                                     .encoding = CMCWH_ENCODE_JSON,
                                     .write = medium_write,
                                     .sync = medium_sync,
                                     .undo = medium_undo,
                                     .buffer = device.buffer,
                                     .buffer_size = sizeof device.buffer};
    struct cmcwh_recovery found;

    memset(&medium, 0, sizeof medium);
    memset(&device, 0, sizeof device);
    device.mode = mode;
    if (mode == STORAGE) {
        disk_init(&disk, 3 * BLOCK + CAPACITY * CMCWH_RECORD_SIZE);
        assert_int_equal(cmcwh_storage_format(&disk.storage, &geometry), CMCWH_OK);
        ring.storage = &disk.storage;
        assert_int_equal(cmcwh_ring_open(&device.ring, &ring, &found), CMCWH_OK);
    } else {
        assert_int_equal(cmcwh_ring_init(&device.ring, &ring, 1), CMCWH_OK);
    }
    sink.reader = cmcwh_ring_attach(&device.ring, "uart", true);
    assert_int_equal(cmcwh_sink_init(&device.sink, &sink), CMCWH_OK);
    disk.calls = 0;
}

/* As many as one call of the sink's moves; what could not be written comes again or, with confirm,
 * is taken back. */
static int pump(void) {
    int moved = cmcwh_sink_pump(&device.sink);

    if (moved < 0) {
        cmcwh_ring_fail(&device.ring, device.sink.config.reader, 500);
    }
    return moved;
}

/* The sequence of each mode. Returns how many events a 200 speaks of, or why there is none. */
static int commit(void) {
    int stored = cmcwh_parser_commit(&device.parser);

    if (device.mode != CONFIRM) {
        assert_int_not_equal(stored, CMCWH_PENDING);
    }
    while (stored == CMCWH_PENDING) {
        (void)pump();
        stored = cmcwh_parser_confirm(&device.parser);
    }
    return stored;
}

static int events_of(int request) {
    return 1 + request % 3;
}

/* A request of one to three events. */
static int post_request(int request) {
    char body[512], *out = body;
    int result;

    out += sprintf(out, "{\"event_type\":\"bounces\",\"event\":{\"bounces\":[");
    for (int i = 0; i < events_of(request); i++) {
        out += sprintf(out, "%s{\"to\":\"%d.%d\"}", i > 0 ? "," : "", request, i);
    }
    out += sprintf(out, "]}}");
    cmcwh_parser_init(&device.parser, &device.ring, CMCWH_JSON);
    result = cmcwh_parser_feed(&device.parser, body, (size_t)(out - body));
    result = result < 0 ? result : cmcwh_parser_end(&device.parser);
    result = result < 0 ? result : commit();
    if (result < 0) {
        cmcwh_parser_abort(&device.parser);
    }
    return result;
}

static unsigned times_in(const char *text, size_t length, const char *part) {
    size_t size = strlen(part);
    unsigned count = 0;

    for (size_t i = 0; i + size <= length; i++) {
        count += memcmp(text + i, part, size) == 0;
    }
    return count;
}

static void assert_on_medium(int request, unsigned times) {
    for (int i = 0; i < events_of(request); i++) {
        char to[32];

        (void)sprintf(to, "\"to\":\"%d.%d\"", request, i);
        assert_int_equal(times_in(medium.text, medium.stable, to), times);
    }
}

/* The power goes: what would the next start find of this request? */
static void assert_on_disk(int request, unsigned times) {
    static struct cmcwh_record records[CAPACITY];
    static uint32_t links[CAPACITY];
    static struct cmcwh_ring ring;
    static struct disk image;
    struct cmcwh_ring_config config = {
        .records = records, .links = links, .capacity = CAPACITY, .storage = &image.storage};
    unsigned counts[3] = {0};
    struct cmcwh_recovery found;
    struct cmcwh_record record;
    int reader;

    disk_load(&image, disk.stable, disk.size);
    image.storage.write = NULL;
    assert_int_equal(cmcwh_ring_open(&ring, &config, &found), CMCWH_OK);
    reader = cmcwh_ring_attach(&ring, NULL, true);
    while (cmcwh_ring_read(&ring, reader, &record) > 0) {
        struct cmcwh_text to = field_text(&record, CMCWH_TO);

        if (to.data[0] - '0' == request) {
            counts[to.data[2] - '0']++;
        }
    }
    for (int i = 0; i < events_of(request); i++) {
        assert_int_equal(counts[i], times);
    }
}

/* What a 200 promises, in the moment in which it is sent. */
static void assert_safe(int request) {
    if (device.mode == CONFIRM) {
        assert_on_medium(request, 1);
    } else if (device.mode == STORAGE) {
        assert_on_disk(request, 1);
    }
}

/* Requests come while something fails; then everything works again. Returns how many got 200. */
static int run(void) {
    int outcomes[REQUESTS], good = 0;

    for (int request = 0; request < REQUESTS; request++) {
        outcomes[request] = post_request(request);
        if (outcomes[request] >= 0) {
            assert_int_equal(outcomes[request], events_of(request));
            assert_safe(request);
            good++;
        } else {
            assert_int_equal(outcomes[request], CMCWH_ERR_STORAGE);
            assert_int_equal(cmcwh_parser_error(&device.parser)->result, CMCWH_ERR_STORAGE);
        }
        (void)pump();
    }
    medium.fail_at = 0;
    disk.fail_at = 0;
    while (pump() > 0) {
    }
    for (int request = 0; request < REQUESTS; request++) {
        assert_on_medium(request, outcomes[request] >= 0);
    }
    assert_int_equal(times_in(medium.text, medium.stable, "\n"), device.sink.delivered);
    assert_int_equal(medium.used, medium.stable);
    return good;
}

/* The sink fails at each of its calls, once or from then on, until a run has fewer calls. */
static void sink_fails(enum mode mode) {
    for (unsigned for_ever = 0; for_ever < 2; for_ever++) {
        for (unsigned n = 1;; n++) {
            int good;

            device_start(mode);
            medium.fail_at = n;
            medium.fail_count = for_ever ? UINT_MAX : 1;
            good = run();
            if (medium.calls < n) { /* none failed */
                assert_int_equal(good, REQUESTS);
                break;
            }
            if (mode != CONFIRM) {
                assert_int_equal(good, REQUESTS);
            } else if (!for_ever) {
                assert_int_equal(good, REQUESTS - 1);
            }
        }
    }
}

static void memory(void **state) {
    (void)state;
    sink_fails(MEMORY);
}

static void confirm(void **state) {
    (void)state;
    sink_fails(CONFIRM);
}

static void storage(void **state) {
    (void)state;
    sink_fails(STORAGE);
}

static void storage_fails(void **state) {
    (void)state;
    for (uint64_t count = 1; count <= 4; count++) {
        for (uint64_t n = 1;; n++) {
            device_start(STORAGE);
            disk.fail_at = n;
            disk.fail_count = count;
            (void)run();
            if (disk.calls < n) {
                break;
            }
        }
    }
}

/* A device without a clock cannot wait until a pause is over: one failure must not end it all. */
static void no_clock_no_pause(void **state) {
    (void)state;
    device_start(STORAGE);
    disk.fail_at = 1;
    disk.fail_count = 1;
    assert_int_equal(post_request(0), CMCWH_ERR_STORAGE);
    assert_int_equal(post_request(1), events_of(1));
    device_start(CONFIRM);
    medium.fail_at = 1;
    medium.fail_count = 1;
    assert_int_equal(post_request(0), CMCWH_ERR_STORAGE);
    assert_int_equal(post_request(1), events_of(1));
}

static int end_one(void) {
    static const char body[] =
        "{\"event_type\":\"bounces\",\"event\":{\"bounces\":[{\"to\":\"1.0\"}]}}";

    cmcwh_parser_init(&device.parser, &device.ring, CMCWH_JSON);
    (void)cmcwh_parser_feed(&device.parser, body, sizeof body - 1);
    return cmcwh_parser_end(&device.parser);
}

/* What is asked too early or once too often is no success, and does no harm. */
static void out_of_turn(void **state) {
    (void)state;
    for (enum mode mode = MEMORY; mode <= STORAGE; mode++) {
        device_start(mode);
        assert_int_equal(end_one(), 1);
        assert_int_equal(cmcwh_parser_confirm(&device.parser), CMCWH_ERR_ARGUMENT);
        assert_int_equal(cmcwh_parser_commit(&device.parser), mode == CONFIRM ? CMCWH_PENDING : 1);
        assert_int_equal(cmcwh_parser_commit(&device.parser), CMCWH_ERR_ARGUMENT);
        assert_int_equal(cmcwh_parser_confirm(&device.parser), mode == CONFIRM ? CMCWH_PENDING : 1);
        assert_int_equal(pump(), 1);
        assert_int_equal(cmcwh_parser_confirm(&device.parser), 1);
        assert_int_equal(cmcwh_parser_confirm(&device.parser), 1);
        assert_int_equal(cmcwh_parser_commit(&device.parser), CMCWH_ERR_ARGUMENT);
        cmcwh_parser_abort(&device.parser);
        assert_int_equal(cmcwh_parser_confirm(&device.parser), CMCWH_ERR_ARGUMENT);
        assert_int_equal(post_request(2), events_of(2));
        (void)pump();
        assert_int_equal(times_in(medium.text, medium.stable, "\n"), 1 + events_of(2));
    }
}

/* A failure stays one, however often it is asked for. */
static void failed_for_good(void **state) {
    (void)state;
    device_start(CONFIRM);
    medium.fail_at = medium.fail_count = 1;
    assert_int_equal(end_one(), 1);
    assert_int_equal(cmcwh_parser_commit(&device.parser), CMCWH_PENDING);
    assert_int_equal(cmcwh_parser_error(&device.parser)->result, CMCWH_OK);
    assert_int_equal(pump(), CMCWH_ERR_WRITE);
    assert_int_equal(cmcwh_parser_confirm(&device.parser), CMCWH_ERR_STORAGE);
    assert_int_equal(cmcwh_parser_confirm(&device.parser), CMCWH_ERR_STORAGE);
    assert_int_equal(cmcwh_parser_commit(&device.parser), CMCWH_ERR_STORAGE);
    assert_int_equal(pump(), 0);
    assert_int_equal(medium.used, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory),
        cmocka_unit_test(confirm),
        cmocka_unit_test(storage),
        cmocka_unit_test(storage_fails),
        cmocka_unit_test(no_clock_no_pause),
        cmocka_unit_test(out_of_turn),
        cmocka_unit_test(failed_for_good),
    };

    return cmocka_run_group_tests_name("promise", tests, NULL, NULL);
}
