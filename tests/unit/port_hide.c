/* Mail addresses hidden. */
#include "support.h"

#include <stdio.h>
#include <string.h>

#include "admin/hide.h"

static struct fixture fixture;

/* What a line of JSON says of an event whose reason is this, as JSON. */
static const char *hidden(const char *event_type, const char *members) {
    static char line[CMCWH_ENCODED_MAX + 1];
    static char body[2048];
    struct cmcwh_record record;
    size_t length;

    fixture_init(&fixture, 4, false);
    (void)snprintf(
        body, sizeof body,
        "{\"event_type\":\"%s\",\"server_composition\":\"pro\",\"event\":{\"%s\":[{%s}]}}",
        event_type, event_type, members);
    assert_int_equal(post(&fixture, CMCWH_JSON, body), 1);
    record = take(&fixture);
    hide_addresses(&record);
    length = cmcwh_encode(&record, CMCWH_ENCODE_JSON, NULL, line);
    line[length] = '\0';
    return line;
}

static void reason_becomes(const char *reason, const char *wanted) {
    char members[512];
    const char *line;

    (void)snprintf(members, sizeof members, "\"status\":\"2\",\"reason\":\"%s\"", reason);
    line = hidden("bounces", members);
    (void)snprintf(members, sizeof members, "\"reason\":\"%s\"", wanted);
    if (strstr(line, members) == NULL) {
        fail_msg("%s is not in %s", members, line);
    }
}

static void addresses(void **state) {
    const char *line =
        hidden("bounces", "\"to\":\"taro@example.jp\",\"from\":\"a.b+c@example.com\","
                          "\"returnPath\":\"\",\"subject\":\"no address\","
                          "\"messageId\":\"<1.2@example.com>\"");

    (void)state;
    assert_non_null(strstr(line, "\"to\":\"****@example.jp\""));
    assert_non_null(strstr(line, "\"from\":\"*****@example.com\""));
    assert_non_null(strstr(line, "\"subject\":\"no address\""));
    assert_non_null(strstr(line, "\"messageId\":\"<***@example.com>\""));
}

static void in_texts(void **state) {
    (void)state;
    reason_becomes("550 5.1.1 <taro@example.jp>: unknown", "550 5.1.1 <****@example.jp>: unknown");
    reason_becomes("taro@a.jp,hana@b.jp", "****@a.jp,****@b.jp");
    reason_becomes("to:taro@a.jp@b.jp", "to:*********@b.jp");
    reason_becomes("to \\\"a \\\\\\\" b\\\"@example.jp", "to \\\"*******@example.jp");
    reason_becomes("\\\"@", "\\\"@");
    reason_becomes("@", "@");
    reason_becomes("", "");
    reason_becomes("\xE5\xA4\xAA\xE9\x83\x8E@example.jp", "******@example.jp");
    reason_becomes("a\\nb@c", "a\\n*@c");
}

/* Of kinds that are not known nothing is known of their texts either. */
static void own_members(void **state) {
    const char *line = hidden("blocks", "\"address\":\"taro\\u0040example.jp\",\"n\":1,"
                                        "\"list\":[ \"a\\\"b\",\n{\"deep\":\n\"x\"}],\"e\":\"\"");

    (void)state;
    if (strstr(line, "\"address\":\"********************\"") == NULL ||
        strstr(line, "\"n\":1") == NULL || strstr(line, "\"e\":\"\"") == NULL ||
        strstr(line, "\"****\"") == NULL || strstr(line, "deep") != NULL ||
        strstr(line, "\"x\"") != NULL) {
        fail_msg("%s", line);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses),
        cmocka_unit_test(in_texts),
        cmocka_unit_test(own_members),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
