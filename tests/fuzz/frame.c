/* A stream of frames, whole and in pieces: the same records are found. Then a record with the input
 * as its texts, whose frame must be found behind the input as noise. */
#include "cmcwh.c"

#include "fuzz.h"

/* Returns the sum of the ids of what it found. */
static uint64_t find(struct cmcwh_deframer *deframer, const uint8_t *bytes, size_t length,
                     size_t step) {
    uint64_t ids = 0;

    cmcwh_deframer_init(deframer);
    for (size_t at = 0; at < length;) {
        size_t piece = length - at < step ? length - at : step, taken;
        bool found = false;
        struct cmcwh_record record;
        struct cmcwh_event event;

        taken = cmcwh_deframer_feed(deframer, bytes + at, piece, &record, &found);
        MUST(taken > 0 && taken <= piece);
        at += taken;
        if (found) {
            fuzz_check_record(&record, false);
            cmcwh_record_read(&record, &event);
            ids += event.id;
        }
    }
    cmcwh_deframer_end(deframer);
    return ids;
}

static void compare(const uint8_t *bytes, size_t length, size_t step) {
    static struct cmcwh_deframer whole, parts;
    uint64_t ids = find(&whole, bytes, length, length + 1);

    MUST(find(&parts, bytes, length, step) == ids);
    MUST(whole.records == parts.records && whole.skipped == parts.skipped);
    MUST(whole.skipped <= length);
}

static size_t make_frame(const uint8_t *bytes, size_t length, char *out) {
    struct cmcwh_ring *ring = fuzz_ring();
    struct cmcwh_batch batch;
    struct cmcwh_record *record, copy;
    struct cmcwh_draft draft;
    static char text[CMCWH_FIELDS][4096];

    batch_begin(&batch, ring);
    record = batch_add(&batch);
    MUST(record != NULL);
    draft_begin(&draft, record, CMCWH_BOUNCES);
    for (unsigned field = 0; field < CMCWH_FIELDS; field++) {
        size_t used = 0;

        if (field == CMCWH_MEMBERS) {
            continue; /* not any text */
        }
        for (size_t i = field; i < length && used < sizeof text[field]; i += CMCWH_FIELDS) {
            text[field][used++] = (char)(bytes[i] & 0x7F); /* ASCII: must be UTF-8 */
        }
        draft_text(&draft, field, (struct cmcwh_text){text[field], used});
    }
    draft_close(&draft);
    MUST(batch_commit(&batch, (struct cmcwh_text){"", 0}, (struct cmcwh_text){0}) == 1);
    MUST(cmcwh_ring_read(ring, 0, &copy) == 1);
    fuzz_check_record(&copy, true);
    return cmcwh_encode(&copy, CMCWH_ENCODE_BINARY, NULL, out);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    enum { NOISE_MAX = 2 * CMCWH_ENCODED_MAX };
    static uint8_t stream[NOISE_MAX + 1 + CMCWH_ENCODED_MAX];
    static struct cmcwh_deframer alone, followed;
    size_t step = length > 0 ? (size_t)bytes[length - 1] % 7 + 1 : 1, size;

    length = length < NOISE_MAX ? length : NOISE_MAX;
    compare(bytes, length, step);
    (void)find(&alone, bytes, length, length + 1);
    if (length > 0) {
        memcpy(stream, bytes, length);
    }
    stream[length] = 0; /* what has begun is ended: that may be one good frame more */
    size = length + 1 + make_frame(bytes, length, (char *)stream + length + 1);
    compare(stream, size, step);
    (void)find(&followed, stream, size, size);
    MUST(followed.records == alone.records + 1 || followed.records == alone.records + 2);
    return 0;
}
