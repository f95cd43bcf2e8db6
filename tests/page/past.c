/* Writes the ring file, of 4096 records, of a server that has been busy for 48 hours to standard
 * output: for pictures of the status page. `past NOW`, in seconds since 1970: the last event came
 * three minutes before it. The same number gives the same file. */
#include "cmcwh.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HOURS = 48, CAPACITY = 4096, BLOCK = 4096 };

static uint64_t clock_ms; /* when events come */
static uint8_t image[3 * BLOCK + CAPACITY * CMCWH_RECORD_SIZE];

static int image_read(void *context, uint64_t offset, void *bytes, size_t length) {
    (void)context;
    memcpy(bytes, image + offset, length);
    return 0;
}

static int image_write(void *context, uint64_t offset, const void *bytes, size_t length) {
    (void)context;
    memcpy(image + offset, bytes, length);
    return 0;
}

static uint64_t now(void *context) {
    (void)context;
    return clock_ms;
}

/* Numbers that look like chance, and are not. */
static unsigned chance(unsigned below) {
    static uint32_t state = 17;

    state = state * 1664525 + 1013904223;
    return (state >> 8) % below;
}

/* What came back, as receiving servers say it. */
static const struct {
    unsigned number;
    const char *domain, *reason;
} bounces[] = {
    {2, "example.jp", "550 5.1.1 <%s>: Recipient address rejected: User unknown"},
    {2, "example.com", "550-5.1.1 The email account that you tried to reach does not exist."},
    {5, "example.net", "452 4.2.2 <%s>: mailbox is over quota"},
    {1, "mail.example.org", "Host or domain name not found"},
    {4, "example.com", "554 5.7.1 Message rejected due to content restrictions"},
    {2, "example.jp", "550 5.1.1 <%s>: Recipient address rejected: User unknown"},
    {10, "example.jp", "553 5.3.0 blocked by recipient"},
};

static const char *const people[] = {"sato",  "suzuki",   "takahashi", "tanaka", "ito",
                                     "info",  "yamamoto", "nakamura",  "kato",   "yoshida",
                                     "sales", "yamada",   "sasaki",    "support"};

static int post(struct cmcwh_ring *ring, const char *type, const char *to, const char *status,
                const char *reason) {
    static struct cmcwh_parser parser;
    static unsigned number;
    char body[1024];
    int length =
        snprintf(body, sizeof body,
                 "{\"event_type\":\"%s\",\"server_composition\":\"pro\",\"event\":{\"%s\":["
                 "{\"to\":\"%s\",\"from\":\"news@example.jp\",\"subject\":\"\\u304a\\u77e5"
                 "\\u3089\\u305b\",\"messageId\":\"<%u@example.jp>\",\"status\":\"%s\","
                 "\"reason\":\"%s\"}]}}",
                 type, type, to, ++number, status, reason);

    cmcwh_parser_init(&parser, ring, CMCWH_JSON);
    return cmcwh_parser_feed(&parser, body, (size_t)length) < 0 || cmcwh_parser_end(&parser) < 0 ||
                   cmcwh_parser_commit(&parser) < 0
               ? -1
               : 0;
}

static int post_bounce(struct cmcwh_ring *ring) {
    unsigned which = chance(sizeof bounces / sizeof *bounces);
    char to[64], reason[256], status[8];

    (void)snprintf(to, sizeof to, "%s@%s", people[chance(sizeof people / sizeof *people)],
                   bounces[which].domain);
    (void)snprintf(status, sizeof status, "%u", bounces[which].number);
    (void)snprintf(reason, sizeof reason, bounces[which].reason,
                   to); // NOLINT(clang-diagnostic-format-nonliteral)
    return post(ring, "bounces", to, status, reason);
}

static int post_delivery(struct cmcwh_ring *ring) {
    unsigned which = chance(100);
    char to[64];

    (void)snprintf(to, sizeof to, "%s%u@example.jp", people[chance(sizeof people / sizeof *people)],
                   chance(90));
    return which < 78   ? post(ring, "deliveries", to, "succeeded", "")
           : which < 88 ? post(ring, "deliveries", to, "queued", "")
           : which < 95
               ? post(ring, "deliveries", to, "deferred", "451 4.7.1 Greylisted, try again later")
               : post(ring, "deliveries", to, "failed", "421 4.4.2 connection dropped");
}

/* Few at night, many by day, a newsletter at ten. */
static unsigned how_many(unsigned hour_of_day) {
    static const unsigned char usual[24] = {3,  2,  1,  1,  1,  3,  9,  18, 34, 52, 88, 49,
                                            33, 40, 44, 41, 38, 42, 35, 24, 18, 13, 9,  5};

    return usual[hour_of_day] + chance(usual[hour_of_day] / 3 + 1);
}

static int fill(struct cmcwh_ring *ring, uint64_t end) {
    for (unsigned hour = 0; hour < HOURS; hour++) {
        uint64_t begin = (end / 3600 - (HOURS - 1 - hour)) * 3600;
        uint64_t seconds = hour < HOURS - 1 ? 3600 : end - begin;
        unsigned count = how_many((unsigned)(begin / 3600 + 9) % 24);

        for (unsigned i = 0; i < count; i++) {
            clock_ms = (begin + seconds * (i + 1) / count) * 1000;
            if ((chance(14) == 0 ? post_bounce : post_delivery)(ring) < 0) {
                return -1;
            }
        }
    }
    return 0;
}

int main(int count, char **arguments) {
    static struct cmcwh_record records[CAPACITY];
    static uint32_t links[CAPACITY];
    static struct cmcwh_ring ring;
    const struct cmcwh_storage storage = {.read = image_read, .write = image_write};
    const struct cmcwh_port port = {.now = now};
    const struct cmcwh_ring_config config = {.records = records,
                                             .links = links,
                                             .capacity = CAPACITY,
                                             .port = &port,
                                             .storage = &storage};
    uint64_t end = count == 2 ? strtoull(arguments[1], NULL, 10) : 0;
    struct cmcwh_geometry geometry = {.records = CAPACITY, .block = BLOCK};
    struct cmcwh_recovery found;

    if (end < 1000000 || cmcwh_storage_format(&storage, &geometry) < 0 ||
        cmcwh_ring_open(&ring, &config, &found) < 0 || fill(&ring, end - 180) < 0 ||
        cmcwh_ring_flush(&ring) < 0) {
        (void)fprintf(stderr, "past: needs NOW\n");
        return 1;
    }
    return fwrite(image, 1, (size_t)geometry.size, stdout) == geometry.size ? 0 : 1;
}
