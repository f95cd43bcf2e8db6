#include "library.h"

#include <cjson/cJSON.h>
#include <string.h>

const char library_name[] = "cJSON";

void library_take(const struct body *body) {
    cJSON *root = cJSON_ParseWithLength(body->bytes, body->length);
    const char *type = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(root, "event_type"));
    const cJSON *event = cJSON_GetObjectItemCaseSensitive(root, "event"), *one;

    cJSON_ArrayForEach(one, cJSON_GetObjectItemCaseSensitive(event, type)) {
        begin_record();
        for (size_t i = 0; i < FIELDS; i++) {
            const char *text =
                cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(one, fields[i]));

            put_field(text, text == NULL ? 0 : strlen(text));
        }
    }
    cJSON_Delete(root);
}
