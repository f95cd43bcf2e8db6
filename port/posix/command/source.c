/* The events of a file, whatever it is. Not here: what a line of JSON says (line.c), and what is
 * done with events. */
#include "command/source.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "command/line.h"
#include "command/plain.h"
#include "command/view.h"
#include "platform/log.h"
#include "platform/memory.h"
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
    return begins(bytes, length, outlet_begins(CMCWH_ENCODE_JSON)) ||
                   begins(bytes, length, OUTLET_DEAD)
               ? SOURCE_JSON
           : begins(bytes, length, outlet_begins(CMCWH_ENCODE_LOGFMT)) ||
                   begins(bytes, length, "seq=") /* that of version 0.1.0 */
               ? SOURCE_LOGFMT
               : memchr(bytes, '\0', length) != NULL ? SOURCE_FRAMES : SOURCE_TEXT;
}

/* Whoever reads, and whom it tells. */
struct source {
    const char *name;
    const struct source_reader *reader;
    uint64_t events;
    bool ended;
};

static void tell(struct source *source, struct source_event *found) {
    source->events++;
    source->ended = !source->reader->take(source->reader->context, found);
}

static void tell_record(struct source *source, const struct cmcwh_record *record) {
    struct source_event found = {.record = record};

    cmcwh_record_read(record, &found.says);
    tell(source, &found);
}

/* ---- A ring file ---- */

static enum source_result read_ring(struct source *source) {
    static struct view view;
    struct cmcwh_recovery found;
    struct cmcwh_record record;
    int reader;

    if (!view_open(&view, source->name)) {
        return SOURCE_FAILED;
    }
    reader = view_read(&view, &found);
    while (reader >= 0 && !source->ended && cmcwh_ring_read(&view.ring, reader, &record) > 0) {
        tell_record(source, &record);
    }
    view_close(&view);
    return reader < 0 ? SOURCE_FAILED : SOURCE_READ;
}

/* ---- Frames ---- */

static void take_frames(struct source *source, struct cmcwh_deframer *deframer, const char *bytes,
                        size_t length) {
    struct cmcwh_record record;
    bool found;

    while (length > 0 && !source->ended) {
        size_t taken = cmcwh_deframer_feed(deframer, bytes, length, &record, &found);

        if (found) {
            tell_record(source, &record);
        }
        bytes += taken;
        length -= taken;
    }
}

/* ---- Lines of JSON ---- */

/* A record of the longest kind, in JSON, and more. */
enum { LINE_MOST = 32768 };

struct lines {
    struct plain plain;
    struct cmcwh_parser parser;
    struct cmcwh_record record;
    char line[LINE_MOST];
    size_t used; /* LINE_MOST: it is longer */
    uint64_t number, wrong, first_wrong;
};

const struct cmcwh_record *source_record(struct source_event *found) {
    if (found->record == NULL) {
        struct lines *lines = found->lines;
        size_t length = found->line.length - 1;

        memcpy(lines->line, found->line.data, length);
        lines->line[length] = '\0';
        found->record =
            line_read(&lines->parser, lines->line, &lines->record) ? &lines->record : NULL;
    }
    return found->record;
}

/* Most lines need neither the parser nor a record. `line`: with its newline. */
static bool take_plain(struct source *source, struct lines *lines, struct cmcwh_text line) {
    struct source_event found = {.line = line, .lines = lines};

    if (!plain_read(&lines->plain, (struct cmcwh_text){line.data, line.length - 1}, &found.says)) {
        return false;
    }
    lines->number++;
    tell(source, &found);
    return true;
}

/* The line before a letter, which is no event. */
static bool is_dead(const struct lines *lines) {
    return begins(lines->line, lines->used, OUTLET_DEAD) && lines->line[lines->used - 1] == '}';
}

static bool take_line(struct source *source, struct lines *lines) {
    if (lines->used == sizeof lines->line || strlen(lines->line) != lines->used) {
        return false;
    }
    if (is_dead(lines)) {
        return true;
    }
    if (!line_read(&lines->parser, lines->line, &lines->record)) {
        return false;
    }
    tell_record(source, &lines->record);
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

        if (lines->used > 0 || end == NULL ||
            !take_plain(source, lines, (struct cmcwh_text){bytes, part + 1})) {
            memcpy(lines->line + lines->used, bytes, kept);
            lines->used += kept;
            if (end != NULL) {
                end_line(source, lines);
            }
        }
        bytes += part + (end != NULL);
        length -= part + (end != NULL);
    }
}

/* ---- A stream ---- */

/* All that a stream is read with. */
struct stream {
    char bytes[65536]; /* first: see memory_take */
    struct cmcwh_deframer deframer;
    struct lines lines;
    bool known; /* what it is: then `kind` says so */
    enum source_kind kind;
    size_t used;
};

/* A log that is not read here. */
static bool refuse(const struct source *source, enum source_kind kind) {
    if (kind == SOURCE_PACKED) {
        log_usage(
            "%s: it is compressed: unpack it into standard input, as in zcat %s | cmcwh ... -",
            source->name, source->name);
    } else if (kind == SOURCE_LOGFMT) {
        log_usage("%s: a log in logfmt, which is text already: read it with less, tail -F or grep; "
                  "ring files, JSON and binary logs are read here",
                  source->name);
    }
    return kind == SOURCE_PACKED || kind == SOURCE_LOGFMT;
}

/* Every kind shows itself by the end of its first line or frame. */
static bool knows_kind(struct stream *stream, bool end) {
    if (!stream->known && stream->used > 0 &&
        (end || stream->used == sizeof stream->bytes ||
         memchr(stream->bytes, '\0', stream->used) != NULL ||
         memchr(stream->bytes, '\n', stream->used) != NULL)) {
        stream->kind = source_kind(stream->bytes, stream->used);
        stream->known = true;
    }
    return stream->known;
}

/* Lines of something else, or noise, may come before either: it is what the first event is. */
static void take_bytes(struct source *source, struct stream *stream) {
    if (stream->kind != SOURCE_FRAMES) {
        take_lines(source, &stream->lines, stream->bytes, stream->used);
    }
    if (stream->kind == SOURCE_TEXT && source->events > 0) {
        stream->kind = SOURCE_JSON;
    }
    if (stream->kind != SOURCE_JSON) {
        take_frames(source, &stream->deframer, stream->bytes, stream->used);
    }
    if (stream->kind == SOURCE_TEXT && source->events > 0) {
        stream->kind = SOURCE_FRAMES;
    }
    stream->used = 0;
}

/* What was no event is said. */
static enum source_result sum_up(const struct source *source, const struct stream *stream) {
    const struct lines *lines = &stream->lines;
    uint64_t wrong = stream->kind == SOURCE_FRAMES ? 0 : lines->wrong;
    uint64_t skipped = stream->kind == SOURCE_FRAMES ? stream->deframer.skipped : 0;

    if (wrong > 0) {
        log_usage("%s: %" PRIu64 " lines are no events in cmcwh's JSON, the first is line %" PRIu64
                  "; read %" PRIu64 " events",
                  source->name, wrong, lines->first_wrong, source->events);
    }
    if (skipped > 0) {
        log_usage("%s: skipped %" PRIu64 " bytes that belong to no record; read %" PRIu64 " events",
                  source->name, skipped, source->events);
    }
    return source->events == 0 && (wrong > 0 || skipped > 0) ? SOURCE_FAILED : SOURCE_READ;
}

/* Is more to be read? */
static bool goes_on(struct source *source, int descriptor, bool end) {
    const struct source_reader *reader = source->reader;
    bool more = !source->ended &&
                (reader->pause == NULL ? !end : reader->pause(reader->context, descriptor, end));

    source->ended = source->ended || (!more && !end);
    return more;
}

static enum source_result read_with(struct stream *stream, struct source *source, int descriptor) {
    ssize_t got;

    cmcwh_deframer_init(&stream->deframer);
    do {
        do {
            got =
                read(descriptor, stream->bytes + stream->used, sizeof stream->bytes - stream->used);
        } while (got < 0 && errno == EINTR);
        if (got < 0) {
            log_usage("%s: %s", source->name, strerror(errno));
            return SOURCE_FAILED;
        }
        stream->used += (size_t)got;
        if (knows_kind(stream, got == 0)) {
            if (refuse(source, stream->kind)) {
                return SOURCE_FAILED;
            }
            take_bytes(source, stream);
        }
    } while (goes_on(source, descriptor, got == 0));
    if (stream->lines.used > 0 && !source->ended && stream->kind != SOURCE_FRAMES) {
        end_line(source, &stream->lines); /* the last one, which may be torn */
    }
    cmcwh_deframer_end(&stream->deframer);
    return sum_up(source, stream);
}

static enum source_result read_stream(struct source *source, int descriptor) {
    struct stream *stream = memory_take(1, sizeof *stream);
    enum source_result result = SOURCE_FAILED;

    if (stream == NULL) {
        log_usage("%s: out of memory", source->name);
    } else {
        result = read_with(stream, source, descriptor);
        memory_free(stream);
    }
    return result;
}

enum source_result source_read(const char *name, const struct source_reader *reader) {
    struct source source = {.name = name, .reader = reader};
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
