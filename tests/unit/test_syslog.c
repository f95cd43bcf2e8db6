/* Syslog messages that may not be longer than so much: what is left of an event at every length. */
#include "support.h"

#include <stdio.h>
#include <string.h>

#include "logfmt.h"

enum { MOST = 2000 };

static struct fixture f;
static char body[1 << 16];

static const enum cmcwh_encoding encodings[] = {CMCWH_ENCODE_RFC3164, CMCWH_ENCODE_RFC5424,
                                                CMCWH_ENCODE_RFC6587};

static char longest_name[256], longest_id[129];
static const struct cmcwh_syslog speakers[] = {
    {"router", "42", 2, 540, 0}, {longest_name, longest_id, 23, 0, 0}, {NULL, NULL, 2, 0, 0}};

static struct cmcwh_record stored(const char *text) {
    fixture_init(&f, 2, false);
    assert_int_equal(post(&f, CMCWH_JSON, text), 1);
    return take(&f);
}

/* The text of a message; `length` becomes its own. */
static const char *text_of_message(const char *message, size_t *length,
                                   enum cmcwh_encoding encoding) {
    const char *text = message;

    if (encoding == CMCWH_ENCODE_RFC3164) {
        text = strstr(message, ": ") + 2;
    } else {
        for (int i = 0; i < 7; i++) {
            text = strchr(text, ' ') + 1;
        }
    }
    *length -= (size_t)(text - message);
    return text;
}

/* A message of at most `max` bytes, without the length that stands before one of RFC 6587. */
static const char *limited(const struct cmcwh_record *record, enum cmcwh_encoding encoding,
                           const struct cmcwh_syslog *speaker, uint32_t max, size_t *length) {
    static char out[CMCWH_ENCODED_MAX + 1];
    struct cmcwh_syslog syslog = *speaker;
    const char *message = out;

    syslog.max = max;
    *length = cmcwh_encode(record, encoding, &syslog, out);
    assert_true(*length <= CMCWH_ENCODED_MAX);
    out[*length] = '\0';
    if (encoding == CMCWH_ENCODE_RFC6587) {
        char count[16];
        int digits = snprintf(count, sizeof count, "%zu ", strlen(strchr(out, ' ') + 1));

        assert_memory_equal(out, count, (size_t)digits);
        message += digits;
        *length -= (size_t)digits;
    }
    return message;
}

/* At each length: no longer, well-formed, and a beginning of the whole in every way. */
static void assert_every_length(const char *text) {
    struct cmcwh_record record = stored(text);
    static char whole[CMCWH_ENCODED_MAX + 1];
    size_t whole_length;

    (void)strcpy(whole, encoded(&record, CMCWH_ENCODE_LOGFMT));
    whole_length = strlen(whole) - 1; /* without the end of the line */
    for (size_t i = 0; i < sizeof encodings / sizeof *encodings; i++) {
        for (uint32_t max = CMCWH_SYSLOG_LEAST; max <= MOST; max++) {
            const char *message, *fault;
            size_t length, header;

            message = limited(&record, encodings[i], &speakers[i], max, &length);
            header = length;
            assert_true(length <= max);
            message = text_of_message(message, &length, encodings[i]);
            header -= length;
            assert_true(length == whole_length || header + whole_length > max);
            fault = logfmt_cut_fault(whole, whole_length, message, length);
            if (fault != NULL) {
                fail_msg("%s at %u bytes: %s\n%s", fault, (unsigned)max, message, whole);
            }
        }
    }
}

static const char bounce[] =
    "{\"event_type\":\"bounces\",\"server_composition\":\"pro\",\"event\":{"
    "\"bounces\":[{\"status\":\"%s\"%s}]}}";

/* Fields of a bounce, each with so many times a text. */
static void fill(char *out, size_t count, const char *text) {
    *out = '\0';
    for (unsigned field = 0; field < CMCWH_MEMBERS; field++) {
        if (field != CMCWH_STATUS) {
            out += sprintf(out, ",\"%s\":\"", cmcwh_field_name((enum cmcwh_field)field));
            out = repeat(out, text, count);
            out = repeat(out, "\"", 1);
        }
    }
}

static void texts_of_all_kinds(void **state) {
    static const char *const texts[] = {"x",
                                        "\\u0000",
                                        "a b=",
                                        "\\\"",
                                        "\xe6\x97\xa5",
                                        "\xf0\x9f\x98\x80",
                                        "\xe2\x80\xa6",
                                        "\\u009b\\u2028"};
    static char members[1 << 15];

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        fill(members, i % 2 == 0 ? 20 : 150, texts[i]);
        (void)snprintf(body, sizeof body, bounce, "7", members);
        assert_every_length(body);
    }
}

/* Of one long field and of two: they are cut, and the rest is whole. */
static void long_texts_give_way(void **state) {
    static char text[600];
    struct cmcwh_record record;
    const char *message;
    size_t length;

    (void)state;
    (void)repeat(text, "r", sizeof text - 1);
    (void)sprintf(body,
                  "{\"event_type\":\"bounces\",\"server_composition\":\"pro\",\"event\":{"
                  "\"bounces\":[{\"status\":\"2\",\"to\":\"u@example.jp\",\"reason\":\"%s\","
                  "\"subject\":\"%.300s\",\"messageId\":\"<1@example.com>\"}]}}",
                  text, text);
    assert_every_length(body);
    record = stored(body);
    message = limited(&record, CMCWH_ENCODE_RFC3164, &speakers[0], 1024, &length);
    assert_int_equal(length, 1024);
    assert_memory_equal(message,
                        "<19>Jan 25 14:03:06 cmcwh[42]: event_type=bounces status=2 "
                        "bounce=\"unknown user\" to=u@example.jp reason=rrr",
                        107);
    assert_non_null(strstr(message, " server_composition=pro cut=reason"));
    message = limited(&record, CMCWH_ENCODE_RFC3164, &speakers[0], 600, &length);
    assert_true(length >= 599 && length <= 600); /* two are as long, or nearly */
    assert_non_null(strstr(message, " server_composition=pro cut=reason,subject"));
    for (uint32_t max = CMCWH_SYSLOG_LEAST; max < 900; max++) { /* no room is left unused */
        (void)limited(&record, CMCWH_ENCODE_RFC3164, &speakers[0], max, &length);
        assert_true(length + 1 >= max);
    }
}

/* Whatever it is, and whoever speaks: what it is read for is there at the least length. */
static void what_always_comes(void **state) {
    static const char *const statuses[] = {"7", "11", "2", "99", "", "no number"};
    static char members[1200], type[256];

    (void)state;
    (void)repeat(type, "t", sizeof type - 1);
    (void)sprintf(members, ",\"to\":\"%s\",\"reason\":\"%s\",\"messageId\":\"%s\"", type, type,
                  type);
    for (size_t i = 0; i < 3 * sizeof speakers / sizeof *speakers; i++) {
        for (size_t status = 0; status <= sizeof statuses / sizeof *statuses; status++) {
            struct cmcwh_record record;
            struct logfmt reader;
            const char *message;
            size_t length;
            bool is_bounce = status < sizeof statuses / sizeof *statuses;

            if (is_bounce) {
                (void)snprintf(body, sizeof body, bounce, statuses[status], members);
            } else {
                (void)sprintf(body,
                              "{\"event_type\":\"%s\",\"event\":{\"%s\":[{\"status\":\"%.100s\","
                              "\"to\":\"%s\",\"reason\":\"%s\",\"own\":1}]}}",
                              type, type, type, type, type);
            }
            record = stored(body);
            message =
                limited(&record, encodings[i % 3], &speakers[i / 3], CMCWH_SYSLOG_LEAST, &length);
            assert_true(length <= CMCWH_SYSLOG_LEAST);
            message = text_of_message(message, &length, encodings[i % 3]);
            reader = logfmt_line(message, length);
            assert_null(logfmt_next(&reader));
            assert_true(logfmt_is(&reader, "event_type") && reader.length > 4);
            assert_null(logfmt_next(&reader));
            assert_true(logfmt_is(&reader, "status"));
            assert_null(logfmt_next(&reader));
            if (is_bounce) {
                const char *name = cmcwh_bounce_name(event_of(&record).status);

                assert_true(logfmt_is(&reader, "bounce"));
                assert_int_equal(reader.length, strlen(name));
                assert_memory_equal(reader.value, name, strlen(name));
                assert_null(logfmt_next(&reader));
            }
            assert_true(logfmt_is(&reader, "to") && reader.length > 4);
            assert_null(logfmt_next(&reader));
            assert_true(logfmt_is(&reader, "reason") && reader.length > 4);
        }
    }
}

/* An event's own members: each is whole, or it is not there. */
static void own_members(void **state) {
    static char text[900];

    (void)state;
    (void)repeat(text, "12345678", 100);
    (void)sprintf(body, "{\"event_type\":\"blocks\",\"event\":{\"blocks\":[{\"n\":%s}]}}", text);
    assert_every_length(body);
    (void)strcpy(body,
                 "{\"event_type\":\"blocks\",\"event\":{\"blocks\":[{\"a\":1,\"to\":\"x\",\"b\":22,"
                 "\"c\":[],\"reason\":\"a text of fifty bytes that is never worth cutting\","
                 "\"d\":\"four\",\"apiData\":\"a text of thirty bytes, or so\",\"e\":true}]}}");
    assert_every_length(body);
    (void)repeat(text, "\\ud83d\\ude00\\\"\\\\\\u00e9\xc3\xa9", 24);
    (void)sprintf(body,
                  "{\"event_type\":\"opens\",\"event\":{\"opens\":[{\"a b\":\"%s\",\"n\":1,"
                  "\"list\":[\"%.240s\",{\"x\":null}],\"cut\":1,\"bounce\":2,\"s\":\"\"}]}}",
                  text, text);
    assert_every_length(body);
}

/* What an event holds beside its texts is never cut, nor is the list of what its record has cut. */
static void cut_twice(void **state) {
    static char members[1 << 15];
    struct cmcwh_record record;
    const char *message;
    size_t length;

    (void)state;
    fill(members, 300, "x");
    (void)snprintf(body, sizeof body, bounce, "2", members);
    record = stored(body);
    assert_int_not_equal(event_of(&record).truncated, 0);
    message = limited(&record, CMCWH_ENCODE_RFC5424, &speakers[0], 1000, &length);
    assert_non_null(strstr(message, " truncated=reason,"));
    assert_non_null(strstr(message, " cut="));
}

/* 0 is what is usual for the kind of message, and too little is the least. */
static void usual_limits(void **state) {
    static const size_t usual[] = {1024, 1180, 8192};
    struct cmcwh_record record;
    size_t length;

    (void)state;
    char *end = body + sprintf(body, "{\"event_type\":\"bounces\",\"event\":{\"bounces\":[{"
                                     "\"to\":\"");
    end = repeat(end, "\\u0000", 900);
    (void)repeat(end, "\"}]}}", 1);
    record = stored(body);
    for (size_t i = 0; i < 3; i++) {
        char few[300];
        const char *message = limited(&record, encodings[i], &speakers[0], 0, &length);
        bool cut = strstr(message, " cut=") != NULL;

        assert_true(length <= usual[i]);
        assert_int_equal(cut, encodings[i] != CMCWH_ENCODE_RFC6587);
        assert_true(!cut || length + 6 > usual[i]);
        (void)strcpy(few,
                     limited(&record, encodings[i], &speakers[0], CMCWH_SYSLOG_LEAST, &length));
        assert_string_equal(limited(&record, encodings[i], &speakers[0], 1, &length), few);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_of_all_kinds), cmocka_unit_test(long_texts_give_way),
        cmocka_unit_test(what_always_comes),  cmocka_unit_test(own_members),
        cmocka_unit_test(cut_twice),          cmocka_unit_test(usual_limits)};

    (void)repeat(longest_name, "h", sizeof longest_name - 1);
    (void)repeat(longest_id, "p", sizeof longest_id - 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
