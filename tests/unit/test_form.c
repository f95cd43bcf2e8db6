/* application/x-www-form-urlencoded bodies. */
#include "support.h"

#include <stdio.h>
#include <string.h>

static struct fixture f;
static char body[3 << 20];

#define EVENT "%7B%22bounces%22%3A%5B%7B%22to%22%3A%22a%40b+c%22%7D%5D%7D"

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
static void faults(void **state) {
    static const struct {
        const char *body;
        int result;
        unsigned offset;
    } cases[] = {{"", CMCWH_ERR_MISSING, 0},
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
                 {"event=%7B%22a%22%3A12&x=y", CMCWH_ERR_JSON, 21}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t length = strlen(cases[i].body);

        for (size_t step = 1; step <= length + 1; step++) {
            const struct cmcwh_error *error = cmcwh_parser_error(&f.parser);

            fixture_init(&f, 2, false);
            if (feed(&f, CMCWH_FORM, cases[i].body, length, step) != cases[i].result ||
                error->offset != cases[i].offset) {
                fail_msg("%s in pieces of %zu: %s at %u, expected %s at %u", cases[i].body, step,
                         cmcwh_result_name(error->result), (unsigned)error->offset,
                         cmcwh_result_name(cases[i].result), cases[i].offset);
            }
            cmcwh_parser_abort(&f.parser);
        }
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

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(parameters),
                                       cmocka_unit_test(a_repeated_event_replaces_the_first),
                                       cmocka_unit_test(faults),
                                       cmocka_unit_test(offsets_far_on),
                                       cmocka_unit_test(a_long_text_is_cut),
                                       cmocka_unit_test(long_api_key)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
