#include "library.h"

#include <jansson.h>

static void take(const struct body *body, struct taken *taken) {
    json_t *root = json_loadb(body->bytes, body->length, 0, NULL);
    const char *type = json_string_value(json_object_get(root, "event_type"));
    const json_t *events = json_object_get(json_object_get(root, "event"), type);

    for (size_t k = 0; k < json_array_size(events); k++) {
        const json_t *one = json_array_get(events, k);

        begin_record(taken);
        for (size_t i = 0; i < FIELDS; i++) {
            const json_t *value = json_object_get(one, fields[i]);

            put_field(taken, json_string_value(value), json_string_length(value));
        }
    }
    json_decref(root);
}

const struct library libraries[] = {{"jansson", take}, {NULL, NULL}};
