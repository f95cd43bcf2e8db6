/* The portable part, measured: bodies to records beside jsmn tokenizing the same bytes, and records
 * to what sinks write. One thread; of many rounds the shortest counts. Arguments: payload files. */
#include "cmcwh.h"

#include "bodies.h"

#define JSMN_STATIC
#define JSMN_STRICT
#define JSMN_PARENT_LINKS
#include <jsmn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 2000, RECORDS = 16384, BODY_MAX = 8 << 20, TOKENS_MAX = 1 << 19 };

static struct cmcwh_record records[RECORDS];
static uint32_t links[RECORDS];
static struct cmcwh_ring ring;
static struct cmcwh_parser parser;
static jsmntok_t tokens[TOKENS_MAX];

static double time_jsmn(const struct body *body) {
    double start = now();
    jsmn_parser jsmn;

    jsmn_init(&jsmn);
    if (jsmn_parse(&jsmn, body->bytes, body->length, tokens, TOKENS_MAX) < 0) {
        die("jsmn refuses a body");
    }
    return now() - start;
}

/* From the first byte to committed records. No reader is attached, so that they are free again at
 * once; the CRC is computed when a record leaves the ring, and is measured below. */
static double time_parser(const struct body *body, enum cmcwh_format format) {
    double start = now();

    take_body(&parser, &ring, body, format);
    return now() - start;
}

/* In turn, so that both have the same luck with the machine. */
static void report(const char *name, const struct body *body, unsigned count,
                   enum cmcwh_format format) {
    double ours = 1e9, jsmn = 1e9;
    unsigned rounds = count > 1000 ? ROUNDS / 50 : ROUNDS;

    for (unsigned round = 0; round < rounds; round++) {
        double time = time_parser(body, format);

        ours = time < ours ? time : ours;
        if (format == CMCWH_JSON) {
            time = time_jsmn(body);
            jsmn = time < jsmn ? time : jsmn;
        }
    }
    printf("%-28s %7zu B %9.0f events/s %6.0f MB/s", name, body->length, count / ours,
           (double)body->length / ours / 1e6);
    if (format == CMCWH_JSON) {
        printf("   jsmn alone %6.0f MB/s   ratio %.2f", (double)body->length / jsmn / 1e6,
               jsmn / ours);
    }
    putchar('\n');
}

/* What a sink's thread does for each record, but for what its medium costs. */
static void report_sink(const char *name, enum cmcwh_encoding encoding) {
    enum { COUNT = 100 };
    struct cmcwh_ring_config config = {.records = records, .links = links, .capacity = RECORDS};
    struct body body = json_body(COUNT, false);
    struct cmcwh_sink sink;
    double best = 1e9;
    size_t bytes = 0;

    for (int round = 0; round < ROUNDS; round++) {
        double start;

        if (cmcwh_ring_init(&ring, &config, 1) < 0) {
            die("the ring");
        }
        make_sink(&sink, &ring, encoding, &bytes);
        take_body(&parser, &ring, &body, CMCWH_JSON);
        bytes = 0;
        start = now();
        while (cmcwh_sink_pump(&sink) > 0) {
        }
        start = (now() - start) / COUNT;
        best = start < best ? start : best;
    }
    free(body.bytes);
    printf("%-28s %23.0f records/s %6.0f MB/s\n", name, 1 / best,
           (double)bytes / COUNT / best / 1e6);
}

int main(int count, char **arguments) {
    struct cmcwh_ring_config config = {.records = records, .links = links, .capacity = RECORDS};
    struct body body;

    stay_here();
    load_events(count - 1, arguments + 1);
    if (cmcwh_ring_init(&ring, &config, 1) < 0) {
        die("the ring");
    }
    puts("body to records");
    body = json_body(1, false);
    report("JSON, 1 event", &body, 1, CMCWH_JSON);
    body = json_body(100, false);
    report("JSON, 100 events", &body, 100, CMCWH_JSON);
    body = json_body(12000, false);
    report("JSON, 12000 events", &body, 12000, CMCWH_JSON);
    body = json_body(100, true);
    report("JSON, 100 events, indented", &body, 100, CMCWH_JSON);
    body = form_body(1);
    report("form, 1 event", &body, 1, CMCWH_FORM);
    body = form_body(100);
    report("form, 100 events", &body, 100, CMCWH_FORM);
    puts("record to output (a sink, without its medium)");
    report_sink("JSON", CMCWH_ENCODE_JSON);
    report_sink("logfmt", CMCWH_ENCODE_LOGFMT);
    report_sink("RFC 5424", CMCWH_ENCODE_RFC5424);
    report_sink("frame", CMCWH_ENCODE_BINARY);
    printf(
        "memory: parser %zu B, record %zu B, ring %zu B, sink %zu B and a buffer of %d B or more\n",
        sizeof(struct cmcwh_parser), sizeof(struct cmcwh_record), sizeof(struct cmcwh_ring),
        sizeof(struct cmcwh_sink), CMCWH_ENCODED_MAX);
    return 0;
}
