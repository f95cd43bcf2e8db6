/* application/x-www-form-urlencoded bodies. */
#include "support.h"

#include <stdio.h>
#include <string.h>

static struct fixture f;
static char body[3 << 20];

#define IN_TO(text) "%7B%22bounces%22%3A%5B%7B%22to%22%3A%22" text "%22%7D%5D%7D"
#define EVENT       "%7B%22bounces%22%3A%5B%7B%22to%22%3A%22a%40b+c%22%7D%5D%7D"

static void parameters(void **state) {
    static const char *const bodies[] = {
        "api_key=k%2Bx&server_composition=pro&event_type=bounces&event=" EVENT,
        "event=" EVENT "&event_type=bounces&server_composition=pro&api_key=k%2bx",
        "&&x&=&=y&z=%41%C3%A9&event=" EVENT
        "&event_type=bounces&server_composition=pro&api_key=k%2bx&",
        "ev%65nt=" EVENT "&event_typ%65=b%6Funces&server_composition=%70ro&%61pi_key=k%2Bx",
        "event=broken%7B&event_type=x&event_type=bounces&server_composition=y&server_composition="
        "pro"
        "&api_key=old&api_key=k%2Bx&event=" EVENT};

    (void)state;
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        for (size_t step = 1; step <= strlen(bodies[i]); step++) {
            struct cmcwh_record record;

            fixture_init(&f, 2, false);
            if (i == 4) { /* what is not JSON is refused, although it would be replaced */
                assert_int_equal(feed(&f, CMCWH_FORM, bodies[i], strlen(bodies[i]), step),
                                 CMCWH_ERR_JSON);
                continue;
            }
            assert_int_equal(feed(&f, CMCWH_FORM, bodies[i], strlen(bodies[i]), step), 1);
            assert_int_equal(cmcwh_parser_api_key(&f.parser).length, 3);
            assert_memory_equal(cmcwh_parser_api_key(&f.parser).data, "k+x", 3);
            assert_int_equal(cmcwh_parser_commit(&f.parser), 1);
            record = take(&f);
            assert_field(&record, CMCWH_TO, "a@b c");
            assert_field(&record, CMCWH_EVENT_TYPE, "bounces");
            assert_field(&record, CMCWH_SERVER_COMPOSITION, "pro");
        }
    }
}

static void a_repeated_event_replaces_the_first(void **state) {
    struct cmcwh_record record;

    (void)state;
    fixture_init(&f, 2, false);
    assert_int_equal(
        post(&f, CMCWH_FORM,
             "event={\"deliveries\":[{\"to\":\"no\"},{}]}&event_type=bounces&event=" EVENT),
        1);
    record = take(&f);
    assert_field(&record, CMCWH_TO, "a@b c");
    assert_empty(&f);
}

/* Offsets are those of the body as it was sent. */
static const struct {
    const char *body;
    int result;
    unsigned offset;
} fault_cases[] = {{"", CMCWH_ERR_MISSING, 0},
                   {"event_type=bounces", CMCWH_ERR_MISSING, 0},
                   {"event=" EVENT, CMCWH_ERR_MISSING, 0},
                   {"event", CMCWH_ERR_JSON, 5},
                   {"event=", CMCWH_ERR_JSON, 6},
                   {"event=&event_type=x", CMCWH_ERR_JSON, 6},
                   {"event=%5B%5D&event_type=x", CMCWH_ERR_TYPE, 6},
                   {"event=%22x%22&event_type=x", CMCWH_ERR_TYPE, 6},
                   {"event=7&event_type=x", CMCWH_ERR_TYPE, 6},
                   {"event_type=x&event=%7B%7D", CMCWH_ERR_MISSING, 19},
                   {"event_type=x&event=%7B%22bounces%22%3A%5B%7B%22to%22%3A%5B%5D%7D%5D%7D",
                    CMCWH_ERR_EVENT_TYPE, 22},
                   {"event_type=bounces&event=%7B%22bounces%22%3A%5B%7B%22to%22%3A%5B%5D%7D%5D%7D",
                    CMCWH_ERR_TYPE, 61},
                   {"a=%", CMCWH_ERR_FORM, 3},
                   {"a=%4", CMCWH_ERR_FORM, 4},
                   {"a=%4&b=c", CMCWH_ERR_FORM, 4},
                   {"a=%zz", CMCWH_ERR_FORM, 3},
                   {"a=%4z", CMCWH_ERR_FORM, 4},
                   {"%=a", CMCWH_ERR_FORM, 1},
                   {"a=%FF", CMCWH_ERR_FORM, 2},
                   {"a=x\xff", CMCWH_ERR_FORM, 3},
                   {"a=%E3%81", CMCWH_ERR_FORM, 8},
                   {"a=%E3%81&b", CMCWH_ERR_FORM, 8},
                   {"a%E3=b", CMCWH_ERR_FORM, 4},
                   {"api_key=%E3%81A", CMCWH_ERR_FORM, 14},
                   {"event=%7B%22a%22%3A%", CMCWH_ERR_FORM, 20},
                   {"event=%7B%22a%22%3Ax", CMCWH_ERR_JSON, 19},
                   {"event=%7B%22a%22%3A01%7D", CMCWH_ERR_JSON, 20},
                   {"event=%7B%22a%22%3A%22%5Cq%22%7D", CMCWH_ERR_JSON, 25},
                   {"event=%7B%22a%22%3A%22%FF%22%7D", CMCWH_ERR_JSON, 22},
                   {"event=%7B%22a%22%3A%22%00%22%7D", CMCWH_ERR_JSON, 22},
                   {"event=%7B%7D+x", CMCWH_ERR_JSON, 13},
                   {"event=%7B%7D%00", CMCWH_ERR_JSON, 12},
                   {"event=%7B%22a", CMCWH_ERR_JSON, 13},
                   {"event=%7B%22a&event_type=x", CMCWH_ERR_JSON, 13},
                   {"event=%7B%22a%22%3A12&x=y", CMCWH_ERR_JSON, 21},
                   {"event_type=bounces&event=" IN_TO("%E3x83%A1"), CMCWH_ERR_JSON, 67},
                   {"event_type=bounces&event=" IN_TO("%E3%83x81"), CMCWH_ERR_JSON, 70},
                   {"event_type=bounces&event=" IN_TO("a\\q"), CMCWH_ERR_JSON, 66},
                   {"event=%7B%7D+x&y=%zz", CMCWH_ERR_JSON, 13},
                   {"event=%7B%7D+x%zz", CMCWH_ERR_JSON, 13}};

static void faults(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof fault_cases / sizeof *fault_cases; i++) {
        size_t length = strlen(fault_cases[i].body);

        for (size_t step = 1; step <= length + 1; step++) {
            const struct cmcwh_error *error = cmcwh_parser_error(&f.parser);

            fixture_init(&f, 2, false);
            if (feed(&f, CMCWH_FORM, fault_cases[i].body, length, step) != fault_cases[i].result ||
                error->offset != fault_cases[i].offset) {
                fail_msg("%s in pieces of %zu: %s at %u, expected %s at %u", fault_cases[i].body,
                         step, cmcwh_result_name(error->result), (unsigned)error->offset,
                         cmcwh_result_name(fault_cases[i].result), fault_cases[i].offset);
            }
            cmcwh_parser_abort(&f.parser);
        }
    }
}

/* When a fault is found depends on the pieces, and no sender is to see that: it is told at the end.
 * Until then others may have the records. */
static void a_fault_is_told_at_the_end(void **state) {
    static const char first[] = "event_type=bounces&event=" IN_TO("a") "%7D", rest[] = "&x=y";
    struct cmcwh_ring_state ring;

    (void)state;
    for (size_t step = 1; step <= sizeof first; step++) {
        fixture_init(&f, 2, false);
        cmcwh_parser_init(&f.parser, &f.ring, CMCWH_FORM);
        for (size_t at = 0; at < sizeof first - 1; at += step) {
            size_t left = sizeof first - 1 - at;

            assert_int_equal(cmcwh_parser_feed(&f.parser, first + at, left < step ? left : step),
                             CMCWH_OK);
        }
        assert_int_equal(cmcwh_parser_feed(&f.parser, rest, sizeof rest - 1), CMCWH_OK);
        cmcwh_ring_state(&f.ring, &ring);
        assert_int_equal(ring.in_use, 0);
        assert_int_equal(cmcwh_parser_end(&f.parser), CMCWH_ERR_JSON);
        assert_int_equal(cmcwh_parser_error(&f.parser)->offset, sizeof first - 4);
    }
}

/* A fault far on in an event of many megabytes, with texts longer than the window before it. */
static void offsets_far_on(void **state) {
    char *out = repeat(body, "event=%7B%22x%22%3A%5B", 1);

    (void)state;
    for (unsigned i = 0; i < 200; i++) {
        out = repeat(out, "%22", 1);
        out = repeat(out, i % 3 == 0 ? "%E6%97%A5" : i % 3 == 1 ? "a+b" : "%5Cn", i * 13);
        out = repeat(out, "%22,1%2C", 1);
    }
    out = repeat(out, "%5D", 1);
    fixture_init(&f, 2, false);
    assert_int_equal(feed(&f, CMCWH_FORM, body, (size_t)(out - body), 1234), CMCWH_ERR_JSON);
    assert_int_equal(cmcwh_parser_error(&f.parser)->offset, (size_t)(out - body) - 3);
}

static void a_long_text_is_cut(void **state) {
    struct cmcwh_record record;
    char *out = repeat(body, "event_type=bounces&event=%7B%22bounces%22:[%7B%22subject%22:%22", 1);

    (void)state;
    out = repeat(out, "%5Cu65e5%E6%97%A5", 20000);
    out = repeat(out, "%22%7D]%7D&server_composition=pro", 1);
    fixture_init(&f, 2, false);
    assert_int_equal(feed(&f, CMCWH_FORM, body, (size_t)(out - body), 4096), 1);
    assert_int_equal(cmcwh_parser_commit(&f.parser), 1);
    record = take(&f);
    assert_true(field_cut(&record, CMCWH_SUBJECT));
    assert_int_equal(field_text(&record, CMCWH_SUBJECT).length % 3, 0);
    assert_true(field_text(&record, CMCWH_SUBJECT).length > CMCWH_RECORD_TEXT - 32);
    assert_field(&record, CMCWH_SERVER_COMPOSITION, "pro");
}

/* A key that is too long comes out longer than any that can be configured. */
static void long_api_key(void **state) {
    (void)state;
    for (size_t length = CMCWH_SECRET_MAX - 3; length < CMCWH_SECRET_MAX + 10; length++) {
        char *out = repeat(body, "api_key=", 1);

        out = repeat(out, "k", length - 3);
        out = repeat(out, "%E6%97%A5", 1);
        (void)repeat(out, "k", length % 2);
        fixture_init(&f, 2, false);
        (void)feed(&f, CMCWH_FORM, body, strlen(body), 4096);
        assert_int_equal(cmcwh_parser_api_key(&f.parser).length,
                         length + length % 2 > CMCWH_SECRET_MAX ? CMCWH_SECRET_MAX + 1
                                                                : length + length % 2);
    }
}

static const char *one_of(const char *const *words, size_t count, uint64_t *random) {
    return words[below(random, (uint32_t)count)];
}

#define ONE_OF(words, random) one_of(words, sizeof(words) / sizeof *(words), random)

/* What the texts of a body are like. */
struct manner {
    unsigned kinds, parts; /* how many kinds of pieces, and pieces less one in a text at most */
};

/* A piece of text, as senders write it, or, seldom, as none should. */
static char *random_part(char *out, uint64_t *random, const struct manner *manner) {
    static const char *const good[] = {
        "550+5.1.1+no+such+user",
        "a%40example.com",
        "%E3%83%A1%E3%83%BC%E3%83%AB",
        "a,b+,c;d=+-+%2B%26",
        "plain-text_of.some*length,with+a+few+signs+and+much+that+is+plain",
        "%e3%83%a1",
        "%C3%A9",
        "%F0%9F%98%80",
        "%E2%80%A8",
        "%5C%22%2C",
        "%5Cu65e5",
        "\\u65e5",
        "\xE6\x97\xA5",
        "\x7F",
        "%7F"};
    static const char *const bad[] = {"%22", "%5C", "%0A",  "%",         "%4",   "\"", "&",
                                      "%00", "%FF", "\x97", "%E3x83%A1", "a\\q", "\t"};
    const char *part =
        below(random, 400) == 0 ? ONE_OF(bad, random) : one_of(good, manner->kinds, random);

    return repeat(out, part, 1 + (size_t)(below(random, 500) == 0 ? 700 : 0));
}

static char *random_member(char *out, uint64_t *random, const struct manner *manner,
                           unsigned field) {
    static const char *const colons[] = {"%22%3a%22", "%22:+%22", "\":\""};
    static const char *const others[] = {"%22%3A17", "%22%3Anull",
                                         "%22:[1,%7B%22a%22%3A%22%22%2C%22b%22%3A2%7D]"};

    out = repeat(out, "%22", 1);
    out = repeat(out, field == CMCWH_MEMBERS ? "x" : cmcwh_field_name((enum cmcwh_field)field), 1);
    if (below(random, 20) == 0) {
        return repeat(out, ONE_OF(others, random), 1);
    }
    out = repeat(out, below(random, 20) == 0 ? ONE_OF(colons, random) : "%22%3A%22", 1);
    for (unsigned i = below(random, manner->parts); i > 0; i--) {
        out = random_part(out, random, manner);
    }
    return repeat(out, "%22", 1);
}

static char *random_event(char *out, uint64_t *random, const struct manner *manner) {
    static const char *const commas[] = {"%2c", ",", "%2C+", "%0A%2C"};
    static const char *const wrong[] = {"%2C%2C", "%7D", ""};
    const char *comma = "";

    out = repeat(out, "%7B", 1);
    for (unsigned field = below(random, 3); field <= CMCWH_MEMBERS;
         field += below(random, 10) == 0 ? 2 : 1) {
        out = repeat(out, comma, 1);
        out = random_member(out, random, manner, below(random, 20) == 0 ? below(random, 9) : field);
        comma = below(random, 500) == 0  ? ONE_OF(wrong, random)
                : below(random, 20) == 0 ? ONE_OF(commas, random)
                                         : "%2C";
    }
    return repeat(out, "%7D", 1);
}

/* Some bodies have nothing but what is simple, some so much that records come to their end. */
static size_t random_body(uint64_t *random) {
    struct manner manner = {below(random, 2) == 0 ? 5 : 15, below(random, 3) == 0 ? 12 : 4};
    char *out = repeat(body, below(random, 2) == 0 ? "event_type=bounces&" : "", 1);

    out = repeat(out, "event=%7B%22bounces%22%3A%5B", 1);
    for (unsigned event = 0, events = below(random, 6); event < events; event++) {
        out = repeat(out, "%2C", event > 0);
        out = random_event(out, random, &manner);
    }
    out = repeat(out, "%5D%7D&server_composition=pr%6F&event_type=bounces", 1);
    return (size_t)(out - body);
}

/* What came of a body: a result, where it is at fault and why, and records. */
struct outcome {
    int result;
    struct cmcwh_error error;
    struct cmcwh_record records[8];
};

static struct outcome outcome_of(size_t length, size_t step) {
    static struct outcome outcome;

    memset(&outcome, 0, sizeof outcome);
    fixture_init(&f, 4 + (length & 4), false);
    outcome.result = feed(&f, CMCWH_FORM, body, length, step);
    outcome.error = *cmcwh_parser_error(&f.parser);
    if (outcome.result > 0) {
        assert_int_equal(cmcwh_parser_commit(&f.parser), outcome.result);
    }
    for (int i = 0; i < outcome.result; i++) {
        outcome.records[i] = take(&f);
    }
    cmcwh_parser_abort(&f.parser);
    return outcome;
}

/* One byte at a time there is no short way: larger pieces come to the same, with the same offsets.
 */
static void the_short_way_changes_nothing(void **state) {
    uint64_t random = 1;
    unsigned faulty = 0, stored = 0;

    (void)state;
    for (unsigned round = 0; round < 1000; round++) {
        size_t length = random_body(&random);
        size_t steps[] = {length, 4096, 64, 1 + below(&random, 700)};
        struct outcome expected;

        if (below(&random, 4) == 0) {
            body[below(&random, (uint32_t)length)] = "%2&\"\\a+,\x80"[below(&random, 9)];
        }
        expected = outcome_of(length, 1);
        faulty += expected.result < 0;
        stored += expected.result > 0;
        for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
            struct outcome got = outcome_of(length, steps[i]);

            if (got.result != expected.result || got.error.offset != expected.error.offset ||
                got.error.detail != expected.error.detail ||
                strcmp(got.error.field, expected.error.field) != 0) {
                fail_msg("body %u in pieces of %zu: %s at %u, byte by byte %s at %u", round,
                         steps[i], got.error.detail, (unsigned)got.error.offset,
                         expected.error.detail, (unsigned)expected.error.offset);
            }
            assert_memory_equal(got.records, expected.records, sizeof got.records);
        }
    }
    assert_true(faulty > 200);
    assert_true(stored > 200);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parameters),     cmocka_unit_test(a_repeated_event_replaces_the_first),
        cmocka_unit_test(faults),         cmocka_unit_test(a_fault_is_told_at_the_end),
        cmocka_unit_test(offsets_far_on), cmocka_unit_test(a_long_text_is_cut),
        cmocka_unit_test(long_api_key),   cmocka_unit_test(the_short_way_changes_nothing)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
