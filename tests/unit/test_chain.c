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
        "\"to\":\"\x7f\xc2\x85\xe2\x80\xa8\xe2\x80\xae\xe3\x81\x82\xf0\x9f\x98\x80\xe2\x80\xac\"",
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

/* ---- What the cmcwh before says of them ---- */

static const char three[] =
    "{\"event_type\":\"bounces\",\"server_composition\":\"pro\",\"event\":{\"bounces\":[{\"to\":"
    "\"a\"},{\"to\":\"b\"},{\"to\":\"c\"}]}}";

/* Posts a body with this header. */
static int chained(enum cmcwh_format format, const char *body, const char *header) {
    int result;

    fixture_init(&f, EVENTS, false);
    cmcwh_parser_init(&f.parser, &f.ring, format);
    cmcwh_parser_chain(&f.parser, (struct cmcwh_text){header, strlen(header)});
    (void)cmcwh_parser_feed(&f.parser, body, strlen(body));
    result = cmcwh_parser_end(&f.parser);
    if (result >= 0) {
        result = cmcwh_parser_commit(&f.parser);
    }
    if (result < 0) {
        assert_int_equal(cmcwh_parser_error(&f.parser)->result, result);
        assert_int_equal(cmcwh_parser_commit(&f.parser), result);
        cmcwh_parser_abort(&f.parser);
        assert_empty(&f);
    }
    return result;
}

static void assert_origin(uint64_t id, uint64_t received, unsigned truncated) {
    struct cmcwh_record record = take(&f);
    struct cmcwh_event event = event_of(&record);

    assert_int_equal(event.id, id);
    assert_int_equal(event.received, received);
    assert_int_equal(event.truncated, truncated);
}

/* Each event keeps what it was, in order; in a form too. */
static void origins_are_kept(void **state) {
    static const char header[] = "0123456789abcdef@1674622986120,ffffffffffffffff@0/3FFF,"
                                 "0000000000000000@253402300799999/1";

    (void)state;
    for (int format = CMCWH_JSON; format <= CMCWH_FORM; format++) {
        static struct cmcwh_record read[3];

        read_in(CMCWH_JSON, three, read, 3);
        assert_int_equal(
            chained((enum cmcwh_format)format, posted(read, 3, (enum cmcwh_format)format), header),
            3);
        assert_origin(0x0123456789abcdef, 1674622986120, 0);
        assert_origin(UINT64_MAX, 0, 0x3FFF);
        assert_origin(0, 253402300799999, 1);
        assert_empty(&f);
    }
}

/* What was cut before stays marked, beside what is cut now: bits of fields that are not known yet
 * are dropped. */
static void marks_add_up(void **state) {
    static char members[1 << 12];

    (void)state;
    (void)sprintf(repeat(members + sprintf(members, "\"reason\":\""), "r", 2000), "\"");
    assert_int_equal(chained(CMCWH_JSON, one("bounces", members), "0000000000000001@2/e110"), 1);
    assert_origin(1, 2, 1u << CMCWH_REASON | 0x2110);
}

/* A later list of the same name counts, and the entries are for its events. */
static void the_list_that_counts(void **state) {
    (void)state;
    assert_int_equal(chained(CMCWH_JSON,
                             "{\"event_type\":\"bounces\",\"event\":{\"bounces\":[{},{},{}],"
                             "\"bounces\":[{\"to\":\"x\"}]}}",
                             "00000000000000aa@7"),
                     1);
    assert_origin(0xaa, 7, 0);
    assert_int_equal(
        chained(CMCWH_JSON, "{\"event_type\":\"bounces\",\"event\":{\"bounces\":[]}}", ""), 0);
}

static void wrong_chains(void **state) {
#define FIRST "0123456789abcdef@1674622986120"
    static const struct {
        const char *header;
        uint64_t offset;
    } cases[] = {{"", 0},
                 {FIRST, 30},
                 {FIRST "," FIRST, 61},
                 {FIRST "," FIRST "," FIRST "," FIRST, 93},
                 {FIRST "," FIRST "," FIRST "/1," FIRST "/1", 95},
                 {FIRST "," FIRST "," FIRST ",", 93},
                 {FIRST "," FIRST "," FIRST " ", 92},
                 {FIRST "," FIRST ",," FIRST, 62},
                 {FIRST ", " FIRST "," FIRST, 31},
                 {"," FIRST "," FIRST "," FIRST, 0},
                 {" " FIRST "," FIRST "," FIRST, 0},
                 {"0123456789abcde@1," FIRST "," FIRST, 15},
                 {"0123456789abcdef0@1," FIRST "," FIRST, 16},
                 {"0123456789abcdeg@1," FIRST "," FIRST, 15},
                 {"0x23456789abcdef@1," FIRST "," FIRST, 1},
                 {"0123456789abcdef", 16},
                 {"0123456789abcdef@", 17},
                 {"0123456789abcdef@,", 17},
                 {"0123456789abcdef@a", 17},
                 {"0123456789abcdef@-1", 17},
                 {"0123456789abcdef@+1", 17},
                 {"0123456789abcdef@1.5", 18},
                 {"0123456789abcdef@253402300800000," FIRST "," FIRST, 32},
                 {"0123456789abcdef@1234567890123456", 32},
                 {"0123456789abcdef@00000000000000001", 32},
                 {"0123456789abcdef@99999999999999999999999", 32},
                 {"0123456789abcdef@1/", 19},
                 {"0123456789abcdef@1/,", 19},
                 {"0123456789abcdef@1/g", 19},
                 {"0123456789abcdef@1/12345", 23},
                 {"0123456789abcdef@1/1/1", 20},
                 {"0123456789abcdef@1//1", 19},
                 {"0123456789abcdef@1@1", 18},
                 {"0123456789abcdef\xe3\x81\x82", 16},
                 {"\"\\\xff\x01", 0}};
#undef FIRST

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct cmcwh_error *error = cmcwh_parser_error(&f.parser);

        assert_int_equal(chained(CMCWH_JSON, three, cases[i].header), CMCWH_ERR_CHAIN);
        if (error->offset != cases[i].offset) {
            fail_msg("'%s': %llu, not %llu", cases[i].header, (unsigned long long)error->offset,
                     (unsigned long long)cases[i].offset);
        }
        assert_string_equal(error->field, "Cmcwh-Events");
        assert_true(error->detail[0] != '\0');
    }
}

/* What is wrong with the header is said first; what is wrong with the body, before their numbers
 * are compared. */
static void what_is_wrong_first(void **state) {
    (void)state;
    assert_int_equal(chained(CMCWH_JSON, "[", "x"), CMCWH_ERR_CHAIN);
    assert_int_equal(chained(CMCWH_JSON, "", "x"), CMCWH_ERR_CHAIN);
    assert_int_equal(chained(CMCWH_FORM, "%", "x"), CMCWH_ERR_CHAIN);
    assert_int_equal(chained(CMCWH_JSON, "{}", "0123456789abcdef@1"), CMCWH_ERR_MISSING);
    assert_int_equal(chained(CMCWH_JSON, "{", "0123456789abcdef@1"), CMCWH_ERR_JSON);
}

/* A parser that has read a chain reads the next request without one. */
static void chains_are_forgotten(void **state) {
    struct cmcwh_record record;
    uint64_t id;

    (void)state;
    read_in(CMCWH_JSON, three, first, 3);
    id = event_of(&first[0]).id;
    assert_int_equal(chained(CMCWH_JSON, three, "bad"), CMCWH_ERR_CHAIN);
    assert_int_equal(post(&f, CMCWH_JSON, three), 3);
    record = take(&f);
    assert_int_equal(event_of(&record).id, id);
    assert_int_equal(event_of(&record).received, f.now);
}

/* Through three of them an event stays what it was, whatever was cut on the way. */
static void a_chain_of_three(void **state) {
    static char members[1 << 12], header[64];
    struct cmcwh_record record;
    struct cmcwh_event event;

    (void)state;
    (void)sprintf(repeat(members + sprintf(members, "\"to\":\"u\",\"reason\":\""), "\\u3042", 600),
                  "\"");
    read_in(CMCWH_JSON, one("bounces", members), &record, 1);
    for (int hop = 0; hop < 2; hop++) {
        const char *again = posted(&record, 1, hop == 0 ? CMCWH_FORM : CMCWH_JSON);

        event = event_of(&record);
        assert_int_equal(event.truncated, 1u << CMCWH_REASON);
        (void)snprintf(header, sizeof header, "%016llx@%llu/%x", (unsigned long long)event.id,
                       (unsigned long long)event.received, event.truncated);
        first[0] = record;
        assert_int_equal(chained(hop == 0 ? CMCWH_FORM : CMCWH_JSON, again, header), 1);
        record = take(&f);
        assert_memory_equal(&record, &first[0], sizeof record);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(payloads_go_round),    cmocka_unit_test(as_cmc_writes),
        cmocka_unit_test(odd_events_go_round),  cmocka_unit_test(several_go_round),
        cmocka_unit_test(cut_texts_go_round),   cmocka_unit_test(cut_types_are_named),
        cmocka_unit_test(origins_are_kept),     cmocka_unit_test(marks_add_up),
        cmocka_unit_test(the_list_that_counts), cmocka_unit_test(wrong_chains),
        cmocka_unit_test(what_is_wrong_first),  cmocka_unit_test(chains_are_forgotten),
        cmocka_unit_test(a_chain_of_three)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
