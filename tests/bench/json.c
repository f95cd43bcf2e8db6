/* The same work with another JSON library: a body is parsed, and the fields of each event are
 * copied into a record of 1 KiB. One thread; of many rounds the shortest counts. Arguments: payload
 * files. Unlike cmcwh they take the body whole, and allocate. */
#include "cmcwh.h"

#include "library.h"

#include <stdio.h>
#include <string.h>

enum { ROUNDS = 1000, RECORDS = 256 };

static struct cmcwh_record records[RECORDS];
static uint32_t links[RECORDS];
static struct cmcwh_ring ring;
static struct cmcwh_parser parser;
static unsigned used; /* records of the round */

const char *const fields[FIELDS] = {"reason",  "sourceIp", "returnPath", "created",
                                    "subject", "apiData",  "messageId",  "from",
                                    "to",      "senderIp", "status"};

/* Where the next record's texts go, one behind the other; a length before each. */
static uint8_t *place;

void begin_record(void) {
    place = records[used++ % RECORDS].bytes;
}

void put_field(const char *text, size_t length) {
    uint8_t *end = records[(used - 1) % RECORDS].bytes + CMCWH_RECORD_SIZE;

    if (text != NULL && length + 2 <= (size_t)(end - place)) {
        *place++ = (uint8_t)length;
        *place++ = (uint8_t)(length >> 8);
        memcpy(place, text, length);
        place += length;
    }
}

/* In turn, so that both have the same luck with the machine. */
static void report(const char *name, const struct body *body, unsigned count) {
    double ours = 1e9, theirs = 1e9;

    for (int round = 0; round < ROUNDS; round++) {
        double start = now(), time;

        take_body(&parser, &ring, body, CMCWH_JSON);
        time = now() - start;
        ours = time < ours ? time : ours;
        used = 0;
        start = now();
        library_take(body);
        time = now() - start;
        theirs = time < theirs ? time : theirs;
        if (used != count) {
            die(library_name);
        }
    }
    printf("%-16s cmcwh %8.0f events/s   %-8s %8.0f events/s   ratio %.2f\n", name, count / ours,
           library_name, count / theirs, theirs / ours);
}

int main(int count, char **arguments) {
    struct cmcwh_ring_config config = {.records = records, .links = links, .capacity = RECORDS};
    struct body body;

    stay_here();
    load_events(count - 1, arguments + 1);
    if (cmcwh_ring_init(&ring, &config, 1) < 0) {
        die("the ring");
    }
    body = json_body(1, false);
    report("1 event", &body, 1);
    body = json_body(100, false);
    report("100 events", &body, 100);
    body = json_body(100, true);
    report("100, indented", &body, 100);
    return 0;
}
