/* What a profiler is to look at: each kind of work once, in the function `measured`. Says in the
 * same order what it was, of how many events and bytes. Arguments: payload files. */
#include "bodies.h"

#include <stdio.h>
#include <stdlib.h>

enum { RECORDS = 256 };

static struct cmcwh_record records[RECORDS];
static uint32_t links[RECORDS], places[RECORDS], marks[2 * RECORDS];
static struct cmcwh_history history = {.places = places, .marks = marks, .mark_count = 2 * RECORDS};
static struct cmcwh_ring ring;
static struct cmcwh_parser parser;
static struct cmcwh_sink sink;
static size_t written;

struct work {
    struct body body;
    unsigned events;
    enum cmcwh_format format;
    bool outward; /* the sink takes records out, instead of a body's in */
};

/* Until the records are committed, or as a sink's thread takes them out. */
__attribute__((noinline)) static size_t measured(const struct work *work) {
    if (!work->outward) {
        take_body(&parser, &ring, &work->body, work->format);
        return work->body.length;
    }
    written = 0;
    while (cmcwh_sink_pump(&sink) > 0) {
    }
    return written;
}

static void make_ring(void) {
    struct cmcwh_ring_config config = {
        .records = records, .links = links, .capacity = RECORDS, .history = &history};

    if (cmcwh_ring_init(&ring, &config, 1) < 0) {
        die("the ring");
    }
}

static void report(const char *name, const struct work *work) {
    printf("%s|%u|%zu\n", name, work->events, measured(work));
}

/* Only the second time is reported: the first one fills caches of the loader. */
static void take_in(const char *name, struct body body, unsigned events, enum cmcwh_format format) {
    struct work work = {.body = body, .events = events, .format = format};

    make_ring();
    take_body(&parser, &ring, &body, format);
    report(name, &work);
    free(body.bytes);
}

static void take_out(const char *name, enum cmcwh_encoding encoding) {
    struct work work = {.events = 100, .outward = true};
    struct body body = json_body(work.events, false);

    make_ring();
    make_sink(&sink, &ring, encoding, &written);
    take_body(&parser, &ring, &body, CMCWH_JSON);
    report(name, &work);
    free(body.bytes);
}

int main(int count, char **arguments) {
    load_events(count - 1, arguments + 1);
    take_in("JSON, 1", json_body(1, false), 1, CMCWH_JSON);
    take_in("JSON, 100", json_body(100, false), 100, CMCWH_JSON);
    take_in("indented", json_body(100, true), 100, CMCWH_JSON);
    take_in("form, 1", form_body(1), 1, CMCWH_FORM);
    take_in("form, 100", form_body(100), 100, CMCWH_FORM);
    take_out("to JSON", CMCWH_ENCODE_JSON);
    take_out("to logfmt", CMCWH_ENCODE_LOGFMT);
    take_out("to syslog", CMCWH_ENCODE_RFC5424);
    take_out("to frame", CMCWH_ENCODE_BINARY);
    return 0;
}
