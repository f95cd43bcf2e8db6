/* multipart/form-data bodies. */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct fixture f;
static char body[6 << 20];

#define NAMED(name)     "Content-Disposition: form-data; name=\"" name "\"\r\n\r\n"
#define PART(name)      "--bound\r\n" NAMED(name)
#define EVENT           "{\"bounces\":[{\"to\":\"a@b c\"}]}"
#define TYPE            PART("event_type") "bounces\r\n"
#define REST            TYPE PART("event") EVENT "\r\n"
#define END             "--bound--"
#define WITH(text)      PART("x") text "\r\n" REST END
#define HEADERS(text)   "--bound\r\n" text "\r\n\r\nx\r\n" REST END
#define DISPOSED(value) HEADERS("Content-Disposition: " value)

static int begin(const char *boundary) {
    struct cmcwh_text text = {boundary, strlen(boundary)};

    cmcwh_parser_init(&f.parser, &f.ring, CMCWH_MULTIPART);
    return cmcwh_parser_boundary(&f.parser, text);
}

/* Feeds a body with the boundary "bound" in pieces of `step` bytes and ends it. */
static int feed_parts(const char *bytes, size_t length, size_t step) {
    fixture_init(&f, 4, false);
    assert_int_equal(begin("bound"), CMCWH_OK);
    for (size_t at = 0; at < length; at += step) {
        size_t piece = length - at < step ? length - at : step;

        if (cmcwh_parser_feed(&f.parser, bytes + at, piece) < 0) {
            break;
        }
    }
    return cmcwh_parser_end(&f.parser);
}

/* In pieces of every size: what comes out, and where. */
static void expect(const char *bytes, int result, uint64_t offset) {
    size_t length = strlen(bytes);

    for (size_t step = 1; step <= length + 1; step++) {
        const struct cmcwh_error *error = cmcwh_parser_error(&f.parser);

        if (feed_parts(bytes, length, step) != result || error->offset != offset) {
            fail_msg("%s\nin pieces of %zu: %s at %u (%s), expected %s at %u", bytes, step,
                     cmcwh_result_name(error->result), (unsigned)error->offset, error->detail,
                     cmcwh_result_name(result), (unsigned)offset);
        }
        cmcwh_parser_abort(&f.parser);
    }
}

static void expect_api_key(const char *bytes, const char *key) {
    for (size_t step = 1; step <= strlen(bytes) + 1; step++) {
        struct cmcwh_text got;

        assert_int_equal(feed_parts(bytes, strlen(bytes), step), 1);
        got = cmcwh_parser_api_key(&f.parser);
        if (got.length != strlen(key) || memcmp(got.data, key, got.length) != 0) {
            fail_msg("%s\nin pieces of %zu: the key is '%.*s', expected '%s'", bytes, step,
                     (int)got.length, got.data, key);
        }
    }
}

/* The value of a member of a form, decoded. */
static char *put_value(char *out, const char *form, const char *name) {
    const char *in = strstr(form, name);

    assert_non_null(in);
    for (in += strlen(name); *in != '\0' && *in != '&' && *in != '\n'; in++) {
        if (*in == '%') {
            char digits[3] = {in[1], in[2], '\0'};

            *out++ = (char)strtoul(digits, NULL, 16);
            in += 2;
        } else {
            *out++ = *in == '+' ? ' ' : *in;
        }
    }
    *out = '\0';
    return out;
}

/* A payload of CMC's as a form, and the same as parts: the records are the same. */
static void payloads(void **state) {
    static const char *const names[] = {"deliveries-queued.form", "deliveries-succeeded.form",
                                        "deliveries-failed.form", "bounces-host-unknown.form",
                                        "bounces-user-unknown.form"};
    static const char *const parameters[] = {"api_key", "server_composition", "event_type",
                                             "event"};

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct cmcwh_record expected;
        size_t length;
        const char *form = payload(names[i], &length);
        char *out = body;

        for (size_t j = 0; j < sizeof parameters / sizeof *parameters; j++) {
            char assignment[32];

            out += sprintf(out, "--bound\r\n" NAMED("%s"), parameters[j]);
            (void)snprintf(assignment, sizeof assignment, "%s=", parameters[j]);
            out = put_value(out, form, assignment);
            out = repeat(out, "\r\n", 1);
        }
        out = repeat(out, "--bound--\r\n", 1);
        fixture_init(&f, 4, false);
        assert_int_equal(post(&f, CMCWH_FORM, form), 1);
        expected = take(&f);
        for (size_t step = 1; step <= (size_t)(out - body); step++) {
            struct cmcwh_record record;

            assert_int_equal(feed_parts(body, (size_t)(out - body), step), 1);
            assert_int_equal(cmcwh_parser_commit(&f.parser), 1);
            record = take(&f);
            assert_memory_equal(&record, &expected, sizeof record);
        }
    }
}

static void boundaries(void **state) {
    static const char *const good[] = {
        "b", "a b", "----WebKitFormBoundary7MA4YWxkTrZu0gW", "'()+_,-./:=?",
        "1234567890123456789012345678901234567890123456789012345678901234567890"};
    static const char *const bad[] = {
        "",
        " ",
        "a ",
        "a\r\n",
        "a\"b",
        "a;b",
        "\xC3\xA9",
        "a\tb",
        "12345678901234567890123456789012345678901234567890123456789012345678901"};

    (void)state;
    fixture_init(&f, 4, false);
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        int length = sprintf(body,
                             "--%s\r\n" NAMED("event_type") "bounces\r\n--%s\r\n" NAMED("event")
                                 EVENT "\r\n--%s--",
                             good[i], good[i], good[i]);

        assert_int_equal(begin(good[i]), CMCWH_OK);
        assert_int_equal(cmcwh_parser_feed(&f.parser, body, (size_t)length), CMCWH_OK);
        assert_int_equal(cmcwh_parser_end(&f.parser), 1);
        cmcwh_parser_abort(&f.parser);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(begin(bad[i]), CMCWH_ERR_ARGUMENT);
        assert_int_equal(cmcwh_parser_feed(&f.parser, "x", 1), CMCWH_ERR_FORM);
    }
    cmcwh_parser_init(&f.parser, &f.ring, CMCWH_MULTIPART);
    assert_int_equal(cmcwh_parser_end(&f.parser), CMCWH_ERR_FORM);
}

static void a_boundary_comes_first(void **state) {
    struct cmcwh_text boundary = {"bound", 5};

    (void)state;
    fixture_init(&f, 4, false);
    assert_int_equal(begin("bound"), CMCWH_OK);
    assert_int_equal(cmcwh_parser_feed(&f.parser, "-", 1), CMCWH_OK);
    assert_int_equal(cmcwh_parser_boundary(&f.parser, boundary), CMCWH_ERR_ARGUMENT);
    cmcwh_parser_init(&f.parser, &f.ring, CMCWH_FORM);
    assert_int_equal(cmcwh_parser_boundary(&f.parser, boundary), CMCWH_ERR_ARGUMENT);
}

static void good_bodies(void **state) {
    static const char *const bodies[] = {
        REST END, REST END "\r\n", REST END "epilogue\r\n--bound\r\nmore\r\n", "\r\n" REST END,
        "preamble\r\n" REST END, "--boun\r\nx--bound\r\n\r\r\n-\r\n--\r\n" REST END,
        "--bound \t \r\n" NAMED("x") "\r\n" REST END,
        /* parts without a value: with an empty line, and with none but the delimiter's */
        PART("x") "\r\n" REST END, PART("x") REST END,
        /* unknown parts */
        WITH("\xFF\x01"), WITH("\r\n\r\n"), PART("") "x\r\n" REST END,
        PART("event\\_type") "x\r\n" PART("event%5Ftype") "x\r\n" REST END,
        PART("Event") "x\r\n" REST END,
        /* repeated ones */
        PART("event_type") "other\r\n" REST END,
        PART("event") "{\"bounces\":[{},{},{}]}\r\n" REST END, PART("event_type") "\r\n" REST END,
        /* spaces around the JSON */
        TYPE PART("event") "\r\n " EVENT "\r\n\r\n" END,
        /* headers */
        HEADERS("content-disposition:form-data;NAME=x"),
        HEADERS("CONTENT-DISPOSITION: FORM-DATA ; filename=\"a;name=b\\\"\" ;name = \"x\" ; "),
        HEADERS("Content-Disposition: form-data;\r\n name=\"x\""),
        HEADERS("Content-Type: text/plain; charset=utf-8\r\nContent-Disposition: form-data; "
                "name=\"x\"; filename*=UTF-8''y\r\nX-Other:"),
        HEADERS("Content-Disposition: form-data; name=\"\xE6\x97\xA5\""),
        HEADERS("Content-Disposition: form-data; name=x\r\nContent-Transfer-Encoding: Binary "),
        HEADERS("content-transfer-encoding: 8bit\r\nContent-Disposition: form-data; name=x"),
        HEADERS("Content-Transfer-Encoding: 7BIT\r\nContent-Disposition: form-data; name=x")};

    (void)state;
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        expect(bodies[i], 1, 0);
    }
}

/* What only looks like a delimiter belongs to the value, byte by byte. */
static void look_alikes(void **state) {
    static const char *const values[] = {"",
                                         "\r",
                                         "\n",
                                         "\r\n",
                                         "-",
                                         "--",
                                         "\r\r",
                                         "\r\n-",
                                         "\r\n--",
                                         "\r\n--b",
                                         "\r\n--boun",
                                         "\r\n--boun\r\n--boun",
                                         "\r\n--boun\r\r\n-\r\n\r\n--",
                                         "\r\r\n\r",
                                         "--boun",
                                         "-\r\n-",
                                         "-bound",
                                         "x--bound",
                                         "x\n--bound",
                                         "x\r--bound",
                                         "x\r\n-bound",
                                         "x\r\n --bound",
                                         "x\r\n--Bound",
                                         "x\r\n---bound",
                                         "\r\n\r\n--boun\r",
                                         "x--bound--\r\n",
                                         "日\r\n--本"};

    (void)state;
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        char *out = repeat(body, PART("api_key"), 1);

        out = repeat(out, values[i], 1);
        (void)repeat(out, "\r\n" REST END, 1);
        expect_api_key(body, values[i]);
        out = repeat(body, REST PART("api_key"), 1);
        out = repeat(out, values[i], 1);
        (void)repeat(out, "\r\n" END, 1);
        expect_api_key(body, values[i]);
    }
    /* The last one counts, whole. */
    expect_api_key(PART("api_key") "long\r\n" PART("api_key") "k\r\n" REST END, "k");
    expect_api_key(PART("api_key") "long\r\n" PART("api_key") REST END, "");
}

/* In the JSON too: CR, LF and '-' are blank or wrong there, and what is wrong is found in its
 * place. */
static void look_alikes_in_event(void **state) {
    static const char start[] = TYPE PART("event");
    static const struct {
        const char *value;
        int result;
        unsigned offset; /* in the value */
    } cases[] = {{EVENT "\r\n\r", 1, 0},
                 {"\r\n" EVENT, 1, 0},
                 {EVENT "\r\n-", CMCWH_ERR_JSON, sizeof EVENT + 1},
                 {"--boun", CMCWH_ERR_JSON, 1},
                 {"\r\n--boun" EVENT, CMCWH_ERR_JSON, 3},
                 {"{\"x\":\r\n-1," EVENT, CMCWH_ERR_JSON, 10},
                 {"{\"x\":\"\r\n--boun\"}", CMCWH_ERR_JSON, 6}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint64_t offset = cases[i].result < 0 ? sizeof start - 1 + cases[i].offset : 0;
        char *out = repeat(body, start, 1);

        out = repeat(out, cases[i].value, 1);
        (void)repeat(out, "\r\n" END, 1);
        expect(body, cases[i].result, offset);
    }
}

/* The offset is that of the first byte of `at`. */
static void expect_at(const char *bytes, int result, const char *at) {
    const char *found = strstr(bytes, at);

    assert_non_null(found);
    expect(bytes, result, (uint64_t)(found - bytes));
}

static const struct {
    const char *body;
    const char *at; /* where, or NULL: at the end */
} faulty[] = {{"", NULL},
              {"x", NULL},
              {"\r\n--boun", NULL},
              {"--bound", NULL},
              {"--bound-", NULL},
              {"--bound\r", NULL},
              {"--bound\r\n", NULL},
              {"--bound\r\nContent-Dis", NULL},
              {PART("x"), NULL},
              {PART("x") "value", NULL},
              {REST, NULL},
              {REST "--bound", NULL},
              {REST "--bound\r\n", NULL},
              {REST "--bound-", NULL},
              {REST "-bound--", NULL},
              {REST PART("x") "y" END, NULL},
              {PART("event") "{\"bounces", NULL},
              {"--boundX\r\n" NAMED("x"), "X"},
              {"--bound X\r\n" NAMED("x"), "X"},
              {"--bound --\r\n", "--\r\n"},
              {"--bound-X\r\n", "X"},
              {"--bound\n" NAMED("x"), "\n"},
              {"--bound\rX", "X"},
              {HEADERS("X"), "X"},
              {HEADERS(": x"), ":"},
              {HEADERS(" x: y"), " x"},
              {HEADERS("X: y\r\nno colon"), "no colon"},
              {HEADERS("X: y\rZ"), "Z"},
              {HEADERS("X: y\nZ"), "\nZ"},
              {HEADERS("X: \x01"), "\x01"},
              {HEADERS("X: \x7F"), "\x7F"},
              {HEADERS("X: y"), "X: y"},
              {"--bound\r\n\r\nx\r\n" REST END, "\r\nx"},
              {"--bound\r\nContent-Disposition: form-data; name=x\r\n" END "\r\n\r\n", "--bound--"},
              {DISPOSED("attachment; name=x"), "attachment"},
              {DISPOSED("form-data-x; name=x"), "form-data-x"},
              {DISPOSED("form-data"), "form-data"},
              {DISPOSED("form-data; filename=name"), "form-data"},
              {DISPOSED("form-data name=x"), "name=x"},
              {DISPOSED("form-data; name=x y"), "y\r\n"},
              {DISPOSED("form-data; name"), "\r\n\r\nx"},
              {DISPOSED("form-data; name="), "\r\n\r\nx"},
              {DISPOSED("form-data; =x"), "=x"},
              {DISPOSED("form-data; name=\"x"), "\"x"},
              {DISPOSED("form-data; name=\"x\\\""), "\"x"},
              {DISPOSED("form-data; name=\"x\"y"), "y\r\n"},
              {DISPOSED("form-data; name=x\"y\""), "\"y"},
              {DISPOSED("form-data; name=x; name=y"), "name=y"},
              {DISPOSED("form-data; name=x\r\nContent-Disposition: form-data; name=x"),
               "form-data; name=x\r\n\r\n"},
              {HEADERS("Content-Transfer-Encoding: base64\r\n"), "base64"},
              {HEADERS("Content-Transfer-Encoding: quoted-printable\r\n"), "quoted"},
              {HEADERS("Content-Transfer-Encoding: 7bit x\r\n"), "7bit x"},
              {HEADERS("Content-Transfer-Encoding:\r\n"), "\r\n\r\n"},
              {PART("api_key") "x\xFF\r\n" REST END, "\xFF"},
              {PART("api_key") "x\xE6\x97\r\n" REST END, "\r\n--bound\r\nContent-Disposition: "
                                                         "form-data; name=\"event_type"},
              {PART("api_key") "\xE6\r\n-x\r\n" REST END, "\r\n-x"}};

static void faults(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof faulty / sizeof *faulty; i++) {
        if (faulty[i].at == NULL) {
            expect(faulty[i].body, CMCWH_ERR_FORM, strlen(faulty[i].body));
        } else {
            expect_at(faulty[i].body, CMCWH_ERR_FORM, faulty[i].at);
        }
    }
}

/* Good parts, but not what CMC sends. */
static void refusals(void **state) {
    (void)state;
    expect(END, CMCWH_ERR_MISSING, 0);
    expect(PART("x") "\r\n" END, CMCWH_ERR_MISSING, 0);
    expect(PART("event_type") "x\r\n" END, CMCWH_ERR_MISSING, 0);
    expect(PART("event") EVENT "\r\n" END, CMCWH_ERR_MISSING, 0);
    expect_at(TYPE PART("event") "{}\r\n" END, CMCWH_ERR_MISSING, "{}");
    expect_at(TYPE PART("event") "[]\r\n" END, CMCWH_ERR_TYPE, "[]");
    expect_at(TYPE PART("event") " 7\r\n" END, CMCWH_ERR_TYPE, "7");
    expect_at(TYPE PART("event") "{\"blocks\":[{}]}\r\n" END, CMCWH_ERR_EVENT_TYPE, "\"blocks\":");
    expect_at(TYPE PART("event") "{\"bounces\":[{\"to\":{}}]}\r\n" END, CMCWH_ERR_TYPE, "{}}]}");
    expect_at(TYPE PART("event") "\r\n" END, CMCWH_ERR_JSON, "\r\n--bound--");
    expect_at(TYPE PART("event") END, CMCWH_ERR_JSON, "--bound--");
    expect_at(TYPE PART("event") "{\"a\r\n" END, CMCWH_ERR_JSON, "\r\n--bound--");
    expect_at(TYPE PART("event") "{\"a\":12\r\n" END, CMCWH_ERR_JSON, "\r\n--bound--");
    expect_at(TYPE PART("event") "{\"a\":01}\r\n" END, CMCWH_ERR_JSON, "1}");
    expect_at(TYPE PART("event") "{\"a\":\"\\q\"}\r\n" END, CMCWH_ERR_JSON, "q\"");
    expect_at(PART("event") "broken\r\n" REST END, CMCWH_ERR_JSON, "broken");
}

/* A fault far on in an event of many megabytes, after parts that are skipped. */
static void offsets_far_on(void **state) {
    char *out = repeat(body, TYPE PART("x"), 1);

    (void)state;
    out = repeat(out, "\r\n--boun", 1000);
    out = repeat(out, "\r\n" PART("event") "{\"x\":[", 1);
    for (unsigned i = 0; i < 200; i++) {
        out = repeat(out, "\"", 1);
        out = repeat(out, i % 3 == 0 ? "日" : i % 3 == 1 ? "a b" : "\\n", i * 100);
        out = repeat(out, "\",1,", 1);
    }
    out = repeat(out, "]\r\n" END, 1);
    assert_int_equal(feed_parts(body, (size_t)(out - body), 1234), CMCWH_ERR_JSON);
    assert_int_equal(cmcwh_parser_error(&f.parser)->offset,
                     (size_t)(out - body) - sizeof("]\r\n" END) + 1);
}

static void headers_are_bounded(void **state) {
    (void)state;
    for (size_t length = 900; length < 1100; length++) {
        char *out = repeat(body, "--bound\r\nContent-Disposition: form-data; name=x\r\nX: ", 1);
        char *start = body + sizeof "--bound\r\n" - 1, *end;

        out = repeat(out, "y", length);
        end = repeat(out, "\r\n\r\n", 1);
        (void)repeat(end, REST END, 1);
        if (end - start <= 1024) {
            assert_int_equal(feed_parts(body, strlen(body), 100), 1);
        } else {
            assert_int_equal(feed_parts(body, strlen(body), 100), CMCWH_ERR_FORM);
            assert_int_equal(cmcwh_parser_error(&f.parser)->offset, start + 1024 - body);
        }
    }
}

static void a_large_part_is_skipped(void **state) {
    static const char *const fillings[] = {"x", "\r", "\r\n--boun", "\n--bound"};

    (void)state;
    for (size_t i = 0; i < sizeof fillings / sizeof *fillings; i++) {
        char *out = repeat(body, PART("file"), 1);

        out = repeat(out, fillings[i], (5 << 20) / strlen(fillings[i]));
        out = repeat(out, "\r\n" REST END, 1);
        for (size_t step = 1; step <= 4096; step *= 16) {
            assert_int_equal(feed_parts(body, (size_t)(out - body), step), 1);
        }
    }
}

static void long_api_key(void **state) {
    (void)state;
    for (size_t length = CMCWH_SECRET_MAX - 3; length < CMCWH_SECRET_MAX + 10; length++) {
        char *out = repeat(body, PART("api_key"), 1);

        out = repeat(out, "k", length);
        (void)repeat(out, "\r\n" REST END, 1);
        assert_int_equal(feed_parts(body, strlen(body), 4096), 1);
        assert_int_equal(cmcwh_parser_api_key(&f.parser).length,
                         length > CMCWH_SECRET_MAX ? CMCWH_SECRET_MAX + 1 : length);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(payloads),
                                       cmocka_unit_test(boundaries),
                                       cmocka_unit_test(a_boundary_comes_first),
                                       cmocka_unit_test(good_bodies),
                                       cmocka_unit_test(look_alikes),
                                       cmocka_unit_test(look_alikes_in_event),
                                       cmocka_unit_test(faults),
                                       cmocka_unit_test(refusals),
                                       cmocka_unit_test(offsets_far_on),
                                       cmocka_unit_test(headers_are_bounded),
                                       cmocka_unit_test(a_large_part_is_skipped),
                                       cmocka_unit_test(long_api_key)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
