/* The events of a file, whatever it is. A line of JSON goes the way of a webhook, through the
 * parser, and comes out as the event that it was made of. Not here: what is done with them. */
#include "command/source.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command/view.h"
#include "platform/log.h"
#include "platform/when.h"
#include "sink/outlet.h"

/* ---- What it is ---- */

static bool begins(const char *bytes, size_t length, const char *with) {
    return length >= strlen(with) && memcmp(bytes, with, strlen(with)) == 0;
}

enum source_kind source_kind(const char *bytes, size_t length) {
    static const char *const packers[] = {"\x1F\x8B", "\xFD\x37zXZ", "\x28\xB5\x2F\xFD", "BZh"};

    for (size_t i = 0; i < sizeof packers / sizeof *packers; i++) {
        if (begins(bytes, length, packers[i])) {
            return SOURCE_PACKED;
        }
    }
    return begins(bytes, length, outlet_begins(CMCWH_ENCODE_JSON)) ? SOURCE_JSON
           : begins(bytes, length, outlet_begins(CMCWH_ENCODE_LOGFMT)) ||
                   begins(bytes, length, "seq=") /* that of version 0.1.0 */
               ? SOURCE_LOGFMT
               : memchr(bytes, '\0', length) != NULL ? SOURCE_FRAMES : SOURCE_TEXT;
}

/* Whoever reads, and whom it tells. */
struct source {
    const char *name;
    source_take take;
    void *context;
    uint64_t events;
    bool ended;
};

static void tell(struct source *source, const struct cmcwh_event *event) {
    source->events++;
    source->ended = !source->take(source->context, event);
}

/* ---- A ring file ---- */

static enum source_result read_ring(struct source *source) {
    static struct view view;
    struct cmcwh_recovery found;
    struct cmcwh_record record;
    struct cmcwh_event event;
    int reader;

    if (!view_open(&view, source->name)) {
        return SOURCE_FAILED;
    }
    reader = view_read(&view, &found);
    while (reader >= 0 && !source->ended && cmcwh_ring_read(&view.ring, reader, &record) > 0) {
        cmcwh_record_read(&record, &event);
        tell(source, &event);
    }
    view_close(&view);
    return reader < 0 ? SOURCE_FAILED : SOURCE_READ;
}

/* ---- Frames ---- */

static void take_frames(struct source *source, struct cmcwh_deframer *deframer, const char *bytes,
                        size_t length) {
    struct cmcwh_record record;
    struct cmcwh_event event;
    bool found;

    while (length > 0 && !source->ended) {
        size_t taken = cmcwh_deframer_feed(deframer, bytes, length, &record, &found);

        if (found) {
            cmcwh_record_read(&record, &event);
            tell(source, &event);
        }
        bytes += taken;
        length -= taken;
    }
}

/* ---- Lines of JSON ---- */

/* A record of the longest kind, in JSON, and more. */
enum { LINE_MOST = 32768 };

struct lines {
    struct cmcwh_parser parser;
    char line[LINE_MOST];
    size_t used; /* LINE_MOST: it is longer */
    uint64_t number, wrong, first_wrong;
};

/* What stands before the event's own members in each line of ours. */
struct envelope {
    uint64_t seq, id, received;
    struct cmcwh_text type, composition; /* with their quotes */
};

static bool skip(const char **at, const char *word) {
    bool same = strncmp(*at, word, strlen(word)) == 0;

    *at += same ? strlen(word) : 0;
    return same;
}

static bool take_number(const char **at, int base, uint64_t *number) {
    char *end;

    *number = strtoull(*at, &end, base);
    if (end == *at || (*at)[0] == '-' || (*at)[0] == '+') {
        return false;
    }
    *at = end;
    return true;
}

/* A string, which the parser will look at. */
static bool take_string(const char **at, struct cmcwh_text *text) {
    const char *end = *at + 1;

    if (**at != '"') {
        return false;
    }
    while (*end != '\0' && *end != '"') {
        end += *end == '\\' && end[1] != '\0' ? 2 : 1;
    }
    text->data = *at;
    text->length = (size_t)(end - *at) + 1;
    *at = end + 1;
    return *end == '"';
}

static bool take_time(const char **at, uint64_t *time) {
    struct cmcwh_text text;
    char copy[WHEN_SIZE] = "";

    if (!take_string(at, &text) || text.length - 2 >= sizeof copy) {
        return false;
    }
    memcpy(copy, text.data + 1, text.length - 2);
    return when_read(copy, 0, time);
}

static bool take_envelope(const char **at, struct envelope *envelope) {
    return skip(at, outlet_begins(CMCWH_ENCODE_JSON)) && take_number(at, 10, &envelope->seq) &&
           skip(at, ",\"id\":\"") && take_number(at, 16, &envelope->id) &&
           skip(at, "\",\"received\":") && take_time(at, &envelope->received) &&
           skip(at, ",\"event_type\":") && take_string(at, &envelope->type) &&
           skip(at, ",\"server_composition\":") && take_string(at, &envelope->composition) &&
           skip(at, ",");
}

/* Which fields a line of ours names as cut. No quote within a text looks like these. */
static unsigned truncated_of(const char *line) {
    const char *list = strstr(line, ",\"truncated\":[");
    unsigned truncated = 0;

    for (unsigned i = 0; list != NULL && i < CMCWH_FIELDS; i++) {
        const char *name = cmcwh_field_name((enum cmcwh_field)i), *end = strchr(list, ']');
        size_t length = strlen(name);

        for (const char *at = list; length > 0 && end != NULL && at + length + 2 <= end; at++) {
            if (at[0] == '"' && memcmp(at + 1, name, length) == 0 && at[length + 1] == '"') {
                truncated |= 1U << i;
            }
        }
    }
    return truncated;
}

static uint64_t at_time(void *received) {
    return *(uint64_t *)received;
}

/* What the service sent to have this line stored. False: it never was sent so. */
static bool parse_line(struct cmcwh_parser *parser, const struct envelope *envelope,
                       const char *members, struct cmcwh_record *record) {
    struct cmcwh_ring ring;
    uint32_t link;
    uint64_t received = envelope->received;
    const struct cmcwh_port port = {.context = &received, .now = at_time};
    const struct cmcwh_ring_config config = {
        .records = record, .links = &link, .capacity = 1, .port = &port};
    struct cmcwh_record stored;
    int reader;
    bool right;

    if (cmcwh_ring_init(&ring, &config, envelope->seq) < 0) {
        return false;
    }
    reader = cmcwh_ring_attach(&ring, NULL, true);
    cmcwh_parser_init(parser, &ring, CMCWH_JSON);
    (void)cmcwh_parser_feed(parser, "{\"event_type\":", 14);
    (void)cmcwh_parser_feed(parser, envelope->type.data, envelope->type.length);
    (void)cmcwh_parser_feed(parser, ",\"server_composition\":", 22);
    (void)cmcwh_parser_feed(parser, envelope->composition.data, envelope->composition.length);
    (void)cmcwh_parser_feed(parser, ",\"event\":{", 10);
    (void)cmcwh_parser_feed(parser, envelope->type.data, envelope->type.length);
    (void)cmcwh_parser_feed(parser, ":[{", 3);
    (void)cmcwh_parser_feed(parser, members, strlen(members));
    (void)cmcwh_parser_feed(parser, "]}}", 3);
    right = cmcwh_parser_end(parser) == 1 && cmcwh_parser_commit(parser) == 1 &&
            cmcwh_ring_read(&ring, reader, &stored) == 1;
    cmcwh_parser_abort(parser);
    *record = right ? stored : *record;
    return right;
}

static bool take_line(struct source *source, struct lines *lines) {
    const char *at = lines->line;
    struct envelope envelope;
    struct cmcwh_record record;
    struct cmcwh_event event;

    if (lines->used == sizeof lines->line || strlen(lines->line) != lines->used ||
        !take_envelope(&at, &envelope) || !parse_line(&lines->parser, &envelope, at, &record)) {
        return false;
    }
    cmcwh_record_read(&record, &event);
    event.id = envelope.id;
    event.truncated = truncated_of(at);
    tell(source, &event);
    return true;
}

static void end_line(struct source *source, struct lines *lines) {
    bool empty = lines->used == 0;

    lines->number++;
    if (lines->used < sizeof lines->line) {
        lines->line[lines->used] = '\0';
    }
    if (!empty && !take_line(source, lines)) {
        lines->first_wrong = lines->wrong++ == 0 ? lines->number : lines->first_wrong;
    }
    lines->used = 0;
}

static void take_lines(struct source *source, struct lines *lines, const char *bytes,
                       size_t length) {
    while (length > 0 && !source->ended) {
        const char *end = memchr(bytes, '\n', length);
        size_t part = end == NULL ? length : (size_t)(end - bytes);
        size_t room = sizeof lines->line - lines->used, kept = part < room ? part : room;

        memcpy(lines->line + lines->used, bytes, kept);
        lines->used += kept;
        if (end != NULL) {
            end_line(source, lines);
        }
        bytes += part + (end != NULL);
        length -= part + (end != NULL);
    }
}

/* ---- A stream ---- */

/* As many bytes as there are, or `length`; -1: it cannot be read. */
static ssize_t read_much(const struct source *source, int descriptor, char *bytes, size_t length) {
    size_t used = 0;

    while (used < length) {
        ssize_t got = read(descriptor, bytes + used, length - used);

        if (got < 0 && errno != EINTR) {
            log_usage("%s: %s", source->name, strerror(errno));
            return -1;
        }
        if (got == 0) {
            break;
        }
        used += got > 0 ? (size_t)got : 0;
    }
    return (ssize_t)used;
}

/* A log that is not read here. */
static bool refuse(const struct source *source, enum source_kind kind) {
    if (kind == SOURCE_PACKED) {
        log_usage(
            "%s: it is compressed: unpack it into standard input, as in zcat %s | cmcwh ... -",
            source->name, source->name);
    } else if (kind == SOURCE_LOGFMT) {
        log_usage("%s: a log in logfmt: only ring files, JSON and binary logs are read",
                  source->name);
    }
    return kind == SOURCE_PACKED || kind == SOURCE_LOGFMT;
}

/* All that a stream is read with. */
struct stream {
    struct cmcwh_deframer deframer;
    struct lines lines;
    char bytes[65536];
};

/* What was no event is said. */
static enum source_result sum_up(const struct source *source, const struct stream *stream) {
    const struct lines *lines = &stream->lines;
    uint64_t skipped = stream->deframer.skipped;

    if (lines->wrong > 0) {
        log_usage("%s: %" PRIu64 " lines are no events in cmcwh's JSON, the first is line %" PRIu64
                  "; read %" PRIu64 " events",
                  source->name, lines->wrong, lines->first_wrong, source->events);
    }
    if (skipped > 0) {
        log_usage("%s: skipped %" PRIu64 " bytes that belong to no record; read %" PRIu64 " events",
                  source->name, skipped, source->events);
    }
    return source->events == 0 && (lines->wrong > 0 || skipped > 0) ? SOURCE_FAILED : SOURCE_READ;
}

static enum source_result read_with(struct stream *stream, struct source *source, int descriptor) {
    ssize_t got = read_much(source, descriptor, stream->bytes, sizeof stream->bytes);
    enum source_kind kind = source_kind(stream->bytes, got > 0 ? (size_t)got : 0);

    cmcwh_deframer_init(&stream->deframer);
    if (got > 0 && refuse(source, kind)) {
        return SOURCE_FAILED;
    }
    while (got > 0 && !source->ended) {
        if (kind == SOURCE_FRAMES) {
            take_frames(source, &stream->deframer, stream->bytes, (size_t)got);
        } else {
            take_lines(source, &stream->lines, stream->bytes, (size_t)got);
        }
        got = read_much(source, descriptor, stream->bytes, sizeof stream->bytes);
    }
    if (got < 0) {
        return SOURCE_FAILED;
    }
    if (stream->lines.used > 0 && !source->ended) {
        end_line(source, &stream->lines); /* the last one, which may be torn */
    }
    cmcwh_deframer_end(&stream->deframer);
    return sum_up(source, stream);
}

static enum source_result read_stream(struct source *source, int descriptor) {
    struct stream *stream = calloc(1, sizeof *stream);
    enum source_result result = SOURCE_FAILED;

    if (stream == NULL) {
        log_usage("%s: out of memory", source->name);
    } else {
        result = read_with(stream, source, descriptor);
        free(stream);
    }
    return result;
}

enum source_result source_read(const char *name, source_take take, void *context) {
    struct source source = {.name = name, .take = take, .context = context};
    bool input = strcmp(name, "-") == 0;
    enum source_result result;
    int descriptor;

    if (!input && ring_file_is(name)) {
        result = read_ring(&source);
    } else {
        descriptor = input ? STDIN_FILENO : open(name, O_RDONLY | O_CLOEXEC);
        if (descriptor < 0) {
            log_usage("%s: %s", name, strerror(errno));
            return SOURCE_FAILED;
        }
        result = read_stream(&source, descriptor);
        if (!input) {
            (void)close(descriptor);
        }
    }
    return source.ended ? SOURCE_ENDED : result;
}
