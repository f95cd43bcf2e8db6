/* Keys are counted exactly, also where they fall on the same place and the table is as full as it
 * may be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "door/tally.h"

enum { SIZE = 64 };

static struct tally_entry entries[SIZE];
static struct tally tally = {entries, SIZE};

static void nothing(void **state) {
    (void)state;
    entries[3] = (struct tally_entry){7, 9}; /* what was there before must not matter */
    tally_clear(&tally);
    for (uint64_t key = 0; key < 1000; key++) {
        assert_int_equal(tally_of(&tally, key), 0);
    }
}

/* The i-th of the keys, of the kinds that peers have: alike in all but a few bits. */
static uint64_t key_of(unsigned kind, unsigned i) {
    static const uint64_t steps[] = {1, UINT64_C(1) << 24, UINT64_C(1) << 56,
                                     UINT64_C(0x0100000100000001)};

    return (UINT64_C(0xFFFF) << 32) + steps[kind] * i;
}

static void many(void **state) {
    (void)state;
    for (unsigned kind = 0; kind < 4; kind++) {
        tally_clear(&tally);
        for (unsigned round = 0; round < SIZE - 1; round++) {
            for (unsigned i = round; i < SIZE - 1; i++) { /* the i-th i + 1 times */
                tally_add(&tally, key_of(kind, i));
            }
        }
        for (unsigned i = 0; i < SIZE - 1; i++) {
            assert_int_equal(tally_of(&tally, key_of(kind, i)), i + 1);
        }
        assert_int_equal(tally_of(&tally, key_of(kind, SIZE - 1)), 0);
        assert_int_equal(tally_of(&tally, 0), 0);
    }
}

/* Zero and the largest are keys as others are. */
static void ends(void **state) {
    (void)state;
    tally_clear(&tally);
    tally_add(&tally, 0);
    tally_add(&tally, UINT64_MAX);
    tally_add(&tally, 0);
    assert_int_equal(tally_of(&tally, 0), 2);
    assert_int_equal(tally_of(&tally, UINT64_MAX), 1);
    assert_int_equal(tally_of(&tally, 1), 0);
    tally_clear(&tally);
    assert_int_equal(tally_of(&tally, 0), 0);
}

static void smallest(void **state) {
    static struct tally_entry two[2];
    struct tally small = {two, 2};

    (void)state;
    for (uint64_t key = 0; key < 100; key++) {
        tally_clear(&small);
        tally_add(&small, key);
        assert_int_equal(tally_of(&small, key), 1);
        assert_int_equal(tally_of(&small, key + 1), 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(nothing), cmocka_unit_test(many),
                                       cmocka_unit_test(ends), cmocka_unit_test(smallest)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
