/* Finds the end of a request without taking any of it. Not here: what is wrong with it, which
 * civetweb and the portable part say; sockets (door.c). */
#include "door/look.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

/* What a head says of the body. */
struct head {
    size_t length; /* of the head, 0: its end is not there */
    const char *content_length;
    bool odd; /* for others to judge: chunks, an expectation, two lengths, a line like no other */
};

/* The value in a line, if it is a header of this name. */
static const char *value_of(const char *line, size_t length, const char *name) {
    size_t size = strlen(name);

    return length > size && line[size] == ':' && strncasecmp(line, name, size) == 0
               ? line + size + 1
               : NULL;
}

static void read_line(struct head *head, const char *line, size_t length) {
    const char *value = value_of(line, length, "content-length");

    if (value != NULL) {
        head->odd = head->odd || head->content_length != NULL;
        head->content_length = value;
    }
    head->odd = head->odd || value_of(line, length, "transfer-encoding") != NULL ||
                value_of(line, length, "expect") != NULL;
}

static struct head read_head(const char *bytes, size_t looked) {
    struct head head = {0};
    const char *end = bytes + looked, *at = bytes, *newline;

    while ((newline = memchr(at, '\n', (size_t)(end - at))) != NULL) {
        size_t length = (size_t)(newline - at);

        if (length == 0 || at[length - 1] != '\r' || (length == 1 && at == bytes)) {
            head.odd = true;
            break;
        }
        if (length == 1) {
            head.length = (size_t)(newline + 1 - bytes);
            break;
        }
        read_line(&head, at, length);
        at = newline + 1;
    }
    return head;
}

/* A number that ends with its line; false when it is none. */
static bool read_length(const char *text, uint64_t *length) {
    *length = 0;
    text += strspn(text, " \t");
    if (*text < '0' || *text > '9') {
        return false;
    }
    for (; *text >= '0' && *text <= '9'; text++) {
        if (*length > UINT64_MAX / 16) {
            return false;
        }
        *length = 10 * *length + (uint64_t)(*text - '0');
    }
    return text[0] == '\r' && text[1] == '\n';
}

enum look look_request(const char *bytes, size_t looked, size_t there, uint64_t longest,
                       size_t *need) {
    struct head head = read_head(bytes, looked);
    uint64_t length = 0;

    if (head.length == 0) {
        *need = there + 1;
        return head.odd || there > looked || memchr(bytes, '\0', looked) != NULL ? LOOK_PIECES
                                                                                 : LOOK_WAITS;
    }
    if (head.odd || (head.content_length != NULL && !read_length(head.content_length, &length)) ||
        length > longest || head.length + length > LOOK_WHOLE_MAX) {
        return LOOK_PIECES;
    }
    *need = head.length + (size_t)length;
    return *need <= there ? LOOK_WHOLE : LOOK_WAITS;
}

enum look look_record(const unsigned char *bytes, size_t looked, size_t there, size_t *need) {
    enum { LAST_TYPE = 23, FIRST_TYPE = 20, LONGEST = 16384 + 2048 };

    if (looked > 0 && (bytes[0] < FIRST_TYPE || bytes[0] > LAST_TYPE)) {
        return LOOK_WHOLE;
    }
    *need = looked < LOOK_RECORD ? LOOK_RECORD : LOOK_RECORD + ((size_t)bytes[3] << 8 | bytes[4]);
    return there >= *need || *need > LONGEST ? LOOK_WHOLE : LOOK_WAITS;
}
