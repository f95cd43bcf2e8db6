/* cmcwh check: one body, as the server would take it. Not here: any rule of what is right
 * (cmcwh.c).
 */
#include "command/commands.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmcwh.h"
#include "platform/log.h"
#include "platform/platform.h"

static const char usage[] =
    "usage: cmcwh check [--type json|form|multipart] FILE\n"
    "Parses one request body ('-': standard input) as the server would. Prints its\n"
    "records, or what is wrong with it and at which byte. Without --type, a body\n"
    "that begins with '{' or '[' is JSON, and one that begins with '--' is multipart,\n"
    "with the boundary that its first line shows.\n";

/* A whole file in memory. */
static char *read_all(FILE *file, size_t *length) {
    size_t room = 65536;
    char *bytes = malloc(room);

    *length = 0;
    while (bytes != NULL) {
        *length += fread(bytes + *length, 1, room - *length, file);
        if (*length < room) {
            break;
        }
        room *= 2;
        char *larger = realloc(bytes, room);

        if (larger == NULL) {
            free(bytes);
        }
        bytes = larger;
    }
    return bytes;
}

static enum cmcwh_format guess(const char *bytes, size_t length) {
    size_t i = 0;

    if (length >= 2 && memcmp(bytes, "--", 2) == 0) {
        return CMCWH_MULTIPART;
    }
    while (i < length && strchr(" \t\r\n", bytes[i]) != NULL) {
        i++;
    }
    return i < length && bytes[i] != '{' && bytes[i] != '[' && bytes[i] != '"' ? CMCWH_FORM
                                                                               : CMCWH_JSON;
}

static enum cmcwh_format format_of(const char *type, const char *bytes, size_t length) {
    return type == NULL     ? guess(bytes, length)
           : type[0] == 'j' ? CMCWH_JSON
           : type[0] == 'f' ? CMCWH_FORM
                            : CMCWH_MULTIPART;
}

/* The boundary of a multipart body is in a header that is not here: its first line has it too. */
static struct cmcwh_text first_boundary(const char *bytes, size_t length) {
    struct cmcwh_text boundary = {bytes, 0};

    if (length >= 2 && memcmp(bytes, "--", 2) == 0) {
        const char *end = memchr(bytes, '\r', length);

        boundary.data = bytes + 2;
        boundary.length = (end == NULL ? length : (size_t)(end - bytes)) - 2;
        while (boundary.length > 0 && strchr(" \t", boundary.data[boundary.length - 1]) != NULL) {
            boundary.length--;
        }
    }
    return boundary;
}

/* Prints what was stored. */
static int print_records(struct cmcwh_ring *ring, int reader) {
    struct cmcwh_record record;

    while (cmcwh_ring_read(ring, reader, &record) > 0) {
        if (command_print(&record, CMCWH_ENCODE_JSON) < 0) {
            return 1;
        }
    }
    return command_flush() == 0 ? 0 : 1;
}

static void say_error(const char *name, const struct cmcwh_error *error) {
    log_usage("%s: offset %llu: %s%s%s: %s", name, (unsigned long long)error->offset,
              cmcwh_result_name(error->result), error->field[0] != '\0' ? " " : "", error->field,
              error->detail);
}

/* Parses into a ring of `capacity` records. CMCWH_ERR_EVENTS asks for a larger one. */
static int check(const char *name, const char *bytes, size_t length, enum cmcwh_format format,
                 uint32_t capacity) {
    static struct cmcwh_parser parser;
    static struct platform platform;
    struct cmcwh_ring ring;
    struct cmcwh_ring_config config = {.records = malloc(capacity * sizeof(struct cmcwh_record)),
                                       .links = malloc(capacity * sizeof(uint32_t)),
                                       .capacity = capacity,
                                       .port = &platform.port};
    int result = CMCWH_ERR_ARGUMENT, reader;

    if (platform_init(&platform) != 0 || config.records == NULL || config.links == NULL ||
        cmcwh_ring_init(&ring, &config, 1) < 0) {
        log_usage("%s: out of memory", name);
        free(config.records);
        free(config.links);
        return 1;
    }
    reader = cmcwh_ring_attach(&ring, NULL, true);
    cmcwh_parser_init(&parser, &ring, format);
    if (format == CMCWH_MULTIPART) { /* without a boundary the body is refused, and that is said */
        (void)cmcwh_parser_boundary(&parser, first_boundary(bytes, length));
    }
    (void)cmcwh_parser_feed(&parser, bytes, length);
    result = cmcwh_parser_end(&parser);
    if (result >= 0) {
        (void)cmcwh_parser_commit(&parser);
        result = print_records(&ring, reader);
    } else if (result != CMCWH_ERR_EVENTS) {
        say_error(name, cmcwh_parser_error(&parser));
        result = 1;
    }
    free(config.records);
    free(config.links);
    return result;
}

static int check_file(const char *name, const char *type) {
    FILE *file = strcmp(name, "-") == 0 ? stdin : fopen(name, "re");
    enum cmcwh_format format;
    size_t length = 0;
    char *bytes;
    int result = CMCWH_ERR_EVENTS;

    if (file == NULL) {
        log_usage("%s: %s", name, strerror(errno));
        return 1;
    }
    bytes = read_all(file, &length);
    if (bytes == NULL || ferror(file)) {
        log_usage("%s: %s", name, bytes == NULL ? "out of memory" : strerror(errno));
        result = 1;
    } else {
        format = format_of(type, bytes, length);
        for (uint32_t capacity = 1024; result == CMCWH_ERR_EVENTS; capacity *= 4) {
            result = check(name, bytes, length, format, capacity);
        }
    }
    free(bytes);
    if (file != stdin) {
        (void)fclose(file);
    }
    return result;
}

int command_check(int count, char **arguments) {
    const char *file = NULL, *type = NULL;

    for (int i = 0; i < count; i++) {
        const char *text = arguments[i];

        if (strcmp(text, "--help") == 0) {
            return fputs(usage, stdout) < 0;
        }
        if (strncmp(text, "--type=", 7) == 0) {
            type = text + 7;
        } else if (strcmp(text, "--type") == 0 && i + 1 < count) {
            type = arguments[++i];
        } else if ((text[0] == '-' && text[1] != '\0') || file != NULL) {
            log_usage("check: '%s': expected --type json, form or multipart, or one FILE", text);
            return 2;
        } else {
            file = text;
        }
    }
    if (type != NULL && strcmp(type, "json") != 0 && strcmp(type, "form") != 0 &&
        strcmp(type, "multipart") != 0) {
        log_usage("check: --type: '%s': expected json, form or multipart", type);
        return 2;
    }
    if (file == NULL) {
        log_usage("check: a FILE is missing ('-': standard input): see cmcwh check --help");
        return 2;
    }
    return check_file(file, type);
}
