/* A line of JSON goes the way of a webhook, through the parser, and comes out as the record that it
 * was made from. */
#include "command/line.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "platform/when.h"
#include "sink/outlet.h"

/* ---- What the encoder has added to own members ---- */

static size_t put_utf8(char *out, uint32_t code) {
    size_t length = code < 0x80 ? 1 : code < 0x800 ? 2 : 3;

    out[0] = (char)(length == 1 ? code : length == 2 ? 0xC0 | code >> 6 : 0xE0 | code >> 12);
    out[length - 1] = (char)(length == 1 ? code : 0x80 | (code & 0x3F));
    if (length == 3) {
        out[1] = (char)(0x80 | (code >> 6 & 0x3F));
    }
    return length;
}

/* What an escape stands for, if only an encoder of ours makes one of it. */
static uint32_t escaped(const char *at) {
    char digits[5] = "";
    uint32_t code;

    if (at[1] != 'u' || strspn(at + 2, "0123456789abcdef") < 4) {
        return 0;
    }
    memcpy(digits, at + 2, 4);
    code = (uint32_t)strtoul(digits, NULL, 16);
    return (code >= 0x7F && code < 0xA0) || code == 0x200E || code == 0x200F ||
                   (code >= 0x2028 && code <= 0x202E) || (code >= 0x2066 && code <= 0x2069)
               ? code
               : 0;
}

static bool is_name(const char *name, size_t length, const char *known,
                    int (*compare)(const char *a, const char *b, size_t length)) {
    return strlen(known) == length && compare(name, known, length) == 0;
}

/* A name of a member that got a prefix because it is one of ours: how long the prefix is. Not of
 * one that would be taken for ours without. */
static size_t prefix_of(const char *name) {
    static const char prefix[] = "event_";
    static const char *const others[] = {"seq", "id", "received", "bounce", "truncated", "cut"};
    const char *rest = name + sizeof prefix - 1;
    size_t length;
    bool ours = false;

    if (strncmp(name, prefix, sizeof prefix - 1) != 0) {
        return 0;
    }
    length = strcspn(rest, "\"");
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        ours = ours || is_name(rest, length, others[i], strncasecmp);
    }
    for (unsigned field = 0; field < CMCWH_FIELDS; field++) {
        const char *known = cmcwh_field_name((enum cmcwh_field)field);

        if (field < CMCWH_MEMBERS && is_name(rest, length, known, strncmp)) {
            return 0;
        }
        ours = ours || (field != CMCWH_MEMBERS && is_name(rest, length, known, strncasecmp));
    }
    return ours ? sizeof prefix - 1 : 0;
}

/* Where in a line a byte stands. */
struct position {
    unsigned depth;
    bool string, name; /* within a string; the next one is a name */
};

static void pass(struct position *position, char c) {
    position->string = (c == '"') != position->string;
    if (!position->string) {
        position->depth += c == '{' || c == '[';
        position->depth -= c == '}' || c == ']';
        position->name = c == '{' || c == ',';
    }
}

/* Takes away what has made an event's own members longer than they came, so that they might not fit
 * into a record again. */
static void shorten(char *members) {
    struct position position = {1, false, false};
    char *out = members;

    for (const char *at = members; *at != '\0';) {
        uint32_t code = at[0] == '\\' ? escaped(at) : 0;
        bool name = position.name && position.depth == 1 && !position.string && at[0] == '"';

        if (code != 0) {
            out += put_utf8(out, code);
            at += 6;
            continue;
        }
        if (at[0] == '\\' && at[1] != '\0') {
            *out++ = *at++;
        } else {
            pass(&position, at[0]);
        }
        *out++ = *at++;
        at += name ? prefix_of(at) : 0;
    }
    *out = '\0';
}

/* ---- What it says ---- */

/* What stands first in each. */
struct envelope {
    uint64_t seq, id, received;
    struct cmcwh_text type, composition; /* with their quotes */
};

/* What stands behind that: texts of ours, perhaps a list of those that were cut, which no request
 * has, and the event's own members. */
struct members {
    struct cmcwh_text texts;
    unsigned cut;
    char *own; /* with the comma before it, and the brace behind */
};

static bool skip(const char **at, const char *word) {
    bool same = strncmp(*at, word, strlen(word)) == 0;

    *at += same ? strlen(word) : 0;
    return same;
}

static bool take_number(const char **at, int base, uint64_t *number) {
    char *end;

    *number = strtoull(*at, &end, base);
    if (end == *at || (*at)[0] == '-' || (*at)[0] == '+') {
        return false;
    }
    *at = end;
    return true;
}

/* A string, which the parser will look at. */
static bool take_string(const char **at, struct cmcwh_text *text) {
    const char *end = *at + 1;

    if (**at != '"') {
        return false;
    }
    while (*end != '\0' && *end != '"') {
        end += *end == '\\' && end[1] != '\0' ? 2 : 1;
    }
    text->data = *at;
    text->length = (size_t)(end - *at) + 1;
    *at = end + 1;
    return *end == '"';
}

static bool take_time(const char **at, uint64_t *time) {
    struct cmcwh_text text;
    char copy[WHEN_SIZE] = "";

    if (!take_string(at, &text) || text.length - 2 >= sizeof copy) {
        return false;
    }
    memcpy(copy, text.data + 1, text.length - 2);
    return when_read(copy, 0, time);
}

static bool take_envelope(const char **at, struct envelope *envelope) {
    return skip(at, outlet_begins(CMCWH_ENCODE_JSON)) && take_number(at, 10, &envelope->seq) &&
           skip(at, ",\"id\":\"") && take_number(at, 16, &envelope->id) &&
           skip(at, "\",\"received\":") && take_time(at, &envelope->received) &&
           skip(at, ",\"event_type\":") && take_string(at, &envelope->type) &&
           skip(at, ",\"server_composition\":") && take_string(at, &envelope->composition) &&
           skip(at, ",");
}

/* The names in a list. */
static unsigned mask_of(struct cmcwh_text list) {
    unsigned mask = 0;

    for (unsigned i = 0; i < CMCWH_FIELDS; i++) {
        const char *name = i == CMCWH_MEMBERS ? "members" : cmcwh_field_name((enum cmcwh_field)i);
        size_t length = strlen(name);

        for (size_t at = 0; at + length + 2 <= list.length; at++) {
            const char *quoted = list.data + at;

            if (quoted[0] == '"' && memcmp(quoted + 1, name, length) == 0 &&
                quoted[length + 1] == '"') {
                mask |= 1U << i;
            }
        }
    }
    return mask;
}

static bool is(struct cmcwh_text text, const char *word) {
    return text.length == strlen(word) && memcmp(text.data, word, text.length) == 0;
}

/* The list is ours, wherever it stands: what an event calls so itself has got a prefix. */
static struct members split(char *line) {
    struct members members = {{line, 0}, 0, line};
    const char *at = line, *end;
    struct cmcwh_text name, value;
    bool last = false;

    while (take_string(&at, &name) && skip(&at, ":")) {
        if (is(name, "\"truncated\"") && (end = strchr(at, ']')) != NULL) {
            members.cut = mask_of((struct cmcwh_text){at, (size_t)(end - at)});
            members.own = line + (end + 1 - line);
            break;
        }
        if (last || !take_string(&at, &value)) {
            break;
        }
        last = is(name, "\"apiData\"");
        members.texts.length = (size_t)(at - line);
        members.own = line + (at - line);
        if (!skip(&at, ",")) {
            break;
        }
    }
    return members;
}

/* Nothing is left of a type that had to give way as a whole. */
static bool is_gone(const struct envelope *envelope, const struct members *members) {
    return (members->cut >> CMCWH_EVENT_TYPE & 1) != 0 &&
           (is(envelope->type, "\"other\"") || is(envelope->type, "\"\""));
}

/* ---- As a record again ---- */

static uint64_t at_time(void *received) {
    return *(uint64_t *)received;
}

static void feed(struct cmcwh_parser *parser, const char *text) {
    (void)cmcwh_parser_feed(parser, text, strlen(text));
}

static void feed_text(struct cmcwh_parser *parser, struct cmcwh_text text) {
    (void)cmcwh_parser_feed(parser, text.data, text.length);
}

/* What the service sent to have this line stored. */
static void feed_request(struct cmcwh_parser *parser, const struct envelope *envelope,
                         const struct members *members) {
    feed(parser, "{\"event_type\":");
    feed_text(parser, envelope->type);
    feed(parser, ",\"server_composition\":");
    feed_text(parser, envelope->composition);
    feed(parser, ",\"event\":{");
    feed_text(parser, envelope->type);
    feed(parser, ":[{");
    feed_text(parser, members->texts);
    feed(parser, members->own);
    feed(parser, "]}}");
}

/* Has it stored. False: it never was sent so. */
static bool store(struct cmcwh_parser *parser, const struct envelope *envelope,
                  const struct members *members, struct cmcwh_record *record) {
    struct cmcwh_ring ring;
    uint32_t link;
    uint64_t received = envelope->received;
    const struct cmcwh_port port = {.context = &received, .now = at_time};
    const struct cmcwh_ring_config config = {
        .records = record, .links = &link, .capacity = 1, .port = &port};
    struct cmcwh_record stored;
    char origin[64];
    int length = snprintf(origin, sizeof origin, "%016" PRIx64 "@%" PRIu64 "/%x", envelope->id,
                          received, members->cut);
    int reader;
    bool right;

    if (cmcwh_ring_init(&ring, &config, envelope->seq) < 0) {
        return false;
    }
    reader = cmcwh_ring_attach(&ring, NULL, true);
    cmcwh_parser_init(parser, &ring, CMCWH_JSON);
    cmcwh_parser_chain(parser, (struct cmcwh_text){origin, (size_t)length});
    feed_request(parser, envelope, members);
    right = cmcwh_parser_end(parser) == 1 && cmcwh_parser_commit(parser) == 1 &&
            cmcwh_ring_read(&ring, reader, &stored) == 1;
    cmcwh_parser_abort(parser);
    *record = right ? stored : *record;
    return right;
}

/* The longest character there is leaves nothing where there is no room for another type; else it is
 * the word for those without one. */
static bool store_typeless(struct cmcwh_parser *parser, struct envelope *envelope,
                           const struct members *members, struct cmcwh_record *record) {
    static const char longest[] = "\"\xF4\x8F\xBF\xBF\"", other[] = "\"other\"";
    struct cmcwh_event event;

    envelope->type = (struct cmcwh_text){longest, sizeof longest - 1};
    if (!store(parser, envelope, members, record)) {
        return false;
    }
    cmcwh_record_read(record, &event);
    envelope->type = (struct cmcwh_text){other, sizeof other - 1};
    return event.texts[CMCWH_EVENT_TYPE].length == 0 || store(parser, envelope, members, record);
}

bool line_read(struct cmcwh_parser *parser, char *line, struct cmcwh_record *record) {
    const char *at = line;
    struct envelope envelope;
    struct members members;

    if (!take_envelope(&at, &envelope)) {
        return false;
    }
    members = split(line + (at - line));
    shorten(members.own);
    return is_gone(&envelope, &members) ? store_typeless(parser, &envelope, &members, record)
                                        : store(parser, &envelope, &members, record);
}
