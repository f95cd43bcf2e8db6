/* The CRC of a processor's own instructions is that of the tables, whatever it leaves to them. */
#include "cmcwh.c"

#include "platform/crc.h"

#include "support.h"

#include <string.h>

static uint8_t bytes[4096];

static void is_the_tables(void **state) {
    uint64_t random = 7;

    (void)state;
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)next_random(&random);
    }
    for (size_t start = 0; start < 20; start++) {
        for (size_t length = 0; length < 700; length++) {
            uint32_t crc = 0xFFFFFFFF, whole = crc_add(crc, bytes + start, length);
            size_t taken = crc_fast(&crc, bytes + start, length);

            assert_in_range(taken, 0, length);
            assert_int_equal(crc, crc_add(0xFFFFFFFF, bytes + start, taken));
            assert_int_equal(crc_add(crc, bytes + start + taken, length - taken), whole);
        }
    }
}

/* It goes on from wherever a CRC stands. */
static void goes_on(void **state) {
    uint64_t random = 8;

    (void)state;
    for (unsigned round = 0; round < 1000; round++) {
        size_t length = below(&random, sizeof bytes);
        uint32_t before = (uint32_t)next_random(&random), crc = before;
        size_t taken = crc_fast(&crc, bytes, length);

        assert_int_equal(crc, crc_add(before, bytes, taken));
    }
}

/* The check value of the catalogue of CRCs. */
static void is_ieee(void **state) {
    (void)state;
    assert_int_equal(crc32((const uint8_t *)"123456789", 9), 0xCBF43926);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(is_the_tables), cmocka_unit_test(goes_on),
                                       cmocka_unit_test(is_ieee)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
