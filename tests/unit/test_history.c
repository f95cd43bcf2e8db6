/* What a ring counts of events, and which of them it still shows: through the public interface, on
 * rings in memory, with confirm and on storage. */
#include "disk.h"

#include <stdio.h>
#include <string.h>

enum { CAPACITY = 16, MARKS = 32, BLOCK = 256 };

#define HOUR UINT64_C(3600000)

/* The hour in which the clock stands at first. */
#define START UINT32_C(465172)

static struct cmcwh_record records[CAPACITY];
static uint32_t links[CAPACITY], places[CAPACITY], marks[MARKS];
static struct cmcwh_history history;
static struct cmcwh_ring ring;
static struct cmcwh_parser parser, other_parser;
static struct cmcwh_counters counters;
static struct cmcwh_recovery found;
static struct disk disk;
static uint64_t clock_ms;
static int reader;

static uint64_t now(void *context) {
    (void)context;
    return clock_ms;
}

static const struct cmcwh_port port = {.now = now};

/* What was in the memory before must not matter. */
static struct cmcwh_ring_config new_memory(uint32_t capacity) {
    struct cmcwh_ring_config config = {.records = records,
                                       .links = links,
                                       .capacity = capacity,
                                       .port = &port,
                                       .history = &history};

    memset(records, 0xA5, sizeof records);
    memset(places, 0xA5, sizeof places);
    memset(marks, 0xA5, sizeof marks);
    memset(&history, 0xA5, sizeof history);
    history.places = places;
    history.marks = marks;
    history.mark_count = MARKS;
    return config;
}

static void begin_of(uint32_t capacity, bool confirm) {
    struct cmcwh_ring_config config = new_memory(capacity);

    config.confirm = confirm;
    clock_ms = START * HOUR + 186120;
    assert_int_equal(cmcwh_ring_init(&ring, &config, 1), CMCWH_OK);
    reader = cmcwh_ring_attach(&ring, NULL, true);
}

static void begin(bool confirm) {
    begin_of(CAPACITY, confirm);
}

static int commit(void) {
    int result = cmcwh_parser_end(&parser);

    if (result >= 0) {
        result = cmcwh_parser_commit(&parser);
    }
    if (result < 0 && result != CMCWH_PENDING) {
        cmcwh_parser_abort(&parser);
    }
    return result;
}

static void feed_to(struct cmcwh_parser *to, const char *body) {
    cmcwh_parser_init(to, &ring, CMCWH_JSON);
    (void)cmcwh_parser_feed(to, body, strlen(body));
}

static void feed_body(const char *body) {
    feed_to(&parser, body);
}

/* Posts one event of this type. Its id comes of `type`, `to` and `status`. */
static int send(const char *type, const char *to, const char *status) {
    char body[512];

    (void)snprintf(body, sizeof body,
                   "{\"event_type\":\"%s\",\"event\":{\"%s\":[{\"to\":\"%s\",\"status\":\"%s\"}]}}",
                   type, type, to, status);
    feed_body(body);
    return commit();
}

/* A delivery of its own for each number. */
static int send_number(unsigned number) {
    char to[16];

    (void)snprintf(to, sizeof to, "%u", number);
    return send("deliveries", to, "queued");
}

/* A request of two events that takes records and is refused. */
static const char two_bad[] =
    "{\"event_type\":\"bounces\",\"event\":{\"bounces\":[{\"to\":\"x\"},{\"to\":[]}]}}";

/* Reads and acknowledges all there is. */
static void drain(void) {
    struct cmcwh_record record;

    while (cmcwh_ring_read(&ring, reader, &record) > 0) {
    }
    assert_int_equal(cmcwh_ring_acknowledge(&ring, reader), CMCWH_OK);
}

static const uint64_t *totals(void) {
    cmcwh_ring_counters(&ring, &counters);
    return counters.totals;
}

static uint64_t total(unsigned count) {
    return totals()[count];
}

/* How many events were counted, repeats too. */
static uint64_t counted(void) {
    const uint64_t *all = totals();
    uint64_t sum = 0;

    for (unsigned i = 0; i <= CMCWH_COUNT_REPEATS; i++) {
        sum += all[i];
    }
    return sum;
}

/* What was counted in an hour; -1: it is not there. */
static int64_t in_hour(uint32_t hour, unsigned count) {
    cmcwh_ring_counters(&ring, &counters);
    for (unsigned i = 0; i < CMCWH_HOURS; i++) {
        if (counters.hours[i].hour == hour) {
            return counters.hours[i].counts[count];
        }
    }
    return -1;
}

/* Is the event with this number there, whole and the one that was sent as `to`? */
static bool shows(uint64_t seq, const char *to) {
    struct cmcwh_record record;
    int there;

    memset(&record, 0x5A, sizeof record);
    there = cmcwh_ring_look(&ring, seq, &record);
    if (there > 0) {
        assert_int_equal(cmcwh_record_check(&record), CMCWH_OK);
        assert_int_equal(event_of(&record).seq, seq);
        assert_field(&record, CMCWH_TO, to);
    }
    return there > 0;
}

static bool shows_number(uint64_t seq, unsigned number) {
    char to[16];

    (void)snprintf(to, sizeof to, "%u", number);
    return shows(seq, to);
}

/* ---- What is counted ---- */

static void by_type_and_status(void **state) {
    static const struct {
        const char *type, *status;
        unsigned count;
    } sent[] = {{"deliveries", "no such", 0},
                {"deliveries", "queued", 1},
                {"deliveries", "succeeded", 2},
                {"deliveries", "failed", 3},
                {"deliveries", "deferred", 4},
                {"bounces", "", 5},
                {"bounces", "1", 6},
                {"bounces", "11", 16},
                {"bounces", "99", 17},
                {"bounces", "12", 5},
                {"blocks", "", 18},
                {"clicks", "queued", 19}};
    uint64_t expected[CMCWH_COUNTS] = {0};

    (void)state;
    begin(false);
    for (unsigned i = 0; i < sizeof sent / sizeof *sent; i++) {
        assert_int_equal(send(sent[i].type, "a", sent[i].status), 1);
        expected[sent[i].count]++;
        drain();
        assert_memory_equal(totals(), expected, sizeof expected);
        assert_int_equal(in_hour(START, sent[i].count), expected[sent[i].count]);
    }
    assert_int_equal(counters.since, clock_ms);
    assert_int_equal(counters.last_event, clock_ms);
    assert_false(counters.at_least);
}

static void names_of_counts(void **state) {
    (void)state;
    assert_string_equal(cmcwh_count_type(CMCWH_COUNT_DELIVERIES), "deliveries");
    assert_string_equal(cmcwh_count_status(CMCWH_COUNT_DELIVERIES), "unknown");
    assert_string_equal(cmcwh_count_type(CMCWH_COUNT_DELIVERIES + CMCWH_DEFERRED), "deliveries");
    assert_string_equal(cmcwh_count_status(CMCWH_COUNT_DELIVERIES + CMCWH_DEFERRED), "deferred");
    assert_string_equal(cmcwh_count_type(CMCWH_COUNT_BOUNCES), "bounces");
    assert_string_equal(cmcwh_count_status(CMCWH_COUNT_BOUNCES), cmcwh_bounce_name(0));
    assert_string_equal(cmcwh_count_status(CMCWH_COUNT_BOUNCES + 11), cmcwh_bounce_name(11));
    assert_string_equal(cmcwh_count_type(CMCWH_COUNT_BOUNCES + 12), "bounces");
    assert_string_equal(cmcwh_count_status(CMCWH_COUNT_BOUNCES + 12), cmcwh_bounce_name(99));
    assert_int_equal(cmcwh_count_bounce(CMCWH_COUNT_BOUNCES - 1), 0);
    assert_int_equal(cmcwh_count_bounce(CMCWH_COUNT_BOUNCES), 0);
    assert_int_equal(cmcwh_count_bounce(CMCWH_COUNT_BOUNCES + 11), 11);
    assert_int_equal(cmcwh_count_bounce(CMCWH_COUNT_BOUNCES + 12), CMCWH_BOUNCE_OTHER);
    assert_int_equal(cmcwh_count_bounce(CMCWH_COUNT_BLOCKS), 0);
    assert_string_equal(cmcwh_count_type(CMCWH_COUNT_BLOCKS), "blocks");
    assert_string_equal(cmcwh_count_type(CMCWH_COUNT_OTHER), "other");
    for (unsigned i = CMCWH_COUNT_BLOCKS; i < CMCWH_COUNTS + 2; i++) {
        assert_string_equal(cmcwh_count_status(i), "");
        assert_true(i < CMCWH_COUNT_REPEATS || cmcwh_count_type(i)[0] == '\0');
    }
}

/* A text that was cut counts besides; in a repeat it does not count again. */
static void truncated(void **state) {
    static char long_text[CMCWH_RECORD_SIZE + 100];
    static char body[sizeof long_text + 200];

    (void)state;
    begin(false);
    (void)repeat(long_text, "x", sizeof long_text - 1);
    (void)snprintf(body, sizeof body,
                   "{\"event_type\":\"bounces\",\"event\":{\"bounces\":[{\"to\":\"a\",\"status\":"
                   "\"2\",\"reason\":\"%s\"}]}}",
                   long_text);
    feed_body(body);
    assert_int_equal(commit(), 1);
    assert_int_equal(total(CMCWH_COUNT_TRUNCATED), 1);
    assert_int_equal(total(CMCWH_COUNT_BOUNCES + 2), 1);
    feed_body(body);
    assert_int_equal(commit(), 1);
    assert_int_equal(total(CMCWH_COUNT_TRUNCATED), 1);
    assert_int_equal(total(CMCWH_COUNT_REPEATS), 1);
}

/* Two of the same request, and one that was delivered long ago. */
static void repeats(void **state) {
    (void)state;
    begin(false);
    feed_body("{\"event_type\":\"blocks\",\"event\":{\"blocks\":[{\"to\":\"a\"},{\"to\":\"a\"},"
              "{\"to\":\"b\"}]}}");
    assert_int_equal(commit(), 3);
    drain();
    assert_int_equal(total(CMCWH_COUNT_BLOCKS), 2);
    assert_int_equal(total(CMCWH_COUNT_REPEATS), 1);
    clock_ms += 5 * HOUR;
    assert_int_equal(send("blocks", "b", ""), 1);
    assert_int_equal(total(CMCWH_COUNT_BLOCKS), 2);
    assert_int_equal(total(CMCWH_COUNT_REPEATS), 2);
    assert_int_equal(in_hour(START + 5, CMCWH_COUNT_REPEATS), 1);
    assert_int_equal(counters.last_event, clock_ms);
}

static void repeats_not_wanted(void **state) {
    struct cmcwh_ring_config config = new_memory(CAPACITY);

    (void)state;
    history.marks = NULL;
    history.mark_count = 0;
    assert_int_equal(cmcwh_ring_init(&ring, &config, 1), CMCWH_OK);
    reader = cmcwh_ring_attach(&ring, NULL, true);
    assert_int_equal(send("blocks", "b", ""), 1);
    assert_int_equal(send("blocks", "b", ""), 1);
    assert_int_equal(total(CMCWH_COUNT_BLOCKS), 2);
    assert_int_equal(total(CMCWH_COUNT_REPEATS), 0);
    assert_true(shows(2, "b"));
}

/* An hour lasts from its first millisecond to its last. */
static void hours_end(void **state) {
    (void)state;
    begin(false);
    clock_ms = (START + 1) * HOUR - 1;
    assert_int_equal(send_number(1), 1);
    clock_ms++;
    assert_int_equal(send_number(2), 1);
    assert_int_equal(in_hour(START, 1), 1);
    assert_int_equal(in_hour(START + 1, 1), 1);
}

/* Two days and more: the oldest hour gives way to the newest, and stays in the totals. */
static void hours_pass(void **state) {
    (void)state;
    begin(false);
    for (uint32_t i = 0; i <= CMCWH_HOURS; i++) {
        clock_ms = (START + i) * HOUR;
        assert_int_equal(send_number(i), 1);
        drain();
        assert_int_equal(total(1), i + 1);
    }
    assert_int_equal(in_hour(START, 1), -1);
    assert_int_equal(in_hour(START + 1, 1), 1);
    assert_int_equal(in_hour(START + CMCWH_HOURS, 1), 1);
    clock_ms = (START + 500) * HOUR; /* a long silence */
    assert_int_equal(send_number(500), 1);
    assert_int_equal(in_hour(START + 500, 1), 1);
    assert_int_equal(total(1), CMCWH_HOURS + 2);
}

/* A clock that was wrong and is set: nothing is counted twice or lost. */
static void a_clock_that_jumps(void **state) {
    static const uint32_t jumps[] = {0, 1000000, 0, 1, 0, 48, 0};

    (void)state;
    begin(false);
    for (unsigned i = 0; i < sizeof jumps / sizeof *jumps; i++) {
        clock_ms = (START + jumps[i]) * HOUR;
        assert_int_equal(send_number(i), 1);
        drain();
        assert_int_equal(total(1), i + 1);
        assert_int_equal(counters.last_event, clock_ms);
    }
    /* It was the hour of 48 hours later that took the place of what had been counted before. */
    assert_int_equal(in_hour(START, 1), 1);
    assert_int_equal(in_hour(START + 1, 1), 1);
    assert_int_equal(in_hour(START + 48, 1), -1);
}

/* Posts one delivery that another cmcwh received at this time. */
static int send_on(unsigned number, uint64_t received) {
    char body[128], header[64];

    (void)snprintf(
        body, sizeof body,
        "{\"event_type\":\"deliveries\",\"event\":{\"deliveries\":[{\"status\":\"queued\"}]}}");
    (void)snprintf(header, sizeof header, "%016x@%llu", number, (unsigned long long)received);
    cmcwh_parser_init(&parser, &ring, CMCWH_JSON);
    cmcwh_parser_chain(&parser, (struct cmcwh_text){header, strlen(header)});
    (void)cmcwh_parser_feed(&parser, body, strlen(body));
    return commit();
}

/* Through a chain events come late: in their hour, or, when it is too long ago, in the totals only,
 * and never in the place of an hour that is shown. */
static void late_ones(void **state) {
    const uint64_t at = START * HOUR + 186120;

    (void)state;
    begin(false);
    assert_int_equal(send_number(1), 1);
    assert_int_equal(send_on(2, at - 2 * HOUR), 1);
    assert_int_equal(in_hour(START - 2, CMCWH_COUNT_DELIVERIES + CMCWH_QUEUED), 1);
    assert_int_equal(send_on(3, at - CMCWH_HOURS * HOUR), 1);
    assert_int_equal(send_on(4, at - CMCWH_HOURS * HOUR + 1), 1);
    assert_int_equal(send_on(5, at - 10 * CMCWH_HOURS * HOUR), 1);
    assert_int_equal(send_on(6, 0), 1);
    assert_int_equal(send_on(3, at - CMCWH_HOURS * HOUR), 1); /* a repeat */
    drain();
    assert_int_equal(in_hour(START, CMCWH_COUNT_DELIVERIES + CMCWH_QUEUED), 1);
    assert_int_equal(in_hour(START - CMCWH_HOURS, CMCWH_COUNT_DELIVERIES + CMCWH_QUEUED), -1);
    assert_int_equal(send_number(7), 1);
    assert_int_equal(in_hour(START, CMCWH_COUNT_DELIVERIES + CMCWH_QUEUED), 2);
    assert_int_equal(in_hour(START - 2, CMCWH_COUNT_DELIVERIES + CMCWH_QUEUED), 1);
    assert_int_equal(total(CMCWH_COUNT_DELIVERIES + CMCWH_QUEUED), 7);
    assert_int_equal(total(CMCWH_COUNT_REPEATS), 1);
    drain();
}

static void no_clock(void **state) {
    struct cmcwh_ring_config config = new_memory(CAPACITY);

    (void)state;
    config.port = NULL;
    assert_int_equal(cmcwh_ring_init(&ring, &config, 1), CMCWH_OK);
    assert_int_equal(send_number(1), 1);
    assert_int_equal(total(1), 1);
    assert_int_equal(counters.since, 0);
    assert_int_equal(counters.last_event, 0);
}

/* ---- What is shown ---- */

/* The first number is not always 1. */
static void only_what_is_there(void **state) {
    struct cmcwh_ring_config config = new_memory(CAPACITY);
    static const uint64_t nothing[] = {0, 99, 102, 100 + CAPACITY, UINT32_MAX, UINT64_MAX};

    (void)state;
    assert_int_equal(cmcwh_ring_init(&ring, &config, 100), CMCWH_OK);
    reader = cmcwh_ring_attach(&ring, NULL, true);
    assert_false(shows(100, ""));
    assert_int_equal(send_number(1), 1);
    assert_int_equal(send_number(2), 1);
    assert_true(shows_number(100, 1));
    drain();
    assert_true(shows_number(100, 1)); /* delivered or not */
    assert_true(shows_number(101, 2));
    for (unsigned i = 0; i < sizeof nothing / sizeof *nothing; i++) {
        assert_false(shows(nothing[i], ""));
    }
}

/* What was delivered stays until the ring has come round to it: whatever the capacity. */
static void old_ones_stay(void **state) {
    (void)state;
    for (uint32_t capacity = 1; capacity <= CAPACITY; capacity++) {
        begin_of(capacity, false);
        for (unsigned number = 1; number <= 3 * capacity; number++) {
            assert_int_equal(send_number(number), 1);
            drain();
            for (unsigned seq = 1; seq <= number; seq++) {
                assert_int_equal(shows_number(seq, seq), seq + capacity > number);
            }
        }
    }
}

/* What is refused or goes away uses up one place again and again, not one old event after the
 * other; and none of its events is ever seen. */
static void refused_ones(void **state) {
    (void)state;
    begin(false);
    for (unsigned number = 1; number <= CAPACITY; number++) {
        assert_int_equal(send_number(number), 1);
        drain();
    }
    for (unsigned i = 0; i < 3 * CAPACITY; i++) {
        feed_body(two_bad);
        assert_int_equal(commit(), CMCWH_ERR_TYPE);
    }
    for (unsigned seq = 1; seq <= CAPACITY; seq++) {
        assert_int_equal(shows_number(seq, seq), seq > 2);
    }
    assert_int_equal(counted(), CAPACITY);
    assert_int_equal(send_number(2), 1); /* gone: no repeat */
    assert_int_equal(total(CMCWH_COUNT_REPEATS), 0);
    assert_int_equal(send_number(4), 1);
    assert_int_equal(total(CMCWH_COUNT_REPEATS), 1);
}

/* A record that is being filled cannot be taken for the event that it held. */
static void drafts(void **state) {
    static char body[CMCWH_WINDOW_SIZE + 100];
    char *out;

    (void)state;
    begin_of(1, false);
    assert_int_equal(send_number(7), 1);
    drain();
    assert_true(shows_number(1, 7));
    out =
        repeat(body, "{\"event_type\":\"deliveries\",\"event\":{\"deliveries\":[{\"to\":\"7\",", 1);
    (void)repeat(out, " ", CMCWH_WINDOW_SIZE);
    feed_body(body);
    assert_int_equal(ring.in_use, 1);
    assert_false(shows(1, ""));
    cmcwh_parser_abort(&parser);
    assert_false(shows(1, ""));
    assert_int_equal(send_number(7), 1);
    assert_int_equal(total(CMCWH_COUNT_REPEATS), 0);
    assert_true(shows_number(2, 7));
}

/* Nor is one of a request that is whole, but not committed yet, the event that came before. */
static void not_committed(void **state) {
    (void)state;
    begin_of(3, false);
    for (unsigned number = 1; number <= 3; number++) {
        assert_int_equal(send_number(number), 1);
        drain();
    }
    feed_to(&other_parser, "{\"event_type\":\"deliveries\",\"event\":{\"deliveries\":["
                           "{\"to\":\"1\",\"status\":\"queued\"},"
                           "{\"to\":\"2\",\"status\":\"queued\"}]}}");
    assert_int_equal(cmcwh_parser_end(&other_parser), 2); /* where 1 and 2 have been */
    assert_int_equal(send_number(2), 1);
    assert_int_equal(total(CMCWH_COUNT_REPEATS), 0);
    assert_true(shows_number(4, 2));
    assert_int_equal(cmcwh_parser_commit(&other_parser), 2);
    assert_int_equal(total(CMCWH_COUNT_REPEATS), 1);
    assert_true(shows_number(5, 1));
    assert_true(shows_number(6, 2));
}

/* The free records stay one chain when all are taken and some come back. */
static void all_taken(void **state) {
    (void)state;
    begin_of(4, false);
    assert_int_equal(send_number(1), 1);
    assert_int_equal(send_number(2), 1);
    feed_body("{\"event_type\":\"blocks\",\"event\":{\"blocks\":[{\"to\":\"3\"}]}}");
    feed_to(&other_parser, "{\"event_type\":\"blocks\",\"event\":{\"blocks\":[{\"to\":\"4\"}]}}");
    assert_int_equal(cmcwh_parser_end(&parser), 1);
    assert_int_equal(cmcwh_parser_end(&other_parser), 1);
    cmcwh_parser_abort(&parser);
    drain();
    assert_int_equal(cmcwh_parser_commit(&other_parser), 1);
    for (unsigned number = 5; number <= 7; number++) {
        assert_int_equal(send_number(number), 1);
    }
    assert_int_equal(send_number(8), CMCWH_ERR_FULL);
    assert_true(shows(3, "4"));
    for (unsigned seq = 4; seq <= 6; seq++) {
        assert_true(shows_number(seq, seq + 1));
    }
}

/* Of two ids that begin alike, one is no repeat of the other. */
static void much_alike(void **state) {
    struct cmcwh_record one, two;

    (void)state;
    begin(false);
    assert_int_equal(send_number(15222), 1);
    assert_int_equal(send_number(144700), 1);
    assert_int_equal(cmcwh_ring_look(&ring, 1, &one), 1);
    assert_int_equal(cmcwh_ring_look(&ring, 2, &two), 1);
    assert_int_equal((uint32_t)event_of(&one).id, (uint32_t)event_of(&two).id);
    assert_int_equal(total(CMCWH_COUNT_REPEATS), 0);
    assert_int_equal(send_number(15222), 1);
    assert_int_equal(total(CMCWH_COUNT_REPEATS), 1);
}

/* Random events of few kinds, requests of several, some that go away, a reader that lags: a repeat
 * is what the ring shows under an older number, always and only that. */
static void repeats_are_what_is_shown(void **state) {
    uint64_t random = 88172645463325252, repeated = 0, plain = 0;

    (void)state;
    for (uint32_t capacity = 1; capacity <= CAPACITY; capacity++) {
        uint64_t last = 0;
        unsigned tos[4000] = {0};

        begin_of(capacity, false);
        for (unsigned i = 0; i < 600; i++) {
            unsigned number = below(&random, 2 * capacity);
            uint64_t before = total(CMCWH_COUNT_REPEATS);
            bool held = false;

            if (below(&random, 4) == 0) {
                drain();
            }
            if (below(&random, 5) == 0) {
                feed_body(two_bad);
                assert_true(commit() < 0);
            }
            if (send_number(number) < 0) {
                drain();
                continue;
            }
            tos[++last] = number;
            assert_true(shows_number(last, number));
            for (uint64_t seq = 1; seq < last; seq++) {
                held = (shows_number(seq, tos[seq]) && tos[seq] == number) || held;
            }
            assert_int_equal(total(CMCWH_COUNT_REPEATS) - before, held);
            repeated += held;
            plain += !held;
        }
        assert_int_equal(counted(), last);
    }
    assert_true(repeated > 1000);
    assert_true(plain > 1000);
}

/* ---- Only what is safe ---- */

static void confirmed_ones(void **state) {
    struct cmcwh_ring_state figures;

    (void)state;
    begin(true);
    assert_int_equal(send_number(1), CMCWH_PENDING);
    assert_int_equal(counted(), 0);
    assert_false(shows(1, ""));
    cmcwh_ring_state(&ring, &figures);
    assert_int_equal(figures.stored, 1);
    assert_int_equal(figures.safe, 0);
    drain();
    assert_int_equal(cmcwh_parser_confirm(&parser), 1);
    assert_int_equal(counted(), 1);
    assert_true(shows_number(1, 1));
    cmcwh_ring_state(&ring, &figures);
    assert_int_equal(figures.safe, 1);
}

/* Of two sinks one takes an event and the other fails: it never was, and comes again as new. */
static void taken_back(void **state) {
    struct cmcwh_record record;
    int other;

    (void)state;
    for (unsigned taken = 0; taken < 2; taken++) { /* its number is used again, or not */
        begin(true);
        other = cmcwh_ring_attach(&ring, NULL, true);
        assert_int_equal(send_number(1), CMCWH_PENDING);
        if (taken == 1) {
            drain();
        }
        assert_int_equal(cmcwh_ring_read(&ring, other, &record), 1);
        cmcwh_ring_fail(&ring, other, 0);
        assert_int_equal(cmcwh_parser_confirm(&parser), CMCWH_ERR_STORAGE);
        cmcwh_parser_abort(&parser);
        assert_int_equal(counted(), 0);
        assert_false(shows(1, ""));

        assert_int_equal(send_number(1), CMCWH_PENDING);
        drain();
        assert_int_equal(cmcwh_ring_read(&ring, other, &record), 1);
        assert_int_equal(cmcwh_ring_acknowledge(&ring, other), CMCWH_OK);
        assert_int_equal(cmcwh_parser_confirm(&parser), 1);
        assert_int_equal(total(CMCWH_COUNT_REPEATS), 0);
        assert_int_equal(total(1), 1);
        assert_true(shows_number(1 + taken, 1));
        assert_false(shows(2 - taken, ""));

        assert_int_equal(send_number(1), CMCWH_PENDING);
        assert_int_equal(total(CMCWH_COUNT_REPEATS), 0); /* not safe yet */
        drain();
        assert_int_equal(cmcwh_ring_read(&ring, other, &record), 1);
        assert_int_equal(cmcwh_ring_acknowledge(&ring, other), CMCWH_OK);
        assert_int_equal(cmcwh_parser_confirm(&parser), 1);
        assert_int_equal(total(CMCWH_COUNT_REPEATS), 1);
    }
}

/* One event is safe, and waits for a sink that may lag; the one behind it is taken back. */
static void taken_back_in_part(void **state) {
    struct cmcwh_record record;

    (void)state;
    begin(true);
    assert_int_equal(cmcwh_ring_attach(&ring, NULL, false), 1);
    assert_int_equal(send_number(1), CMCWH_PENDING);
    drain();
    assert_int_equal(cmcwh_parser_confirm(&parser), 1);
    assert_int_equal(send_number(2), CMCWH_PENDING);
    assert_int_equal(cmcwh_ring_read(&ring, reader, &record), 1);
    cmcwh_ring_fail(&ring, reader, 0);
    assert_int_equal(cmcwh_parser_confirm(&parser), CMCWH_ERR_STORAGE);
    cmcwh_parser_abort(&parser);
    assert_int_equal(counted(), 1);
    assert_true(shows_number(1, 1));
    assert_false(shows(2, ""));
}

/* ---- On storage ---- */

static int reopen_with(const struct cmcwh_storage *storage) {
    struct cmcwh_ring_config config = new_memory(CAPACITY);
    int result;

    config.storage = storage;
    result = cmcwh_ring_open(&ring, &config, &found);
    reader = result < 0 ? -1 : cmcwh_ring_attach(&ring, "log", true);
    return result;
}

static void reopen(void) {
    assert_int_equal(reopen_with(&disk.storage), CMCWH_OK);
}

static void new_storage(void) {
    struct cmcwh_geometry geometry = {.records = CAPACITY, .block = BLOCK};

    clock_ms = START * HOUR;
    disk_init(&disk, 3 * BLOCK + CAPACITY * CMCWH_RECORD_SIZE);
    disk.forgets = true;
    assert_int_equal(cmcwh_storage_format(&disk.storage, &geometry), CMCWH_OK);
    reopen();
}

/* Everything is found again, delivered or not, and counted in the hour in which it came. */
static void found_again(void **state) {
    (void)state;
    new_storage();
    for (unsigned number = 1; number <= 5; number++) {
        assert_int_equal(send_number(number), 1);
        clock_ms += HOUR;
        if (number == 3) {
            drain();
        }
    }
    assert_int_equal(send_number(2), 1);
    clock_ms += 7 * HOUR;
    reopen();
    assert_int_equal(found.kept, 3);
    assert_int_equal(total(1), 5);
    assert_int_equal(total(CMCWH_COUNT_REPEATS), 1);
    assert_false(counters.at_least); /* every event there ever was */
    assert_int_equal(counters.since, START * HOUR);
    assert_int_equal(counters.last_event, (START + 5) * HOUR);
    for (uint32_t i = 0; i < 5; i++) {
        assert_int_equal(in_hour(START + i, 1), 1);
        assert_true(shows_number(i + 1, i + 1));
    }
    assert_int_equal(send_number(4), 1); /* and goes on from there */
    assert_int_equal(total(CMCWH_COUNT_REPEATS), 2);
    assert_true(shows_number(7, 4));
}

static void nothing_to_find(void **state) {
    (void)state;
    new_storage();
    clock_ms += 1234;
    reopen();
    assert_int_equal(counted(), 0);
    assert_int_equal(counters.since, clock_ms);
    assert_int_equal(counters.last_event, 0);
    assert_false(counters.at_least);
}

/* What a storage does not hold any more was not counted. */
static void older_ones_lack(void **state) {
    (void)state;
    new_storage();
    for (unsigned number = 1; number <= CAPACITY + 3; number++) {
        clock_ms += HOUR;
        assert_int_equal(send_number(number), 1);
        drain();
        assert_int_equal(cmcwh_ring_flush(&ring), CMCWH_OK);
    }
    assert_int_equal(total(1), CAPACITY + 3);
    reopen();
    assert_int_equal(total(1), CAPACITY);
    assert_true(counters.at_least);
    assert_int_equal(counters.since, (START + 4) * HOUR);
    for (unsigned number = 1; number <= CAPACITY + 3; number++) {
        assert_int_equal(shows_number(number, number), number > 3);
    }
    assert_int_equal(send_number(1), 1);
    assert_int_equal(send_number(6), 1);
    assert_int_equal(total(CMCWH_COUNT_REPEATS), 1);
    assert_int_equal(total(1), CAPACITY + 1);
}

/* One that was damaged meanwhile is neither counted nor shown, also where it was to be read. */
static void damaged_ones(void **state) {
    (void)state;
    new_storage();
    for (unsigned number = 1; number <= 4; number++) {
        assert_int_equal(send_number(number), 1);
    }
    assert_int_equal(cmcwh_ring_flush(&ring), CMCWH_OK);
    disk.now[3 * BLOCK + 1 * CMCWH_RECORD_SIZE + 100] ^= 1;
    reopen();
    assert_int_equal(found.damaged, 1);
    assert_int_equal(counted(), 3);
    assert_true(counters.at_least);
    assert_true(shows_number(1, 1));
    assert_false(shows(2, ""));
    assert_true(shows_number(3, 3));
    assert_int_equal(send_number(2), 1);
    assert_int_equal(total(CMCWH_COUNT_REPEATS), 0);
}

/* A write that fails: what it was for is not counted, and comes again as new. */
static void refused_by_storage(void **state) {
    (void)state;
    new_storage();
    assert_int_equal(send_number(1), 1);
    disk.fail_at = disk.calls + 1;
    disk.fail_count = 1;
    assert_int_equal(send_number(2), CMCWH_ERR_STORAGE);
    assert_int_equal(counted(), 1);
    assert_false(shows(2, ""));
    clock_ms += 1000;
    assert_int_equal(send_number(2), 1);
    assert_int_equal(total(1), 2);
    assert_int_equal(total(CMCWH_COUNT_REPEATS), 0);
    assert_true(shows_number(2, 2));
}

/* A ring that is only looked at, as by another process. */
static void only_looked_at(void **state) {
    struct cmcwh_storage storage;

    (void)state;
    new_storage();
    for (unsigned number = 1; number <= 4; number++) {
        assert_int_equal(send_number(number), 1);
    }
    drain();
    storage = disk.storage;
    storage.write = NULL;
    assert_int_equal(reopen_with(&storage), CMCWH_OK);
    assert_int_equal(total(1), 4);
    assert_true(shows_number(1, 1));
    assert_true(shows_number(4, 4));
}

/* ---- Without, and what else a ring says of itself ---- */

static void none(void **state) {
    static const struct cmcwh_counters zeros;
    struct cmcwh_ring_config config = new_memory(CAPACITY);

    (void)state;
    config.history = NULL;
    assert_int_equal(cmcwh_ring_init(&ring, &config, 1), CMCWH_OK);
    assert_int_equal(send_number(1), 1);
    cmcwh_ring_counters(&ring, &counters);
    assert_memory_equal(&counters, &zeros, sizeof zeros);
    assert_false(shows(1, ""));
}

static void what_is_refused(void **state) {
    static const uint32_t bad[] = {0, 1, 16, 31, 33, 48};
    struct cmcwh_ring_config config = new_memory(CAPACITY);

    (void)state;
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
        history.mark_count = bad[i];
        assert_int_equal(cmcwh_ring_init(&ring, &config, 1), CMCWH_ERR_ARGUMENT);
    }
    history.mark_count = MARKS;
    assert_int_equal(cmcwh_ring_init(&ring, &config, 1), CMCWH_OK);
    history.marks = NULL;
    assert_int_equal(cmcwh_ring_init(&ring, &config, 1), CMCWH_ERR_ARGUMENT);
    history.mark_count = 0;
    assert_int_equal(cmcwh_ring_init(&ring, &config, 1), CMCWH_OK);
    history.places = NULL;
    assert_int_equal(cmcwh_ring_init(&ring, &config, 1), CMCWH_ERR_ARGUMENT);
}

static void peak_and_fulls(void **state) {
    struct cmcwh_ring_state figures;

    (void)state;
    begin_of(4, false);
    for (unsigned number = 1; number <= 3; number++) {
        assert_int_equal(send_number(number), 1);
    }
    drain();
    cmcwh_ring_state(&ring, &figures);
    assert_int_equal(figures.in_use, 0);
    assert_int_equal(figures.peak, 3);
    assert_int_equal(figures.fulls, 0);
    for (unsigned number = 4; number <= 7; number++) {
        assert_int_equal(send_number(number), 1);
    }
    assert_int_equal(send_number(8), CMCWH_ERR_FULL);
    assert_int_equal(send_number(8), CMCWH_ERR_FULL);
    cmcwh_ring_state(&ring, &figures);
    assert_int_equal(figures.peak, 4);
    assert_int_equal(figures.fulls, 2);
    assert_int_equal(figures.safe, 7);
    drain(); /* one that can never be taken found no lack of room */
    feed_body("{\"event_type\":\"blocks\",\"event\":{\"blocks\":[{},{},{},{},{}]}}");
    assert_int_equal(commit(), CMCWH_ERR_EVENTS);
    cmcwh_ring_state(&ring, &figures);
    assert_int_equal(figures.fulls, 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_type_and_status), cmocka_unit_test(names_of_counts),
        cmocka_unit_test(truncated),          cmocka_unit_test(repeats),
        cmocka_unit_test(repeats_not_wanted), cmocka_unit_test(hours_end),
        cmocka_unit_test(hours_pass),         cmocka_unit_test(a_clock_that_jumps),
        cmocka_unit_test(late_ones),          cmocka_unit_test(no_clock),
        cmocka_unit_test(only_what_is_there), cmocka_unit_test(old_ones_stay),
        cmocka_unit_test(refused_ones),       cmocka_unit_test(drafts),
        cmocka_unit_test(not_committed),      cmocka_unit_test(all_taken),
        cmocka_unit_test(much_alike),         cmocka_unit_test(repeats_are_what_is_shown),
        cmocka_unit_test(confirmed_ones),     cmocka_unit_test(taken_back),
        cmocka_unit_test(taken_back_in_part), cmocka_unit_test(found_again),
        cmocka_unit_test(nothing_to_find),    cmocka_unit_test(older_ones_lack),
        cmocka_unit_test(damaged_ones),       cmocka_unit_test(refused_by_storage),
        cmocka_unit_test(only_looked_at),     cmocka_unit_test(none),
        cmocka_unit_test(what_is_refused),    cmocka_unit_test(peak_and_fulls),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
