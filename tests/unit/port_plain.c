/* Lines of JSON that are read where they stand: what is true of them is what the parser makes of
 * them, and what is not as the encoder writes it is left to that. */
#include "support.h"

#include <stdio.h>
#include <string.h>

#include "command/line.h"
#include "command/plain.h"
#include "platform/writer.h"

static const char bounce[] = "{\"seq\":7,\"id\":\"00ab00000000000f\",\"received\":\"2024-02-29T23:"
                             "59:58.067Z\",\"event_type\":\"bounces\","
                             "\"server_composition\":\"pro\",\"status\":\"99\",\"bounce\":\"other "
                             "permanent error\",\"created\":\"2023-01-25 "
                             "14:03:06\",\"messageId\":\"<1@example.com>\",\"from\":\"a@b\",\"to\":"
                             "\"\",\"returnPath\":\"r\",\"subject\":\"\xE3\x83"
                             "\xA1\xF0\x9F\x98\x80\xC3\xA9\xE2\x80\xBB.\",\"reason\":\"550 "
                             "\\\"no\\\\\\r\\n\\t\\b\\f\\\"\",\"sourceIp\":\"\","
                             "\"senderIp\":\"\",\"apiData\":\"x\"}";

static struct plain plain;
static struct cmcwh_event event;

/* What a small build does not have. */
static void need_plain(void) {
#ifdef CMCWH_NO_SHORTCUTS
    skip();
#endif
}

static bool reads(const char *line) {
    return plain_read(&plain, writer_view(line), &event);
}

static void assert_same(const struct cmcwh_event *a, const struct cmcwh_event *b) {
    assert_true(a->seq == b->seq && a->batch == b->batch && a->received == b->received &&
                a->id == b->id);
    assert_int_equal(a->batch_size, b->batch_size);
    assert_int_equal(a->kind, b->kind);
    assert_int_equal(a->status, b->status);
    assert_int_equal(a->severity, b->severity);
    assert_int_equal(a->truncated, b->truncated);
    for (unsigned i = 0; i < CMCWH_FIELDS; i++) {
        assert_int_equal(a->texts[i].length, b->texts[i].length);
        assert_memory_equal(a->texts[i].data != NULL ? a->texts[i].data : "", b->texts[i].data,
                            b->texts[i].length);
    }
}

/* If it is read here, then the parser reads the same, and the encoder writes the same. True: it is.
 */
static bool agrees(const char *line) {
    static struct cmcwh_parser parser;
    char copy[CMCWH_ENCODED_MAX];
    struct cmcwh_record record;
    struct cmcwh_event other;
    size_t length;

    if (!reads(line)) {
        return false;
    }
    (void)snprintf(copy, sizeof copy, "%s", line);
    assert_true(line_read(&parser, copy, &record));
    cmcwh_record_read(&record, &other);
    assert_same(&event, &other);
    length = cmcwh_encode(&record, CMCWH_ENCODE_JSON, NULL, copy);
    copy[length - 1] = '\0';
    assert_string_equal(copy, line);
    return true;
}

/* `line` with `to` in the place of `from`. */
static const char *with(const char *line, const char *from, const char *to) {
    static char out[4096];
    const char *at = strstr(line, from);

    assert_non_null(at);
    (void)snprintf(out, sizeof out, "%.*s%s%s", (int)(at - line), line, to, at + strlen(from));
    return out;
}

static void what_it_says(void **state) {
    (void)state;
    need_plain();
    assert_true(agrees(bounce));
    assert_true(event.received == UINT64_C(1709251198067) &&
                event.id == UINT64_C(0xAB00000000000F));
    assert_int_equal(event.status, CMCWH_BOUNCE_OTHER);
    assert_memory_equal(event.texts[CMCWH_REASON].data, "550 \"no\\\r\n\t\b\f\"", 14);
}

static void deliveries(void **state) {
    static const char *const statuses[] = {"queued", "succeeded", "failed", "deferred"};
    char line[sizeof bounce + 8], as[64];

    (void)state;
    need_plain();
    (void)snprintf(line, sizeof line, "%s", with(bounce, "\"bounces\"", "\"deliveries\""));
    assert_false(reads(line));
    for (unsigned i = 0; i < 4; i++) {
        (void)snprintf(as, sizeof as, "\"status\":\"%s\"", statuses[i]);
        assert_true(
            agrees(with(line, "\"status\":\"99\",\"bounce\":\"other permanent error\"", as)));
        assert_int_equal(event.status, i + 1);
    }
    assert_false(agrees(with(line, "\"status\":\"99\",\"bounce\":\"other permanent error\"",
                             "\"status\":\"sent\"")));
}

/* Marks of direction. */
static const char embedding[] = {'\xE2', '\x80', '\xAE', 0},
                  isolate[] = {'\xE2', '\x81', '\xA6', 0};

/* What it leaves to others, because it would not come out so, or says something more. */
static const char *const changes[][2] = {
    {"{\"seq\"", " {\"seq\""},
    {"\"x\"}", "\"x\"} "},
    {"\"x\"}", "\"x\""},
    {"\"x\"}", "\"x\\\"}"},
    {"\"x\"}", "\"x\",\"y\":1}"},
    {":7,", ":07,"},
    {":7,", ":0,"},
    {":7,", ":-7,"},
    {":7,", ":,"},
    {":7,", ":18446744073709551616,"},
    {"00f\"", "00F\""},
    {"00f\"", "0f\""},
    {"00f\"", "000f\""},
    {"02-29", "02-30"},
    {"2024", "2023"},
    {"2024", "1969"},
    {"T23", "T24"},
    {"T23", " 23"},
    {":59:", ":60:"},
    {":58.", ":60."},
    {".067Z", ".67Z"},
    {".067Z", ".067z"},
    {".067Z", ".0670Z"},
    {"bounces", "blocks"},
    {"bounces", "bounced"},
    {"\"99\"", "\"099\""},
    {"\"99\"", "\"12\""},
    {"\"99\"", "\"2\""},
    {"\"99\"", "\"\""},
    {"\"99\"", "\"9x\""},
    {"other permanent", "another"},
    {"\"to\"", "\"To\""},
    {"\"to\":\"\"", "\"to\":null"},
    {"14:03", "\x7F"},
    {"14:03", "\x1F"},
    {"14:03", "\\u000b"},
    {"14:03", "\\/"},
    {"14:03", "\\"},
    {"14:03", "\xC2\x85"},
    {"14:03", embedding},
    {"14:03", isolate},
    {"14:03", "\xE2\x80"},
    {"14:03", "\xC0\x80"},
    {"14:03", "\xE0\x9F\xBF"},
    {"14:03", "\xED\xA0\x80"},
    {"14:03", "\xF0\x8F\xBF\xBF"},
    {"14:03", "\xF4\x90\x80\x80"},
    {"14:03", "\xF5\x80\x80\x80"},
    {"14:03", "\x80"},
    {"14:03", "\xE3\x83"},
    {"14:03", "\xE3\x83\xC0"},
    {"\"apiData\":\"x\"", "\"apiData\":\"x\",\"truncated\":[\"to\"]"}};

static void others(void **state) {
    (void)state;
    need_plain();
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        const char *line = with(bounce, changes[i][0], changes[i][1]);

        if (reads(line)) {
            fail_msg("%s: read", line);
        }
    }
}

/* One that fills its record is read, also when it is escaped; one that is longer cannot be whole.
 */
static void longest(void **state) {
    static const char *const pieces[] = {"x", "\\n", "\xE3\x83\xA1"};
    static const size_t lengths[] = {1, 1, 3};

    size_t room = CMCWH_RECORD_TEXT;

    (void)state;
    need_plain();
    assert_true(reads(with(bounce, "550", "")));
    for (unsigned i = 0; i < CMCWH_FIELDS; i++) {
        room -= event.texts[i].length;
    }
    for (size_t piece = 0; piece < 3; piece++) {
        size_t read = 0;

        for (size_t count = 0; count < CMCWH_RECORD_TEXT; count++) {
            char text[3 * CMCWH_RECORD_TEXT + 1] = "", *end = text;

            for (size_t i = 0; i < count; i++) {
                end = stpcpy(end, pieces[piece]);
            }
            read += agrees(with(bounce, "550", text));
        }
        assert_int_equal(read, 1 + room / lengths[piece]);
    }
}

/* Each byte of a line as every other byte, left out, and twice. */
static void each_byte(void **state) {
    char line[2 * sizeof bounce];

    (void)state;
    need_plain();
    for (size_t at = 0; at < sizeof bounce - 1; at++) {
        for (unsigned byte = 1; byte < 256; byte++) {
            (void)snprintf(line, sizeof line, "%s", bounce);
            line[at] = (char)byte;
            (void)agrees(line);
        }
        (void)snprintf(line, sizeof line, "%.*s%s", (int)at, bounce, bounce + at + 1);
        (void)agrees(line);
        (void)snprintf(line, sizeof line, "%.*s%s", (int)at + 1, bounce, bounce + at);
        (void)agrees(line);
        (void)snprintf(line, sizeof line, "%.*s", (int)at, bounce);
        assert_false(reads(line));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(what_it_says), cmocka_unit_test(deliveries),
                                       cmocka_unit_test(others), cmocka_unit_test(longest),
                                       cmocka_unit_test(each_byte)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
