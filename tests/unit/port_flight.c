/* Messages in flight: whatever a peer acknowledges, and in whatever order, no event counts as taken
 * before those in front of it. */
#include "support.h"

#include <string.h>

#include "sink/flight.h"

static struct flight flight;

static uint64_t land(uint16_t id) {
    struct flight_message *message = flight_find(&flight, id);

    assert_non_null(message);
    assert_int_equal(message->id, id);
    return flight_land(&flight, message);
}

static void in_order(void **state) {
    (void)state;
    assert_true(flight_open(&flight, 2));
    for (uint16_t i = 1; i < 10; i++) { /* goes round the ring */
        flight_add(&flight, i, 100U + i, "a");
        assert_int_equal(land(i), 100 + i);
        assert_int_equal(flight.count, 0);
    }
    flight_close(&flight);
    assert_int_equal(flight.count, 0);
}

static void in_any_order(void **state) {
    (void)state;
    assert_true(flight_open(&flight, 4));
    flight_add(&flight, 65534, 7, "a");
    flight_add(&flight, 65535, 8, "b");
    flight_add(&flight, 1, 9, "c");
    flight_add(&flight, 2, 11, "d");
    assert_int_equal(land(1), 0);
    assert_int_equal(land(65535), 0);
    assert_int_equal(flight.count, 4);
    assert_int_equal(land(65534), 9);
    assert_int_equal(flight.count, 1);
    assert_string_equal(flight_find(&flight, 2)->topic, "d");
    assert_int_equal(land(2), 11);
    flight_close(&flight);
}

/* Once is enough, and what was never sent is nothing. */
static void strangers(void **state) {
    (void)state;
    assert_true(flight_open(&flight, 2));
    assert_null(flight_find(&flight, 0));
    flight_add(&flight, 1, 1, "a");
    flight_add(&flight, 2, 2, "a");
    assert_null(flight_find(&flight, 3));
    assert_int_equal(land(2), 0);
    assert_null(flight_find(&flight, 2));
    assert_int_equal(land(1), 2);
    assert_null(flight_find(&flight, 1));
    flight_close(&flight);
}

/* A message about no event takes none with it. */
static void without_event(void **state) {
    (void)state;
    assert_true(flight_open(&flight, 2));
    flight_add(&flight, 1, 0, "state");
    flight_add(&flight, 2, 5, "a");
    assert_int_equal(land(1), 0);
    flight_add(&flight, 3, 0, "state");
    assert_int_equal(land(3), 0);
    assert_int_equal(land(2), 5);
    flight_close(&flight);
}

/* A topic is cut where there is no more room for it. */
static void long_topic(void **state) {
    char topic[FLIGHT_TOPIC + 10] = "";

    (void)state;
    memset(topic, 'x', sizeof topic - 1);
    assert_true(flight_open(&flight, 1));
    flight_add(&flight, 1, 1, topic);
    assert_int_equal(strlen(flight_find(&flight, 1)->topic), FLIGHT_TOPIC - 1);
    flight_close(&flight);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(in_order), cmocka_unit_test(in_any_order),
                                       cmocka_unit_test(strangers), cmocka_unit_test(without_event),
                                       cmocka_unit_test(long_topic)};

    return cmocka_run_group_tests_name("messages in flight", tests, NULL, NULL);
}
