/* Looking something up in a JSON text. Not here: the parser of webhooks (cmcwh.c). */
#include "command/json.h"

#include <stdlib.h>
#include <string.h>

#define JSMN_STATIC
#define JSMN_STRICT
#define JSMN_PARENT_LINKS
#include <jsmn.h>

/* The value behind the member's name; `count`: there is none. Members of one object follow each
 * other, with all that is in them between. */
static int find_member(const char *json, const jsmntok_t *tokens, int count, int object,
                       const char *name, size_t length) {
    for (int i = object + 1; i + 1 < count; i++) {
        const jsmntok_t *token = &tokens[i];

        if (token->parent == object && token->type == JSMN_STRING &&
            (size_t)(token->end - token->start) == length &&
            memcmp(json + token->start, name, length) == 0) {
            return tokens[i + 1].parent == i ? i + 1 : count;
        }
    }
    return count;
}

static bool copy_value(const char *json, const jsmntok_t *token, char *out, size_t size) {
    size_t used = 0;

    if (token->type != JSMN_STRING && token->type != JSMN_PRIMITIVE) {
        return false;
    }
    for (int at = token->start; at < token->end && used < size; at++) {
        bool escape = json[at] == '\\' && at + 1 < token->end &&
                      (json[at + 1] == '"' || json[at + 1] == '\\');

        at += escape;
        if ((unsigned char)json[at] < ' ') {
            return false;
        }
        out[used++] = json[at];
    }
    if (used == size) {
        return false;
    }
    out[used] = '\0';
    return true;
}

/* From the root on, down the path. */
static bool walk(const char *json, const jsmntok_t *tokens, int count, const char *path, char *out,
                 size_t size) {
    int at = 0;

    while (*path != '\0') {
        size_t length = strcspn(path, ".");

        if (tokens[at].type != JSMN_OBJECT) {
            return false;
        }
        at = find_member(json, tokens, count, at, path, length);
        if (at == count) {
            return false;
        }
        path += length;
        path += *path == '.';
    }
    return copy_value(json, &tokens[at], out, size);
}

bool json_find(const char *json, size_t length, const char *path, char *out, size_t size) {
    jsmn_parser parser;
    jsmntok_t *tokens;
    int count;
    bool found;

    jsmn_init(&parser);
    count = jsmn_parse(&parser, json, length, NULL, 0);
    tokens = count <= 0 ? NULL : calloc((size_t)count, sizeof *tokens);
    if (tokens == NULL) {
        return false;
    }
    jsmn_init(&parser);
    count = jsmn_parse(&parser, json, length, tokens, (unsigned)count);
    found = count > 0 && walk(json, tokens, count, path, out, size);
    free(tokens);
    return found;
}
