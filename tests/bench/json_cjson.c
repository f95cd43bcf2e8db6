#include "library.h"

#include <cjson/cJSON.h>

static void take(const struct body *body, struct taken *taken) {
    cJSON *root = cJSON_ParseWithLength(body->bytes, body->length);
    const char *type = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(root, "event_type"));
    const cJSON *event = cJSON_GetObjectItemCaseSensitive(root, "event"), *one;

    cJSON_ArrayForEach(one, cJSON_GetObjectItemCaseSensitive(event, type)) {
        begin_record(taken);
        for (size_t i = 0; i < FIELDS; i++) {
            const char *text =
                cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(one, fields[i]));

            put_field(taken, text, text == NULL ? 0 : strlen(text));
        }
    }
    cJSON_Delete(root);
}

const struct library libraries[] = {{"cJSON", take}, {NULL, NULL}};
