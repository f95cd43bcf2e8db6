/* Writes a ring with known events to standard output, the same bytes on every processor.
 * big-endian.ring was written by this program on a big-endian MIPS:
 *
 *   mips-linux-gnu-gcc -static -DCMCWH_NO_SERVER -I. tests/golden/make.c cmcwh.c -o make-ring
 *   qemu-mips-static ./make-ring > tests/golden/big-endian.ring
 */
#include "cmcwh.h"

#include <stdio.h>
#include <string.h>

enum { CAPACITY = 4, BLOCK = 256, SIZE = 3 * BLOCK + CAPACITY * CMCWH_RECORD_SIZE };

static uint8_t image[SIZE];

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
    return UINT64_C(1674622986120);
}

static const char delivery[] =
    "{\"event_type\":\"deliveries\",\"server_composition\":\"pro\",\"event\":{\"deliveries\":[{"
    "\"reason\":\"\",\"sourceIp\":\"100.100.100.1\",\"returnPath\":\"info@return.example.jp\","
    "\"created\":\"2023-01-25 14:03:06\",\"subject\":\"\\u3042\\ud83d\\ude00\",\"apiData\":\"\","
    "\"messageId\":\"<1@example.jp>\",\"from\":\"info@example.jp\",\"to\":\"user@example.jp\","
    "\"senderIp\":\"\",\"status\":\"queued\"}]}}";
static const char bounces[] =
    "{\"event_type\":\"bounces\",\"server_composition\":\"pro\",\"event\":{\"bounces\":["
    "{\"to\":\"a@example.jp\",\"status\":\"3\",\"created\":\"2023-01-25 14:03:07\"},"
    "{\"to\":\"b@example.jp\",\"status\":\"99\",\"created\":\"2023-01-25 14:03:08\"}]}}";

static int post(struct cmcwh_ring *ring, const char *body) {
    static struct cmcwh_parser parser;

    cmcwh_parser_init(&parser, ring, CMCWH_JSON);
    return cmcwh_parser_feed(&parser, body, strlen(body)) < 0 || cmcwh_parser_end(&parser) < 0
               ? -1
               : cmcwh_parser_commit(&parser);
}

int main(void) {
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
    struct cmcwh_geometry geometry = {.records = CAPACITY, .block = BLOCK};
    struct cmcwh_recovery found;
    struct cmcwh_record record;
    int reader;

    if (cmcwh_storage_format(&storage, &geometry) < 0 ||
        cmcwh_ring_open(&ring, &config, &found) < 0 ||
        (reader = cmcwh_ring_attach(&ring, "file:log", true)) < 0 || post(&ring, delivery) != 1 ||
        post(&ring, bounces) != 2 || cmcwh_ring_read(&ring, reader, &record) != 1 ||
        cmcwh_ring_acknowledge(&ring, reader) < 0 || cmcwh_ring_flush(&ring) < 0) {
        return 1;
    }
    return fwrite(image, 1, SIZE, stdout) == SIZE ? 0 : 1;
}
