/* Moving records from the ring to a medium, which may fail at any call. */
#include "cmcwh.c"

#include "support.h"

#include <stdio.h>
#include <string.h>

static struct fixture f;
static char body[1 << 20];

/* A medium that fails on call, and undoes as cmcwh_sink_config asks. */
static struct medium {
    char kept[1 << 20];
    size_t used, undo_to;
    bool mid;
    unsigned calls, fail_at; /* 0: never */
    unsigned writes, syncs, undos;
    unsigned enough; /* after so many writes it has enough for now; 0: never */
    int spoiler;     /* a reader that fails between sync and acknowledgement, or -1 */
    bool hangs;      /* in a write, for so long that another thread fails its reader */
} medium;

static bool fails(void) {
    return ++medium.calls == medium.fail_at;
}

static int medium_write(void *context, const void *bytes, size_t length) {
    (void)context;
    if (!medium.mid) {
        medium.undo_to = medium.used;
        medium.mid = true;
    }
    medium.writes++;
    if (medium.hangs) {
        cmcwh_ring_stall(&f.ring, f.reader, UINT32_MAX);
        medium.hangs = false;
    }
    if (fails()) {
        memcpy(medium.kept + medium.used, bytes, length / 2); /* a part stays */
        medium.used += length / 2;
        return -1;
    }
    memcpy(medium.kept + medium.used, bytes, length);
    medium.used += length;
    return medium.writes == medium.enough;
}

static int medium_sync(void *context) {
    (void)context;
    medium.syncs++;
    medium.mid = false;
    if (medium.spoiler >= 0) {
        cmcwh_ring_fail(&f.ring, medium.spoiler, 0);
        medium.spoiler = -1;
    }
    return fails() ? -1 : 0;
}

static void medium_undo(void *context) {
    (void)context;
    medium.undos++;
    medium.used = medium.undo_to;
    medium.mid = false;
}

static char buffer[3 * CMCWH_ENCODED_MAX];

static struct cmcwh_sink sink_of(size_t buffer_size, bool single) {
    struct cmcwh_sink_config config = {.ring = &f.ring,
                                       .reader = f.reader,
                                       .encoding = CMCWH_ENCODE_JSON,
                                       .write = medium_write,
                                       .sync = medium_sync,
                                       .undo = medium_undo,
                                       .single = single,
                                       .buffer = buffer,
                                       .buffer_size = buffer_size};
    struct cmcwh_sink sink;

    memset(&medium, 0, sizeof medium);
    medium.spoiler = -1;
    assert_int_equal(cmcwh_sink_init(&sink, &config), CMCWH_OK);
    return sink;
}

static void post_batch(unsigned count) {
    char *out = body + sprintf(body, "{\"event_type\":\"bounces\",\"event\":{\"bounces\":[");

    for (unsigned i = 0; i < count; i++) {
        out += sprintf(out, "%s{\"to\":\"%u\"}", i > 0 ? "," : "", i);
    }
    (void)strcpy(out, "]}}");
    assert_int_equal(post(&f, CMCWH_JSON, body), count);
}

/* Whole lines, numbered from `first` without gaps. Returns how many. */
static unsigned count_lines(uint64_t first) {
    unsigned count = 0;

    medium.kept[medium.used] = '\0';
    for (char *line = medium.kept; *line != '\0'; line = strchr(line, '\n') + 1) {
        char start[32];

        (void)snprintf(start, sizeof start, "{\"seq\":%llu,", (unsigned long long)first + count);
        assert_memory_equal(line, start, strlen(start));
        assert_non_null(strchr(line, '\n'));
        count++;
    }
    return count;
}

/* A medium that is given records beside their bytes. */
static unsigned bounces;

static int record_write(void *context, const struct cmcwh_record *record, const void *bytes,
                        size_t length) {
    static char again[CMCWH_ENCODED_MAX];
    struct cmcwh_event event;
    int result = medium_write(context, bytes, length);

    assert_int_equal(cmcwh_record_check(record), CMCWH_OK);
    assert_int_equal(cmcwh_encode(record, CMCWH_ENCODE_JSON, NULL, again), length);
    assert_memory_equal(bytes, again, length);
    cmcwh_record_read(record, &event);
    bounces += event.kind == CMCWH_BOUNCES;
    return result;
}

static struct cmcwh_sink record_sink(const struct cmcwh_filter *filter) {
    struct cmcwh_sink sink = sink_of(CMCWH_ENCODED_MAX, false);
    struct cmcwh_sink_config config = sink.config;

    bounces = 0;
    config.write = NULL;
    config.write_record = record_write;
    config.filter = filter;
    assert_int_equal(cmcwh_sink_init(&sink, &config), CMCWH_OK);
    return sink;
}

static void bad_configs(void **state) {
    struct cmcwh_sink_config good = {.ring = &f.ring,
                                     .write = medium_write,
                                     .buffer = buffer,
                                     .buffer_size = CMCWH_ENCODED_MAX},
                             config;
    struct cmcwh_sink sink;

    (void)state;
    assert_int_equal(cmcwh_sink_init(&sink, &good), CMCWH_OK);
    config = good;
    config.ring = NULL;
    assert_int_equal(cmcwh_sink_init(&sink, &config), CMCWH_ERR_ARGUMENT);
    config = good;
    config.write = NULL;
    assert_int_equal(cmcwh_sink_init(&sink, &config), CMCWH_ERR_ARGUMENT);
    config.write_record = record_write;
    assert_int_equal(cmcwh_sink_init(&sink, &config), CMCWH_OK);
    config = good;
    config.buffer = NULL;
    assert_int_equal(cmcwh_sink_init(&sink, &config), CMCWH_ERR_ARGUMENT);
    config = good;
    config.buffer_size--;
    assert_int_equal(cmcwh_sink_init(&sink, &config), CMCWH_ERR_ARGUMENT);
    config = good;
    config.reader = -1;
    assert_int_equal(cmcwh_sink_init(&sink, &config), CMCWH_ERR_ARGUMENT);
    config.reader = CMCWH_READERS_MAX;
    assert_int_equal(cmcwh_sink_init(&sink, &config), CMCWH_ERR_ARGUMENT);
}

static void all_arrives_once_and_in_order(void **state) {
    (void)state;
    for (size_t size = CMCWH_ENCODED_MAX; size <= sizeof buffer; size += CMCWH_ENCODED_MAX) {
        for (int single = 0; single < 2; single++) {
            struct cmcwh_sink sink;
            int moved, total = 0;

            fixture_init(&f, 256, false);
            sink = sink_of(size, single != 0);
            assert_int_equal(cmcwh_sink_pump(&sink), 0);
            assert_int_equal(medium.calls, 0);
            post_batch(1);
            post_batch(100);
            post_batch(7);
            while ((moved = cmcwh_sink_pump(&sink)) > 0) {
                total += moved;
            }
            assert_int_equal(moved, 0);
            assert_int_equal(total, 108);
            assert_int_equal(sink.delivered, 108);
            assert_int_equal(count_lines(1), 108);
            assert_int_equal(medium.undos, 0);
            assert_int_equal(f.ring.in_use, 0);
            assert_true(single == 0 || medium.writes == 108);
        }
    }
}

/* Whatever call fails: nothing of it stays, and all comes again. */
static void failing_the_nth_call(void **state) {
    (void)state;
    for (unsigned n = 1;; n++) {
        struct cmcwh_sink sink;
        unsigned failures = 0;

        fixture_init(&f, 256, false);
        sink = sink_of(CMCWH_ENCODED_MAX, false);
        medium.fail_at = n;
        post_batch(20);
        post_batch(1);
        post_batch(30);
        for (;;) {
            int moved = cmcwh_sink_pump(&sink);

            if (moved == 0) {
                break;
            }
            if (moved < 0) {
                assert_int_equal(moved, CMCWH_ERR_WRITE);
                assert_int_equal(medium.undos, ++failures);
                (void)count_lines(1); /* whole requests only */
                cmcwh_ring_fail(&f.ring, f.reader, 0);
            }
        }
        assert_int_equal(count_lines(1), 51);
        if (failures == 0) {
            assert_true(n > 3); /* every call had its turn */
            return;
        }
    }
}

/* With confirm, a request whose writing failed is gone, and its number is used again. */
static void failing_the_nth_call_with_confirm(void **state) {
    (void)state;
    for (unsigned n = 1;; n++) {
        struct cmcwh_sink sink;
        struct cmcwh_batch batches[3];
        struct cmcwh_text none = {"", 0};
        unsigned confirmed = 0;
        bool failed = false;

        fixture_init(&f, 256, true);
        sink = sink_of(CMCWH_ENCODED_MAX, false);
        medium.fail_at = n;
        for (unsigned i = 0; i < 3; i++) {
            batch_begin(&batches[i], &f.ring);
            for (unsigned event = 0; event < 15; event++) {
                struct cmcwh_record *record = batch_add(&batches[i]);
                struct cmcwh_draft draft;

                assert_non_null(record);
                draft_begin(&draft, record, CMCWH_OTHER);
                draft_close(&draft);
            }
            assert_int_equal(batch_commit(&batches[i], none, (struct cmcwh_text){0}), 15);
            if (cmcwh_sink_pump(&sink) < 0) {
                failed = true;
                cmcwh_ring_fail(&f.ring, f.reader, 0);
            }
            confirmed += batch_confirm(&batches[i]) == CMCWH_OK ? 15 : 0;
        }
        assert_int_equal(cmcwh_sink_pump(&sink), 0);
        assert_int_equal(count_lines(1), confirmed);
        assert_int_equal(f.ring.in_use, 0);
        if (!failed) {
            return;
        }
        assert_int_equal(confirmed, 30);
    }
}

/* Taken back between sync and acknowledgement: what was written is undone. */
static void taken_back_at_the_last_moment(void **state) {
    struct cmcwh_sink sink;
    int other;

    (void)state;
    fixture_init(&f, 16, true);
    other = cmcwh_ring_attach(&f.ring, NULL, true);
    sink = sink_of(sizeof buffer, false);
    assert_int_equal(
        feed(&f, CMCWH_JSON, "{\"event_type\":\"bounces\",\"event\":{\"bounces\":[{}]}}", 49, 100),
        1);
    assert_int_equal(
        batch_commit(&f.parser.batch, (struct cmcwh_text){"", 0}, (struct cmcwh_text){0}), 1);
    medium.spoiler = other;
    assert_int_equal(cmcwh_sink_pump(&sink), 0);
    assert_int_equal(medium.undos, 1);
    assert_int_equal(medium.used, 0);
    assert_int_equal(batch_confirm(&f.parser.batch), CMCWH_ERR_STORAGE);
    assert_int_equal(cmcwh_sink_pump(&sink), 0);
}

/* A write that comes back when nobody waits for it any longer is undone, even if it went well. */
static void written_too_late(void **state) {
    struct cmcwh_sink sink;

    (void)state;
    fixture_init(&f, 16, true);
    sink = sink_of(sizeof buffer, false);
    assert_int_equal(
        feed(&f, CMCWH_JSON, "{\"event_type\":\"bounces\",\"event\":{\"bounces\":[{}]}}", 49, 100),
        1);
    assert_int_equal(
        batch_commit(&f.parser.batch, (struct cmcwh_text){"", 0}, (struct cmcwh_text){0}), 1);
    medium.hangs = true;
    assert_int_equal(cmcwh_sink_pump(&sink), 0);
    assert_int_equal(medium.undos, 1);
    assert_int_equal(medium.used, 0);
    assert_int_equal(batch_confirm(&f.parser.batch), CMCWH_ERR_STORAGE);
    assert_int_equal(sink.delivered, 0);
}

/* Frames hold what the ring holds, with a CRC: the ring's records in memory have none. */
static void frames_are_sealed(void **state) {
    static struct cmcwh_deframer deframer;
    struct cmcwh_sink sink;
    struct cmcwh_record record;
    size_t at = 0;
    bool found;

    (void)state;
    fixture_init(&f, 64, false);
    sink = sink_of(sizeof buffer, false);
    sink.config.encoding = CMCWH_ENCODE_BINARY;
    post_batch(1);
    post_batch(40);
    while (cmcwh_sink_pump(&sink) > 0) {
    }
    assert_int_equal(sink.delivered, 41);
    cmcwh_deframer_init(&deframer);
    for (unsigned i = 0; i < 41; i++) {
        char to[12];

        for (found = false; !found;) {
            assert_true(at < medium.used);
            at +=
                cmcwh_deframer_feed(&deframer, medium.kept + at, medium.used - at, &record, &found);
        }
        assert_int_equal(cmcwh_record_check(&record), CMCWH_OK);
        assert_int_equal(event_of(&record).seq, i + 1);
        (void)snprintf(to, sizeof to, "%u", i == 0 ? 0 : i - 1);
        assert_field(&record, CMCWH_TO, to);
    }
    assert_int_equal(at, medium.used);
    assert_int_equal(deframer.skipped, 0);
}

/* Each record comes by itself, sound and with its bytes; what is to come is not cut by the size of
 * a buffer. */
static void records_come_with_their_bytes(void **state) {
    struct cmcwh_sink sink;

    (void)state;
    fixture_init(&f, 64, false);
    sink = record_sink(NULL);
    post_batch(20);
    assert_int_equal(cmcwh_sink_pump(&sink), 20);
    assert_int_equal(count_lines(1), 20);
    assert_int_equal(medium.writes, 20);
    assert_int_equal(bounces, 20);
    assert_int_equal(medium.syncs, 1);
    assert_int_equal(sink.delivered, 20);
    assert_int_equal(f.ring.in_use, 0);
    assert_int_equal(cmcwh_sink_pump(&sink), 0);
    assert_int_equal(medium.syncs, 1);
}

static void post_singly(unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        post_batch(1);
    }
}

/* A record fills the buffer here. Several writes share a sync, but not so many that the ring is
 * full of what waits for it. */
static void writes_share_a_sync(void **state) {
    struct cmcwh_sink sink;

    (void)state;
    fixture_init(&f, 64, false);
    sink = sink_of(CMCWH_ENCODED_MAX, false);
    post_singly(20);
    assert_int_equal(cmcwh_sink_pump(&sink), 16);
    assert_int_equal(medium.writes, 16);
    assert_int_equal(medium.syncs, 1);
    assert_int_equal(f.ring.in_use, 4);
    assert_int_equal(cmcwh_sink_pump(&sink), 4);
    assert_int_equal(medium.writes, 20);
    assert_int_equal(medium.syncs, 2);
    assert_int_equal(count_lines(1), 20);
}

/* Be it full or not: a medium that has enough says so, and without a sync there is nothing to
 * share. */
static void writes_until_enough(void **state) {
    (void)state;
    for (int single = 0; single < 2; single++) {
        struct cmcwh_sink sink;

        fixture_init(&f, 64, false);
        sink = sink_of(CMCWH_ENCODED_MAX, single != 0);
        medium.enough = 3;
        post_singly(8);
        assert_int_equal(cmcwh_sink_pump(&sink), 3);
        assert_int_equal(medium.syncs, 1);
        sink.config.sync = NULL;
        assert_int_equal(cmcwh_sink_pump(&sink), 1);
        assert_int_equal(f.ring.in_use, 4);
        assert_int_equal(count_lines(1), 4);
    }
}

/* All that would have shared the sync is undone, and comes again. */
static void failing_the_nth_of_many_writes(void **state) {
    (void)state;
    for (unsigned n = 1; n <= 9; n++) { /* the ninth call is the sync */
        struct cmcwh_sink sink;

        fixture_init(&f, 64, false);
        sink = sink_of(CMCWH_ENCODED_MAX, false);
        post_singly(8);
        medium.fail_at = n;
        assert_int_equal(cmcwh_sink_pump(&sink), CMCWH_ERR_WRITE);
        assert_int_equal(medium.undos, 1);
        assert_int_equal(medium.used, 0);
        assert_int_equal(f.ring.in_use, 8);
        cmcwh_ring_fail(&f.ring, f.reader, 0);
        assert_int_equal(cmcwh_sink_pump(&sink), 8);
        assert_int_equal(count_lines(1), 8);
    }
}

/* A medium that has enough gets the rest of the request, and no other one before it is synced. */
static void enough_for_now(void **state) {
    (void)state;
    for (unsigned at = 1; at <= 5; at++) {
        struct cmcwh_sink sink;

        fixture_init(&f, 64, false);
        sink = record_sink(NULL);
        post_batch(5);
        post_batch(3);
        medium.enough = at;
        assert_int_equal(cmcwh_sink_pump(&sink), 5);
        assert_int_equal(medium.writes, 5);
        assert_int_equal(medium.syncs, 1);
        assert_int_equal(sink.delivered, 5);
        assert_int_equal(f.ring.in_use, 3);
        assert_int_equal(cmcwh_sink_pump(&sink), 3);
        assert_int_equal(count_lines(1), 8);
        assert_int_equal(medium.syncs, 2);
    }
}

/* What does not pass is taken without being shown. */
static void records_that_pass(void **state) {
    struct cmcwh_filter filter;
    struct cmcwh_sink sink;

    (void)state;
    fixture_init(&f, 64, false);
    assert_int_equal(cmcwh_filter_parse(&filter, (struct cmcwh_text){"bounces", 7}, NULL),
                     CMCWH_OK);
    sink = record_sink(&filter);
    assert_int_equal(post(&f, CMCWH_JSON,
                          "{\"event_type\":\"deliveries\",\"event\":{\"deliveries\":[{\"to\":"
                          "\"a\",\"status\":\"queued\"},{\"to\":\"b\",\"status\":\"failed\"}]}}"),
                     2);
    post_batch(3);
    assert_int_equal(cmcwh_sink_pump(&sink), 5);
    assert_int_equal(count_lines(3), 3);
    assert_int_equal(bounces, 3);
    assert_int_equal(sink.delivered, 3);
    assert_int_equal(f.ring.in_use, 0);
}

/* Whichever record cannot be written: all of them are undone, and come again. */
static void failing_the_nth_record(void **state) {
    (void)state;
    for (unsigned n = 1; n <= 9; n++) { /* the ninth call is the sync */
        struct cmcwh_sink sink;

        fixture_init(&f, 64, false);
        sink = record_sink(NULL);
        post_batch(5);
        post_batch(3);
        medium.fail_at = n;
        assert_int_equal(cmcwh_sink_pump(&sink), CMCWH_ERR_WRITE);
        assert_int_equal(medium.undos, 1);
        assert_int_equal(medium.used, 0);
        assert_int_equal(medium.syncs, n == 9);
        assert_int_equal(sink.delivered, 0);
        assert_int_equal(f.ring.in_use, 8);
        cmcwh_ring_fail(&f.ring, f.reader, 0);
        assert_int_equal(cmcwh_sink_pump(&sink), 8);
        assert_int_equal(count_lines(1), 8);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(bad_configs),
                                       cmocka_unit_test(all_arrives_once_and_in_order),
                                       cmocka_unit_test(failing_the_nth_call),
                                       cmocka_unit_test(failing_the_nth_call_with_confirm),
                                       cmocka_unit_test(taken_back_at_the_last_moment),
                                       cmocka_unit_test(written_too_late),
                                       cmocka_unit_test(frames_are_sealed),
                                       cmocka_unit_test(records_come_with_their_bytes),
                                       cmocka_unit_test(writes_share_a_sync),
                                       cmocka_unit_test(writes_until_enough),
                                       cmocka_unit_test(failing_the_nth_of_many_writes),
                                       cmocka_unit_test(enough_for_now),
                                       cmocka_unit_test(records_that_pass),
                                       cmocka_unit_test(failing_the_nth_record)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
