/* The topic of an event's message. Not here: which characters a topic may have
 * (platform/writer.c). */
#include "sink/topic.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "platform/writer.h"

/* What a name in braces stands for. */
struct meaning {
    const char *name;
    struct cmcwh_text (*of)(const struct cmcwh_event *event, char id[17]);
};

static struct cmcwh_text id_of(const struct cmcwh_event *event, char id[17]) {
    return (struct cmcwh_text){id, (size_t)snprintf(id, 17, "%016" PRIx64, event->id)};
}

static struct cmcwh_text kind_of(const struct cmcwh_event *event, char id[17]) {
    (void)id;
    return writer_view(cmcwh_count_type(cmcwh_count_of(event)));
}

static struct cmcwh_text bounce_of(const struct cmcwh_event *event, char id[17]) {
    (void)id;
    return writer_view(event->kind == CMCWH_BOUNCES ? cmcwh_bounce_name(event->status) : "");
}

/* Besides the fields of an event, by CMC's names. */
static const struct meaning meanings[] = {{"id", id_of}, {"kind", kind_of}, {"bounce", bounce_of}};

enum { MEANINGS = sizeof meanings / sizeof *meanings };

/* The number of what a name stands for: a field, or behind them a meaning. -1: nothing. */
static int find(const char *name, size_t length) {
    for (int i = 0; i < CMCWH_FIELDS + MEANINGS; i++) {
        const char *each = i < CMCWH_FIELDS ? cmcwh_field_name((enum cmcwh_field)i)
                                            : meanings[i - CMCWH_FIELDS].name;

        if (length > 0 && strlen(each) == length && memcmp(each, name, length) == 0) {
            return i;
        }
    }
    return -1;
}

static bool wrong_name(const char *name, size_t length, char fault[TOPIC_FAULT]) {
    struct writer writer = {.bytes = fault, .size = TOPIC_FAULT - 1};

    memset(fault, 0, TOPIC_FAULT);
    writer_text(&writer, "not '{");
    writer_plain_cut(&writer, (struct cmcwh_text){name, length}, 32);
    writer_text(&writer, "}' but {");
    for (int i = 0; i < CMCWH_FIELDS; i++) {
        if (i != CMCWH_MEMBERS) {
            writer_text(&writer, cmcwh_field_name((enum cmcwh_field)i));
            writer_text(&writer, "}, {");
        }
    }
    writer_text(&writer, "id}, {kind} or {bounce}");
    return false;
}

static bool wrong(const char *what, char fault[TOPIC_FAULT]) {
    (void)snprintf(fault, TOPIC_FAULT, "%s", what);
    return false;
}

bool topic_sound(const char *text) {
    char bytes[TOPIC_TEMPLATE];
    struct writer writer = {.bytes = bytes, .size = sizeof bytes};

    return writer_topic_most(&writer, writer_view(text), sizeof bytes) &&
           writer.used == strlen(text) && memcmp(bytes, text, writer.used) == 0;
}

/* Is each level sound, and are they not too many? */
static bool levels_sound(const char *template) {
    char level[TOPIC_TEMPLATE + 1];
    unsigned levels = 1;

    for (const char *at = template;; at++, levels++) {
        size_t length = strcspn(at, "/");

        (void)snprintf(level, sizeof level, "%.*s", (int)length, at);
        at += length;
        if (!topic_sound(level[0] == '$' ? level + 1 : level)) {
            return false;
        }
        if (*at == '\0') {
            return levels <= TOPIC_LEVELS;
        }
    }
}

bool topic_check(const char *template, char fault[TOPIC_FAULT]) {
    if (template[0] == '\0' || strlen(template) > TOPIC_TEMPLATE) {
        return wrong("a topic of 1 to 255 bytes, such as cmc/{event_type}/{status}", fault);
    }
    if (template[0] == '$') {
        return wrong("a topic that does not begin with '$': those are the broker's own", fault);
    }
    if (strpbrk(template, "+#") != NULL) {
        return wrong("a topic without '+' and '#': a message has one topic", fault);
    }
    if (!levels_sound(template)) {
        return wrong("a topic in UTF-8, without control characters, with 200 levels at most",
                     fault);
    }
    for (const char *at = template; *at != '\0'; at++) {
        size_t length = strcspn(at + 1, "{}");

        if (*at == '}' || (*at == '{' && at[1 + length] != '}')) {
            return wrong("a topic whose braces have a name between them, as in {status}", fault);
        }
        if (*at == '{') {
            if (find(at + 1, length) < 0) {
                return wrong_name(at + 1, length, fault);
            }
            at += length + 1;
        }
    }
    return true;
}

/* What is empty would leave an empty level. */
static void put(struct writer *writer, int number, const struct cmcwh_event *event) {
    char id[17];
    struct cmcwh_text text = number < CMCWH_FIELDS ? event->texts[number]
                                                   : meanings[number - CMCWH_FIELDS].of(event, id);

    (void)writer_topic_most(writer, text.length > 0 ? text : writer_view("_"), TOPIC_TEXT);
}

void topic_make(const char *template, const struct cmcwh_event *event, char topic[TOPIC_MOST + 1]) {
    struct writer writer = {.bytes = topic, .size = TOPIC_MOST};

    for (const char *at = template; *at != '\0'; at++) {
        size_t plain = strcspn(at, "{"), length;

        writer_bytes(&writer, at, plain);
        at += plain;
        if (*at == '\0') {
            break;
        }
        length = strcspn(at + 1, "}");
        put(&writer, find(at + 1, length), event);
        at += length + 1;
    }
    topic[writer.used] = '\0';
}
