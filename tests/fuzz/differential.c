/* Our JSON against jansson's, which is strict: the same is accepted and refused, and the fields of
 * what both accept have the same text. The input is taken as a body, and as a value in one. */
#include "fuzz.h"

#include <jansson.h>

enum { BODY_MAX = 1 << 16 };

static struct cmcwh_parser parser;

/* NULL: refused; `unsure` when that says nothing: jansson has its own limits. */
static json_t *read_theirs(const char *body, size_t length, bool *unsure) {
    json_error_t error;
    json_t *json = json_loadb(body, length, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    enum json_error_code code = json == NULL ? json_error_code(&error) : json_error_unknown;

    *unsure =
        json == NULL && (code == json_error_numeric_overflow || code == json_error_stack_overflow ||
                         code == json_error_null_byte_in_key);
    return json;
}

static int read_ours(struct cmcwh_ring *ring, const char *body, size_t length) {
    int result;

    cmcwh_parser_init(&parser, ring, CMCWH_JSON);
    (void)cmcwh_parser_feed(&parser, body, length);
    result = cmcwh_parser_end(&parser);
    return result < 0 ? result : cmcwh_parser_commit(&parser);
}

/* A field that came as a string under its own name only is stored as it is, or cut. */
static void compare_field(const struct cmcwh_event *event, enum cmcwh_field field,
                          const json_t *theirs) {
    const json_t *value = json_object_get(theirs, cmcwh_field_name(field));
    struct cmcwh_text ours = event->texts[field];

    if ((field == CMCWH_TO && json_object_get(theirs, "envelopeTo") != NULL) ||
        (field == CMCWH_RETURN_PATH && json_object_get(theirs, "envelopeFrom") != NULL) ||
        !json_is_string(value)) {
        return;
    }
    if (event->truncated >> field & 1) {
        MUST(ours.length <= json_string_length(value));
    } else {
        MUST(ours.length == json_string_length(value));
    }
    MUST(memcmp(ours.data, json_string_value(value), ours.length) == 0);
}

static void compare_events(struct cmcwh_ring *ring, const json_t *root, int count) {
    const char *type = json_string_value(json_object_get(root, "event_type"));
    const json_t *events = json_object_get(json_object_get(root, "event"), type);
    struct cmcwh_record record;
    struct cmcwh_event event;

    MUST(json_is_array(events) && (int)json_array_size(events) == count);
    for (size_t i = 0; i < json_array_size(events); i++) {
        MUST(cmcwh_ring_read(ring, 0, &record) == 1);
        cmcwh_record_read(&record, &event);
        for (int field = 0; field < CMCWH_MEMBERS; field++) {
            compare_field(&event, (enum cmcwh_field)field, json_array_get(events, i));
        }
    }
}

static void compare(const char *body, size_t length) {
    struct cmcwh_ring *ring = fuzz_ring();
    bool unsure = false;
    json_t *theirs = read_theirs(body, length, &unsure);
    int ours = read_ours(ring, body, length);

    if (memchr(body, 0, length) != NULL) {
        MUST(ours < 0); /* jansson skips some zero bytes */
    } else if (ours >= 0) {
        MUST(theirs != NULL || unsure);
        if (theirs != NULL) {
            compare_events(ring, theirs, ours);
        }
    } else if (ours == CMCWH_ERR_JSON) {
        MUST(theirs == NULL);
    }
    cmcwh_parser_abort(&parser);
    json_decref(theirs);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    static const char before[] = "{\"x\":",
                      between[] = ",\"event_type\":\"bounces\",\"event\":{"
                                  "\"bounces\":[{\"reason\":",
                      after[] = "}]}}";
    static char body[BODY_MAX];
    char *out = body;

    compare((const char *)bytes, length);
    if (2 * length + sizeof before + sizeof between + sizeof after < sizeof body) {
        memcpy(out, before, sizeof before - 1);
        out += sizeof before - 1;
        memcpy(out, bytes, length);
        out += length;
        memcpy(out, between, sizeof between - 1);
        out += sizeof between - 1;
        memcpy(out, bytes, length);
        out += length;
        memcpy(out, after, sizeof after - 1);
        compare(body, (size_t)(out - body) + sizeof after - 1);
    }
    return 0;
}
