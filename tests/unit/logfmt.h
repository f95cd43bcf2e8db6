/* A reader of logfmt that owes nothing to cmcwh.c: strict in what it takes, and it knows what must
 * be left of a line that was cut. For unit tests and fuzzers. */
#ifndef CMCWH_TEST_LOGFMT_H
#define CMCWH_TEST_LOGFMT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* What is left of a line, and the pair that was taken off its front last. */
struct logfmt {
    const char *at, *end;
    const char *key;
    size_t key_length, length;
    char value[8192]; /* without quotes and escapes */
};

static inline struct logfmt logfmt_line(const char *line, size_t length) {
    struct logfmt reader = {.at = line, .end = line + length};

    return reader;
}

static inline bool logfmt_is(const struct logfmt *reader, const char *key) {
    return reader->key_length == strlen(key) && memcmp(reader->key, key, strlen(key)) == 0;
}

static inline void logfmt_put(struct logfmt *reader, uint32_t code) {
    char *out = reader->value + reader->length;

    if (code < 0x80) {
        *out = (char)code;
        reader->length += 1;
        return;
    }
    if (code < 0x800) {
        *out++ = (char)(0xC0 | code >> 6);
    } else if (code < 0x10000) {
        *out++ = (char)(0xE0 | code >> 12);
        *out++ = (char)(0x80 | (code >> 6 & 63));
    } else {
        *out++ = (char)(0xF0 | code >> 18);
        *out++ = (char)(0x80 | (code >> 12 & 63));
        *out++ = (char)(0x80 | (code >> 6 & 63));
    }
    *out++ = (char)(0x80 | (code & 63));
    reader->length = (size_t)(out - reader->value);
}

/* \uXXXX. */
static inline bool logfmt_unit(struct logfmt *reader, uint32_t *unit) {
    *unit = 0;
    if (reader->end - reader->at < 6 || reader->at[0] != '\\' || reader->at[1] != 'u') {
        return false;
    }
    for (int i = 2; i < 6; i++) {
        static const char digits[] = "00112233445566778899AaBbCcDdEeFf";
        const char *digit = strchr(digits, reader->at[i]);

        if (reader->at[i] == '\0' || digit == NULL) {
            return false;
        }
        *unit = *unit << 4 | (uint32_t)(digit - digits) / 2;
    }
    reader->at += 6;
    return true;
}

static inline bool logfmt_escape(struct logfmt *reader) {
    static const char letters[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    const char *letter = reader->end - reader->at < 2 ? NULL : strchr(letters, reader->at[1]);
    uint32_t code, low;

    if (letter != NULL && *letter != '\0') {
        logfmt_put(reader, (unsigned char)meant[letter - letters]);
        reader->at += 2;
        return true;
    }
    if (!logfmt_unit(reader, &code) || (code & 0xFC00) == 0xDC00) {
        return false;
    }
    if ((code & 0xFC00) == 0xD800) {
        if (!logfmt_unit(reader, &low) || (low & 0xFC00) != 0xDC00) {
            return false;
        }
        code = 0x10000 + ((code & 0x3FF) << 10) + (low & 0x3FF);
    }
    logfmt_put(reader, code);
    return true;
}

/* A character that stands for itself: printable, and whole. */
static inline bool logfmt_character(struct logfmt *reader) {
    unsigned char first = (unsigned char)*reader->at;
    int size = first < 0x80 ? 1 : first < 0xC2 ? 0 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;

    if (first < ' ' || first == 0x7F || size == 0 || reader->end - reader->at < size) {
        return false;
    }
    for (int i = 0; i < size; i++) {
        if (i > 0 && ((unsigned char)reader->at[i] & 0xC0) != 0x80) {
            return false;
        }
        reader->value[reader->length++] = reader->at[i];
    }
    reader->at += size;
    return true;
}

static inline const char *logfmt_value(struct logfmt *reader) {
    bool quoted = reader->at < reader->end && *reader->at == '"';

    reader->at += quoted;
    while (reader->at < reader->end && *reader->at != (quoted ? '"' : ' ')) {
        if (reader->length + 4 > sizeof reader->value) {
            return "a value without an end";
        }
        if (!quoted && (*reader->at == '"' || *reader->at == '=' || *reader->at == '\\')) {
            return "a value that needs quotes";
        }
        if (!(*reader->at == '\\' ? logfmt_escape(reader) : logfmt_character(reader))) {
            return "half a character, half an escape, or a control character";
        }
    }
    if (quoted && reader->at == reader->end) {
        return "quotes that do not end";
    }
    reader->at += quoted;
    return !quoted && reader->length == 0 ? "a name without a value" : NULL;
}

/* Takes the next pair, of which there must be one. Returns what is wrong, or NULL. */
static inline const char *logfmt_next(struct logfmt *reader) {
    const char *fault;

    reader->key = reader->at;
    reader->length = 0;
    while (reader->at < reader->end && *reader->at != '\0' &&
           strchr("-._0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
                  *reader->at) != NULL) {
        reader->at++;
    }
    reader->key_length = (size_t)(reader->at - reader->key);
    if (reader->key_length == 0 || reader->at == reader->end || *reader->at != '=') {
        return "not a name and '='";
    }
    reader->at++;
    fault = logfmt_value(reader);
    if (fault != NULL || reader->at == reader->end) {
        return fault;
    }
    return *reader->at++ != ' '        ? "no space behind a value"
           : reader->at == reader->end ? "a space at the end"
                                       : NULL;
}

/* Is it in a list with commas? */
static inline bool logfmt_lists(const char *list, size_t length, const char *name,
                                size_t name_length) {
    for (size_t at = 0; at + name_length <= length; at++) {
        if ((at == 0 || list[at - 1] == ',') && memcmp(list + at, name, name_length) == 0 &&
            (at + name_length == length || list[at + name_length] == ',')) {
            return true;
        }
    }
    return false;
}

/* A name of cmcwh's own? Of others cut= says "members". */
static inline bool logfmt_ours(const struct logfmt *reader) {
    static const char ours[] =
        "event_type,status,bounce,to,reason,messageId,created,from,subject,id,seq,received,"
        "returnPath,sourceIp,senderIp,apiData,server_composition,truncated";

    return logfmt_lists(ours, sizeof ours - 1, reader->key, reader->key_length);
}

/* Takes `cut=`, which is the last, off a line, with the space before it. Returns what is wrong. */
static inline const char *logfmt_take_cut(const char *line, size_t *length, char cut[256],
                                          size_t *cut_length) {
    struct logfmt reader = logfmt_line(line, *length);

    while (reader.at < reader.end) {
        const char *fault = logfmt_next(&reader);

        if (fault != NULL) {
            return fault;
        }
        if (reader.at == reader.end && logfmt_is(&reader, "cut")) {
            *cut_length = reader.length < 256 ? reader.length : 0;
            memcpy(cut, reader.value, *cut_length);
            *length = (size_t)(reader.key - line);
            *length -= *length > 0;
        } else if (logfmt_is(&reader, "cut")) {
            return "cut= is not the last";
        }
    }
    return NULL;
}

/* May a pair lack? */
static inline const char *logfmt_lack_fault(const struct logfmt *all, bool first_one, bool named) {
    static const char *const always[] = {"event_type", "status", "bounce", "to", "reason"};

    if (first_one && !named) {
        return "cut= does not say what lacks first";
    }
    for (size_t i = 0; i < sizeof always / sizeof *always; i++) {
        if (logfmt_is(all, always[i])) {
            return "what always comes lacks";
        }
    }
    return NULL;
}

/* Is a pair the beginning of what it was, and named if it is no more than that? */
static inline const char *logfmt_part_fault(const struct logfmt *all, const struct logfmt *part,
                                            bool ours, bool named) {
    bool same = part->length == all->length;

    if (part->key_length != all->key_length || memcmp(part->key, all->key, all->key_length) != 0) {
        return "another order";
    }
    if (part->length > all->length || memcmp(part->value, all->value, part->length) != 0) {
        return "not a beginning of the value";
    }
    if (!same && !named) {
        return "cut= does not say what is cut";
    }
    if (!same && !ours) {
        return "half a member of the event's own";
    }
    return ours && same && named ? "cut= says what is not cut" : NULL;
}

/* Compares a line with the same one uncut. Everything comes in the same order; what differs is a
 * beginning, and `cut=`, at the end, names it, and what lacks first. Returns what is wrong. */
static inline const char *logfmt_cut_fault(const char *whole, size_t whole_length, const char *line,
                                           size_t length) {
    static struct logfmt all, part;
    char cut[256] = "";
    size_t cut_length = 0;
    bool differs = false, lacks = false;
    const char *fault = logfmt_take_cut(line, &length, cut, &cut_length);

    part = logfmt_line(line, length);
    all = logfmt_line(whole, whole_length);
    while (fault == NULL && all.at < all.end) {
        bool ours, named;

        fault = logfmt_next(&all);
        ours = logfmt_ours(&all);
        named = ours ? logfmt_lists(cut, cut_length, all.key, all.key_length)
                     : logfmt_lists(cut, cut_length, "members", 7);
        if (fault == NULL && part.at == part.end) {
            fault = logfmt_lack_fault(&all, !lacks, named);
            lacks = true;
        } else if (fault == NULL) {
            fault = logfmt_next(&part);
            fault = fault != NULL ? fault : logfmt_part_fault(&all, &part, ours, named);
            differs = differs || part.length != all.length;
        }
    }
    if (fault != NULL) {
        return fault;
    }
    if (part.at < part.end) {
        return "more than there was";
    }
    return (differs || lacks) == (cut_length > 0) ? NULL : "cut= says that something lacks";
}

#endif
