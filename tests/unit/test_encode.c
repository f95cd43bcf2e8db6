/* What comes out: JSON, logfmt, syslog, frames; and that nothing in an event can forge it. */
#include "support.h"

#include <stdio.h>
#include <string.h>

static struct fixture f;
static char body[1 << 16];

static struct cmcwh_record stored(const char *text) {
    fixture_init(&f, 2, false);
    assert_int_equal(post(&f, CMCWH_JSON, text), 1);
    return take(&f);
}

static const char queued[] =
    "{\"event_type\":\"deliveries\",\"server_composition\":\"pro\",\"event\":{\"deliveries\":[{"
    "\"reason\":\"\",\"sourceIp\":\"100.100.100.1\",\"created\":\"2023-01-25 14:03:06\","
    "\"subject\":\"a \\\"b\\\" = "
    "\\u65e5\",\"messageId\":\"<1@example.com>\",\"to\":\"u@example.jp\","
    "\"status\":\"queued\"}]}}";

static void lines(void **state) {
    struct cmcwh_record record = stored(queued);
    char id[17], expected[1024];

    (void)state;
    (void)snprintf(id, sizeof id, "%016llx", (unsigned long long)event_of(&record).id);
    (void)snprintf(
        expected, sizeof expected,
        "{\"seq\":1,\"id\":\"%s\",\"received\":\"2023-01-25T05:03:06.120Z\","
        "\"event_type\":\"deliveries\",\"server_composition\":\"pro\",\"status\":\"queued\","
        "\"created\":\"2023-01-25 14:03:06\",\"messageId\":\"<1@example.com>\",\"from\":\"\","
        "\"to\":\"u@example.jp\",\"returnPath\":\"\",\"subject\":\"a \\\"b\\\" = "
        "\xe6\x97\xa5\",\"reason\":\"\",\"sourceIp\":\"100.100.100.1\",\"senderIp\":\"\","
        "\"apiData\":\"\"}\n",
        id);
    assert_string_equal(encoded(&record, CMCWH_ENCODE_JSON), expected);
    (void)snprintf(expected, sizeof expected,
                   "event_type=deliveries status=queued to=u@example.jp reason=\"\" "
                   "messageId=<1@example.com> created=\"2023-01-25 14:03:06\" from=\"\" "
                   "subject=\"a \\\"b\\\" = \xe6\x97\xa5\" id=%s seq=1 "
                   "received=2023-01-25T05:03:06.120Z returnPath=\"\" sourceIp=100.100.100.1 "
                   "senderIp=\"\" apiData=\"\" server_composition=pro\n",
                   id);
    assert_string_equal(encoded(&record, CMCWH_ENCODE_LOGFMT), expected);
}

static void syslog_headers(void **state) {
    struct cmcwh_record record = stored(queued);
    char message[2048];
    const char *text = encoded(&record, CMCWH_ENCODE_RFC5424);

    (void)state;
    assert_memory_equal(
        text, "<22>1 2023-01-25T05:03:06.120Z router cmcwh 42 deliveries - event_type=",
        strlen("<22>1 2023-01-25T05:03:06.120Z router cmcwh 42 deliveries - event_type="));
    (void)snprintf(message, sizeof message, "%zu %s", strlen(text), text);
    assert_string_equal(encoded(&record, CMCWH_ENCODE_RFC6587), message);
    text = encoded(&record, CMCWH_ENCODE_RFC3164);
    assert_memory_equal(text, "<22>Jan 25 14:03:06 cmcwh[42]: event_type=",
                        strlen("<22>Jan 25 14:03:06 cmcwh[42]: event_type="));
    assert_null(strchr(text, '\n'));
    {
        struct cmcwh_syslog nobody = {.facility = 1}, odd = {.hostname = "a b\x01",
                                                             .process_id = "",
                                                             .facility = 23,
                                                             .utc_offset = -600};
        size_t length = cmcwh_encode(&record, CMCWH_ENCODE_RFC5424, &nobody, message);

        message[length] = '\0';
        assert_memory_equal(message, "<14>1 2023-01-25T05:03:06.120Z - cmcwh - deliveries - ", 54);
        (void)cmcwh_encode(&record, CMCWH_ENCODE_RFC5424, &odd, message);
        assert_memory_equal(message, "<190>1 2023-01-25T05:03:06.120Z a?b? cmcwh - ", 45);
        (void)cmcwh_encode(&record, CMCWH_ENCODE_RFC3164, &odd, message);
        assert_memory_equal(message, "<190>Jan 24 19:03:06 cmcwh[-]: ", 31);
    }
}

static struct cmcwh_record with_status(const char *type, const char *status) {
    (void)sprintf(body, "{\"event_type\":\"%s\",\"event\":{\"%s\":[{\"status\":\"%s\"}]}}", type,
                  type, status);
    return stored(body);
}

static void severities(void **state) {
    static const struct {
        const char *type, *status;
        unsigned severity;
    } cases[] = {
        {"deliveries", "queued", 6}, {"deliveries", "succeeded", 6}, {"deliveries", "deferred", 5},
        {"deliveries", "failed", 3}, {"deliveries", "new", 6},       {"bounces", "1", 3},
        {"blocks", "x", 4},          {"opens", "failed", 6}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct cmcwh_record record = with_status(cases[i].type, cases[i].status);

        assert_int_equal(event_of(&record).severity, cases[i].severity);
    }
}

/* A bounce's number has its name beside it; nothing else has. */
static void bounce_names(void **state) {
    static const struct {
        const char *type, *status, *json, *logfmt;
    } cases[] = {{"bounces", "2", "\"status\":\"2\",\"bounce\":\"unknown user\",\"created\"",
                  "event_type=bounces status=2 bounce=\"unknown user\" to="},
                 {"bounces", "99", "\"status\":\"99\",\"bounce\":\"other permanent error\",",
                  " status=99 bounce=\"other permanent error\" to="},
                 {"bounces", "11", "\"bounce\":\"unsubscribed\",", " bounce=unsubscribed to="},
                 {"bounces", "12", "\"status\":\"12\",\"bounce\":\"unknown\",",
                  " status=12 bounce=unknown to="},
                 {"bounces", "", "\"status\":\"\",\"bounce\":\"unknown\",",
                  " status=\"\" bounce=unknown to="},
                 {"deliveries", "2", "\"status\":\"2\",\"created\"", " status=2 to="},
                 {"opens", "2", "\"status\":\"2\",\"created\"", " status=2 to="}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct cmcwh_record record = with_status(cases[i].type, cases[i].status);

        assert_non_null(strstr(encoded(&record, CMCWH_ENCODE_JSON), cases[i].json));
        assert_non_null(strstr(encoded(&record, CMCWH_ENCODE_LOGFMT), cases[i].logfmt));
    }
}

/* Days that calendars get wrong. */
static void times(void **state) {
    static const struct {
        uint64_t time;
        const char *text;
    } cases[] = {{0, "1970-01-01T00:00:00.000Z"},
                 {951782399999, "2000-02-28T23:59:59.999Z"},
                 {951782400000, "2000-02-29T00:00:00.000Z"},
                 {951868800000, "2000-03-01T00:00:00.000Z"},
                 {2147483647999, "2038-01-19T03:14:07.999Z"},
                 {2147483648000, "2038-01-19T03:14:08.000Z"},
                 {4107542400000, "2100-03-01T00:00:00.000Z"},
                 {253402300799999, "9999-12-31T23:59:59.999Z"}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct cmcwh_record record;

        fixture_init(&f, 2, false);
        f.now = cases[i].time;
        assert_int_equal(post(&f, CMCWH_JSON, queued), 1);
        record = take(&f);
        assert_non_null(strstr(encoded(&record, CMCWH_ENCODE_JSON), cases[i].text));
    }
}

/* Line separators, and what changes the direction of what follows. */
static const unsigned short marks[] = {0x2028, 0x2029, 0x200E, 0x200F, 0x202A, 0x202B, 0x202C,
                                       0x202D, 0x202E, 0x2066, 0x2067, 0x2068, 0x2069};
enum { MARKS = sizeof marks / sizeof *marks };

/* Nothing that ends a line, turns it round or begins a terminal sequence. */
static void assert_harmless(const char *text, size_t length) {
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)text[i], next = (unsigned char)text[i + 1];

        assert_true(c >= 0x20 && c != 0x7F);
        assert_false(c == 0xC2 && next < 0xA0);
        for (size_t m = 0; c == 0xE2 && m < MARKS; m++) {
            assert_false(next == (0x80 | (marks[m] >> 6 & 0x3F)) &&
                         (unsigned char)text[i + 2] == (0x80 | (marks[m] & 0x3F)));
        }
    }
}

static void assert_harmless_everywhere(const struct cmcwh_record *record) {
    static const enum cmcwh_encoding encodings[] = {CMCWH_ENCODE_JSON, CMCWH_ENCODE_LOGFMT,
                                                    CMCWH_ENCODE_RFC5424, CMCWH_ENCODE_RFC6587,
                                                    CMCWH_ENCODE_RFC3164};

    for (size_t i = 0; i < sizeof encodings / sizeof *encodings; i++) {
        const char *text = encoded(record, encodings[i]);
        size_t length = strlen(text);

        if (i < 2) {
            assert_int_equal(text[--length], '\n');
        }
        assert_harmless(text, length);
    }
}

/* Each control character, line separator and mark of direction in each text that a sender controls.
 */
static void control_characters(void **state) {
    static const char *const places[] = {
        "{\"event_type\":\"bounces\",\"server_composition\":\"%s\",\"event\":{\"bounces\":[{}]}}",
        "{\"event_type\":\"%1$s\",\"event\":{\"%1$s\":[{}]}}",
        "{\"event_type\":\"blocks\",\"event\":{\"blocks\":[{\"%s\":1}]}}",
        "{\"event_type\":\"blocks\",\"event\":{\"blocks\":[{\"own\":\"%s\"}]}}",
        "{\"event_type\":\"blocks\",\"event\":{\"blocks\":[{\"own\":{\"%1$s\":[\"%1$s\"]}}]}}"};

    (void)state;
    for (unsigned code = 0; code < 0xA2 + MARKS; code++) {
        unsigned point = code == 0xA0   ? '"'
                         : code == 0xA1 ? '\\'
                         : code >= 0xA2 ? marks[code - 0xA2]
                                        : code;
        char escape[8], expected[8];
        struct cmcwh_record record;

        if (code >= 0x20 && code < 0x7F) {
            continue;
        }
        (void)snprintf(escape, sizeof escape, "\\u%04x", point);
        (void)snprintf(expected, sizeof expected, "\\u%04x", point);
        for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
            (void)sprintf(body, places[i], escape);
            record = stored(body);
            assert_harmless_everywhere(&record);
        }
        for (unsigned field = 0; field < CMCWH_MEMBERS; field++) {
            (void)sprintf(
                body, "{\"event_type\":\"bounces\",\"event\":{\"bounces\":[{\"%s\":\"x%sy\"}]}}",
                cmcwh_field_name((enum cmcwh_field)field), escape);
            record = stored(body);
            assert_harmless_everywhere(&record);
            assert_non_null(strstr(encoded(&record, CMCWH_ENCODE_JSON), "\"x"));
        }
        if (point >= 0x7F) {
            assert_non_null(strstr(encoded(&record, CMCWH_ENCODE_JSON), expected));
        }
    }
}

/* What looks like one of them in UTF-8, and is none, comes out as it is. */
static void no_marks(void **state) {
    static const char text[] = "\xe2\x80\x8d\xe2\x80\x90\xe2\x80\xa7\xe2\x80\xaf\xe2\x81\xa5\xe2"
                               "\x81\xaa\xe2\x82\xa8\xe2\x84\xae\xe3\x80\xae\xc2\xa0";
    struct cmcwh_record record;

    (void)state;
    (void)sprintf(body, "{\"event_type\":\"bounces\",\"event\":{\"bounces\":[{\"to\":\"%s\"}]}}",
                  text);
    record = stored(body);
    assert_non_null(strstr(encoded(&record, CMCWH_ENCODE_JSON), text));
    assert_non_null(strstr(encoded(&record, CMCWH_ENCODE_LOGFMT), text));
}

/* C1 controls and line separators sent raw inside JSON that is kept as it is. */
static void raw_c1_in_own_members(void **state) {
    struct cmcwh_record record =
        stored("{\"event_type\":\"opens\",\"event\":{\"opens\":[{\"a\xc2\x9bz\":"
               "[\"\x7f\xe2\x80\xa8\xe2\x80\xa6\"]}]}}");

    (void)state;
    assert_harmless_everywhere(&record);
    assert_non_null(strstr(encoded(&record, CMCWH_ENCODE_JSON),
                           ",\"a\\u009bz\":[\"\\u007f\\u2028\xe2\x80\xa6\"]}\n"));
    assert_non_null(strstr(encoded(&record, CMCWH_ENCODE_LOGFMT), " a__z=\"["));
}

static void own_members(void **state) {
    struct cmcwh_record record = stored(
        "{\"event_type\":\"blocks\",\"event\":{\"blocks\":[{\"email\":\"a b\",\"id\":\"7\",\"n\":"
        "{\"x\":[1,\"q\"]},\"ok\":true,\"received\":1,\"truncated\":2}]}}");

    (void)state;
    assert_non_null(
        strstr(encoded(&record, CMCWH_ENCODE_JSON),
               "\"apiData\":\"\",\"email\":\"a b\",\"event_id\":\"7\",\"n\":{\"x\":[1,\"q\"]},"
               "\"ok\":true,\"event_received\":1,\"event_truncated\":2}\n"));
    assert_non_null(strstr(encoded(&record, CMCWH_ENCODE_LOGFMT),
                           " server_composition=\"\" email=\"a b\" event_id=\"7\" "
                           "n=\"{\\\"x\\\":[1,\\\"q\\\"]}\" ok=true "
                           "event_received=1 event_truncated=2\n"));
}

/* Names of members that would pass for one of ours, or for another: what comes out last.
 */
static void names_are_not_forged(void **state) {
    static const struct {
        const char *members, *json, *logfmt;
    } cases[] = {
        /* ours, however they are written */
        {"\"s\\u0065q\":1", "\"event_seq\":1", "event_seq=1"},
        {"\"i\\u0064\":1", "\"event_id\":1", "event_id=1"},
        {"\"r\\u0065ceived\":1", "\"event_received\":1", "event_received=1"},
        {"\"trunc\\u0061ted\":1", "\"event_truncated\":1", "event_truncated=1"},
        {"\"event\\u005ftype\":1", "\"event_event_type\":1", "event_event_type=1"},
        {"\"b\\u006funce\":1,\"cut\":2", "\"event_bounce\":1,\"event_cut\":2",
         "event_bounce=1 event_cut=2"},
        {"\"SEQ\":1,\"Message\\u0049D\":2", "\"event_SEQ\":1,\"event_MessageID\":2",
         "event_SEQ=1 event_MessageID=2"},
        /* ours in logfmt only */
        {"\"event type\":1", "\"event type\":1", "event_event_type=1"},
        {"\"server=composition\":1", "\"server=composition\":1", "event_server_composition=1"},
        {"\"\":1", "\"\":1", "event_=1"},
        /* each other's */
        {"\"a b\":1,\"a=b\":2", "\"a b\":1,\"a=b\":2", "a_b=1 event_a_b=2"},
        {"\"a b\":1,\"a=b\":2,\"a_b\":3,\"a\\nb\":4", "\"a b\":1,\"a=b\":2,\"a_b\":3,\"a\\nb\":4",
         "a_b=1 event_a_b=2 event4_a_b=3 a_nb=4"},
        {"\"a b\":1,\"event_a b\":2,\"a=b\":3,\"event=a=b\":4",
         "\"a b\":1,\"event_a b\":2,\"a=b\":3,\"event=a=b\":4",
         "a_b=1 event_a_b=2 event4_a_b=3 event_event_a_b=4"},
        /* a prefix that is taken */
        {"\"seq\":99,\"event_seq\":1", "\"event2_seq\":99,\"event_seq\":1",
         "event2_seq=99 event_seq=1"},
        {"\"event_seq\":1,\"seq\":99", "\"event_seq\":1,\"event3_seq\":99",
         "event_seq=1 event3_seq=99"},
        {"\"seq\":1,\"event_seq\":2,\"event2_seq\":3",
         "\"event1026_seq\":1,\"event_seq\":2,\"event2_seq\":3",
         "event1026_seq=1 event_seq=2 event2_seq=3"},
        /* of repeated ones the last counts, and only of those */
        {"\"a\":1,\"b\":2,\"\\u0061\":3", "\"b\":2,\"a\":3", "b=2 a=3"},
        {"\"s\\u0065q\":1,\"seq\":2", "\"event_seq\":2", "event_seq=2"},
        {"\"\\/\\u002f\":1,\"//\":2", "\"//\":2", "__=2"},
        {"\"\\u00E9\":1,\"\xc3\xa9\":2", "\"\xc3\xa9\":2", "__=2"},
        {"\"\x7f\\t\":1,\"\\u007F\\u0009\":2", "\"\\u007f\\t\":2", "__t=2"},
        {"\"a\":1,\"A\":2,\"bounces\":3", "\"a\":1,\"A\":2,\"bounces\":3", "a=1 A=2 bounces=3"},
        /* longer than a piece of a spelling, with characters and escapes across its ends */
        {"\"0123456789\xe6\x97\xa5\\ud83d\\ude00\\u0022\\\\0123456789\":1",
         "\"0123456789\xe6\x97\xa5\xf0\x9f\x98\x80\\\"\\\\0123456789\":1",
         "0123456789___________0123456789=1"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct cmcwh_record record;
        char expected[512];

        (void)sprintf(body, "{\"event_type\":\"blocks\",\"event\":{\"blocks\":[{%s}]}}",
                      cases[i].members);
        record = stored(body);
        (void)snprintf(expected, sizeof expected, "\"apiData\":\"\",%s}\n", cases[i].json);
        assert_string_equal(strstr(encoded(&record, CMCWH_ENCODE_JSON), "\"apiData\""), expected);
        (void)snprintf(expected, sizeof expected, "server_composition=\"\" %s\n", cases[i].logfmt);
        assert_string_equal(strstr(encoded(&record, CMCWH_ENCODE_LOGFMT), "server_composition=\""),
                            expected);
    }
}

/* As many members as fit, all of one name in logfmt: each has a key of its own, and the line is no
 * longer than CMCWH_ENCODED_MAX, which encoded() checks. */
static void every_key_is_another(void **state) {
    char *out = body + sprintf(body, "{\"event_type\":\"o\",\"event\":{\"o\":[{\"event_a_\":0");
    unsigned keys = 0, numbers = 0;
    struct cmcwh_record record;
    const char *line;

    (void)state;
    for (unsigned i = 0; i < 1000; i++) {
        out += sprintf(out, ",\"a\\u%04x\":1", 0x2010 + i);
    }
    (void)strcpy(out, "}]}}");
    record = stored(body);
    assert_true(field_cut(&record, CMCWH_MEMBERS));
    line = encoded(&record, CMCWH_ENCODE_LOGFMT);
    for (const char *at = line; (at = strstr(at, "a___=1")) != NULL; at++) {
        const char *start = at, *again;

        while (start[-1] != ' ') {
            start--;
        }
        numbers += start[5] >= '0' && start[5] <= '9' && at > start;
        again = strstr(line, " ");
        for (keys = 0; again != NULL; again = strstr(again + 1, " ")) {
            keys += strncmp(again + 1, start, (size_t)(at - start) + 5) == 0;
        }
        assert_int_equal(keys, 1);
    }
    assert_true(numbers > CMCWH_RECORD_TEXT / 20);
}

/* A name is kept whole, or its member is left out and that is said. */
static void long_names(void **state) {
    static const size_t lengths[] = {
        255,  256, 257, 700, CMCWH_RECORD_TEXT, CMCWH_WINDOW_SIZE - 20, CMCWH_WINDOW_SIZE + 20,
        30000};

    (void)state;
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        for (unsigned escaped = 0; escaped < 2; escaped++) {
            struct cmcwh_record record;
            char *out = body + sprintf(body, "{\"event_type\":\"o\",\"event\":{\"o\":[{\"n\":0,\"");
            size_t length = escaped != 0 ? lengths[i] / 6 : lengths[i];
            bool whole = lengths[i] < CMCWH_WINDOW_SIZE && length < CMCWH_RECORD_TEXT - 20;

            out = repeat(out, escaped != 0 ? "\\u0061" : "a", length);
            (void)strcpy(out, "\":1}]}}");
            record = stored(body);
            assert_int_equal(field_cut(&record, CMCWH_MEMBERS), !whole);
            assert_int_equal(field_text(&record, CMCWH_MEMBERS).length,
                             6 + (whole ? length + 5 : 0));
        }
    }
}

static void truncated_is_said(void **state) {
    char *out =
        body + sprintf(body, "{\"event_type\":\"bounces\",\"event\":{\"bounces\":[{\"reason\":\"");
    struct cmcwh_record record;

    (void)state;
    out = repeat(out, "r", 2000);
    out += sprintf(out, "\",\"subject\":\"");
    out = repeat(out, "s", 2000);
    (void)strcpy(out, "\"}]}}");
    record = stored(body);
    assert_non_null(strstr(encoded(&record, CMCWH_ENCODE_JSON),
                           "\"apiData\":\"\",\"truncated\":[\"reason\",\"subject\"]}\n"));
    assert_non_null(strstr(encoded(&record, CMCWH_ENCODE_LOGFMT),
                           " server_composition=\"\" truncated=reason,subject\n"));
}

/* The longest that can come out, in every encoding; encoded() compares with CMCWH_ENCODED_MAX. */
/* A type gives way to longer texts, but which kind it is can still be read. */
static void a_type_is_always_named(void **state) {
    static const char *const types[] = {"deliveries", "bounces", "blocks", "other"};
    struct cmcwh_record record;
    char part[64], *out;

    (void)state;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        out = body + sprintf(body, "{\"event_type\":\"%s\",\"event\":{\"%s\":[{\"to\":\"", types[i],
                             types[i]);
        (void)sprintf(repeat(out, "x", 2000), "\"}]}}");
        record = stored(body);
        assert_true(field_cut(&record, CMCWH_EVENT_TYPE));
        assert_int_equal(field_text(&record, CMCWH_EVENT_TYPE).length, 0);
        (void)sprintf(part, ",\"event_type\":\"%s\",", types[i]);
        assert_non_null(strstr(encoded(&record, CMCWH_ENCODE_JSON), part));
        (void)sprintf(part, "event_type=%s ", types[i]);
        assert_memory_equal(encoded(&record, CMCWH_ENCODE_LOGFMT), part, strlen(part));
    }
}

static void longest(void **state) {
    static const char *const fills[] = {"\\u0000", "\\u009b", "\\\"", "\\u2028"};

    (void)state;
    for (size_t i = 0; i < sizeof fills / sizeof *fills; i++) {
        struct cmcwh_record record;
        char *out =
            body + sprintf(body, "{\"event_type\":\"other\",\"event\":{\"other\":[{\"to\":\"");

        out = repeat(out, fills[i], 500);
        out += sprintf(out, "\",\"messageId\":\"");
        out = repeat(out, fills[i], 500);
        (void)strcpy(out, "\"}]}}");
        record = stored(body);
        for (int encoding = CMCWH_ENCODE_JSON; encoding <= CMCWH_ENCODE_CMC; encoding++) {
            (void)encoded(&record, (enum cmcwh_encoding)encoding);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(lines),
                                       cmocka_unit_test(syslog_headers),
                                       cmocka_unit_test(severities),
                                       cmocka_unit_test(bounce_names),
                                       cmocka_unit_test(times),
                                       cmocka_unit_test(control_characters),
                                       cmocka_unit_test(raw_c1_in_own_members),
                                       cmocka_unit_test(no_marks),
                                       cmocka_unit_test(own_members),
                                       cmocka_unit_test(names_are_not_forged),
                                       cmocka_unit_test(every_key_is_another),
                                       cmocka_unit_test(long_names),
                                       cmocka_unit_test(truncated_is_said),
                                       cmocka_unit_test(a_type_is_always_named),
                                       cmocka_unit_test(longest)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
