/* Text in memory of a fixed size. */
#include "platform/writer.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void writer_bytes(struct writer *writer, const char *bytes, size_t length) {
    size_t room = writer->size - writer->used;

    if (length > room) {
        writer->full = true;
        return;
    }
    memcpy(writer->bytes + writer->used, bytes, length);
    writer->used += length;
}

void writer_text(struct writer *writer, const char *text) {
    writer_bytes(writer, text, strlen(text));
}

void writer_print(struct writer *writer, const char *format, ...) {
    char text[256];
    va_list arguments;
    int length;

    va_start(arguments, format);
    length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (length < 0 || (size_t)length >= sizeof text) {
        writer->full = true;
        return;
    }
    writer_bytes(writer, text, (size_t)length);
}

struct cmcwh_text writer_view(const char *text) {
    return (struct cmcwh_text){text, strlen(text)};
}

/* One character of text in UTF-8, or a byte that begins none. */
struct character {
    uint32_t code;
    size_t length;
};

static struct character next_character(const unsigned char *in, size_t left) {
    size_t length = in[0] < 0x80 ? 1 : in[0] < 0xE0 ? 2 : in[0] < 0xF0 ? 3 : 4;
    uint32_t code = length == 1 ? in[0] : in[0] & (0x7FU >> length);

    if ((length > 1 && in[0] < 0xC2) || in[0] > 0xF4 || length > left) {
        return (struct character){0xFFFD, 1};
    }
    for (size_t i = 1; i < length; i++) {
        if ((in[i] & 0xC0) != 0x80) {
            return (struct character){0xFFFD, 1};
        }
        code = code << 6 | (in[i] & 0x3FU);
    }
    return (struct character){code, length};
}

/* Control characters, line separators, and marks of direction: nobody sees them, and they change
 * what is seen. */
static bool is_hidden(uint32_t code) {
    return code < 0x20 || (code >= 0x7F && code < 0xA0) || code == 0x061C || code == 0x200E ||
           code == 0x200F || (code >= 0x2028 && code <= 0x202E) ||
           (code >= 0x2066 && code <= 0x2069) || code == 0xFEFF || code == 0xFFFD;
}

static void put_plain(struct writer *writer, struct character c, const char *at) {
    if (is_hidden(c.code)) {
        writer_print(writer, "\\u%04x", (unsigned)c.code);
    } else {
        writer_bytes(writer, at, c.length);
    }
}

static void put_html(struct writer *writer, struct character c, const char *at) {
    static const char marks[] = "&<>\"'";
    static const char *const names[] = {"&amp;", "&lt;", "&gt;", "&quot;", "&#39;"};
    const char *mark = c.code < 0x80 && c.code != 0 ? strchr(marks, (int)c.code) : NULL;

    if (mark != NULL) {
        writer_text(writer, names[mark - marks]);
    } else {
        put_plain(writer, c, at);
    }
}

static void put_json(struct writer *writer, struct character c, const char *at) {
    if (c.code == '"' || c.code == '\\') {
        writer_text(writer, c.code == '"' ? "\\\"" : "\\\\");
    } else {
        put_plain(writer, c, at);
    }
}

static void put_csv(struct writer *writer, struct character c, const char *at) {
    if (c.code == '"') {
        writer_text(writer, "\"\"");
    } else {
        put_plain(writer, c, at);
    }
}

/* A value of a label in Prometheus' text formats, which know three escapes: what could not be seen
 * is shown as in JSON, with the backslash of it escaped. */
static void put_label(struct writer *writer, struct character c, const char *at) {
    if (is_hidden(c.code)) {
        writer_print(writer, "\\\\u%04x", (unsigned)c.code);
    } else {
        put_json(writer, c, at);
    }
}

/* MQTT 5, section 1.5.4: brokers may end a connection for control characters and for codes that are
 * no characters. */
static void put_topic(struct writer *writer, struct character c, const char *at) {
    bool control = c.code < 0x20 || (c.code >= 0x7F && c.code < 0xA0);
    bool none =
        c.code == 0xFFFD || (c.code & 0xFFFE) == 0xFFFE || (c.code >= 0xFDD0 && c.code <= 0xFDEF);
    bool means = c.code == '/' || c.code == '+' || c.code == '#';

    if (control || none || means) {
        writer_text(writer, "_");
    } else {
        writer_bytes(writer, at, c.length);
    }
}

/* Of how many bytes at its begin every form knows that they mean nothing. */
static size_t harmless(const char *at, size_t length) {
    size_t i = 0;

    while (i < length && ((at[i] >= 'a' && at[i] <= 'z') || (at[i] >= 'A' && at[i] <= 'Z') ||
                          (at[i] >= '0' && at[i] <= ':') || (at[i] >= '-' && at[i] <= '.') ||
                          at[i] == ' ' || at[i] == '@' || at[i] == '_')) {
        i++;
    }
    return i;
}

/* As much of it as there is room for. */
static void put_each(struct writer *writer, struct cmcwh_text text,
                     void (*put)(struct writer *writer, struct character c, const char *at)) {
    for (size_t at = 0; at < text.length && !writer->full;) {
        size_t room = writer->size - writer->used, left = text.length - at;
        size_t same = harmless(text.data + at, left < room ? left : room);
        struct character c;

        if (same > 0) {
            writer_bytes(writer, text.data + at, same);
            at += same;
        } else {
            c = next_character((const unsigned char *)text.data + at, left);
            put(writer, c, text.data + at);
            at += c.length;
        }
    }
}

void writer_html(struct writer *writer, struct cmcwh_text text) {
    put_each(writer, text, put_html);
}

void writer_plain(struct writer *writer, struct cmcwh_text text) {
    put_each(writer, text, put_plain);
}

void writer_json(struct writer *writer, struct cmcwh_text text) {
    writer_text(writer, "\"");
    put_each(writer, text, put_json);
    writer_text(writer, "\"");
}

/* ---- CSV ---- */

/* What a spreadsheet may pass over before a formula. */
static bool is_passed_over(uint32_t code) {
    return code == ' ' || code == '"' || code == 0xA0 || code == 0x1680 ||
           (code >= 0x2000 && code <= 0x200D) || code == 0x202F || code == 0x205F ||
           code == 0x2060 || code == 0x3000;
}

static bool begins_formula(uint32_t code) {
    return code == '=' || code == '+' || code == '-' || code == '@' || code == 0xFF1D ||
           code == 0xFF0B || code == 0xFF0D || code == 0xFF20;
}

/* Is this a formula to a spreadsheet? */
static bool is_formula(struct cmcwh_text text) {
    struct character c = {' ', 0};

    for (size_t at = 0; is_passed_over(c.code) && at < text.length; at += c.length) {
        c = next_character((const unsigned char *)text.data + at, text.length - at);
    }
    return begins_formula(c.code);
}

/* Is this a number that a spreadsheet would show as another, or another text? */
static bool number_changes(struct cmcwh_text text) {
    size_t exponents = 0;

    for (size_t i = 0; i < text.length; i++) {
        bool exponent = (text.data[i] | 0x20) == 'e' && i > 0 && i + 1 < text.length;

        if (!exponent && (text.data[i] < '0' || text.data[i] > '9')) {
            return false;
        }
        exponents += exponent;
    }
    return exponents == 1 || (exponents == 0 && text.length > 15) ||
           (exponents == 0 && text.length > 1 && text.data[0] == '0');
}

void writer_csv(struct writer *writer, struct cmcwh_text text) {
    bool marked = number_changes(text);

    if (text.length == 0) {
        return;
    }
    writer_text(writer, "\"");
    while (text.length > 0) {
        const char *end = memchr(text.data, ';', text.length);
        struct cmcwh_text part = {text.data,
                                  end == NULL ? text.length : (size_t)(end - text.data) + 1};

        if (marked || text.data[0] == '\'' || is_formula(part)) {
            writer_text(writer, "'");
        }
        put_each(writer, part, put_csv);
        text.data += part.length;
        text.length -= part.length;
        marked = false;
    }
    writer_text(writer, "\"");
}

/* As put_each, within `most` bytes. */
static bool put_most(struct writer *writer, struct cmcwh_text text, size_t most,
                     void (*put)(struct writer *writer, struct character c, const char *at)) {
    size_t room = writer->size - writer->used;
    struct writer part = {.bytes = writer->bytes + writer->used, .size = most < room ? most : room};

    put_each(&part, text, put);
    writer->used += part.used;
    writer->full = writer->full || (part.full && part.size == room);
    return !part.full;
}

static void put_cut(struct writer *writer, struct cmcwh_text text, size_t most,
                    void (*put)(struct writer *writer, struct character c, const char *at)) {
    static const char more[] = "…";
    const struct writer before = *writer;

    if (!put_most(writer, text, most, put)) {
        *writer = before;
        (void)put_most(writer, text, most - (sizeof more - 1), put);
        writer_text(writer, more);
    }
}

void writer_html_cut(struct writer *writer, struct cmcwh_text text, size_t most) {
    put_cut(writer, text, most, put_html);
}

void writer_plain_cut(struct writer *writer, struct cmcwh_text text, size_t most) {
    put_cut(writer, text, most, put_plain);
}

bool writer_json_most(struct writer *writer, struct cmcwh_text text, size_t most) {
    bool whole;

    writer_text(writer, "\"");
    whole = put_most(writer, text, most, put_json);
    writer_text(writer, "\"");
    return whole;
}

bool writer_label_most(struct writer *writer, struct cmcwh_text text, size_t most) {
    return put_most(writer, text, most, put_label);
}

bool writer_topic_most(struct writer *writer, struct cmcwh_text text, size_t most) {
    bool dollar = text.length > 0 && text.data[0] == '$';

    if (dollar) {
        writer_text(writer, "_");
        text = (struct cmcwh_text){text.data + 1, text.length - 1};
    }
    return put_most(writer, text, most - dollar, put_topic);
}

/* ---- Forms ---- */

void writer_form(struct writer *writer, struct cmcwh_text text) {
    static const char digits[] = "0123456789ABCDEF";

    for (size_t i = 0; i < text.length; i++) {
        unsigned char c = (unsigned char)text.data[i];
        bool plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
                     (c != '\0' && strchr("-_.*", c) != NULL);

        if (plain || c == ' ') {
            writer_bytes(writer, plain ? text.data + i : "+", 1);
        } else {
            writer_bytes(writer, (char[]){'%', digits[c >> 4], digits[c & 15]}, 3);
        }
    }
}
