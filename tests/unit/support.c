#include "support.h"

#include <stdio.h>
#include <string.h>

static struct cmcwh_record records[RING_MAX];
static uint32_t links[RING_MAX];

static uint64_t now(void *context) {
    return ((struct fixture *)context)->now;
}

void fixture_init(struct fixture *fixture, uint32_t capacity, bool confirm) {
    struct cmcwh_ring_config config = {
        .records = records, .links = links, .capacity = capacity, .confirm = confirm};

    memset(fixture, 0, sizeof *fixture);
    memset(records, 0xA5, sizeof records); /* what was there before must not matter */
    fixture->now = 1674622986120;
    fixture->port.context = fixture;
    fixture->port.now = now;
    config.port = &fixture->port;
    assert_int_equal(cmcwh_ring_init(&fixture->ring, &config, 1), CMCWH_OK);
    fixture->reader = cmcwh_ring_attach(&fixture->ring, NULL, true);
    assert_true(fixture->reader >= 0);
}

int feed(struct fixture *fixture, enum cmcwh_format format, const char *body, size_t length,
         size_t step) {
    cmcwh_parser_init(&fixture->parser, &fixture->ring, format);
    for (size_t at = 0; at < length; at += step) {
        size_t piece = length - at < step ? length - at : step;

        if (cmcwh_parser_feed(&fixture->parser, body + at, piece) < 0) {
            break;
        }
    }
    return cmcwh_parser_end(&fixture->parser);
}

int post(struct fixture *fixture, enum cmcwh_format format, const char *body) {
    int result = feed(fixture, format, body, strlen(body), strlen(body) + 1);

    if (result >= 0) {
        result = cmcwh_parser_commit(&fixture->parser);
    }
    if (result < 0) {
        cmcwh_parser_abort(&fixture->parser);
    }
    return result;
}

struct cmcwh_record take(struct fixture *fixture) {
    struct cmcwh_record record;

    assert_int_equal(cmcwh_ring_read(&fixture->ring, fixture->reader, &record), 1);
    assert_int_equal(cmcwh_record_check(&record), CMCWH_OK);
    assert_int_equal(cmcwh_ring_acknowledge(&fixture->ring, fixture->reader), CMCWH_OK);
    return record;
}

void assert_empty(struct fixture *fixture) {
    struct cmcwh_record record;

    assert_int_equal(cmcwh_ring_read(&fixture->ring, fixture->reader, &record), 0);
}

struct cmcwh_event event_of(const struct cmcwh_record *record) {
    struct cmcwh_event event;

    cmcwh_record_read(record, &event);
    return event;
}

struct cmcwh_text field_text(const struct cmcwh_record *record, enum cmcwh_field field) {
    return event_of(record).texts[field];
}

bool field_cut(const struct cmcwh_record *record, enum cmcwh_field field) {
    return (event_of(record).truncated >> field & 1) != 0;
}

void assert_field(const struct cmcwh_record *record, enum cmcwh_field field, const char *text) {
    struct cmcwh_text got = field_text(record, field);

    assert_int_equal(got.length, strlen(text));
    assert_memory_equal(got.data, text, got.length);
}

bool same_event(const struct cmcwh_record *a, const struct cmcwh_record *b) {
    struct cmcwh_event one = event_of(a), other = event_of(b);
    bool same = one.id == other.id && one.kind == other.kind && one.status == other.status;

    for (int field = 0; same && field < CMCWH_FIELDS; field++) {
        same = one.texts[field].length == other.texts[field].length &&
               memcmp(one.texts[field].data, other.texts[field].data, one.texts[field].length) == 0;
    }
    return same;
}

const char *encoded(const struct cmcwh_record *record, enum cmcwh_encoding encoding) {
    static const struct cmcwh_syslog syslog = {"router", "42", 2, 9 * 60, 0};
    static char text[CMCWH_ENCODED_MAX + 1];
    size_t length = cmcwh_encode(record, encoding, &syslog, text);

    assert_true(length <= CMCWH_ENCODED_MAX);
    text[length] = '\0';
    return text;
}

/* In quotes, as JSON. */
static char *put_json(char *out, struct cmcwh_text text) {
    *out++ = '"';
    for (size_t i = 0; i < text.length; i++) {
        unsigned char c = (unsigned char)text.data[i];

        if (c < 0x20 || c == '"' || c == '\\') {
            out += sprintf(out, "\\u%04x", (unsigned)c);
        } else {
            *out++ = (char)c;
        }
    }
    *out++ = '"';
    *out = '\0';
    return out;
}

/* Percent-encoded, but for what need not be. */
static char *put_form(char *out, const char *text) {
    for (; *text != '\0'; text++) {
        bool plain = strchr("-._~", *text) != NULL || (*text >= '0' && *text <= '9') ||
                     (*text >= 'A' && *text <= 'Z') || (*text >= 'a' && *text <= 'z');

        out += plain          ? sprintf(out, "%c", *text)
               : *text == ' ' ? sprintf(out, "+")
                              : sprintf(out, "%%%02X", (unsigned)(unsigned char)*text);
    }
    return out;
}

/* The object `event`. */
static char *put_events(char *out, const struct cmcwh_record *all, size_t count,
                        struct cmcwh_text type) {
    out = put_json(out + sprintf(out, "{"), type);
    out += sprintf(out, ":[");
    for (size_t i = 0; i < count; i++) {
        out += sprintf(out, "%s%s", i == 0 ? "" : ",", encoded(&all[i], CMCWH_ENCODE_CMC));
    }
    return out + sprintf(out, "]}");
}

const char *posted(const struct cmcwh_record *all, size_t count, enum cmcwh_format format) {
    static char body[1 << 21], part[1 << 19];
    struct cmcwh_event event = event_of(all);
    struct cmcwh_text type = cmcwh_event_type(&event),
                      plain = event.texts[CMCWH_SERVER_COMPOSITION];
    char *out = body;

    assert_true(count * CMCWH_ENCODED_MAX < sizeof part); /* and three times as much in `body` */
    if (format == CMCWH_JSON) {
        out = put_json(out + sprintf(out, "{\"server_composition\":"), plain);
        out = put_json(out + sprintf(out, ",\"event_type\":"), type);
        out = put_events(out + sprintf(out, ",\"event\":"), all, count, type);
        (void)sprintf(out, "}");
        return body;
    }
    (void)snprintf(part, sizeof part, "%.*s", (int)plain.length, plain.data);
    out = put_form(out + sprintf(out, "server_composition="), part);
    (void)snprintf(part, sizeof part, "%.*s", (int)type.length, type.data);
    out = put_form(out + sprintf(out, "&event_type="), part);
    (void)put_events(part, all, count, type);
    *put_form(out + sprintf(out, "&event="), part) = '\0';
    return body;
}

const char *payload(const char *name, size_t *length) {
    static char text[65536];
    char path[256];
    FILE *file;

    (void)snprintf(path, sizeof path, "tests/payloads/%s", name);
    file = fopen(path, "rb");
    if (file == NULL) {
        fail_msg("%s cannot be read: run the tests from the project's top level", path);
        return NULL;
    }
    *length = fread(text, 1, sizeof text - 1, file);
    text[*length] = '\0';
    (void)fclose(file);
    return text;
}

char *repeat(char *out, const char *text, size_t count) {
    size_t length = strlen(text);

    for (; count > 0; count--) {
        memcpy(out, text, length);
        out += length;
    }
    *out = '\0';
    return out;
}

uint64_t next_random(uint64_t *random) {
    *random ^= *random >> 12;
    *random ^= *random << 25;
    *random ^= *random >> 27;
    return *random * UINT64_C(0x2545F4914F6CDD1D);
}

uint32_t below(uint64_t *random, uint32_t limit) {
    return (uint32_t)((next_random(random) >> 32) % limit);
}
