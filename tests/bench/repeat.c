/* One kind of work so many times, for what counts the instructions of a whole program: the
 * difference between two runs is the work's own. Arguments: "JSON", "form", or "encode"; events a
 * body; times; payload files. */
#include "bodies.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RECORDS = 128 };

static struct cmcwh_record records[RECORDS], taken[RECORDS];
static uint32_t links[RECORDS];
static struct cmcwh_ring ring;
static struct cmcwh_parser parser;
static char out[CMCWH_ENCODED_MAX];

static void take(const struct body *body, enum cmcwh_format format, unsigned times) {
    for (unsigned i = 0; i < times; i++) {
        take_body(&parser, &ring, body, format);
    }
}

static void encode(const struct body *body, unsigned times) {
    int reader = cmcwh_ring_attach(&ring, NULL, true);
    unsigned count = 0;

    take_body(&parser, &ring, body, CMCWH_JSON);
    while (count < RECORDS && cmcwh_ring_read(&ring, reader, &taken[count]) > 0) {
        count++;
    }
    for (unsigned i = 0; i < times * count; i++) {
        (void)cmcwh_encode(&taken[i % count], CMCWH_ENCODE_JSON, NULL, out);
    }
}

int main(int count, char **arguments) {
    struct cmcwh_ring_config config = {.records = records, .links = links, .capacity = RECORDS};
    unsigned events, times;
    struct body body;
    bool form;

    if (count < 5) {
        die("arguments: WORK EVENTS TIMES PAYLOAD...");
    }
    form = strcmp(arguments[1], "form") == 0;
    events = (unsigned)strtoul(arguments[2], NULL, 10);
    times = (unsigned)strtoul(arguments[3], NULL, 10);
    load_events(count - 4, arguments + 4);
    body = form ? form_body(events) : json_body(events, false);
    if (cmcwh_ring_init(&ring, &config, 1) < 0) {
        die("the ring");
    }
    if (strcmp(arguments[1], "encode") == 0) {
        encode(&body, times);
    } else {
        take(&body, form ? CMCWH_FORM : CMCWH_JSON, times);
    }
    free(body.bytes);
    return 0;
}
