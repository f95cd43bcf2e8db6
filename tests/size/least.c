/* A build with CMCWH_NO_FORMS, CMCWH_NO_STORAGE, CMCWH_NO_LOGFMT, CMCWH_NO_FRAMES,
 * CMCWH_NO_COUNTERS, CMCWH_NO_GATHER and CMCWH_NO_THREADS: what is left works, and what is left out
 * says so. */
#include <stdio.h>
#include <string.h>

#include "cmcwh.h"

static struct cmcwh_record records[2];
static uint32_t links[2];
static struct cmcwh_history history; /* is not looked at */
static struct cmcwh_ring ring;
static struct cmcwh_parser parser;

static const char one_event[] = "{\"event_type\":\"blocks\",\"event\":{\"blocks\":[{}]}}";

static int take(enum cmcwh_format format, const char *body) {
    int result;

    cmcwh_parser_init(&parser, &ring, format);
    (void)cmcwh_parser_feed(&parser, body, strlen(body));
    result = cmcwh_parser_end(&parser);
    if (result >= 0) {
        result = cmcwh_parser_commit(&parser);
    }
    cmcwh_parser_abort(&parser);
    return result;
}

static void lock(void *context) {
    (void)context;
}

/* A ring that must wait, or be locked, is refused: it would not be safe. */
static bool threads_refused(const struct cmcwh_ring_config *config) {
    const struct cmcwh_port port = {.lock = lock};
    struct cmcwh_ring_config gathers = *config, locked = *config;

    gathers.gather = 1;
    locked.port = &port;
    return cmcwh_ring_init(&ring, &gathers, 1) == CMCWH_ERR_ARGUMENT &&
           cmcwh_ring_init(&ring, &locked, 1) == CMCWH_ERR_ARGUMENT;
}

/* With config.confirm a request is pending until its reader has taken it. */
static bool confirms(struct cmcwh_ring_config config) {
    struct cmcwh_record record;
    int reader;
    bool right;

    config.confirm = true;
    right = cmcwh_ring_init(&ring, &config, 1) == CMCWH_OK;
    reader = cmcwh_ring_attach(&ring, "named", true);
    cmcwh_parser_init(&parser, &ring, CMCWH_JSON);
    (void)cmcwh_parser_feed(&parser, one_event, strlen(one_event));
    right = right && cmcwh_parser_end(&parser) == 1 &&
            cmcwh_parser_commit(&parser) == CMCWH_PENDING &&
            cmcwh_ring_read(&ring, reader, &record) == 1 &&
            cmcwh_parser_confirm(&parser) == CMCWH_PENDING &&
            cmcwh_ring_acknowledge(&ring, reader) == CMCWH_OK && cmcwh_parser_confirm(&parser) == 1;
    cmcwh_parser_abort(&parser);
    return right;
}

static char out[CMCWH_ENCODED_MAX];

static int write_nothing(void *context, const void *bytes, size_t length) {
    (void)context;
    (void)bytes;
    (void)length;
    return 0;
}

static int write_no_record(void *context, const struct cmcwh_record *record, const void *bytes,
                           size_t length) {
    (void)record;
    return write_nothing(context, bytes, length);
}

/* Only JSON comes out. A sink that would acknowledge what it has not written cannot be made. */
static bool writes_json(const struct cmcwh_record *record) {
    static const enum cmcwh_encoding others[] = {CMCWH_ENCODE_LOGFMT,  CMCWH_ENCODE_BINARY,
                                                 CMCWH_ENCODE_RFC5424, CMCWH_ENCODE_RFC6587,
                                                 CMCWH_ENCODE_RFC3164, CMCWH_ENCODE_CMC};
    static struct cmcwh_sink sink;
    struct cmcwh_sink_config config = {
        .ring = &ring, .write = write_nothing, .buffer = out, .buffer_size = sizeof out};
    bool right = cmcwh_encode(record, CMCWH_ENCODE_JSON, NULL, out) > 0 &&
                 cmcwh_sink_init(&sink, &config) == CMCWH_OK;

    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        config.encoding = others[i];
        right = right && cmcwh_encode(record, others[i], NULL, out) == 0 &&
                cmcwh_sink_init(&sink, &config) == CMCWH_ERR_ARGUMENT;
    }
    config.encoding = CMCWH_ENCODE_JSON;
    config.write = NULL;
    config.write_record = write_no_record;
    return right && cmcwh_sink_init(&sink, &config) == CMCWH_ERR_ARGUMENT;
}

int main(void) {
    static struct cmcwh_counters counters;
    struct cmcwh_ring_config config = {
        .records = records, .links = links, .capacity = 2, .history = &history};
    const struct cmcwh_storage storage = {NULL, NULL, NULL, NULL};
    struct cmcwh_recovery found;
    struct cmcwh_record record;
    const struct cmcwh_text form = {"application/x-www-form-urlencoded", 33};
    const struct cmcwh_text json = {"application/json", 16};
    struct cmcwh_content content;
    struct cmcwh_answer answer;
    bool right;

    config.storage = &storage;
    right = cmcwh_ring_open(&ring, &config, &found) == CMCWH_ERR_ARGUMENT;
    config.storage = NULL;
    right = right && cmcwh_ring_init(&ring, &config, 1) == CMCWH_OK &&
            cmcwh_ring_attach(&ring, NULL, true) == 0;
    right = right && take(CMCWH_FORM, "event_type=blocks") == CMCWH_ERR_FORM &&
            take(CMCWH_MULTIPART, "--b--") == CMCWH_ERR_FORM && take(CMCWH_JSON, one_event) == 1;
    cmcwh_ring_counters(&ring, &counters);
    right = right && counters.totals[CMCWH_COUNT_BLOCKS] == 0 &&
            cmcwh_ring_look(&ring, 1, &record) == 0;
    right = right && cmcwh_ring_read(&ring, 0, &record) == 1 && writes_json(&record);
    right = right && threads_refused(&config) && confirms(config);
    right = right && cmcwh_content_type(form, &content, &answer) == CMCWH_ERR_MEDIA_TYPE &&
            cmcwh_content_type(json, &content, &answer) == CMCWH_OK;
    puts(right ? "1 passed, 0 failed" : "0 passed, 1 failed");
    return right ? 0 : 1;
}
