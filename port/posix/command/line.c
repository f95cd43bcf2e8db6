/* A line of JSON goes the way of a webhook, through the parser, and comes out as the record that it
 * was made from. */
#include "command/line.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "platform/when.h"
#include "sink/outlet.h"

/* ---- What the encoder has added ---- */

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

/* Text that is longer by its escapes than it came might not fit into a record again. */
static void unescape(char *line) {
    char *out = line;

    for (const char *at = line; *at != '\0';) {
        uint32_t code = at[0] == '\\' ? escaped(at) : 0;

        if (code != 0) {
            out += put_utf8(out, code);
            at += 6;
            continue;
        }
        if (at[0] == '\\' && at[1] != '\0') {
            *out++ = *at++;
        }
        *out++ = *at++;
    }
    *out = '\0';
}

/* ---- What it says ---- */

/* What stands first in each. */
struct envelope {
    uint64_t seq, id, received;
    struct cmcwh_text type, composition; /* with their quotes */
};

/* What else no request has, or not so. */
struct cuts {
    unsigned mask;
    struct cmcwh_text list; /* of what was cut, with the comma before it; empty: nothing was */
    struct cmcwh_text type; /* as it was sent, or what comes out as it does */
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

/* The list stands behind texts of ours alone: what an event calls so itself is called otherwise. */
static struct cuts find_cuts(const struct envelope *envelope, const char *at) {
    /* Of a type that had to give way as a whole nothing is left: nor is anything of this character,
     * the longest there is. */
    static const char nothing[] = "\"\xF4\x8F\xBF\xBF\"";
    struct cmcwh_text name, value;
    struct cuts cuts = {0, {at, 0}, envelope->type};

    for (const char *begin = at; take_string(&at, &name) && skip(&at, ":"); begin = at - 1) {
        const char *end = strchr(at, ']');

        if (is(name, "\"truncated\"") && end != NULL) {
            cuts.list.data = begin;
            cuts.list.length = (size_t)(end + 1 - begin);
            cuts.mask = mask_of(cuts.list);
            break;
        }
        if (!take_string(&at, &value) || !skip(&at, ",")) {
            break;
        }
    }
    if ((cuts.mask >> CMCWH_EVENT_TYPE & 1) != 0 &&
        (is(cuts.type, "\"other\"") || is(cuts.type, "\"\""))) {
        cuts.type = (struct cmcwh_text){nothing, sizeof nothing - 1};
    }
    return cuts;
}

/* ---- As a record again ---- */

static uint64_t at_time(void *received) {
    return *(uint64_t *)received;
}

static void feed(struct cmcwh_parser *parser, const char *text) {
    (void)cmcwh_parser_feed(parser, text, strlen(text));
}

/* What the service sent to have this line stored. */
static void feed_request(struct cmcwh_parser *parser, const struct envelope *envelope,
                         const char *members, const struct cuts *cuts) {
    const char *rest = cuts->list.data + cuts->list.length;

    feed(parser, "{\"event_type\":");
    (void)cmcwh_parser_feed(parser, cuts->type.data, cuts->type.length);
    feed(parser, ",\"server_composition\":");
    (void)cmcwh_parser_feed(parser, envelope->composition.data, envelope->composition.length);
    feed(parser, ",\"event\":{");
    (void)cmcwh_parser_feed(parser, cuts->type.data, cuts->type.length);
    feed(parser, ":[{");
    (void)cmcwh_parser_feed(parser, members, (size_t)(cuts->list.data - members));
    feed(parser, rest);
    feed(parser, "]}}");
}

/* Has it stored. False: it never was sent so. */
static bool store(struct cmcwh_parser *parser, const struct envelope *envelope, const char *members,
                  struct cmcwh_record *record) {
    struct cmcwh_ring ring;
    uint32_t link;
    uint64_t received = envelope->received;
    const struct cmcwh_port port = {.context = &received, .now = at_time};
    const struct cmcwh_ring_config config = {
        .records = record, .links = &link, .capacity = 1, .port = &port};
    const struct cuts cuts = find_cuts(envelope, members);
    struct cmcwh_record stored;
    char origin[64];
    int length = snprintf(origin, sizeof origin, "%016" PRIx64 "@%" PRIu64 "/%x", envelope->id,
                          received, cuts.mask);
    int reader;
    bool right;

    if (cmcwh_ring_init(&ring, &config, envelope->seq) < 0) {
        return false;
    }
    reader = cmcwh_ring_attach(&ring, NULL, true);
    cmcwh_parser_init(parser, &ring, CMCWH_JSON);
    cmcwh_parser_chain(parser, (struct cmcwh_text){origin, (size_t)length});
    feed_request(parser, envelope, members, &cuts);
    right = cmcwh_parser_end(parser) == 1 && cmcwh_parser_commit(parser) == 1 &&
            cmcwh_ring_read(&ring, reader, &stored) == 1;
    cmcwh_parser_abort(parser);
    *record = right ? stored : *record;
    return right;
}

bool line_read(struct cmcwh_parser *parser, char *line, struct cmcwh_record *record) {
    const char *at = line;
    struct envelope envelope;

    unescape(line);
    return take_envelope(&at, &envelope) && store(parser, &envelope, at, record);
}
