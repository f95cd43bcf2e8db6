/* What a ring counts of events, and which of them it still shows: through the public interface, on
 * rings in memory, with confirm and on storage. */
#include "support.h"

#include <stdio.h>
#include <string.h>

enum { CAPACITY = 16, START = 465172 }; /* the hour in which the fixture's clock stands */

static const uint64_t HOUR = 3600000;

/* A ring with a history, and what is needed to fill it. */
static struct cmcwh_record records[CAPACITY];
static uint32_t links[CAPACITY], places[CAPACITY], marks[2 * CAPACITY];
static struct cmcwh_history history;
static struct cmcwh_ring ring;
static struct cmcwh_parser parser;
static struct cmcwh_counters counters;
static uint64_t clock_ms;
static int reader;

static uint64_t now(void *context) {
    (void)context;
    return clock_ms;
}

static const struct cmcwh_port port = {.now = now};

static struct cmcwh_ring_config config_of(bool confirm) {
    const struct cmcwh_ring_config config = {.records = records,
                                             .links = links,
                                             .capacity = CAPACITY,
                                             .port = &port,
                                             .confirm = confirm,
                                             .history = &history};

    memset(records, 0xA5, sizeof records); /* what was there before must not matter */
    memset(places, 0xA5, sizeof places);
    memset(marks, 0xA5, sizeof marks);
    memset(&history, 0xA5, sizeof history);
    history.places = places;
    history.marks = marks;
    history.mark_count = 2 * CAPACITY;
    return config;
}

static void begin(bool confirm) {
    struct cmcwh_ring_config config = config_of(confirm);

    clock_ms = START * HOUR + 186120;
    assert_int_equal(cmcwh_ring_init(&ring, &config, 1), CMCWH_OK);
    reader = cmcwh_ring_attach(&ring, NULL, true);
    assert_int_equal(reader, 0);
}

/* Posts one event of this type. Its id comes of `to` and `status`. */
static int send(const char *type, const char *to, const char *status) {
    char body[512];
    int length = snprintf(body, sizeof body,
                          "{\"event_type\":\"%s\",\"event\":{\"%s\":[{\"to\":\"%s\","
                          "\"status\":\"%s\"}]}}",
                          type, type, to, status);
    int result;

    cmcwh_parser_init(&parser, &ring, CMCWH_JSON);
    (void)cmcwh_parser_feed(&parser, body, (size_t)length);
    result = cmcwh_parser_end(&parser);
    return result < 0 ? result : cmcwh_parser_commit(&parser);
}

/* Reads and acknowledges all there is. */
static void drain(void) {
    struct cmcwh_record record;

    while (cmcwh_ring_read(&ring, reader, &record) > 0) {
    }
    assert_int_equal(cmcwh_ring_acknowledge(&ring, reader), CMCWH_OK);
}

static void test_kinds(void **state) {
    (void)state;
    begin(false);
    assert_int_equal(send("deliveries", "a", "queued"), 1);
    assert_int_equal(send("bounces", "a", "2"), 1);
    cmcwh_ring_counters(&ring, &counters);
    assert_int_equal(counters.totals[CMCWH_COUNT_DELIVERIES + CMCWH_QUEUED], 1);
    assert_int_equal(counters.totals[CMCWH_COUNT_BOUNCES + 2], 1);
    drain();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
