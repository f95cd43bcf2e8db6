#include "library.h"

#include <json-c/json.h>

static void take_events(struct json_object *root, struct taken *taken) {
    struct json_object *type = NULL, *event = NULL, *events = NULL, *value = NULL;

    if (!json_object_object_get_ex(root, "event_type", &type) ||
        !json_object_object_get_ex(root, "event", &event) ||
        !json_object_object_get_ex(event, json_object_get_string(type), &events)) {
        return;
    }
    for (size_t k = 0; k < json_object_array_length(events); k++) {
        const struct json_object *one = json_object_array_get_idx(events, k);

        begin_record(taken);
        for (size_t i = 0; i < FIELDS; i++) {
            if (json_object_object_get_ex(one, fields[i], &value)) {
                put_field(taken, json_object_get_string(value),
                          (size_t)json_object_get_string_len(value));
            }
        }
    }
}

static void take(const struct body *body, struct taken *taken) {
    static struct json_tokener *tokener;
    struct json_object *root;

    if (tokener == NULL) {
        tokener = json_tokener_new();
        json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
    }
    json_tokener_reset(tokener);
    root = json_tokener_parse_ex(tokener, body->bytes, (int)body->length);
    take_events(root, taken);
    json_object_put(root);
}

const struct library libraries[] = {{"json-c", take}, {NULL, NULL}};
