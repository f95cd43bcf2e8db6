/* JSON exactly as RFC 8259 over UTF-8: what is refused and where, and texts of any length. */
#include "support.h"

#include <stdio.h>
#include <string.h>

static struct fixture f;
static char body[3 << 20];

/* The body, the result of the whole of it, and the first byte that cannot be part of one. */
static const struct {
    const char *body;
    size_t length; /* 0: up to the zero */
    unsigned offset;
} malformed[] = {
    /* what jsmn lets through */
    {"{\"a\":1,}", 0, 7},
    {"[,]", 0, 1},
    {"{,}", 0, 1},
    {"{\"a\"}", 0, 4},
    {"{\"a\" \"b\"}", 0, 5},
    {"{\"a\":::1}", 0, 5},
    {"{\"a\":}", 0, 5},
    {"{:1}", 0, 1},
    {"[1 2]", 0, 3},
    {"[1,]", 0, 3},
    {"[\"a\":1]", 0, 4},
    {"{}{}", 0, 2},
    {"{} x", 0, 3},
    {"1 2", 0, 2},
    {"[01]", 0, 2},
    {"[1.2.3]", 0, 4},
    {"[--1]", 0, 2},
    {"[-]", 0, 2},
    {"[+1]", 0, 1},
    {"[1.]", 0, 3},
    {"[.5]", 0, 1},
    {"[1e]", 0, 3},
    {"[1e+]", 0, 4},
    {"[0x10]", 0, 2},
    {"[tru]", 0, 4},
    {"[nulll]", 0, 5},
    {"[falsE]", 0, 5},
    {"[True]", 0, 1},
    {"[NaN]", 0, 1},
    {"{a:1}", 0, 1},
    {"{1:1}", 0, 1},
    {"{true:1}", 0, 1},
    {"{\"a\":1 \"b\":2}", 0, 7},
    {"{\"a\":1,2}", 0, 7},
    {"{[]:1}", 0, 1},
    {"{{}:1}", 0, 1},
    {"[}", 0, 1},
    {"{]", 0, 1},
    {"[[]", 0, 3},
    {"]", 0, 0},
    {"}", 0, 0},
    {":", 0, 0},
    {",", 0, 0},
    {"['a']", 0, 1},
    {"[1]//", 0, 3},
    {"\xef\xbb\xbf{}", 0, 0}, /* a byte order mark */
    /* strings */
    {"[\"\x01\"]", 0, 2},
    {"[\"a\nb\"]", 0, 3},
    {"[\"\\x\"]", 0, 3},
    {"[\"\\u12g4\"]", 0, 6},
    {"[\"\\u 123\"]", 0, 4},
    {"[\"\\ud800\"]", 0, 8}, /* a high surrogate, and then no backslash */
    {"[\"\\ud800x\"]", 0, 8},
    {"[\"\\ud800\\n\"]", 0, 9},      /* and then no 'u' */
    {"[\"\\ud800\\u0041\"]", 0, 13}, /* and then no low one: known with its last digit */
    {"[\"\\ud800\\ud800\"]", 0, 13},
    {"[\"\\udc00\"]", 0, 7}, /* a low one alone: known with its last digit */
    {"{\"\\udfff\":1}", 0, 7},
    {"[\"\x80\"]", 0, 2},
    {"[\"\xc0\xaf\"]", 0, 2}, /* longer than need be */
    {"[\"\xc1\xbf\"]", 0, 2},
    {"[\"\xe0\x80\xaf\"]", 0, 3},
    {"[\"\xf0\x80\x80\xaf\"]", 0, 3},
    {"[\"\xed\xa0\x80\"]", 0, 3},     /* a surrogate */
    {"[\"\xf4\x90\x80\x80\"]", 0, 3}, /* past U+10FFFF */
    {"[\"\xf5\x80\x80\x80\"]", 0, 2},
    {"[\"\xff\"]", 0, 2},
    {"[\"\xe3\x81\"]", 0, 4}, /* ends inside a character */
    {"[\"\xe3\x81\x41\"]", 0, 4},
    {"[\"abcdefghijklmnop\xe3\x81\"]", 0, 20},
    {"[\"\xe6\x97\xa5\xe6\x9c\xac\xe6\"]", 0, 9},
    {"{\"\xff\":1}", 0, 2},
    /* the end */
    {"", 0, 0},
    {"  \n", 0, 3},
    {"{", 0, 1},
    {"[1", 0, 2},
    {"[1,", 0, 3},
    {"{\"a", 0, 3},
    {"{\"a\"", 0, 4},
    {"{\"a\":", 0, 5},
    {"{\"a\":\"b", 0, 7},
    {"{\"a\":\"b\\", 0, 8},
    {"{\"a\":\"b\\u12", 0, 11},
    {"{\"a\":\"\xe3\x81", 0, 8},
    {"[tr", 0, 3},
    {"-", 0, 1},
    {"[1e", 0, 3},
    /* zeros */
    {"\0", 1, 0},
    {"{}\0", 3, 2},
    {"{\0}", 3, 1},
    {"[1\0]", 4, 2},
    {"[\"a\0b\"]", 7, 3},
    {"{\"a\0\":1}", 8, 3},
    /* the first fault counts */
    {"[01,\"\xff\"]", 0, 2},
    {"[\"\xff\",01]", 0, 2},
    {"[\"a\" \"\xff\"]", 0, 5},
};

static void malformed_json(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof malformed / sizeof *malformed; i++) {
        size_t length = malformed[i].length > 0 ? malformed[i].length : strlen(malformed[i].body);

        for (size_t step = 1; step <= length + 1; step++) {
            const struct cmcwh_error *error = cmcwh_parser_error(&f.parser);

            fixture_init(&f, 1, false);
            if (feed(&f, CMCWH_JSON, malformed[i].body, length, step) != CMCWH_ERR_JSON ||
                error->offset != malformed[i].offset) {
                fail_msg("%s in pieces of %zu: %s at %u, expected malformed_json at %u",
                         malformed[i].body, step, cmcwh_result_name(error->result),
                         (unsigned)error->offset, malformed[i].offset);
            }
            assert_true(strlen(error->detail) > 0);
        }
    }
}

/* Malformed JSON behind a kilobyte or more of body, so that the fault is anywhere in the window. */
static void malformed_json_far_on(void **state) {
    (void)state;
    for (size_t fill = 900; fill < 2 * CMCWH_WINDOW_SIZE; fill += 307) {
        for (size_t i = 0; i < sizeof malformed / sizeof *malformed; i++) {
            size_t length =
                malformed[i].length > 0 ? malformed[i].length : strlen(malformed[i].body);
            char *out = body;

            *out++ = '[';
            out = repeat(out, "\"\xe6\x97\xa5\",", fill / 6);
            memcpy(out, malformed[i].body, length + 1);
            fixture_init(&f, 1, false);
            assert_true(feed(&f, CMCWH_JSON, body, (size_t)(out - body) + length, 4096) < 0);
            /* some are good so far when an array is open before them: then the end is missing */
            assert_true(cmcwh_parser_error(&f.parser)->offset >=
                        (size_t)(out - body) + malformed[i].offset);
            assert_true(cmcwh_parser_error(&f.parser)->offset <= (size_t)(out - body) + length);
        }
    }
}

static void good_json(void **state) {
    static const char *const good[] = {
        "{}",
        " \t\r\n{ } \n",
        "[]",
        "[[],{},[{}]]",
        "[-0,0.0,1e5,1E+5,1e-5,-1.25,123456789012345678901234567890]",
        "[true,false,null]",
        "\"\"",
        "0",
        "-1",
        "[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\uD83D\\uDE00\"]",
        "[\"\x7f\xc2\x80\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf\"]",
        "{\"\":0,\"\":1}"};

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        for (size_t step = 1; step <= strlen(good[i]); step++) {
            fixture_init(&f, 1, false);
            assert_in_range(-feed(&f, CMCWH_JSON, good[i], strlen(good[i]), step), /* 422 */
                            -CMCWH_ERR_MISSING, -CMCWH_ERR_TYPE);
        }
    }
}

static void depth(void **state) {
    (void)state;
    for (int object = 0; object < 2; object++) {
        const char *open = object ? "{\"a\":" : "[", *close = object ? "}" : "]";
        char *out = repeat(body, open, CMCWH_DEPTH_MAX);

        out = repeat(out, "1", 1);
        out = repeat(out, close, CMCWH_DEPTH_MAX);
        fixture_init(&f, 1, false);
        assert_true(feed(&f, CMCWH_JSON, body, (size_t)(out - body), 100) < CMCWH_ERR_DEPTH);
        out = repeat(body, open, CMCWH_DEPTH_MAX + 1);
        out = repeat(out, "1", 1);
        out = repeat(out, close, CMCWH_DEPTH_MAX + 1);
        assert_int_equal(feed(&f, CMCWH_JSON, body, (size_t)(out - body), 100), CMCWH_ERR_DEPTH);
        assert_int_equal(cmcwh_parser_error(&f.parser)->offset, CMCWH_DEPTH_MAX * strlen(open));
        out = repeat(body, open, 100000); /* and no deeper work for it */
        assert_int_equal(feed(&f, CMCWH_JSON, body, (size_t)(out - body), 4096), CMCWH_ERR_DEPTH);
    }
}

/* Fills in "...<field>":"<text repeated>"..., and posts it. */
static struct cmcwh_record post_long(enum cmcwh_field field, const char *text, size_t count,
                                     size_t step) {
    char *out =
        body + sprintf(body, "{\"event_type\":\"bounces\",\"event\":{\"bounces\":[{\"%s\":\"",
                       cmcwh_field_name(field));

    out = repeat(out, text, count);
    out += sprintf(out, "\",\"x\":1}]}}");
    fixture_init(&f, 1, false);
    assert_int_equal(feed(&f, CMCWH_JSON, body, (size_t)(out - body), step), 1);
    assert_int_equal(cmcwh_parser_commit(&f.parser), 1);
    return take(&f);
}

/* The field holds a beginning of the text, whole characters, and as many as could be. */
static void assert_beginning(const struct cmcwh_record *record, enum cmcwh_field field,
                             const char *character, size_t count) {
    struct cmcwh_text text = field_text(record, field);
    bool yields = field == CMCWH_REASON || field == CMCWH_SUBJECT || field == CMCWH_API_DATA;
    size_t length = strlen(character), others = yields ? strlen("bounces") : 0;
    size_t most = (CMCWH_RECORD_TEXT - others) / length;

    assert_int_equal(text.length, length * (count < most ? count : most));
    for (size_t at = 0; at < text.length; at += length) {
        assert_memory_equal(text.data + at, character, length);
    }
    assert_int_equal(field_cut(record, field), count > most);
    if (yields) { /* the event type gives way after these, and before all others */
        assert_field(record, CMCWH_EVENT_TYPE, "bounces");
    }
}

static void long_texts_are_cut_at_a_character(void **state) {
    static const struct {
        const char *sent, *stored;
    } texts[] = {{"a", "a"},
                 {"\\n", "\n"},
                 {"\xc3\xa9", "\xc3\xa9"},
                 {"\xe6\x97\xa5", "\xe6\x97\xa5"},
                 {"\\u65e5", "\xe6\x97\xa5"},
                 {"\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80"}};

    (void)state;
    for (unsigned field = 0; field < CMCWH_MEMBERS; field++) {
        for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
            static const size_t lengths[] = {800, 1400, 5000, 100000};

            for (size_t n = 0; n < sizeof lengths / sizeof *lengths; n++) {
                size_t count = lengths[n] / strlen(texts[i].sent);
                struct cmcwh_record record = post_long((enum cmcwh_field)field, texts[i].sent,
                                                       count, n % 2 == 0 ? 4096 : 997);

                assert_beginning(&record, (enum cmcwh_field)field, texts[i].stored, count);
            }
        }
    }
}

/* The window is 4 KiB: texts about as long as it, and every place in it where one may begin. */
static void texts_about_as_long_as_the_window(void **state) {
    (void)state;
    for (size_t length = CMCWH_WINDOW_SIZE - 80; length < CMCWH_WINDOW_SIZE + 8; length++) {
        struct cmcwh_record record = post_long(CMCWH_SUBJECT, "x", length, 4096);

        assert_beginning(&record, CMCWH_SUBJECT, "x", length);
        record = post_long(CMCWH_SUBJECT, "\\ud83d\\ude00", length / 12, 1 + length % 100);
        assert_true(field_cut(&record, CMCWH_SUBJECT));
    }
}

static void a_megabyte_of_text(void **state) {
    struct cmcwh_record record;

    (void)state;
    record = post_long(CMCWH_REASON, "\xe6\x97\xa5\\t", 200000, 4096);
    assert_true(field_cut(&record, CMCWH_REASON));
}

/* Long texts are checked to their end, whether they are kept or not. */
static void faults_deep_inside_long_texts(void **state) {
    static const char *const places[] = {
        "{\"event_type\":\"bounces\",\"event\":{\"bounces\":[{\"reason\":\"",
        "{\"event_type\":\"blocks\",\"event\":{\"blocks\":[{\"own\":\"", "{\"x\":\"", "{\"",
        "[[\""};
    static const char *const faults[] = {"\x01", "\xff", "\\x", "\xc3\"", "\\ud800\"", "\\u00g"};
    static const unsigned in_fault[] = {0, 0, 1, 1, 6, 4};

    (void)state;
    for (size_t place = 0; place < sizeof places / sizeof *places; place++) {
        for (size_t fault = 0; fault < sizeof faults / sizeof *faults; fault++) {
            for (size_t length = 3000; length < 20000; length += 1777) {
                char *out = repeat(body, places[place], 1);

                out = repeat(out, "0123456789", length / 10);
                fixture_init(&f, 1, false);
                assert_int_equal(feed(&f, CMCWH_JSON, body,
                                      (size_t)(repeat(out, faults[fault], 1) - body), 1000),
                                 CMCWH_ERR_JSON);
                assert_int_equal(cmcwh_parser_error(&f.parser)->offset,
                                 (size_t)(out - body) + in_fault[fault]);
            }
        }
    }
}

static void long_names_and_numbers(void **state) {
    char *out;

    (void)state;
    fixture_init(&f, 1, false);
    out = repeat(body, "{\"", 1);
    out = repeat(out, "name", 5000);
    out = repeat(out, "\":-1", 1);
    out = repeat(out, "1234567890", 5000);
    out = repeat(out, ".5e+", 1);
    out = repeat(out, "0", 5000);
    out = repeat(out, ",\"event_type\":\"bounces\",\"event\":{\"bounces\":[{\"to\":", 1);
    out = repeat(out, "9", 50000);
    out = repeat(out, "}]}}", 1);
    assert_int_equal(feed(&f, CMCWH_JSON, body, (size_t)(out - body), 4096), 1);
    assert_int_equal(cmcwh_parser_commit(&f.parser), 1);
    {
        struct cmcwh_record record = take(&f);

        assert_beginning(&record, CMCWH_TO, "9", 50000);
    }
    out = repeat(body, "[1", 1);
    out = repeat(out, "0", 30000);
    (void)strcpy(out, "..5]");
    assert_int_equal(feed(&f, CMCWH_JSON, body, strlen(body), 4096), CMCWH_ERR_JSON);
    assert_int_equal(cmcwh_parser_error(&f.parser)->offset, 30003);
    out = repeat(body, "[1", 1);
    out = repeat(out, "0", 30000);
    assert_int_equal(feed(&f, CMCWH_JSON, body, strlen(body), 4096), CMCWH_ERR_JSON);
    assert_int_equal(cmcwh_parser_error(&f.parser)->offset, 30002);
    (void)strcpy(out, "e]");
    assert_int_equal(feed(&f, CMCWH_JSON, body, strlen(body), 4096), CMCWH_ERR_JSON);
    assert_int_equal(cmcwh_parser_error(&f.parser)->offset, 30003);
    out = repeat(body, "[1 ", 1);
    (void)repeat(out, "0", 30000);
    assert_int_equal(feed(&f, CMCWH_JSON, body, strlen(body), 4096), CMCWH_ERR_JSON);
    assert_int_equal(cmcwh_parser_error(&f.parser)->offset, 3);
}

static void white_space_and_many_members(void **state) {
    char *out = repeat(body, " \n\t\r", 500000);

    (void)state;
    out = repeat(out, "{\"event_type\":\"bounces\",\"skipped\":[", 1);
    out = repeat(out, "{\"a\":[1,\"b\"]},", 20000);
    out = repeat(out, "0],\"event\":{\"bounces\":[{\"to\":\"x\"}]}}", 1);
    fixture_init(&f, 1, false);
    assert_int_equal(feed(&f, CMCWH_JSON, body, (size_t)(out - body), 4096), 1);
    cmcwh_parser_abort(&f.parser);
    *out++ = 'x';
    assert_int_equal(feed(&f, CMCWH_JSON, body, (size_t)(out - body), 4096), CMCWH_ERR_JSON);
    assert_int_equal(cmcwh_parser_error(&f.parser)->offset, (size_t)(out - body) - 1);
}

static void control_characters_are_kept(void **state) {
    struct cmcwh_record record = post_long(CMCWH_TO, "\\u0000\\u001f\\u007f", 1, 4096);
    struct cmcwh_text text = field_text(&record, CMCWH_TO);

    (void)state;
    assert_int_equal(text.length, 3);
    assert_memory_equal(text.data, "\0\x1f\x7f", 3);
}

static void after_an_error_nothing_is_taken(void **state) {
    (void)state;
    fixture_init(&f, 1, false);
    cmcwh_parser_init(&f.parser, &f.ring, CMCWH_JSON);
    assert_int_equal(cmcwh_parser_feed(&f.parser, "{", 1), CMCWH_OK);
    assert_int_equal(cmcwh_parser_feed(&f.parser, "", 0), CMCWH_OK);
    assert_int_equal(cmcwh_parser_end(&f.parser), CMCWH_ERR_JSON);
    assert_int_equal(cmcwh_parser_feed(&f.parser, "}", 1), CMCWH_ERR_JSON);
    assert_int_equal(cmcwh_parser_end(&f.parser), CMCWH_ERR_JSON);
    assert_int_equal(cmcwh_parser_commit(&f.parser), CMCWH_ERR_JSON);
    assert_int_equal(cmcwh_parser_error(&f.parser)->offset, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(malformed_json),
                                       cmocka_unit_test(malformed_json_far_on),
                                       cmocka_unit_test(good_json),
                                       cmocka_unit_test(depth),
                                       cmocka_unit_test(long_texts_are_cut_at_a_character),
                                       cmocka_unit_test(texts_about_as_long_as_the_window),
                                       cmocka_unit_test(a_megabyte_of_text),
                                       cmocka_unit_test(faults_deep_inside_long_texts),
                                       cmocka_unit_test(long_names_and_numbers),
                                       cmocka_unit_test(white_space_and_many_members),
                                       cmocka_unit_test(control_characters_are_kept),
                                       cmocka_unit_test(after_an_error_nothing_is_taken)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
