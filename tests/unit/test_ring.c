/* The ring: commit and abort, wrap-around, readers of both kinds, confirmation and taking back. */
#include "cmcwh.c"

#include "support.h"

#include <string.h>

static struct fixture f;
static const struct cmcwh_text no_text = {"", 0};

/* A batch of `count` records, not committed. */
static struct cmcwh_batch hold(unsigned count) {
    struct cmcwh_batch batch;

    batch_begin(&batch, &f.ring);
    for (unsigned i = 0; i < count; i++) {
        struct cmcwh_record *record = batch_add(&batch);
        struct cmcwh_draft draft;

        assert_non_null(record);
        draft_begin(&draft, record, CMCWH_OTHER);
        draft_close(&draft);
    }
    return batch;
}

static void commit(unsigned count) {
    struct cmcwh_batch batch = hold(count);

    assert_int_equal(batch_commit(&batch, no_text, no_text), count);
}

/* Reads `count` records of a reader, whose numbers begin at `seq`. */
static void expect(int reader, uint64_t seq, unsigned count) {
    struct cmcwh_record record;

    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(cmcwh_ring_read(&f.ring, reader, &record), 1);
        assert_int_equal(cmcwh_record_check(&record), CMCWH_OK);
        assert_int_equal(event_of(&record).seq, seq + i);
    }
}

static void expect_nothing(int reader) {
    struct cmcwh_record record;

    assert_int_equal(cmcwh_ring_read(&f.ring, reader, &record), 0);
    assert_false(cmcwh_ring_wait(&f.ring, reader, 0));
}

static void acknowledge(int reader) {
    assert_int_equal(cmcwh_ring_acknowledge(&f.ring, reader), CMCWH_OK);
}

static struct cmcwh_ring_state state_of_ring(void) {
    struct cmcwh_ring_state state;

    cmcwh_ring_state(&f.ring, &state);
    return state;
}

static void bad_configs(void **state) {
    static struct cmcwh_record record;
    static uint32_t link;
    struct cmcwh_ring_config good = {.records = &record, .links = &link, .capacity = 1}, config;
    struct cmcwh_ring ring;

    (void)state;
    assert_int_equal(cmcwh_ring_init(&ring, &good, 1), CMCWH_OK);
    assert_int_equal(cmcwh_ring_init(&ring, &good, 0), CMCWH_ERR_ARGUMENT);
    config = good;
    config.records = NULL;
    assert_int_equal(cmcwh_ring_init(&ring, &config, 1), CMCWH_ERR_ARGUMENT);
    config = good;
    config.links = NULL;
    assert_int_equal(cmcwh_ring_init(&ring, &config, 1), CMCWH_ERR_ARGUMENT);
    config = good;
    config.capacity = 0;
    assert_int_equal(cmcwh_ring_init(&ring, &config, 1), CMCWH_ERR_ARGUMENT);
    assert_int_equal(cmcwh_ring_init(&ring, &good, 1), CMCWH_OK);
    for (int i = 0; i < CMCWH_READERS_MAX; i++) {
        assert_int_equal(cmcwh_ring_attach(&ring, NULL, true), i);
    }
    assert_int_equal(cmcwh_ring_attach(&ring, NULL, true), CMCWH_ERR_ARGUMENT);
}

static void committed_in_one_step(void **state) {
    struct cmcwh_batch batch;

    (void)state;
    fixture_init(&f, 8, false);
    batch = hold(3);
    expect_nothing(f.reader);
    assert_int_equal(batch_commit(&batch, no_text, no_text), 3);
    assert_int_equal(batch_confirm(&batch), CMCWH_OK);
    batch_abort(&batch); /* too late: does nothing */
    expect(f.reader, 1, 3);
    expect_nothing(f.reader);
    acknowledge(f.reader);
    assert_int_equal(state_of_ring().in_use, 0);
}

static void aborted_is_free_again(void **state) {
    (void)state;
    fixture_init(&f, 4, false);
    for (int i = 0; i < 10; i++) {
        struct cmcwh_batch batch = hold(4);

        assert_null(batch_add(&batch));
        assert_int_equal(batch.count, 4);
        batch_abort(&batch);
        batch_abort(&batch);
        assert_int_equal(state_of_ring().in_use, 0);
    }
    commit(4);
    expect(f.reader, 1, 4);
}

static void an_empty_batch(void **state) {
    struct cmcwh_batch batch;

    (void)state;
    fixture_init(&f, 4, true);
    batch_begin(&batch, &f.ring);
    assert_int_equal(batch_commit(&batch, no_text, no_text), 0);
    assert_int_equal(batch_confirm(&batch), CMCWH_OK);
    assert_int_equal(state_of_ring().stored, 0);
}

/* Requests are numbered as they are committed; a slow one holds up nobody. */
static void interleaved_requests(void **state) {
    struct cmcwh_batch slow, quick;

    (void)state;
    fixture_init(&f, 8, false);
    slow = hold(3);
    for (uint64_t seq = 1; seq < 50; seq += 2) {
        quick = hold(2);
        assert_int_equal(batch_commit(&quick, no_text, no_text), 2);
        expect(f.reader, seq, 2);
        acknowledge(f.reader);
    }
    assert_int_equal(batch_commit(&slow, no_text, no_text), 3);
    expect(f.reader, 51, 3);
}

static void round_and_round(void **state) {
    uint64_t seq = 1;

    (void)state;
    for (uint32_t capacity = 1; capacity < 12; capacity++) {
        fixture_init(&f, capacity, false);
        seq = 1;
        for (unsigned i = 0; i < 200; i++) {
            unsigned count = 1 + i * 7 % capacity;
            struct cmcwh_batch batch = hold(count);

            if (i % 3 == 0) {
                batch_abort(&batch);
                continue;
            }
            assert_int_equal(batch_commit(&batch, no_text, no_text), count);
            expect(f.reader, seq, count);
            acknowledge(f.reader);
            seq += count;
        }
        assert_int_equal(state_of_ring().in_use, 0);
    }
}

static void a_required_reader_keeps_its_records(void **state) {
    struct cmcwh_batch batch;
    int slow;

    (void)state;
    fixture_init(&f, 4, false);
    slow = cmcwh_ring_attach(&f.ring, NULL, true);
    commit(3);
    expect(f.reader, 1, 3);
    acknowledge(f.reader);
    batch = hold(1);
    assert_null(batch_add(&batch)); /* full, though the fast one has all */
    assert_int_equal(batch_commit(&batch, no_text, no_text), 1);
    expect(slow, 1, 1);
    batch = hold(0);
    assert_null(batch_add(&batch)); /* read is not acknowledged */
    acknowledge(slow);
    commit(1);
    expect(slow, 2, 4);
    expect(f.reader, 4, 2);
    assert_int_equal(state_of_ring().lost[slow], 0);
}

static void a_besteffort_reader_loses_the_oldest(void **state) {
    int slow;

    (void)state;
    fixture_init(&f, 4, false);
    slow = cmcwh_ring_attach(&f.ring, NULL, false);
    for (uint64_t seq = 1; seq <= 10; seq++) {
        commit(1);
        expect(f.reader, seq, 1);
        acknowledge(f.reader);
    }
    assert_int_equal(state_of_ring().lost[slow], 6);
    assert_int_equal(state_of_ring().behind[slow], 4);
    expect(slow, 7, 4);
    expect_nothing(slow);
    acknowledge(slow);
    assert_int_equal(state_of_ring().in_use, 0);
}

/* Evicted while it is being written: lost only if the writing fails. */
static void evicted_while_being_written(void **state) {
    int slow;

    (void)state;
    for (int fails = 0; fails < 2; fails++) {
        fixture_init(&f, 4, false);
        slow = cmcwh_ring_attach(&f.ring, NULL, false);
        commit(4);
        expect(f.reader, 1, 4);
        acknowledge(f.reader);
        expect(slow, 1, 3);
        commit(2); /* evicts 1 and 2 */
        if (fails) {
            cmcwh_ring_fail(&f.ring, slow, 0);
            assert_int_equal(state_of_ring().lost[slow], 2);
            expect(slow, 3, 4);
        } else {
            acknowledge(slow);
            assert_int_equal(state_of_ring().lost[slow], 0);
            expect(slow, 4, 3);
        }
    }
}

static void a_failed_write_is_read_again(void **state) {
    (void)state;
    fixture_init(&f, 8, false);
    commit(5);
    expect(f.reader, 1, 2);
    acknowledge(f.reader);
    expect(f.reader, 3, 2);
    cmcwh_ring_fail(&f.ring, f.reader, 1000);
    assert_true(state_of_ring().failed[f.reader]);
    commit(1); /* without confirm nobody is refused */
    expect(f.reader, 3, 4);
    acknowledge(f.reader);
    assert_false(state_of_ring().failed[f.reader]);
}

static void confirmed_when_all_required_have_it(void **state) {
    struct cmcwh_batch one, two;
    int other, besteffort;

    (void)state;
    fixture_init(&f, 8, true);
    other = cmcwh_ring_attach(&f.ring, NULL, true);
    besteffort = cmcwh_ring_attach(&f.ring, NULL, false);
    one = hold(2);
    two = hold(1);
    assert_int_equal(batch_commit(&one, no_text, no_text), 2);
    assert_int_equal(batch_commit(&two, no_text, no_text), 1);
    assert_int_equal(batch_confirm(&one), CMCWH_PENDING);
    expect(f.reader, 1, 3);
    acknowledge(f.reader);
    assert_int_equal(batch_confirm(&one), CMCWH_PENDING);
    expect_nothing(besteffort); /* not before it is certain */
    expect(other, 1, 2);
    acknowledge(other);
    assert_int_equal(batch_confirm(&one), CMCWH_OK);
    assert_int_equal(batch_confirm(&two), CMCWH_PENDING);
    expect(besteffort, 1, 2);
    expect_nothing(besteffort);
    expect(other, 3, 1);
    acknowledge(other);
    assert_int_equal(batch_confirm(&two), CMCWH_OK);
    expect(besteffort, 3, 1);
}

static void a_failed_reader_takes_all_back(void **state) {
    struct cmcwh_batch before, one, two;
    int besteffort;

    (void)state;
    fixture_init(&f, 8, true);
    besteffort = cmcwh_ring_attach(&f.ring, NULL, false);
    before = hold(1);
    one = hold(2);
    two = hold(1);
    assert_int_equal(batch_commit(&before, no_text, no_text), 1);
    expect(f.reader, 1, 1);
    acknowledge(f.reader);
    assert_int_equal(batch_commit(&one, no_text, no_text), 2);
    expect(f.reader, 2, 1); /* in the middle of a request */
    assert_int_equal(batch_commit(&two, no_text, no_text), 1);
    cmcwh_ring_fail(&f.ring, f.reader, 1000);
    assert_int_equal(batch_confirm(&before), CMCWH_OK);
    assert_int_equal(batch_confirm(&one), CMCWH_ERR_STORAGE);
    assert_int_equal(batch_confirm(&two), CMCWH_ERR_STORAGE);
    batch_abort(&one); /* there is nothing to give back any more */
    expect_nothing(f.reader);
    expect(besteffort, 1, 1);
    expect_nothing(besteffort);
    acknowledge(besteffort);
    assert_int_equal(state_of_ring().in_use, 0);
    assert_int_equal(state_of_ring().stored, 1); /* their numbers are used again */
    assert_int_equal(state_of_ring().retry, 1000);
    one = hold(1);
    assert_int_equal(batch_commit(&one, no_text, no_text), CMCWH_ERR_STORAGE);
    f.now += 999;
    assert_int_equal(batch_commit(&one, no_text, no_text), CMCWH_ERR_STORAGE);
    f.now += 1;
    assert_int_equal(batch_commit(&one, no_text, no_text), 1); /* worth another try */
    expect(f.reader, 2, 1);
    acknowledge(f.reader);
    assert_int_equal(batch_confirm(&one), CMCWH_OK);
    assert_int_equal(state_of_ring().retry, 0);
}

/* Another required reader had some of it in hand: it must undo, and gets the rest again. */
static void taken_back_from_a_reader_that_was_writing(void **state) {
    struct cmcwh_batch one, two;
    int other;

    (void)state;
    fixture_init(&f, 8, true);
    other = cmcwh_ring_attach(&f.ring, NULL, true);
    one = hold(2);
    two = hold(2);
    assert_int_equal(batch_commit(&one, no_text, no_text), 2);
    assert_int_equal(batch_commit(&two, no_text, no_text), 2);
    expect(other, 1, 4);
    expect(f.reader, 1, 2);
    acknowledge(f.reader);
    cmcwh_ring_fail(&f.ring, f.reader, 0); /* at the second request */
    assert_int_equal(batch_confirm(&one), CMCWH_PENDING);
    assert_int_equal(batch_confirm(&two), CMCWH_ERR_STORAGE);
    assert_int_equal(cmcwh_ring_acknowledge(&f.ring, other), CMCWH_ERR_STORAGE);
    expect(other, 1, 2);
    expect_nothing(other);
    acknowledge(other);
    assert_int_equal(batch_confirm(&one), CMCWH_OK);
    one = hold(1);
    assert_int_equal(batch_commit(&one, no_text, no_text), 1);
    expect(other, 3, 1); /* the numbers were taken by nobody: used again */
    expect(f.reader, 3, 1);
}

/* When another has acknowledged them, their numbers stay with them. */
static void numbers_that_were_taken_are_not_used_again(void **state) {
    struct cmcwh_batch batch;
    int other;

    (void)state;
    fixture_init(&f, 8, true);
    other = cmcwh_ring_attach(&f.ring, NULL, true);
    batch = hold(2);
    assert_int_equal(batch_commit(&batch, no_text, no_text), 2);
    expect(other, 1, 2);
    acknowledge(other);
    cmcwh_ring_fail(&f.ring, f.reader, 0);
    assert_int_equal(batch_confirm(&batch), CMCWH_ERR_STORAGE);
    batch = hold(1);
    assert_int_equal(batch_commit(&batch, no_text, no_text), 1);
    expect(other, 3, 1);
    expect(f.reader, 3, 1);
}

/* It may be in the middle of a write that does not return: nobody waits for it any longer, and what
 * it has in hand does not count when it comes back. */
static void a_reader_that_hangs(void **state) {
    struct cmcwh_batch batch;

    (void)state;
    fixture_init(&f, 8, true);
    batch = hold(2);
    assert_int_equal(batch_commit(&batch, no_text, no_text), 2);
    expect(f.reader, 1, 1);
    cmcwh_ring_stall(&f.ring, f.reader, UINT32_MAX);
    assert_int_equal(batch_confirm(&batch), CMCWH_ERR_STORAGE);
    assert_true(state_of_ring().failed[f.reader]);
    f.now += 1000000;
    batch = hold(1);
    assert_int_equal(batch_commit(&batch, no_text, no_text), CMCWH_ERR_STORAGE);
    batch_abort(&batch);
    expect_nothing(f.reader);
    assert_int_equal(cmcwh_ring_acknowledge(&f.ring, f.reader), CMCWH_ERR_STORAGE);
    assert_false(state_of_ring().failed[f.reader]);
    batch = hold(1);
    assert_int_equal(batch_commit(&batch, no_text, no_text), 1);
    expect(f.reader, 1, 1); /* the numbers were taken by nobody: used again */
    acknowledge(f.reader);
    assert_int_equal(batch_confirm(&batch), CMCWH_OK);
}

/* Its events are in the ring: it gets them all, once. */
static void a_reader_that_hangs_keeps_what_is_safe(void **state) {
    (void)state;
    fixture_init(&f, 8, false);
    commit(3);
    expect(f.reader, 1, 2);
    cmcwh_ring_stall(&f.ring, f.reader, UINT32_MAX);
    assert_true(state_of_ring().failed[f.reader]);
    commit(1);
    acknowledge(f.reader);
    assert_false(state_of_ring().failed[f.reader]);
    expect(f.reader, 3, 2);
}

/* A reader that takes its time is failed by those who wait, in no more time than they have. */
static void waiting_has_an_end(void **state) {
    struct cmcwh_batch one, two;
    int other;

    (void)state;
    fixture_init(&f, 8, true);
    f.ring.config.confirm_wait = 100;
    other = cmcwh_ring_attach(&f.ring, NULL, true);
    one = hold(1);
    assert_int_equal(batch_commit(&one, no_text, no_text), 1);
    f.now += 50;
    two = hold(1);
    assert_int_equal(batch_commit(&two, no_text, no_text), 1);
    f.now += 49;
    expect(other, 1, 1);
    acknowledge(other);
    assert_int_equal(batch_confirm(&one), CMCWH_PENDING);
    f.now += 1;
    assert_int_equal(batch_confirm(&two), CMCWH_PENDING);
    assert_int_equal(batch_confirm(&one), CMCWH_ERR_STORAGE);
    assert_int_equal(batch_confirm(&two), CMCWH_ERR_STORAGE);
    assert_true(state_of_ring().failed[f.reader]);
    assert_false(state_of_ring().failed[other]);
    assert_int_equal(state_of_ring().retry, 100);
}

static void count_call(void *context) {
    ++*(unsigned *)context;
}

/* Whoever has asked is called when it is worth asking again, once; and nobody else. */
static void called_when_it_is_settled(void **state) {
    unsigned calls[3] = {0, 0, 0};
    struct cmcwh_batch batches[3];

    (void)state;
    fixture_init(&f, 8, true);
    for (unsigned i = 0; i < 3; i++) {
        batches[i] = hold(1);
        batches[i].settled = count_call;
        batches[i].context = &calls[i];
        assert_int_equal(batch_commit(&batches[i], no_text, no_text), 1);
    }
    assert_int_equal(batch_confirm(&batches[0]), CMCWH_PENDING);
    assert_int_equal(batch_confirm(&batches[2]), CMCWH_PENDING);
    expect(f.reader, 1, 2);
    assert_int_equal(calls[0] + calls[1] + calls[2], 0);
    acknowledge(f.reader);
    assert_int_equal(calls[0], 1);
    assert_int_equal(calls[1], 0); /* it has not asked yet, and will be told when it does */
    assert_int_equal(calls[2], 0);
    assert_int_equal(batch_confirm(&batches[0]), CMCWH_OK);
    assert_int_equal(batch_confirm(&batches[1]), CMCWH_OK);
    cmcwh_ring_fail(&f.ring, f.reader, 0);
    assert_int_equal(calls[2], 1);
    assert_int_equal(batch_confirm(&batches[2]), CMCWH_ERR_STORAGE);
    assert_int_equal(calls[0] + calls[1] + calls[2], 2);
}

/* Nobody is called for one that was given up. */
static void given_up_while_it_is_pending(void **state) {
    struct cmcwh_batch batch;
    unsigned calls = 0;

    (void)state;
    fixture_init(&f, 8, true);
    batch = hold(1);
    batch.settled = count_call;
    batch.context = &calls;
    assert_int_equal(batch_commit(&batch, no_text, no_text), 1);
    assert_int_equal(batch_confirm(&batch), CMCWH_PENDING);
    batch_abort(&batch);
    expect(f.reader, 1, 1); /* nobody will know that it was taken */
    acknowledge(f.reader);
    assert_int_equal(calls, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(bad_configs),
                                       cmocka_unit_test(committed_in_one_step),
                                       cmocka_unit_test(aborted_is_free_again),
                                       cmocka_unit_test(an_empty_batch),
                                       cmocka_unit_test(interleaved_requests),
                                       cmocka_unit_test(round_and_round),
                                       cmocka_unit_test(a_required_reader_keeps_its_records),
                                       cmocka_unit_test(a_besteffort_reader_loses_the_oldest),
                                       cmocka_unit_test(evicted_while_being_written),
                                       cmocka_unit_test(a_failed_write_is_read_again),
                                       cmocka_unit_test(confirmed_when_all_required_have_it),
                                       cmocka_unit_test(a_failed_reader_takes_all_back),
                                       cmocka_unit_test(taken_back_from_a_reader_that_was_writing),
                                       cmocka_unit_test(numbers_that_were_taken_are_not_used_again),
                                       cmocka_unit_test(a_reader_that_hangs),
                                       cmocka_unit_test(a_reader_that_hangs_keeps_what_is_safe),
                                       cmocka_unit_test(waiting_has_an_end),
                                       cmocka_unit_test(called_when_it_is_settled),
                                       cmocka_unit_test(given_up_while_it_is_pending)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
