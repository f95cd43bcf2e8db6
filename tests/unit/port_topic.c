/* Topics of MQTT messages: what a template may say, and what an event can do to it. */
#include "support.h"

#include <string.h>

#include "sink/topic.h"

static char fault[TOPIC_FAULT], topic[TOPIC_MOST + 1];

static void right(const char *template) {
    assert_true(topic_check(template, fault));
}

static void wrong(const char *template, const char *why) {
    assert_false(topic_check(template, fault));
    assert_non_null(strstr(fault, why));
}

static void templates(void **state) {
    char longest[TOPIC_TEMPLATE + 2];

    (void)state;
    right("a");
    right("/");
    right("cmc/{event_type}/{status}");
    right(
        "{to}{from}{messageId}{subject}{reason}{sourceIp}{senderIp}{returnPath}{created}{apiData}");
    right("{server_composition}/{kind}/{bounce}/{id}/$x");
    wrong("", "a topic of 1 to 255 bytes");
    wrong("$SYS/x", "does not begin with '$'");
    wrong("a/+/b", "without '+' and '#'");
    wrong("a/#", "without '+' and '#'");
    wrong("a/{to", "braces have a name");
    wrong("a/to}", "braces have a name");
    wrong("{{to}}", "braces have a name");
    wrong("a/{}", "not '{}' but {reason}, ");
    wrong("a/{TO}", "not '{TO}' but ");
    wrong("a/{to }", "{server_composition}, {id}, {kind} or {bounce}");
    wrong("a/b\nc", "without control characters");
    wrong("a/\xFF/c", "a topic in UTF-8");
    right("\xE3\x81\x82/\xE3\x81\x84");
    memset(longest, '/', sizeof longest);
    longest[TOPIC_LEVELS] = '\0';
    wrong(longest, "200 levels at most");
    longest[TOPIC_LEVELS - 1] = '\0';
    right(longest);
    memset(longest, 'x', sizeof longest);
    longest[TOPIC_TEMPLATE + 1] = '\0';
    wrong(longest, "1 to 255 bytes");
    longest[TOPIC_TEMPLATE] = '\0';
    right(longest);
}

static void assert_topic(const char *template, const struct cmcwh_event *event,
                         const char *expected) {
    right(template);
    topic_make(template, event, topic);
    assert_string_equal(topic, expected);
}

static void set(struct cmcwh_event *event, enum cmcwh_field field, const char *text) {
    event->texts[field] = (struct cmcwh_text){text, strlen(text)};
}

static void of_events(void **state) {
    struct cmcwh_event event = {
        .id = 0x0123456789ABCDEF, .kind = CMCWH_BOUNCES, .status = CMCWH_BOUNCE_UNKNOWN_USER};

    (void)state;
    set(&event, CMCWH_EVENT_TYPE, "bounces");
    set(&event, CMCWH_STATUS, "2");
    set(&event, CMCWH_TO, "user@example.jp");
    assert_topic("cmc/{event_type}/{status}", &event, "cmc/bounces/2");
    assert_topic("{to}", &event, "user@example.jp");
    assert_topic("x{id}/{kind}/{bounce}y", &event, "x0123456789abcdef/bounces/unknown usery");
    event = (struct cmcwh_event){.kind = CMCWH_OTHER};
    assert_topic("{kind}/{bounce}/{status}/{apiData}", &event, "other/_/_/_");
}

/* Neither levels, nor wildcards, nor a broker's own topics. */
static void of_hostile_events(void **state) {
    struct cmcwh_event event = {.kind = CMCWH_OTHER};

    (void)state;
    set(&event, CMCWH_STATUS, "../#");
    set(&event, CMCWH_TO, "$SYS/broker");
    set(&event, CMCWH_SUBJECT, "{to}");
    assert_topic("cmc/{status}/x", &event, "cmc/..__/x");
    assert_topic("{to}", &event, "_SYS_broker");
    assert_topic("{subject}", &event, "{to}"); /* what was taken from an event stands for itself */
}

/* A topic fits, whatever the template and the texts. */
static void longest(void **state) {
    static char text[1024];
    char template[TOPIC_TEMPLATE + 1] = "";
    struct cmcwh_event event = {.kind = CMCWH_OTHER};

    (void)state;
    memset(text, 'a', sizeof text - 1);
    set(&event, CMCWH_TO, text);
    for (size_t i = 0; i < TOPIC_TEMPLATE / 4; i++) {
        (void)strcat(template, "{to}");
    }
    (void)strcat(template, "xyz");
    assert_int_equal(strlen(template), TOPIC_TEMPLATE);
    right(template);
    topic_make(template, &event, topic);
    assert_int_equal(strlen(topic), TOPIC_MOST);
    assert_string_equal(topic + TOPIC_MOST - 4, "axyz");
    /* Cut at a character. */
    for (size_t i = 0; i + 1 < sizeof text; i++) {
        text[i] = "\xE3\x81\x82"[i % 3];
    }
    topic_make("{to}|", &event, topic);
    assert_int_equal(strlen(topic), TOPIC_TEXT / 3 * 3 + 1);
    assert_string_equal(topic + TOPIC_TEXT / 3 * 3, "|");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(templates), cmocka_unit_test(of_events),
                                       cmocka_unit_test(of_hostile_events),
                                       cmocka_unit_test(longest)};

    return cmocka_run_group_tests_name("topics of messages", tests, NULL, NULL);
}
