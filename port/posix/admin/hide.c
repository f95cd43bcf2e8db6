/* Stars in place of the local parts of addresses. */
#include "admin/hide.h"

#include <string.h>

/* Where the local part begins that ends before `end`: it may be quoted (RFC 5321, section 4.1.2).
 */
static size_t local_part(const char *text, size_t end) {
    static const char around[] = "<>()[]{},;:\"'\\";
    size_t begin = end;

    if (end > 1 && text[end - 1] == '"') {
        begin--;
        while (begin > 0 && (text[begin - 1] != '"' || (begin > 1 && text[begin - 2] == '\\'))) {
            begin--;
        }
        return begin;
    }
    while (begin > 0 && (unsigned char)text[begin - 1] > ' ' &&
           memchr(around, text[begin - 1], sizeof around - 1) == NULL) {
        begin--;
    }
    return begin;
}

static void hide_text(char *text, size_t length) {
    for (size_t at = 0; at < length; at++) {
        if (text[at] == '@') {
            size_t begin = local_part(text, at);

            memset(text + begin, '*', at - begin);
        }
    }
}

/* "name":value and a newline, again and again: the names stay. */
static void hide_members(char *text, size_t length) {
    bool inside = false, name = true;

    for (size_t at = 0; at < length; at++) {
        if (text[at] == '"') {
            name = name && !inside;
            inside = !inside;
        } else if (inside) {
            size_t bytes = text[at] == '\\' && at + 1 < length ? 2 : 1;

            if (!name) {
                memset(text + at, '*', bytes);
            }
            at += bytes - 1;
        } else if (text[at] == '\n') {
            name = true;
        }
    }
}

void hide_addresses(struct cmcwh_record *record) {
    struct cmcwh_event event;

    cmcwh_record_read(record, &event);
    for (int field = 0; field < CMCWH_FIELDS; field++) {
        size_t length = event.texts[field].length;
        char *text;

        if (length > 0) {
            text = (char *)record->bytes + (event.texts[field].data - (const char *)record->bytes);
            (field == CMCWH_MEMBERS ? hide_members : hide_text)(text, length);
        }
    }
}
