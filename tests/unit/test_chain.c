/* What one cmcwh posts to the next: events come out of it as they went in. */
#include "support.h"

#include <stdio.h>
#include <string.h>

enum { EVENTS = 16 };

static struct fixture f;
static struct cmcwh_record first[EVENTS], second[EVENTS];

/* Reads a request with `count` events. */
static void read_in(enum cmcwh_format format, const char *body, struct cmcwh_record *out,
                    size_t count) {
    fixture_init(&f, EVENTS, false);
    assert_int_equal(post(&f, format, body), count);
    for (size_t i = 0; i < count; i++) {
        out[i] = take(&f);
    }
    assert_empty(&f);
}

/* The same but for what is said of texts that were cut: that they were, nothing in a body says. */
static void assert_same(const struct cmcwh_record *before, const struct cmcwh_record *after) {
    struct cmcwh_event a = event_of(before), b = event_of(after);

    assert_true(same_event(before, after));
    assert_int_equal(b.truncated & ~a.truncated, 0);
    if (a.truncated == 0) {
        assert_memory_equal(before, after, sizeof *before);
    }
}

/* What a body holds, posted onward and read again, in both formats, is the same. */
static void goes_round(enum cmcwh_format format, const char *body, size_t count) {
    read_in(format, body, first, count);
    for (int way = CMCWH_JSON; way <= CMCWH_FORM; way++) {
        const char *again = posted(first, count, (enum cmcwh_format)way);

        read_in((enum cmcwh_format)way, again, second, count);
        for (size_t i = 0; i < count; i++) {
            assert_same(&first[i], &second[i]);
        }
    }
}

static void payloads_go_round(void **state) {
    static const char *const names[] = {"bounces-host-unknown", "bounces-user-unknown",
                                        "deliveries-failed", "deliveries-queued",
                                        "deliveries-succeeded"};
    size_t length;

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char name[64];

        (void)snprintf(name, sizeof name, "%s.json", names[i]);
        goes_round(CMCWH_JSON, payload(name, &length), 1);
        (void)snprintf(name, sizeof name, "%s.form", names[i]);
        goes_round(CMCWH_FORM, payload(name, &length), 1);
    }
}

static const char *onward(const char *body) {
    read_in(CMCWH_JSON, body, first, 1);
    return encoded(&first[0], CMCWH_ENCODE_CMC);
}

/* CMC's own members, in its own order. */
static void as_cmc_writes(void **state) {
    (void)state;
    assert_string_equal(
        onward("{\"event_type\":\"deliveries\",\"event\":{\"deliveries\":[{\"to\":\"u\"}]}}"),
        "{\"reason\":\"\",\"sourceIp\":\"\",\"returnPath\":\"\",\"created\":\"\",\"subject\":\"\","
        "\"apiData\":\"\",\"messageId\":\"\",\"from\":\"\",\"to\":\"u\",\"senderIp\":\"\","
        "\"status\":\"\"}");
    assert_string_equal(
        onward("{\"event_type\":\"bounces\",\"event\":{\"bounces\":[{\"status\":2}]}}"),
        "{\"reason\":\"\",\"returnPath\":\"\",\"created\":\"\",\"subject\":\"\",\"apiData\":\"\","
        "\"messageId\":\"\",\"from\":\"\",\"to\":\"\",\"status\":\"2\"}");
    assert_string_equal(onward("{\"event_type\":\"blocks\",\"event\":{\"blocks\":[{\"x\":[1,"
                               "{\"y\":\"\\u3042\"}],\"envelopeTo\":\"u\",\"z\":null}]}}"),
                        "{\"to\":\"u\",\"x\":[1,{\"y\":\"\\u3042\"}],\"z\":null}");
    assert_string_equal(
        onward("{\"event_type\":\"opens\",\"event\":{\"opens\":[{\"url\":\"u\"}]}}"),
        "{\"url\":\"u\"}");
    assert_string_equal(onward("{\"event_type\":\"opens\",\"event\":{\"opens\":[{}]}}"), "{}");
}

/* One event of a type, with these members. */
static const char *one(const char *type, const char *members) {
    static char body[1 << 16];
    int length = snprintf(body, sizeof body,
                          "{\"event_type\":\"%s\",\"server_composition\":\"p\\\"r\\to\","
                          "\"event\":{\"%s\":[{%s}]}}",
                          type, type, members);

    assert_true(length > 0 && (size_t)length < sizeof body);
    return body;
}

static void odd_events_go_round(void **state) {
    static const char *const members[] = {
        "",
        "\"to\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0000\\u001f\\u007f\\u0085\\u2028\\u202e\"",
        "\"to\":\"\x7f\xc2\x85\xe2\x80\xa8\xe2\x80\xae\xe3\x81\x82\xf0\x9f\x98\x80\"",
        "\"subject\":\"\\u30e1\\u30fc\\u30eb\\ud83d\\ude00\",\"status\":2,\"reason\":true",
        "\"envelopeFrom\":\"a\",\"envelopeTo\":\"b\",\"sourceIp\":\"1\",\"senderIp\":\"::1\"",
        "\"event_type\":\"x\",\"server_composition\":1,\"seq\":2,\"id\":\"3\",\"received\":null",
        "\"event\":{\"blocks\":[{\"to\":1}]},\"api_key\":\"k\",\"members\":[],\"truncated\":[0]",
        "\"\":1,\"\\u0000\\n\\\"\\\\\\u2028\":2,\"\xc2\x85\xe2\x80\xa8\":\"\xc2\x85\xe2\x80\xa8\"",
        "\"a\":[ 1 , { \"b\" : [ ] } ],\"c\":-1.5e+10,\"d\":\"\\/\\u0041\\n\",\"\xe3\x81\x82\":{}",
    };
    static const char *const types[] = {"deliveries", "bounces", "blocks", "opens",
                                        "a\\\"\\n\\u3042"};

    (void)state;
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        for (size_t j = 0; j < sizeof types / sizeof *types; j++) {
            goes_round(CMCWH_JSON, one(types[j], members[i]), 1);
        }
    }
}

static void several_go_round(void **state) {
    (void)state;
    goes_round(CMCWH_JSON, one("blocks", "\"a\":1},{},{\"to\":\"x\",\"a\":1,\"b\":2},{\"c\":\"\""),
               4);
}

static void cut_texts_go_round(void **state) {
    static const char *const texts[] = {"a",       "\\u0001", "\\\"", "\x7f", "\xe3\x81\x82",
                                        "\\u3042", "\xc2\x85"};
    static char members[1 << 15];

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        char *out = repeat(members + sprintf(members, "\"reason\":\""), texts[i], 2000);

        out = repeat(out + sprintf(out, "\",\"own\":\""), texts[i], 40);
        (void)sprintf(out, "\"");
        goes_round(CMCWH_JSON, one("bounces", members), 1);
        assert_true(field_cut(&first[0], CMCWH_REASON));
        goes_round(CMCWH_JSON, one("blocks", members), 1);
        assert_true(field_cut(&first[0], CMCWH_REASON));
    }
}

/* A type that had to give way is named all the same, and gives way again. */
static void cut_types_are_named(void **state) {
    static char members[1 << 13];
    struct cmcwh_event event;

    (void)state;
    (void)sprintf(repeat(members + sprintf(members, "\"messageId\":\""), "m", 2000), "\"");
    goes_round(CMCWH_JSON, one("deliveries", members), 1);
    event = event_of(&first[0]);
    assert_int_equal(event.texts[CMCWH_EVENT_TYPE].length, 0);
    assert_string_equal(cmcwh_event_type(&event).data, "deliveries");
    goes_round(CMCWH_JSON, one("opens", members), 1);
    event = event_of(&first[0]);
    assert_string_equal(cmcwh_event_type(&event).data, "other");
    (void)sprintf(
        repeat(members + sprintf(members, "\"messageId\":\""), "m", CMCWH_RECORD_TEXT - 3), "\"");
    goes_round(CMCWH_JSON, one("opens", members), 1);
    assert_field(&first[0], CMCWH_EVENT_TYPE, "ope");
    goes_round(CMCWH_JSON, one("bounces", members), 1);
    assert_field(&first[0], CMCWH_EVENT_TYPE, "bou");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(payloads_go_round),   cmocka_unit_test(as_cmc_writes),
        cmocka_unit_test(odd_events_go_round), cmocka_unit_test(several_go_round),
        cmocka_unit_test(cut_texts_go_round),  cmocka_unit_test(cut_types_are_named)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
