/* Events that a ring holds, for who asks at the admin port: whatever room there is at a time, each
 * comes once, in order, and what was missed is said. */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/events.h"

enum { RECORDS = 8, OUT_MAX = 65536 };

static struct cmcwh_record records[RECORDS];
static uint32_t links[RECORDS], places[RECORDS], marks[2 * RECORDS];
static struct cmcwh_history history;
static struct fixture fixture;
static struct events_room room;
static struct events events;
static char out[OUT_MAX];
static size_t used;

static int setup(void **state) {
    const struct cmcwh_ring_config config = {
        .records = records, .links = links, .capacity = RECORDS, .history = &history};

    (void)state;
    history = (struct cmcwh_history){.places = places, .marks = marks, .mark_count = 2 * RECORDS};
    assert_int_equal(cmcwh_ring_init(&fixture.ring, &config, 1), CMCWH_OK);
    fixture.reader = cmcwh_ring_attach(&fixture.ring, NULL, false);
    return 0;
}

static void come(unsigned count, const char *type) {
    char body[256];

    for (unsigned i = 0; i < count; i++) {
        (void)snprintf(body, sizeof body,
                       "{\"event_type\":\"%s\",\"server_composition\":\"p\",\"event\":{\"%s\":"
                       "[{\"to\":\"u@example.jp\",\"status\":\"2\",\"subject\":\"\\u0001x\"}]}}",
                       type, type);
        assert_int_equal(post(&fixture, CMCWH_JSON, body), 1);
    }
}

/* What the query and Last-Event-ID (NULL: none) are answered with: "" if they are right. */
static const char *asked(const char *query, const char *last, enum events_form form) {
    static char why[512];
    struct writer writer = {.bytes = why, .size = sizeof why - 1};
    struct request request = {.query = {query, strlen(query)}};
    bool right;

    if (last != NULL) {
        request.headers[REQUEST_LAST_EVENT_ID] = (struct cmcwh_text){last, strlen(last)};
    }
    right = events_ask(&events, &fixture.ring, &request, form, &writer);
    assert_false(writer.full);
    assert_true(right == (writer.used == 0));
    why[writer.used] = '\0';
    used = 0;
    return why;
}

static void ask(const char *query, const char *last, enum events_form form) {
    assert_string_equal(asked(query, last, form), "");
}

/* Reads on, with so much room at a time, as long as there is more. */
static enum events_state read_on(size_t size) {
    enum events_state state = EVENTS_GO_ON;

    for (unsigned turn = 0; state == EVENTS_GO_ON; turn++) {
        char *bytes = malloc(size); /* with nothing behind it */
        struct writer writer = {.bytes = bytes, .size = size};

        assert_true(turn < 1000);
        state = events_write(&events, &fixture.ring, &room, &writer);
        assert_false(writer.full);
        assert_true(used + writer.used < OUT_MAX);
        memcpy(out + used, bytes, writer.used);
        used += writer.used;
        free(bytes);
    }
    out[used] = '\0';
    return state;
}

/* The numbers in what has come, and "gap" for each. */
static const char *numbers(const char *mark) {
    static char text[1024];
    size_t length = 0;

    text[0] = '\0';
    for (const char *at = out; *at != '\0'; at++) {
        if (strncmp(at, "event: gap", 10) == 0) {
            length += (size_t)snprintf(text + length, sizeof text - length, " gap");
        } else if (strncmp(at, mark, strlen(mark)) == 0) {
            length += (size_t)snprintf(text + length, sizeof text - length, " %lu",
                                       strtoul(at + strlen(mark), NULL, 10));
        }
        assert_true(length < sizeof text);
    }
    return text;
}

static void assert_lines(const char *query, const char *expected) {
    static const size_t sizes[] = {sizeof room.text, 8192, OUT_MAX};

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        ask(query, NULL, EVENTS_LINES);
        assert_int_equal(read_on(sizes[i]), EVENTS_END);
        assert_string_equal(numbers("{\"seq\":"), expected);
    }
}

static void lines(void **state) {
    (void)state;
    assert_lines("", "");
    come(3, "deliveries");
    come(1, "bounces");
    assert_lines("", " 1 2 3 4");
    assert_lines("after=2", " 3 4");
    assert_lines("after=4", "");
    assert_lines("limit=2&after=1", " 2 3");
    assert_lines("only=bounces", " 4");
    assert_lines("only=blocks", "");
    assert_lines("after=9", " 1 2 3 4"); /* of another ring */
    assert_lines("after=18446744073709551614", " 1 2 3 4");
    come(7, "deliveries");
    assert_lines("", " 4 5 6 7 8 9 10 11");
    ask("", NULL, EVENTS_LINES);
    come(1, "deliveries"); /* not meant any more; and 4 has gone */
    assert_int_equal(read_on(8192), EVENTS_END);
    assert_string_equal(numbers("{\"seq\":"), " 5 6 7 8 9 10 11");
    ask("", NULL, EVENTS_LINES);
    come(20, "deliveries"); /* all that was meant has gone */
    assert_int_equal(read_on(8192), EVENTS_END);
    assert_string_equal(out, "");
}

static void stream(void **state) {
    (void)state;
    come(2, "deliveries");
    ask("", NULL, EVENTS_SENT);
    assert_int_equal(read_on(8192), EVENTS_WAIT);
    assert_string_equal(out, "retry: 2000\nid: 2\n\n");
    assert_int_equal(read_on(8192), EVENTS_WAIT);
    come(2, "bounces");
    used = 0;
    assert_int_equal(read_on(8192), EVENTS_WAIT);
    assert_string_equal(numbers("id: "), " 3 4");
    assert_string_equal(numbers("data: {\"seq\":"), " 3 4");
    assert_true(used > 2 && strcmp(out + used - 3, "}\n\n") == 0);
}

/* However it was away, it gets all that there is, and learns what it has missed. */
static void stream_again(void **state) {
    (void)state;
    come(10, "deliveries");
    ask("", "7", EVENTS_SENT);
    assert_int_equal(read_on(8192), EVENTS_WAIT);
    assert_string_equal(numbers("data: {\"seq\":"), " 8 9 10");
    ask("after=1", "9", EVENTS_SENT); /* the browser's own counts */
    assert_int_equal(read_on(8192), EVENTS_WAIT);
    assert_string_equal(numbers("data: {\"seq\":"), " 10");
    ask("after=8", "", EVENTS_SENT);
    assert_int_equal(read_on(8192), EVENTS_WAIT);
    assert_string_equal(numbers("data: {\"seq\":"), " 9 10");
    ask("", "1", EVENTS_SENT);
    assert_int_equal(read_on(sizeof room.text), EVENTS_WAIT);
    assert_string_equal(numbers("data: {\"seq\":"), " gap 3 4 5 6 7 8 9 10");
    assert_non_null(strstr(out, "event: gap\ndata: {\"after\":1,\"next\":3}\n\n"));
    ask("", "77", EVENTS_SENT); /* of another ring */
    assert_int_equal(read_on(8192), EVENTS_WAIT);
    assert_string_equal(numbers("data: {\"seq\":"), " gap 3 4 5 6 7 8 9 10");
    assert_non_null(strstr(out, "{\"after\":77,\"next\":3}"));
    come(20, "deliveries"); /* it was too slow */
    used = 0;
    assert_int_equal(read_on(8192), EVENTS_WAIT);
    assert_string_equal(numbers("data: {\"seq\":"), " gap 23 24 25 26 27 28 29 30");
    assert_non_null(strstr(out, "{\"after\":10,\"next\":23}"));
}

/* One that wants little still knows how far it is: else it would seem to have missed much. */
static void stream_of_few(void **state) {
    struct writer writer = {.bytes = out, .size = OUT_MAX};

    (void)state;
    ask("only=bounces", NULL, EVENTS_SENT);
    for (unsigned i = 0; i < 5; i++) {
        come(5, "deliveries");
        assert_int_equal(read_on(8192), EVENTS_WAIT);
    }
    assert_string_equal(out, "retry: 2000\nid: 0\n\n");
    events_beat(&events, &writer);
    assert_int_equal(writer.used, strlen(":\nid: 25\n\n"));
    assert_memory_equal(out, ":\nid: 25\n\n", writer.used);
    come(1, "bounces");
    used = 0;
    assert_int_equal(read_on(8192), EVENTS_WAIT);
    assert_string_equal(numbers("data: {\"seq\":"), " 26");
}

static void table(void **state) {
    (void)state;
    come(2, "deliveries");
    ask("hide=addresses", NULL, EVENTS_CSV);
    assert_int_equal(read_on(8192), EVENTS_END);
    assert_memory_equal(out, "\xEF\xBB\xBFseq,id,", 10);
    assert_non_null(strstr(out, "*@example.jp"));
    assert_null(strstr(out, "u@example.jp"));
}

static void asked_wrongly(void **state) {
    static const char *const wrong[] = {"after=x",     "after=",   "after=18446744073709551615",
                                        "after=1&x=2", "limit=0",  "limit=1.5",
                                        "only=",       "only=a,b", "hide=x",
                                        "after=%zz",   "AFTER=1"};

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_string_not_equal(asked(wrong[i], NULL, EVENTS_SENT), "");
    }
    assert_non_null(strstr(asked("only=bounces,x", NULL, EVENTS_CSV), "from character 9 on"));
    assert_non_null(strstr(asked("", "x", EVENTS_SENT), "Last-Event-ID"));
    assert_non_null(strstr(asked("", "1234567890123456789012345", EVENTS_SENT), "Last-Event-ID"));
    ask("", "x", EVENTS_LINES); /* is nothing to it */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(lines, setup),        cmocka_unit_test_setup(stream, setup),
        cmocka_unit_test_setup(stream_again, setup), cmocka_unit_test_setup(stream_of_few, setup),
        cmocka_unit_test_setup(table, setup),        cmocka_unit_test_setup(asked_wrongly, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
