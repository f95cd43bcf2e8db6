/* Which events pass a filter, and what a sink with one does with those that do not. */
#include "support.h"

#include <stdio.h>
#include <string.h>

static struct fixture f;

/* ---- Lists ---- */

static struct cmcwh_text text(const char *word) {
    return (struct cmcwh_text){word, strlen(word)};
}

static bool passes(const char *list, enum cmcwh_kind kind, unsigned status) {
    struct cmcwh_event event = {.kind = kind, .status = status};
    struct cmcwh_filter filter = {0};

    assert_int_equal(cmcwh_filter_parse(&filter, text(list), NULL), CMCWH_OK);
    return cmcwh_filter_passes(&filter, &event);
}

/* Every event there can be, and some that there cannot, in a digit for each: does it pass? */
static void assert_passes(const char *list, const char *deliveries, const char *bounces,
                          const char *blocks_other) {
    static const unsigned numbers[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 99, 255};

    for (unsigned i = 0; i < 6; i++) {
        assert_int_equal(passes(list, CMCWH_DELIVERIES, i), deliveries[i] == '1');
    }
    for (unsigned i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        assert_int_equal(passes(list, CMCWH_BOUNCES, numbers[i]), bounces[i] == '1');
    }
    for (unsigned status = 0; status < 3; status++) {
        assert_int_equal(passes(list, CMCWH_BLOCKS, status), blocks_other[0] == '1');
        assert_int_equal(passes(list, CMCWH_OTHER, status), blocks_other[1] == '1');
    }
}

static void each_word(void **state) {
    (void)state;
    assert_passes("deliveries", "111111", "000000000000000", "00");
    assert_passes("queued", "010000", "000000000000000", "00");
    assert_passes("succeeded", "001000", "000000000000000", "00");
    assert_passes("failed", "000100", "000000000000000", "00");
    assert_passes("deferred", "000010", "000000000000000", "00");
    assert_passes("bounces", "000000", "111111111111111", "00");
    assert_passes("bounces:0", "000000", "100000000000101", "00");
    assert_passes("bounces:1", "000000", "010000000000000", "00");
    assert_passes("bounces:02", "000000", "001000000000000", "00");
    assert_passes("bounces:11", "000000", "000000000001000", "00");
    assert_passes("bounces:99", "000000", "000000000000010", "00");
    assert_passes("blocks", "000000", "000000000000000", "10");
    assert_passes("other", "000000", "000000000000000", "01");
}

/* An event passes when any word names it. */
static void union_of_words(void **state) {
    (void)state;
    assert_passes("bounces,failed", "000100", "111111111111111", "00");
    assert_passes("failed,deliveries", "111111", "000000000000000", "00");
    assert_passes("bounces:2,bounces:99,bounces:2", "000000", "001000000000010", "00");
    assert_passes("deliveries,bounces,blocks,other", "111111", "111111111111111", "11");
}

static void without_a_list_all_pass(void **state) {
    const struct cmcwh_filter all = {0};

    (void)state;
    for (unsigned kind = CMCWH_OTHER; kind <= CMCWH_BLOCKS; kind++) {
        struct cmcwh_event event = {.kind = (enum cmcwh_kind)kind, .status = kind};

        assert_true(cmcwh_filter_passes(&all, &event));
    }
}

static void assert_counts(enum cmcwh_kind kind, unsigned status, unsigned count) {
    struct cmcwh_event event = {.kind = kind, .status = status};

    assert_int_equal(cmcwh_count_of(&event), count);
}

/* What filters tell apart, counts do too. */
static void as_what_events_count(void **state) {
    (void)state;
    assert_counts(CMCWH_DELIVERIES, CMCWH_UNKNOWN, CMCWH_COUNT_DELIVERIES);
    assert_counts(CMCWH_DELIVERIES, CMCWH_DEFERRED, CMCWH_COUNT_DELIVERIES + CMCWH_DEFERRED);
    assert_counts(CMCWH_DELIVERIES, 255, CMCWH_COUNT_DELIVERIES);
    assert_counts(CMCWH_BOUNCES, 0, CMCWH_COUNT_BOUNCES);
    assert_counts(CMCWH_BOUNCES, 11, CMCWH_COUNT_BOUNCES + 11);
    assert_counts(CMCWH_BOUNCES, 12, CMCWH_COUNT_BOUNCES);
    assert_counts(CMCWH_BOUNCES, 99, CMCWH_COUNT_BLOCKS - 1);
    assert_counts(CMCWH_BLOCKS, 3, CMCWH_COUNT_BLOCKS);
    assert_counts(CMCWH_OTHER, 3, CMCWH_COUNT_OTHER);
}

static void wrong_lists(void **state) {
    static const struct {
        const char *list;
        size_t at;
    } wrong[] = {{"", 0},
                 {",", 0},
                 {"bounces,", 8},
                 {",bounces", 0},
                 {"failed,,bounces", 7},
                 {"bounces,fialed", 8},
                 {"bounces, failed", 8},
                 {" bounces", 0},
                 {"bounces ", 0},
                 {"Bounces", 0},
                 {"Bounces:2", 0},
                 {"bounce", 0},
                 {"bounces:", 0},
                 {"bounces:12", 0},
                 {"bounces:98", 0},
                 {"bounces:100", 0},
                 {"bounces:00", 0},
                 {"bounces:-1", 0},
                 {"bounces:2:3", 0},
                 {"bounces:2,bounces:x", 10},
                 {"deliveries:2", 0},
                 {"deliveries:failed", 0},
                 {"other:0", 0},
                 {":2", 0},
                 {"unknown", 0},
                 {"failed;bounces", 0}};

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct cmcwh_filter filter = {42};
        size_t at = 77;

        assert_int_equal(cmcwh_filter_parse(&filter, text(wrong[i].list), &at), CMCWH_ERR_ARGUMENT);
        assert_int_equal(at, wrong[i].at);
        assert_int_equal(filter.events, 42);
    }
}

/* Nothing behind the list is looked at. */
static void list_has_no_end_mark(void **state) {
    struct cmcwh_event event = {.kind = CMCWH_BOUNCES, .status = CMCWH_BOUNCE_OTHER};
    struct cmcwh_filter filter;

    (void)state;
    assert_int_equal(cmcwh_filter_parse(&filter, (struct cmcwh_text){"bounces:99,failed", 9}, NULL),
                     CMCWH_OK);
    assert_false(cmcwh_filter_passes(&filter, &event)); /* bounces:9 */
    event.status = CMCWH_BOUNCE_ADDRESS;
    assert_true(cmcwh_filter_passes(&filter, &event));
}

/* ---- Sinks ---- */

static struct {
    char kept[1 << 18];
    size_t used;
    unsigned writes, syncs, undos;
    bool fails;
} medium;

static int medium_write(void *context, const void *bytes, size_t length) {
    (void)context;
    medium.writes++;
    if (medium.fails) {
        return -1;
    }
    memcpy(medium.kept + medium.used, bytes, length);
    medium.used += length;
    medium.kept[medium.used] = '\0';
    return 0;
}

static int medium_sync(void *context) {
    (void)context;
    medium.syncs++;
    return 0;
}

static void medium_undo(void *context) {
    (void)context;
    medium.undos++;
}

static unsigned lines(void) {
    unsigned count = 0;

    for (size_t i = 0; i < medium.used; i++) {
        count += medium.kept[i] == '\n';
    }
    return count;
}

static struct cmcwh_filter filter;

static struct cmcwh_sink sink_of(const char *list, bool single) {
    static char buffer[3 * CMCWH_ENCODED_MAX];
    struct cmcwh_sink_config config = {.ring = &f.ring,
                                       .reader = f.reader,
                                       .encoding = CMCWH_ENCODE_JSON,
                                       .write = medium_write,
                                       .sync = medium_sync,
                                       .undo = medium_undo,
                                       .single = single,
                                       .filter = &filter,
                                       .buffer = buffer,
                                       .buffer_size = sizeof buffer};
    struct cmcwh_sink sink;

    memset(&medium, 0, sizeof medium);
    assert_int_equal(cmcwh_filter_parse(&filter, text(list), NULL), CMCWH_OK);
    assert_int_equal(cmcwh_sink_init(&sink, &config), CMCWH_OK);
    return sink;
}

/* Deliveries with these statuses, one for each letter: q, f; in one request. */
static int post_deliveries(const char *letters) {
    static char body[1 << 18];
    char *out = body + sprintf(body, "{\"event_type\":\"deliveries\",\"event\":{\"deliveries\":[");
    int result;

    for (size_t i = 0; letters[i] != '\0'; i++) {
        out += sprintf(out, "%s{\"status\":\"%s\"}", i > 0 ? "," : "",
                       letters[i] == 'q' ? "queued" : "failed");
    }
    (void)strcpy(out, "]}}");
    result = feed(&f, CMCWH_JSON, body, strlen(body), strlen(body));
    return result < 0 ? result : cmcwh_parser_commit(&f.parser);
}

/* What does not pass is taken in its turn, and nothing of it is seen. */
static void only_what_passes_is_written(void **state) {
    (void)state;
    for (int single = 0; single < 2; single++) {
        struct cmcwh_sink sink;
        int taken, total = 0;

        fixture_init(&f, 64, false);
        sink = sink_of("failed", single != 0);
        assert_int_equal(post_deliveries("qfq"), 3);
        assert_int_equal(post_deliveries("q"), 1);
        assert_int_equal(post_deliveries("ff"), 2);
        assert_int_equal(post_deliveries("qq"), 2);
        while ((taken = cmcwh_sink_pump(&sink)) > 0) {
            total += taken;
        }
        assert_int_equal(taken, 0);
        assert_int_equal(total, 8);
        assert_int_equal(sink.delivered, 3);
        assert_int_equal(lines(), 3);
        assert_null(strstr(medium.kept, "queued"));
        assert_non_null(strstr(medium.kept, "{\"seq\":2,"));
        assert_non_null(strstr(medium.kept, "{\"seq\":5,"));
        assert_non_null(strstr(medium.kept, "{\"seq\":6,"));
        assert_int_equal(medium.undos, 0);
        assert_int_equal(f.ring.in_use, 0);
    }
}

/* Frames are sealed copies: the filter sees them all the same. */
static void frames_too(void **state) {
    static struct cmcwh_deframer deframer;
    struct cmcwh_record record;
    struct cmcwh_sink sink;
    bool found;

    (void)state;
    fixture_init(&f, 64, false);
    sink = sink_of("failed", false);
    sink.config.encoding = CMCWH_ENCODE_BINARY;
    assert_int_equal(post_deliveries("qfq"), 3);
    assert_int_equal(cmcwh_sink_pump(&sink), 3);
    cmcwh_deframer_init(&deframer);
    assert_int_equal(cmcwh_deframer_feed(&deframer, medium.kept, medium.used, &record, &found),
                     medium.used);
    assert_true(found);
    assert_int_equal(event_of(&record).seq, 2);
}

/* With nothing to write nothing is written, synced or undone; the place moves on all the same. */
static void nothing_passes(void **state) {
    struct cmcwh_sink sink;

    (void)state;
    fixture_init(&f, 8, false);
    sink = sink_of("bounces", false);
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(post_deliveries("qfqf"), 4);
        assert_int_equal(cmcwh_sink_pump(&sink), 4);
        assert_int_equal(cmcwh_sink_pump(&sink), 0);
        assert_int_equal(f.ring.in_use, 0);
    }
    assert_int_equal(sink.delivered, 0);
    assert_int_equal(medium.writes + medium.syncs + medium.undos, 0);
}

/* A required sink that wants none of it does not hold up an answer, even if it could not write. */
static void confirmed_though_nothing_passes(void **state) {
    struct cmcwh_sink sink;

    (void)state;
    fixture_init(&f, 8, true);
    sink = sink_of("bounces", false);
    medium.fails = true;
    assert_int_equal(post_deliveries("qfq"), CMCWH_PENDING);
    assert_int_equal(cmcwh_sink_pump(&sink), 3);
    assert_int_equal(cmcwh_parser_confirm(&f.parser), 3);
    assert_int_equal(f.ring.in_use, 0);
    assert_int_equal(medium.writes, 0);
}

/* One event of a request cannot be written: the others, which do not pass, fail with it. */
static void all_or_nothing(void **state) {
    struct cmcwh_sink sink;

    (void)state;
    fixture_init(&f, 8, true);
    sink = sink_of("failed", false);
    medium.fails = true;
    assert_int_equal(post_deliveries("qqf"), CMCWH_PENDING);
    assert_int_equal(cmcwh_sink_pump(&sink), CMCWH_ERR_WRITE);
    assert_int_equal(medium.undos, 1);
    cmcwh_ring_fail(&f.ring, f.reader, 0);
    assert_int_equal(cmcwh_parser_confirm(&f.parser), CMCWH_ERR_STORAGE);
    cmcwh_parser_abort(&f.parser);
    assert_int_equal(f.ring.in_use, 0);
}

/* How often the lock is still to be taken before another required reader fails; 0: it does not. */
static unsigned locks_left;

static void lock(void *context) {
    struct fixture *fixture = context;

    if (locks_left > 0 && --locks_left == 0) {
        cmcwh_ring_fail(&fixture->ring, fixture->reader + 1, 0);
    }
}

/* Taken back while nothing of it was written: an undo would take back what stands before it. */
static void taken_back_and_nothing_to_undo(void **state) {
    struct cmcwh_sink sink;
    int other;

    (void)state;
    fixture_init(&f, 8, true);
    other = cmcwh_ring_attach(&f.ring, NULL, true);
    assert_int_equal(other, f.reader + 1);
    sink = sink_of("failed", false);
    assert_int_equal(post_deliveries("qq"), CMCWH_PENDING);
    f.port.lock = lock;
    locks_left = 4; /* two records, no third; then they are acknowledged */
    assert_int_equal(cmcwh_sink_pump(&sink), 0);
    assert_int_equal(locks_left, 0);
    assert_int_equal(medium.writes + medium.syncs + medium.undos, 0);
    assert_int_equal(sink.delivered, 0);
    assert_int_equal(cmcwh_parser_confirm(&f.parser), CMCWH_ERR_STORAGE);
}

/* Whoever waits for a sink does not wait until it has seen all that comes meanwhile; and a request
 * is never acknowledged in part. */
static void many_that_do_not_pass(void **state) {
    static char letters[1001];
    struct cmcwh_sink sink;

    (void)state;
    fixture_init(&f, 4096, false);
    sink = sink_of("bounces", false);
    memset(letters, 'q', 1000);
    assert_int_equal(post_deliveries(letters), 1000);
    for (unsigned i = 0; i < 600; i++) {
        assert_int_equal(post_deliveries("q"), 1);
    }
    assert_int_equal(cmcwh_sink_pump(&sink), 1000);
    assert_int_equal(cmcwh_sink_pump(&sink), 256);
    assert_int_equal(cmcwh_sink_pump(&sink), 256);
    assert_int_equal(cmcwh_sink_pump(&sink), 88);
    assert_int_equal(cmcwh_sink_pump(&sink), 0);
    assert_int_equal(f.ring.in_use, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(each_word),
                                       cmocka_unit_test(union_of_words),
                                       cmocka_unit_test(without_a_list_all_pass),
                                       cmocka_unit_test(as_what_events_count),
                                       cmocka_unit_test(wrong_lists),
                                       cmocka_unit_test(list_has_no_end_mark),
                                       cmocka_unit_test(only_what_passes_is_written),
                                       cmocka_unit_test(frames_too),
                                       cmocka_unit_test(nothing_passes),
                                       cmocka_unit_test(confirmed_though_nothing_passes),
                                       cmocka_unit_test(all_or_nothing),
                                       cmocka_unit_test(taken_back_and_nothing_to_undo),
                                       cmocka_unit_test(many_that_do_not_pass)};

    return cmocka_run_group_tests_name("filters", tests, NULL, NULL);
}
