/* Frames (COBS): round trips, and finding the next good one after noise and loss. */
#include "cmcwh.c"

#include "support.h"

#include <stdio.h>
#include <string.h>

static struct fixture f;
static struct cmcwh_deframer deframer;
static uint8_t stream[1 << 20];

/* A record whose texts make long and short runs without a zero byte. */
static struct cmcwh_record sample(unsigned seed) {
    static char text[2 * CMCWH_RECORD_SIZE];
    struct cmcwh_batch batch;
    struct cmcwh_record *record;
    struct cmcwh_text view = {text, 0}, none = {"", 0};
    struct cmcwh_draft draft;

    fixture_init(&f, 2, false);
    f.ring.next_seq = seed + 1;
    batch_begin(&batch, &f.ring);
    record = batch_add(&batch);
    assert_non_null(record);
    draft_begin(&draft, record, CMCWH_OTHER);
    view.length = seed * 7 % CMCWH_RECORD_TEXT;
    for (size_t i = 0; i < view.length; i++) {
        text[i] = i % (253 + seed % 4) == 252 ? '\0' : 'x';
    }
    draft_text(&draft, CMCWH_TO, view);
    draft_close(&draft);
    assert_int_equal(batch_commit(&batch, none, (struct cmcwh_text){0}), 1);
    return take(&f);
}

static size_t frame(const struct cmcwh_record *record, uint8_t *out) {
    size_t length = cmcwh_encode(record, CMCWH_ENCODE_BINARY, NULL, (char *)out);

    assert_int_equal(out[length - 1], 0);
    assert_null(memchr(out, 0, length - 1));
    return length;
}

/* Reads a stream in pieces. Each record found must be one of those that went in; `seen` counts. */
static unsigned read_stream(size_t length, size_t step, const struct cmcwh_record *good,
                            unsigned count) {
    unsigned found_count = 0;

    cmcwh_deframer_init(&deframer);
    for (size_t at = 0; at < length;) {
        size_t piece = length - at < step ? length - at : step;
        struct cmcwh_record record;
        bool found;
        size_t taken = cmcwh_deframer_feed(&deframer, stream + at, piece, &record, &found);

        assert_true(taken > 0 && taken <= piece);
        at += taken;
        if (found) {
            bool known = false;

            for (unsigned i = 0; i < count; i++) {
                known = known || memcmp(&record, &good[i], sizeof record) == 0;
            }
            assert_true(known);
            found_count++;
        }
    }
    cmcwh_deframer_end(&deframer);
    assert_int_equal(deframer.records, found_count);
    return found_count;
}

static void round_trips(void **state) {
    (void)state;
    for (unsigned seed = 0; seed < 600; seed++) {
        struct cmcwh_record record = sample(seed);
        size_t length = frame(&record, stream);

        assert_int_equal(read_stream(length, seed % 2 == 0 ? 1 : length, &record, 1), 1);
        assert_int_equal(deframer.skipped, 0);
        assert_true(length <= record_length(&record) + CMCWH_RECORD_SIZE / 254 + 2);
    }
}

static void noise_before_and_between(void **state) {
    struct cmcwh_record good[3] = {sample(5), sample(100), sample(200)};
    unsigned random = 1;

    (void)state;
    for (int round = 0; round < 500; round++) {
        size_t length = 0, noise = 0;

        for (int i = 0; i < 3; i++) {
            size_t some = (random >> 8) % 3000;

            for (size_t n = 0; n < some; n++) {
                random = random * 1103515245 + 12345;
                stream[length + n] = (uint8_t)(random >> 16);
            }
            stream[length + some] = 0; /* or the frame would be taken for the noise's end */
            for (size_t n = 0; n <= some; n++) {
                noise += stream[length + n] != 0;
            }
            length += some + 1;
            length += frame(&good[i], stream + length);
        }
        assert_int_equal(read_stream(length, 1 + random % 5000, good, 3), 3);
        assert_int_equal(deframer.skipped, noise);
    }
}

/* A frame that lost, gained or changed a byte is not delivered, and the next one is. */
static void damage(void **state) {
    struct cmcwh_record good[2] = {sample(40), sample(41)};
    static uint8_t one[4096], two[4096];
    size_t first = frame(&good[0], one), second = frame(&good[1], two);

    (void)state;
    for (size_t at = 0; at + 1 < first; at++) {
        for (int kind = 0; kind < 10; kind++) {
            size_t length = 0;
            unsigned found;

            memcpy(stream, one, at);
            length = at;
            if (kind == 8) { /* one byte more */
                stream[length++] = 0x55;
                stream[length++] = one[at];
            } else if (kind < 8) { /* one bit flipped */
                stream[length++] = (uint8_t)(one[at] ^ 1 << kind);
            } /* else: the byte is lost */
            memcpy(stream + length, one + at + 1, first - at - 1);
            length += first - at - 1;
            memcpy(stream + length, two, second);
            length += second;
            found = read_stream(length, 4096, &good[1], 1);
            assert_int_equal(found, 1);
            assert_true(deframer.skipped > 0);
        }
    }
}

static void floods(void **state) {
    struct cmcwh_record good = sample(3);
    size_t length;

    (void)state;
    memset(stream, 0, 100000); /* a line that idles */
    length = 100000 + frame(&good, stream + 100000);
    assert_int_equal(read_stream(length, 777, &good, 1), 1);
    assert_int_equal(deframer.skipped, 0);
    memset(stream, 0xAA, 100000); /* and one that never ends a frame */
    stream[100000] = 0;
    length = 100001 + frame(&good, stream + 100001);
    assert_int_equal(read_stream(length, 777, &good, 1), 1);
    assert_int_equal(deframer.skipped, 100000);
    assert_int_equal(read_stream(100000, 777, &good, 1), 0);
    assert_int_equal(deframer.skipped, 100000);
}

/* Lost between two frames: they run together, and both are gone, but not a third. */
static void a_lost_end(void **state) {
    struct cmcwh_record good = sample(9);
    size_t length = frame(&good, stream) - 1;

    (void)state;
    length += frame(&good, stream + length);
    length += frame(&good, stream + length);
    assert_int_equal(read_stream(length, 100, &good, 1), 1);
}

static uint8_t *put_run(uint8_t *out, unsigned code) {
    *out++ = (uint8_t)code;
    memset(out, 'x', code - 1);
    return out + code - 1;
}

/* COBS that says more than there is, or more than a record holds. */
static void frames_of_the_wrong_length(void **state) {
    struct cmcwh_record good = sample(3);

    (void)state;
    for (int kind = 0; kind < 3; kind++) {
        uint8_t *out = stream;
        size_t bad;

        if (kind == 0) {
            out = put_run(out, 200) - 1; /* one byte less than it says */
        } else {
            for (size_t length = 0; length + 254 <= CMCWH_RECORD_SIZE; length += 254) {
                out = put_run(out, 255);
            }
            /* one byte too many; just as many, and a zero between two runs */
            out = put_run(out, CMCWH_RECORD_SIZE % 254 + (kind == 1 ? 2 : 1));
            out = kind == 2 ? put_run(out, 1) : out;
        }
        *out++ = 0;
        bad = (size_t)(out - stream);
        out += frame(&good, out);
        assert_int_equal(read_stream((size_t)(out - stream), 100, &good, 1), 1);
        assert_int_equal(deframer.skipped, bad - 1);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trips), cmocka_unit_test(noise_before_and_between),
        cmocka_unit_test(damage),      cmocka_unit_test(floods),
        cmocka_unit_test(a_lost_end),  cmocka_unit_test(frames_of_the_wrong_length)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
