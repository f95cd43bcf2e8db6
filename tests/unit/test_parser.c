/* What a request means: payloads of CMC's, orders, types, kinds, batches. */
#include "support.h"

#include <stdio.h>
#include <string.h>

static struct fixture f;
static char body[4 << 20];

#define SUBJECT                                                                                    \
    "\xe3\x83\xa1\xe3\x83\xbc\xe3\x83\xab\xe3\x83\x9e\xe3\x82\xac\xe3\x82\xb8"                     \
    "\xe3\x83\xb3\xe3\x81\xae\xe3\x83\x86\xe3\x82\xb9\xe3\x83\x88"
#define NO_USER                                                                                    \
    "550 5.1.1 The email account that you tried to reach does not exist. Please try 5.1.1 "        \
    "double-checking the recipient's email address for typos or 5.1.1 unnecessary spaces. Learn "  \
    "more at 5.1.1  <https://support.google.com/mail/?p=NoSuchUser> "                              \
    "b197-20020a621bce000000b0058b80756b07si311029pfb.3 - gsmtp (in reply to RCPT TO)"

static const struct expected {
    const char *name;
    enum cmcwh_kind kind;
    unsigned status;
    const char *status_text, *reason, *source, *created, *message, *to, *sender;
} payloads[] = {{"deliveries-queued", CMCWH_DELIVERIES, CMCWH_QUEUED, "queued", "", "100.100.100.1",
                 "2023-01-25 14:03:06", "<031a32d4-06cd-b1ae-9526-011c0b9f1296@example.com>",
                 "user@example.jp", ""},
                {"deliveries-succeeded", CMCWH_DELIVERIES, CMCWH_SUCCEEDED, "succeeded", "", "",
                 "2023-01-25 14:03:09", "<031a32d4-06cd-b1ae-9526-011c0b9f1296@example.com>",
                 "user@example.jp", "100.100.100.3"},
                {"deliveries-failed", CMCWH_DELIVERIES, CMCWH_FAILED, "failed", NO_USER, "",
                 "2023-01-25 14:06:06", "<9e7e564c-ac83-8cd8-2cb4-b9ff2a9f168d@example.com>",
                 "no-user@example.jp", "100.100.100.3"},
                {"bounces-host-unknown", CMCWH_BOUNCES, 1, "1", "host unknown", "",
                 "2023-01-25 14:05:15", "<8f902ee7-ae65-8711-48a8-2f708cb14205@example.com>",
                 "user@example", ""},
                {"bounces-user-unknown", CMCWH_BOUNCES, 2, "2", NO_USER, "", "2023-01-25 14:06:07",
                 "<9e7e564c-ac83-8cd8-2cb4-b9ff2a9f168d@example.com>", "no-user@example.jp", ""}};

enum { PAYLOADS = sizeof payloads / sizeof *payloads };

static const char *payload_of(unsigned i, enum cmcwh_format format, size_t *length) {
    char name[64];

    (void)snprintf(name, sizeof name, "%s.%s", payloads[i].name,
                   format == CMCWH_JSON ? "json" : "form");
    return payload(name, length);
}

static void assert_payload(const struct cmcwh_record *record, const struct expected *expected) {
    assert_int_equal(event_of(record).kind, expected->kind);
    assert_int_equal(event_of(record).status, expected->status);
    assert_int_equal(event_of(record).received, 1674622986120);
    assert_int_equal(event_of(record).batch_size, 1);
    assert_field(record, CMCWH_EVENT_TYPE,
                 expected->kind == CMCWH_BOUNCES ? "bounces" : "deliveries");
    assert_field(record, CMCWH_SERVER_COMPOSITION, "pro");
    assert_field(record, CMCWH_STATUS, expected->status_text);
    assert_field(record, CMCWH_REASON, expected->reason);
    assert_field(record, CMCWH_SOURCE_IP, expected->source);
    assert_field(record, CMCWH_CREATED, expected->created);
    assert_field(record, CMCWH_MESSAGE_ID, expected->message);
    assert_field(record, CMCWH_TO, expected->to);
    assert_field(record, CMCWH_SENDER_IP, expected->sender);
    assert_field(record, CMCWH_FROM, "info@example.com");
    assert_field(record, CMCWH_RETURN_PATH, "info@return.pro.smtps.jp");
    assert_field(record, CMCWH_SUBJECT, SUBJECT);
    assert_field(record, CMCWH_API_DATA, "");
    assert_field(record, CMCWH_MEMBERS, "");
}

static void payloads_field_by_field(void **state) {
    (void)state;
    for (unsigned i = 0; i < PAYLOADS; i++) {
        for (int format = CMCWH_JSON; format <= CMCWH_FORM; format++) {
            struct cmcwh_record record;
            size_t length;

            fixture_init(&f, 4, false);
            assert_int_equal(post(&f, (enum cmcwh_format)format,
                                  payload_of(i, (enum cmcwh_format)format, &length)),
                             1);
            record = take(&f);
            assert_payload(&record, &payloads[i]);
        }
    }
}

/* In pieces the same bytes come out as in one. */
static void payloads_in_pieces(void **state) {
    (void)state;
    for (unsigned i = 0; i < 2u * PAYLOADS; i++) {
        enum cmcwh_format format = i % 2 == 0 ? CMCWH_JSON : CMCWH_FORM;
        struct cmcwh_record whole, record;
        size_t length;
        const char *text = payload_of(i / 2, format, &length);

        fixture_init(&f, 4, false);
        assert_int_equal(post(&f, format, text), 1);
        whole = take(&f);
        for (size_t split = 0; split <= length; split++) { /* 0: byte by byte */
            fixture_init(&f, 4, false);
            cmcwh_parser_init(&f.parser, &f.ring, format);
            for (size_t at = 0; at < length;) {
                size_t piece = split == 0 ? 1 : at == 0 ? split : length - at;

                assert_int_equal(cmcwh_parser_feed(&f.parser, text + at, piece), CMCWH_OK);
                at += piece;
            }
            assert_int_equal(cmcwh_parser_end(&f.parser), 1);
            assert_int_equal(cmcwh_parser_commit(&f.parser), 1);
            record = take(&f);
            assert_memory_equal(&record, &whole, sizeof whole);
        }
    }
}

/* `count` events, with `end` in place of the last one's closing brace. */
static size_t batch_body(unsigned count, const char *end) {
    char *out = body + sprintf(body, "{\"event_type\":\"deliveries\",\"event\":{\"deliveries\":[");

    for (unsigned i = 0; i < count; i++) {
        out += sprintf(out, "%s{\"to\":\"user%u@example.jp\",\"status\":\"queued\"%s",
                       i > 0 ? "," : "", i, i + 1 < count ? "}" : end);
    }
    out += sprintf(out, "]},\"server_composition\":\"pro\"}");
    return (size_t)(out - body);
}

static void batches(void **state) {
    static const unsigned counts[] = {1, 2, 100, 5000};

    (void)state;
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        size_t length = batch_body(counts[i], "}");

        for (size_t step = 1; step <= length; step = step * 61 + 1) {
            fixture_init(&f, RING_MAX, false);
            assert_int_equal(feed(&f, CMCWH_JSON, body, length, step), counts[i]);
            assert_empty(&f); /* not before the commit */
            assert_int_equal(cmcwh_parser_commit(&f.parser), counts[i]);
            for (unsigned event = 0; event < counts[i]; event++) {
                struct cmcwh_record record = take(&f);
                char to[64];

                (void)snprintf(to, sizeof to, "user%u@example.jp", event);
                assert_field(&record, CMCWH_TO, to);
                assert_field(&record, CMCWH_SERVER_COMPOSITION, "pro");
                assert_int_equal(event_of(&record).seq, event + 1);
                assert_int_equal(event_of(&record).batch, 1);
                assert_int_equal(event_of(&record).batch_size, counts[i]);
            }
            assert_empty(&f);
        }
    }
}

static void all_or_nothing(void **state) {
    static const char *const ends[] = {
        ",}", ",\"to\":1e}", ",\"subject\":\"\xff\"}", ",\"subject\":\"\\ud800\"}", ",\"to\":[]}",
        "",   "}}"};
    struct cmcwh_record record;

    (void)state;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        fixture_init(&f, RING_MAX, false);
        batch_body(100, ends[i]);
        assert_true(post(&f, CMCWH_JSON, body) < 0);
        assert_empty(&f);
        assert_int_equal(f.ring.in_use, 0);
        batch_body(1, "}");
        assert_int_equal(post(&f, CMCWH_JSON, body), 1);
        record = take(&f);
        assert_int_equal(event_of(&record).seq, 1);
    }
}

static void more_than_the_ring_holds(void **state) {
    (void)state;
    fixture_init(&f, 16, false);
    batch_body(17, "}"); /* never */
    assert_int_equal(post(&f, CMCWH_JSON, body), CMCWH_ERR_EVENTS);
    assert_empty(&f);
    batch_body(16, "}");
    assert_int_equal(post(&f, CMCWH_JSON, body), 16);
    batch_body(1, "}"); /* later */
    assert_int_equal(post(&f, CMCWH_JSON, body), CMCWH_ERR_FULL);
    (void)take(&f);
    assert_int_equal(post(&f, CMCWH_JSON, body), 1);
}

static void members_of_the_request_in_any_order(void **state) {
    static const char event[] = "\"event\":{\"bounces\":[{\"to\":\"a@b\",\"status\":\"10\"}]}";
    static const char *const members[] = {"\"event_type\":\"bounces\"",
                                          "\"server_composition\":\"pro\"", event,
                                          "\"api_key\":\"secret\""};
    struct cmcwh_record first, record;
    unsigned orders = 0;

    (void)state;
    for (unsigned order = 0; order < 256; order++) {
        unsigned a = order & 3, b = order >> 2 & 3, c = order >> 4 & 3, d = order >> 6;

        if ((1u << a | 1u << b | 1u << c | 1u << d) != 15) {
            continue;
        }
        (void)sprintf(body, "{%s,%s,%s,%s}", members[a], members[b], members[c], members[d]);
        fixture_init(&f, 2, false);
        assert_int_equal(post(&f, CMCWH_JSON, body), 1);
        assert_int_equal(cmcwh_parser_api_key(&f.parser).length, 6);
        assert_memory_equal(cmcwh_parser_api_key(&f.parser).data, "secret", 6);
        record = take(&f);
        first = orders++ == 0 ? record : first;
        assert_memory_equal(&record, &first, sizeof record);
        assert_field(&record, CMCWH_SERVER_COMPOSITION, "pro");
    }
    assert_int_equal(orders, 24);
}

/* Wraps one event's members. */
static int post_event(const char *type, const char *members) {
    (void)sprintf(
        body, "{\"event_type\":\"%s\",\"server_composition\":\"pro\",\"event\":{\"%s\":[{%s}]}}",
        type, type, members);
    return post(&f, CMCWH_JSON, body);
}

static void members_of_an_event_in_any_order(void **state) {
    static const char *const members[] = {"\"reason\":\"r\\u00e9\"", "\"to\":\"t@example\"",
                                          "\"status\":\"failed\"", "\"subject\":\"\xe6\x97\xa5\"",
                                          "\"created\":\"2023-01-25 14:03:06\""};
    struct cmcwh_record first, record;

    (void)state;
    for (unsigned order = 0; order < 120; order++) {
        unsigned left[] = {0, 1, 2, 3, 4}, rest = order;
        char text[512] = "";

        for (unsigned n = 5; n > 0; n--) {
            unsigned pick = rest % n;

            rest /= n;
            (void)strcat(strcat(text, members[left[pick]]), n > 1 ? " ,\n" : "");
            memmove(left + pick, left + pick + 1, (n - pick - 1) * sizeof *left);
        }
        fixture_init(&f, 2, false);
        assert_int_equal(post_event("deliveries", text), 1);
        record = take(&f);
        first = order == 0 ? record : first;
        assert_memory_equal(&record, &first, sizeof record);
    }
    assert_field(&first, CMCWH_REASON, "r\xc3\xa9");
}

static void version_1_names(void **state) {
    struct cmcwh_record record;

    (void)state;
    fixture_init(&f, 2, false);
    assert_int_equal(
        post_event("deliveries", "\"envelopeFrom\":\"from@v1\",\"envelopeTo\":\"to@v1\""), 1);
    record = take(&f);
    assert_field(&record, CMCWH_RETURN_PATH, "from@v1");
    assert_field(&record, CMCWH_TO, "to@v1");
    assert_field(&record, CMCWH_FROM, "");
}

static void the_last_of_repeated_members_counts(void **state) {
    struct cmcwh_record record;

    (void)state;
    fixture_init(&f, 8, false);
    assert_int_equal(
        post_event("deliveries", "\"to\":\"first, and longer\",\"from\":\"x\",\"to\":\"second\""),
        1);
    record = take(&f);
    assert_field(&record, CMCWH_TO, "second");
    assert_field(&record, CMCWH_FROM, "x");
    assert_int_equal(
        post(&f, CMCWH_JSON,
             "{\"event_type\":\"x\",\"event\":{\"deliveries\":[{},{},{}],\"deliveries\":[{}]},"
             "\"event\":{\"bounces\":[{\"to\":\"a\"}],\"bounces\":[{\"to\":\"b\"}]},"
             "\"server_composition\":\"a\",\"server_composition\":\"b\","
             "\"event_type\":\"bounces\"}"),
        CMCWH_ERR_EVENT_TYPE); /* the list was named before the type changed */
    assert_int_equal(
        post(&f, CMCWH_JSON,
             "{\"event\":{\"deliveries\":[{},{},{}]},"
             "\"event\":{\"bounces\":[{\"to\":\"a\"},{}],\"bounces\":[{\"to\":\"b\"}]},"
             "\"server_composition\":\"a\",\"server_composition\":\"b\","
             "\"event_type\":\"x\",\"event_type\":\"bounces\"}"),
        1);
    record = take(&f);
    assert_field(&record, CMCWH_TO, "b");
    assert_field(&record, CMCWH_SERVER_COMPOSITION, "b");
    assert_int_equal(f.ring.in_use, 0);
}

static void values_of_other_types(void **state) {
    struct cmcwh_record record;

    (void)state;
    fixture_init(&f, 2, false);
    assert_int_equal(post_event("deliveries", "\"to\":null,\"reason\":-1.5e3,\"subject\":true,"
                                              "\"status\":false,\"from\":0"),
                     1);
    record = take(&f);
    assert_field(&record, CMCWH_TO, "");
    assert_field(&record, CMCWH_REASON, "-1.5e3");
    assert_field(&record, CMCWH_SUBJECT, "true");
    assert_field(&record, CMCWH_STATUS, "false");
    assert_field(&record, CMCWH_FROM, "0");
    assert_int_equal(event_of(&record).status, 0);
    assert_int_equal(post(&f, CMCWH_JSON,
                          "{\"event_type\":\"bounces\",\"server_composition\":null,\"api_key\":17,"
                          "\"event\":{\"bounces\":[{}]}}"),
                     1);
    record = take(&f);
    assert_field(&record, CMCWH_SERVER_COMPOSITION, "");
    assert_memory_equal(cmcwh_parser_api_key(&f.parser).data, "17", 2);
}

static void good_json_that_is_no_event(void **state) {
    static const struct {
        const char *body;
        int result;
        unsigned offset;
        const char *field;
    } cases[] = {
        {"{}", CMCWH_ERR_MISSING, 0, "event"},
        {"  {\"event_type\":\"bounces\"}", CMCWH_ERR_MISSING, 2, "event"},
        {"{\"event\":{\"bounces\":[]}}", CMCWH_ERR_MISSING, 0, "event_type"},
        {"{\"event\":{\"bounces\":[]},\"event_type\":null}", CMCWH_ERR_MISSING, 0, "event_type"},
        {"{\"event\":{\"bounces\":[]},\"event_type\":\"\"}", CMCWH_ERR_MISSING, 0, "event_type"},
        {"{\"event_type\":\"bounces\",\"event\":null}", CMCWH_ERR_MISSING, 0, "event"},
        {"{\"event_type\":\"bounces\",\"event\":{}}", CMCWH_ERR_MISSING, 32, "bounces"},
        {"{\"event_type\":\"opens\",\"event\":{\"clicks\":[{}]}}", CMCWH_ERR_MISSING, 30, "opens"},
        {"[]", CMCWH_ERR_TYPE, 0, ""},
        {"\"x\"", CMCWH_ERR_TYPE, 0, ""},
        {" 1", CMCWH_ERR_TYPE, 1, ""},
        {"null", CMCWH_ERR_TYPE, 0, ""},
        {"{\"event\":[]}", CMCWH_ERR_TYPE, 9, "event"},
        {"{\"event\":\"{}\"}", CMCWH_ERR_TYPE, 9, "event"},
        {"{\"event_type\":[]}", CMCWH_ERR_TYPE, 14, "event_type"},
        {"{\"api_key\":{}}", CMCWH_ERR_TYPE, 11, "api_key"},
        {"{\"event\":{\"bounces\":{}}}", CMCWH_ERR_TYPE, 20, "bounces"},
        {"{\"event\":{\"bounces\":\"\"}}", CMCWH_ERR_TYPE, 20, "bounces"},
        {"{\"event\":{\"bounces\":[1]}}", CMCWH_ERR_TYPE, 21, "bounces"},
        {"{\"event\":{\"bounces\":[{},null]}}", CMCWH_ERR_TYPE, 24, "bounces"},
        {"{\"event\":{\"bounces\":[[]]}}", CMCWH_ERR_TYPE, 21, "bounces"},
        {"{\"event\":{\"bounces\":[{\"to\":{}}]}}", CMCWH_ERR_TYPE, 27, "to"},
        {"{\"event\":{\"bounces\":[{\"apiData\":[1]}]}}", CMCWH_ERR_TYPE, 32, "apiData"},
        {"{\"event_type\":\"bounces\",\"event\":{\"deliveries\":[{}]}}", CMCWH_ERR_EVENT_TYPE, 33,
         "deliveries"},
        {"{\"event\":{\"deliveries\":[{}]},\"event_type\":\"bounces\"}", CMCWH_ERR_EVENT_TYPE, 10,
         "deliveries"},
        {"{\"event\":{\"deliveries\":[],\"blocks\":[]}}", CMCWH_ERR_EVENT_TYPE, 26, "blocks"},
        {"{\"event_type\":[],\"event\":", CMCWH_ERR_JSON, 25, ""}, /* not JSON: says just that */
        {"[{\"a\":01}]", CMCWH_ERR_JSON, 7, ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t length = strlen(cases[i].body);

        for (size_t step = 1; step <= length; step++) {
            const struct cmcwh_error *error;

            fixture_init(&f, 4, false);
            assert_int_equal(feed(&f, CMCWH_JSON, cases[i].body, length, step), cases[i].result);
            error = cmcwh_parser_error(&f.parser);
            assert_int_equal(error->offset, cases[i].offset);
            assert_string_equal(error->field, cases[i].field);
            assert_true(strlen(error->detail) > 0);
            assert_int_equal(cmcwh_parser_commit(&f.parser), cases[i].result);
            cmcwh_parser_abort(&f.parser);
            cmcwh_parser_abort(&f.parser);
            assert_int_equal(f.ring.in_use, 0);
        }
    }
}

static void unknown_members_are_ignored(void **state) {
    struct cmcwh_record record;

    (void)state;
    fixture_init(&f, 2, false);
    assert_int_equal(
        post(&f, CMCWH_JSON,
             "{\"x\":[{\"event\":{\"bounces\":[{\"to\":\"no\"}]}},[[],{}]],\"event_type\":"
             "\"bounces\","
             "\"event\":{\"count\":3,\"tags\":[\"a\"],\"o\":{\"bounces\":[1]},\"bounces\":"
             "[{\"z\":{\"to\":\"no\"},\"to\":\"yes\",\"n\":1e99,\"\":null}],\"more\":[[]]},"
             "\"y\":\"\\ud83d\\ude00\"}"),
        1);
    record = take(&f);
    assert_field(&record, CMCWH_TO, "yes");
    assert_field(&record, CMCWH_MEMBERS, "");
    assert_empty(&f);
}

static void names_may_have_escapes(void **state) {
    struct cmcwh_record record;

    (void)state;
    fixture_init(&f, 2, false);
    assert_int_equal(
        post(&f, CMCWH_JSON,
             "{\"event\\u005ftype\":\"bounc\\u0065s\",\"\\u0065vent\":{\"bounce\\u0073\":"
             "[{\"t\\u006f\":\"a\\/b\\\\\\\"\\t\"}]}}"),
        1);
    record = take(&f);
    assert_field(&record, CMCWH_TO, "a/b\\\"\t");
}

static void unknown_kinds_are_kept(void **state) {
    struct cmcwh_record record;

    (void)state;
    fixture_init(&f, 2, false);
    assert_int_equal(post_event("opens", "\"to\":\"a@b\",\"agent\":\"x\\ny\",\"status\":\"opened\","
                                         "\"geo\": { \"lat\" : [ 1 , null ] },\"id\":7,"
                                         "\"agent\":\"z\",\"seq\":true"),
                     1);
    record = take(&f);
    assert_int_equal(event_of(&record).kind, CMCWH_OTHER);
    assert_int_equal(event_of(&record).status, CMCWH_UNKNOWN);
    assert_field(&record, CMCWH_EVENT_TYPE, "opens");
    assert_field(&record, CMCWH_STATUS, "opened");
    assert_field(&record, CMCWH_TO, "a@b");
    assert_field(&record, CMCWH_MEMBERS,
                 "\"geo\":{\"lat\":[1,null]}\n\"id\":7\n\"agent\":\"z\"\n\"seq\":true\n");
    assert_int_equal(post_event("blocks", "\"email\":\"a@b\",\"occurred\":\"2023\",\"to\":\"c@d\""),
                     1);
    record = take(&f);
    assert_int_equal(event_of(&record).kind, CMCWH_BLOCKS);
    assert_field(&record, CMCWH_MEMBERS, "\"email\":\"a@b\"\n\"occurred\":\"2023\"\n");
    assert_field(&record, CMCWH_TO, "c@d");
}

static void members_that_do_not_fit_are_left_out_whole(void **state) {
    struct cmcwh_record record;
    char *out =
        body +
        sprintf(body, "{\"event_type\":\"blocks\",\"event\":{\"blocks\":[{\"a\":1,\"big\":[\"");

    (void)state;
    out = repeat(out, "0123456789", 200);
    (void)strcpy(out, "\"],\"reason\":\"why\",\"b\":2}]}}");
    fixture_init(&f, 2, false);
    assert_int_equal(post(&f, CMCWH_JSON, body), 1);
    record = take(&f);
    assert_field(&record, CMCWH_MEMBERS, "\"a\":1\n\"b\":2\n");
    assert_field(&record, CMCWH_REASON, "why");
    assert_true(field_cut(&record, CMCWH_MEMBERS));
    assert_false(field_cut(&record, CMCWH_REASON));
}

static void statuses(void **state) {
    static const struct {
        const char *type, *text;
        unsigned code;
    } cases[] = {{"deliveries", "queued", 1}, {"deliveries", "succeeded", 2},
                 {"deliveries", "failed", 3}, {"deliveries", "deferred", 4},
                 {"deliveries", "Queued", 0}, {"deliveries", "1", 0},
                 {"bounces", "1", 1},         {"bounces", "11", 11},
                 {"bounces", "12", 0},        {"bounces", "99", 99},
                 {"bounces", "099", 0},       {"bounces", "x", 0},
                 {"bounces", "queued", 0},    {"blocks", "1", 0},
                 {"bounces", "", 0}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct cmcwh_record record;
        char member[64];

        fixture_init(&f, 2, false);
        (void)snprintf(member, sizeof member, "\"status\":\"%s\"", cases[i].text);
        assert_int_equal(post_event(cases[i].type, member), 1);
        record = take(&f);
        assert_int_equal(event_of(&record).status, cases[i].code);
        assert_field(&record, CMCWH_STATUS, cases[i].text);
    }
}

static void empty_list(void **state) {
    (void)state;
    fixture_init(&f, 2, false);
    assert_int_equal(
        post(&f, CMCWH_JSON, "{\"event_type\":\"bounces\",\"event\":{\"bounces\":[]}}"), 0);
    assert_empty(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(payloads_field_by_field),
                                       cmocka_unit_test(payloads_in_pieces),
                                       cmocka_unit_test(batches),
                                       cmocka_unit_test(all_or_nothing),
                                       cmocka_unit_test(more_than_the_ring_holds),
                                       cmocka_unit_test(members_of_the_request_in_any_order),
                                       cmocka_unit_test(members_of_an_event_in_any_order),
                                       cmocka_unit_test(version_1_names),
                                       cmocka_unit_test(the_last_of_repeated_members_counts),
                                       cmocka_unit_test(values_of_other_types),
                                       cmocka_unit_test(good_json_that_is_no_event),
                                       cmocka_unit_test(unknown_members_are_ignored),
                                       cmocka_unit_test(names_may_have_escapes),
                                       cmocka_unit_test(unknown_kinds_are_kept),
                                       cmocka_unit_test(members_that_do_not_fit_are_left_out_whole),
                                       cmocka_unit_test(statuses),
                                       cmocka_unit_test(empty_list)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
