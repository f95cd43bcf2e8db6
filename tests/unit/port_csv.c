/* Events as a table: its columns, what stands in them, and that a spreadsheet calculates nothing.
 */
#include "support.h"

#include <stdio.h>
#include <string.h>

#include "platform/csv.h"

static struct fixture f;
static char bytes[CSV_LINE_MAX + 1];
static struct writer writer;

static const char *written(void) {
    assert_false(writer.full);
    bytes[writer.used] = '\0';
    return bytes;
}

static const char *cell(const char *text, size_t length) {
    writer = (struct writer){.bytes = bytes, .size = sizeof bytes - 1};
    writer_csv(&writer, (struct cmcwh_text){text, length});
    return written();
}

static void is(const char *text, const char *expected) {
    assert_string_equal(cell(text, strlen(text)), expected);
}

static const char *header(void) {
    writer = (struct writer){.bytes = bytes, .size = CSV_HEADER_MAX};
    csv_header(&writer);
    return written();
}

static const char *line_of(const struct cmcwh_event *event) {
    writer = (struct writer){.bytes = bytes, .size = CSV_LINE_MAX};
    csv_line(&writer, event);
    return written();
}

/* ---- Cells ---- */

static void texts(void **state) {
    (void)state;
    is("", "");
    is("a", "\"a\"");
    is("a,b", "\"a,b\"");
    is("say \"no\"", "\"say \"\"no\"\"\"");
    is("a\r\nb\tc\x1B[2J", "\"a\\u000d\\u000ab\\u0009c\\u001b[2J\"");
    is("\xE9\x85\x8D\xE4\xBF\xA1 \xF0\x9F\x98\x80",
       "\"\xE9\x85\x8D\xE4\xBF\xA1 \xF0\x9F\x98\x80\"");
    is("a\xE2\x80\x8F"
       "b",
       "\"a\\u200fb\"");
    assert_string_equal(cell("a\0b", 3), "\"a\\u0000b\"");
    assert_string_equal(cell("\xFF", 1), "\"\\ufffd\"");
    is("C:\\x", "\"C:\\x\"");
}

static void formulas(void **state) {
    static const char *const formulas[] = {"=1+1",
                                           "+1",
                                           "-1",
                                           "@SUM(A1)",
                                           "=",
                                           "-",
                                           "+81-3-1234-5678",
                                           " =1",
                                           "   -1",
                                           "\xC2\xA0=1",
                                           "\xE3\x80\x80=1",
                                           "\xE2\x80\x8B=1",
                                           "\xEF\xBC\x9D"
                                           "1",
                                           "\xEF\xBC\x8B"
                                           "1",
                                           "\xEF\xBC\x8D"
                                           "1",
                                           "\xEF\xBC\xA0"
                                           "A",
                                           "\xE3\x80\x80 \xEF\xBC\x9D"
                                           "1"};
    char expected[64];

    (void)state;
    for (size_t i = 0; i < sizeof formulas / sizeof *formulas; i++) {
        (void)snprintf(expected, sizeof expected, "\"'%s\"", formulas[i]);
        is(formulas[i], expected);
    }
    is("\"=1", "\"'\"\"=1\"");
    is("\t=1", "\"\\u0009=1\""); /* it begins with a backslash */
    is("\r=1", "\"\\u000d=1\"");
    is("\n=1", "\"\\u000a=1\"");
    is("a=b", "\"a=b\"");
    is("a -1", "\"a -1\"");
    is(" ", "\" \"");
    is("user+tag@example.com", "\"user+tag@example.com\"");
    is("<20260125.1@example.jp>", "\"<20260125.1@example.jp>\"");
    is("550 5.1.1 no such user", "\"550 5.1.1 no such user\"");
}

/* Where a semicolon ends a cell, as in much of Europe, a formula may stand behind it. */
static void behind_semicolons(void **state) {
    (void)state;
    is("x;=1", "\"x;'=1\"");
    is("x; \"=1\";b;@c", "\"x;' \"\"=1\"\";b;'@c\"");
    is("a;b", "\"a;b\"");
    is(";", "\";\"");
    is(";;-", "\";;'-\"");
}

/* An apostrophe that was there is told from one that was put there. */
static void apostrophes(void **state) {
    (void)state;
    is("'=1", "\"''=1\"");
    is("'", "\"''\"");
    is("it's", "\"it's\"");
    is("a;'b", "\"a;''b\"");
}

static void numbers(void **state) {
    (void)state;
    is("0", "\"0\"");
    is("42", "\"42\"");
    is("123456789012345", "\"123456789012345\"");
    is("1234567890123456", "\"'1234567890123456\"");
    is("00", "\"'00\"");
    is("09012345678", "\"'09012345678\"");
    is("090-1234-5678", "\"090-1234-5678\"");
    is("1e5", "\"'1e5\"");
    is("123E45", "\"'123E45\"");
    is("e5", "\"e5\"");
    is("5e", "\"5e\"");
    is("1e2e3", "\"1e2e3\"");
    is("5e8dd3f0a1b2c3d4", "\"5e8dd3f0a1b2c3d4\"");
    is("192.0.2.1", "\"192.0.2.1\"");
}

/* ---- Lines ---- */

/* The names that a line of JSON has, as far as its own members. */
static void assert_names(const char *names, const char *json) {
    char expected[CSV_HEADER_MAX + 1] = "\xEF\xBB\xBF", name[32];
    const char *colon = json;

    while ((colon = strstr(colon, "\":")) != NULL) {
        const char *start = colon;

        while (start[-1] != '"') {
            start--;
        }
        (void)snprintf(name, sizeof name, "%.*s,", (int)(colon - start), start);
        (void)strncat(expected, name, sizeof expected - strlen(expected) - 1);
        colon += 2;
    }
    (void)strncat(expected, "members\r\n", sizeof expected - strlen(expected) - 1);
    assert_string_equal(names, expected);
}

/* Whatever the JSON has, the table has too, in the same order. */
static void columns_are_those_of_the_json(void **state) {
    static char body[2 * CMCWH_RECORD_SIZE + 256];
    struct cmcwh_record record;
    char *out = body;

    (void)state;
    fixture_init(&f, 4, false);
    out += sprintf(out, "{\"event_type\":\"bounces\",\"event\":{\"bounces\":[{\"status\":\"2\","
                        "\"reason\":\"");
    out = repeat(out, "x", 2 * CMCWH_RECORD_SIZE);
    (void)strcpy(out, "\"}]}}");
    assert_int_equal(post(&f, CMCWH_JSON, body), 1);
    record = take(&f);
    assert_names(header(), encoded(&record, CMCWH_ENCODE_JSON));
}

static void a_bounce(void **state) {
    struct cmcwh_record record;
    struct cmcwh_event event;

    (void)state;
    fixture_init(&f, 4, false);
    assert_int_equal(
        post(&f, CMCWH_JSON,
             "{\"event_type\":\"bounces\",\"server_composition\":\"pro\",\"event\":{\"bounces\":[{"
             "\"status\":\"2\",\"created\":\"2023-01-25 14:03:06\",\"messageId\":\"<1@a>\","
             "\"from\":\"a@a\",\"to\":\"b@b\",\"returnPath\":\"r@r\",\"subject\":\"=1,\\\"\\n\","
             "\"reason\":\"550\",\"sourceIp\":\"192.0.2.1\",\"senderIp\":\"\",\"apiData\":\"0123\""
             "}]}}"),
        1);
    record = take(&f);
    event = event_of(&record);
    event.id = 0x5e8dd3f0a1b2c3d4;
    assert_string_equal(line_of(&event),
                        "1,\"5e8dd3f0a1b2c3d4\",2023-01-25T05:03:06.120Z,\"bounces\",\"pro\",\"2\","
                        "\"unknown user\",\"2023-01-25 14:03:06\",\"<1@a>\",\"a@a\",\"b@b\","
                        "\"r@r\",\"'=1,\"\"\\u000a\",\"550\",\"192.0.2.1\",,\"'0123\",,\r\n");
    event.id = 0x1234567890123456;
    event.truncated = 1U << CMCWH_REASON | 1U << CMCWH_MEMBERS;
    assert_non_null(strstr(line_of(&event), "1,\"'1234567890123456\",2023-"));
    assert_non_null(strstr(line_of(&event), ",\"reason,members\",\r\n"));
}

static void own_members(void **state) {
    struct cmcwh_record record;
    struct cmcwh_event event;

    (void)state;
    fixture_init(&f, 4, false);
    assert_int_equal(post(&f, CMCWH_JSON,
                          "{\"event_type\":\"blocks\",\"event\":{\"blocks\":[{\"x\":[1,\"a\"],"
                          "\"y\":{\"z\":null},\"to\":\"b@b\"}]}}"),
                     1);
    record = take(&f);
    event = event_of(&record);
    assert_non_null(
        strstr(line_of(&event),
               ",\"b@b\",,,,,,,,\"{\"\"x\"\":[1,\"\"a\"\"],\"\"y\"\":{\"\"z\"\":null}}\"\r\n"));
}

/* As large as a line can become. */
static void the_longest_line(void **state) {
    char text[CMCWH_RECORD_TEXT];
    struct cmcwh_event event = {.kind = CMCWH_BOUNCES,
                                .status = CMCWH_BOUNCE_OTHER,
                                .seq = UINT64_MAX,
                                .id = UINT64_MAX,
                                .received = UINT64_MAX,
                                .truncated = (1U << CMCWH_FIELDS) - 1};

    (void)state;
    memset(text, 7, sizeof text);
    event.texts[CMCWH_REASON] = (struct cmcwh_text){text, sizeof text};
    (void)line_of(&event);
    memset(text, ';', sizeof text);
    for (size_t i = 1; i < sizeof text; i += 2) {
        text[i] = '=';
    }
    (void)line_of(&event);
    event.texts[CMCWH_REASON].length = 0;
    event.texts[CMCWH_MEMBERS] = (struct cmcwh_text){text, sizeof text};
    (void)line_of(&event);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(texts),
                                       cmocka_unit_test(formulas),
                                       cmocka_unit_test(behind_semicolons),
                                       cmocka_unit_test(apostrophes),
                                       cmocka_unit_test(numbers),
                                       cmocka_unit_test(columns_are_those_of_the_json),
                                       cmocka_unit_test(a_bounce),
                                       cmocka_unit_test(own_members),
                                       cmocka_unit_test(the_longest_line)};

    return cmocka_run_group_tests_name("CSV", tests, NULL, NULL);
}
