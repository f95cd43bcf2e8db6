#include "library.h"

#include <yyjson.h>

static void take(const struct body *body, struct taken *taken) {
    yyjson_doc *document = yyjson_read(body->bytes, body->length, 0);
    yyjson_val *root = yyjson_doc_get_root(document), *one;
    const char *type = yyjson_get_str(yyjson_obj_get(root, "event_type"));
    yyjson_val *events = yyjson_obj_get(yyjson_obj_get(root, "event"), type);
    size_t k, count;

    yyjson_arr_foreach(events, k, count, one) {
        yyjson_obj_iter iterator = yyjson_obj_iter_with(one);

        begin_record(taken);
        for (size_t i = 0; i < FIELDS; i++) {
            yyjson_val *value = yyjson_obj_iter_get(&iterator, fields[i]);

            put_field(taken, yyjson_get_str(value), yyjson_get_len(value));
        }
    }
    yyjson_doc_free(document);
}

const struct library libraries[] = {{"yyjson", take}, {NULL, NULL}};
