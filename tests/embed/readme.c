#include "cmcwh.h"
#include <stdio.h>

static struct cmcwh_record records[16]; /* all the memory there is */
static uint32_t links[16];
static struct cmcwh_ring ring;
static struct cmcwh_parser parser;
static struct cmcwh_sink sink;
static char buffer[CMCWH_ENCODED_MAX];

static int uart_write(void *context, const void *bytes, size_t length) {
    return fwrite(bytes, 1, length, context) == length ? 0 : -1;
}

int main(void) {
    static const char body[] =
        "{\"event_type\":\"deliveries\",\"server_composition\":\"pro\",\"event\":"
        "{\"deliveries\":[{\"to\":\"user@example.jp\",\"status\":\"queued\"}]}}";
    struct cmcwh_ring_config memory = {
        .records = records, .links = links, .capacity = 16, .confirm = true};
    struct cmcwh_sink_config uart = {.ring = &ring,
                                     .encoding = CMCWH_ENCODE_JSON,
                                     .context = stdout,
                                     .write = uart_write,
                                     .buffer = buffer,
                                     .buffer_size = sizeof buffer};
    int stored;

    if (cmcwh_ring_init(&ring, &memory, 1) < 0 ||
        (uart.reader = cmcwh_ring_attach(&ring, NULL, true)) < 0 ||
        cmcwh_sink_init(&sink, &uart) < 0) {
        return 1;
    }
    cmcwh_parser_init(&parser, &ring, CMCWH_JSON);     /* a request begins */
    cmcwh_parser_feed(&parser, body, sizeof body - 1); /* as often as bytes arrive */
    stored = cmcwh_parser_end(&parser);                /* it is whole */
    if (stored >= 0) {
        stored = cmcwh_parser_commit(&parser);
    }
    while (stored == CMCWH_PENDING) { /* .confirm: not safe before it is written */
        if (cmcwh_sink_pump(&sink) < 0) {
            cmcwh_ring_fail(&ring, uart.reader, 0);
        }
        stored = cmcwh_parser_confirm(&parser);
    }
    if (stored < 0) {
        cmcwh_parser_abort(&parser); /* answer 400, 422 or 503: see cmcwh_parser_error */
        return 1;
    }
    return 0; /* answer 200: `stored` events are written */
}
