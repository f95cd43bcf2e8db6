#include "bodies.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { BODY_MAX = 8 << 20 };

static char events[8][4096]; /* event objects of the payloads, as text */
static size_t event_count;

double now(void) {
    struct timespec time;

    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

void die(const char *what) {
    fprintf(stderr, "bench: %s\n", what);
    exit(1);
}

/* Takes the one event object out of a payload file. */
static void load_event(const char *path) {
    static char text[8192];
    FILE *file = fopen(path, "rb");
    size_t length = file == NULL ? 0 : fread(text, 1, sizeof text - 1, file);
    const char *start, *end;

    if (file == NULL || length == 0) {
        die(path);
        return;
    }
    (void)fclose(file);
    text[length] = '\0';
    start = strchr(strchr(text, '['), '{');
    end = strchr(start, '}');
    memcpy(events[event_count], start, (size_t)(end + 1 - start));
    event_count++;
}

static size_t put_event(char *out, const char *event, bool pretty) {
    size_t used = 0;
    bool quoted = false;

    for (; *event != '\0'; event++) {
        quoted = quoted != (*event == '"');
        if (pretty || quoted || strchr(" \n", *event) == NULL) {
            out[used++] = *event;
        }
    }
    return used;
}

struct body json_body(unsigned count, bool pretty) {
    struct body body = {malloc(BODY_MAX), 0};

    if (body.bytes == NULL) {
        die("out of memory");
    }
    body.length =
        (size_t)sprintf(body.bytes, "{\"event_type\":\"deliveries\",\"server_composition\":"
                                    "\"pro\",\"event\":{\"deliveries\":[");
    for (unsigned i = 0; i < count; i++) {
        if (i > 0) {
            body.bytes[body.length++] = ',';
        }
        body.length += put_event(body.bytes + body.length, events[i % event_count], pretty);
    }
    body.length += (size_t)sprintf(body.bytes + body.length, "]}}");
    return body;
}

struct body form_body(unsigned count) {
    struct body json = json_body(count, false), body = {malloc(4 * BODY_MAX), 0};
    const char *event = strstr(json.bytes, "\"event\":") + 8;

    if (body.bytes == NULL) {
        die("out of memory");
    }
    body.length =
        (size_t)sprintf(body.bytes, "server_composition=pro&event_type=deliveries&event=");
    for (; event + 1 < json.bytes + json.length; event++) {
        unsigned char c = (unsigned char)*event;

        if (c == ' ') {
            body.bytes[body.length++] = '+';
        } else if (strchr("-._*", c) != NULL || (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
                   (c >= 'a' && c <= 'z')) {
            body.bytes[body.length++] = (char)c;
        } else {
            body.length += (size_t)sprintf(body.bytes + body.length, "%%%02X", c);
        }
    }
    free(json.bytes);
    return body;
}

void load_events(int count, char **paths) {
    for (int i = 0; i < count && i < 8; i++) {
        load_event(paths[i]);
    }
    if (event_count == 0) {
        die("expected payload files");
    }
}

void take_body(struct cmcwh_parser *parser, struct cmcwh_ring *ring, const struct body *body,
               enum cmcwh_format format) {
    enum { READ = 4096 };

    cmcwh_parser_init(parser, ring, format);
    for (size_t at = 0; at < body->length; at += READ) {
        size_t piece = body->length - at < READ ? body->length - at : READ;

        (void)cmcwh_parser_feed(parser, body->bytes + at, piece);
    }
    if (cmcwh_parser_end(parser) < 0 || cmcwh_parser_commit(parser) < 0) {
        die(cmcwh_parser_error(parser)->detail);
    }
}

static int count_bytes(void *context, const void *bytes, size_t length) {
    (void)bytes;
    *(size_t *)context += length;
    return 0;
}

void make_sink(struct cmcwh_sink *sink, struct cmcwh_ring *ring, enum cmcwh_encoding encoding,
               size_t *bytes) {
    static char buffer[1 << 16];
    struct cmcwh_sink_config config = {.ring = ring,
                                       .encoding = encoding,
                                       .context = bytes,
                                       .write = count_bytes,
                                       .buffer = buffer,
                                       .buffer_size = sizeof buffer};

    config.reader = cmcwh_ring_attach(ring, NULL, true);
    if (cmcwh_sink_init(sink, &config) < 0) {
        die("the sink");
    }
}

void stay_here(void) {
    cpu_set_t one;

    CPU_ZERO(&one);
    CPU_SET(0, &one);
    (void)sched_setaffinity(0, sizeof one, &one);
}
