/* A body of one format (FUZZ_FORMAT), whole and in pieces: the same answer and the same records,
 * and nothing left behind. Of multipart the first line of the input is the boundary. */
#include "fuzz.h"

#ifndef FUZZ_FORMAT
#define FUZZ_FORMAT CMCWH_JSON
#endif

struct outcome {
    int result;
    struct cmcwh_error error;
    unsigned count;
    struct cmcwh_record records[FUZZ_RECORDS];
};

static struct cmcwh_parser parser;

static void collect(struct cmcwh_ring *ring, struct outcome *outcome) {
    while (cmcwh_ring_read(ring, 0, &outcome->records[outcome->count]) > 0) {
        outcome->count++;
    }
    MUST((int)outcome->count == outcome->result);
    MUST(cmcwh_ring_acknowledge(ring, 0) == CMCWH_OK);
}

static void take(const uint8_t *bytes, size_t length, const char *boundary, size_t boundary_length,
                 size_t step, struct outcome *outcome) {
    struct cmcwh_ring *ring = fuzz_ring();
    struct cmcwh_ring_state state;

    outcome->count = 0;
    cmcwh_parser_init(&parser, ring, FUZZ_FORMAT);
    if (FUZZ_FORMAT == CMCWH_MULTIPART) {
        (void)cmcwh_parser_boundary(&parser, (struct cmcwh_text){boundary, boundary_length});
    }
    outcome->result = CMCWH_OK;
    for (size_t at = 0; at < length && outcome->result >= 0; at += step) {
        /* a copy of just this size: AddressSanitizer sees a read past it */
        size_t piece = length - at < step ? length - at : step;
        uint8_t *copy = malloc(piece);

        MUST(copy != NULL);
        memcpy(copy, bytes + at, piece);
        outcome->result = cmcwh_parser_feed(&parser, copy, piece);
        free(copy);
    }
    if (outcome->result >= 0) {
        outcome->result = cmcwh_parser_end(&parser);
    }
    if (outcome->result >= 0) {
        outcome->result = cmcwh_parser_commit(&parser);
        collect(ring, outcome);
    }
    outcome->error = *cmcwh_parser_error(&parser);
    MUST((outcome->result < 0) == (outcome->error.result < 0));
    cmcwh_parser_abort(&parser);
    cmcwh_ring_state(ring, &state);
    MUST(state.in_use == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    static struct outcome whole, parts;
    const char *boundary = (const char *)bytes;
    size_t step = length > 0 ? (size_t)bytes[length - 1] % 7 + 1 : 1, boundary_length = 0;

    if (FUZZ_FORMAT == CMCWH_MULTIPART) {
        while (boundary_length < length && bytes[boundary_length] != '\n') {
            boundary_length++;
        }
        bytes += boundary_length;
        length -= boundary_length;
        if (length > 0) {
            bytes++;
            length--;
        }
    }
    take(bytes, length, boundary, boundary_length, length + 1, &whole);
    take(bytes, length, boundary, boundary_length, step, &parts);
    MUST(whole.result == parts.result);
    MUST(whole.error.offset <= length);
    MUST(whole.error.offset == parts.error.offset);
    MUST(whole.error.detail == parts.error.detail);
    MUST(memcmp(whole.error.field, parts.error.field, sizeof whole.error.field) == 0);
    for (unsigned i = 0; i < whole.count; i++) {
        MUST(memcmp(&whole.records[i], &parts.records[i], sizeof whole.records[i]) == 0);
        fuzz_check_record(&whole.records[i], true);
    }
    return 0;
}
