/* Packed texts: what comes out, and how deep pairs may go. */
#include "support.h"

#include <string.h>

#include "admin/packed.h"

static char bytes[70000];
static struct writer writer;

static void write_text(const uint8_t *packed, unsigned text, size_t size) {
    writer = (struct writer){.bytes = bytes, .size = size};
    packed_write(&writer, packed, text);
}

static void assert_text(const uint8_t *packed, unsigned text, const char *wanted) {
    write_text(packed, text, sizeof bytes);
    assert_false(writer.full);
    assert_int_equal(writer.used, strlen(wanted));
    assert_memory_equal(bytes, wanted, writer.used);
}

/* 1 a, 2 b, 3 0xE3; 4 "ab", 5 "abb", 6 "abbab". */
static const uint8_t small[] = {4, 3, 0, 'a', 'b', 0xE3, 1, 2, 4, 2, 5, 4,
                                /* the texts */
                                1, 0, 0, 6, 3, 6, 0, 2, 4, 0};

static void texts(void **state) {
    (void)state;
    assert_text(small, 0, "a");
    assert_text(small, 1, "");
    assert_text(small, 2,
                "abbab\xE3"
                "abbab");
    assert_text(small, 3, "bab");
}

static void no_room(void **state) {
    (void)state;
    write_text(small, 2, 10);
    assert_true(writer.full);
    assert_int_equal(writer.used, 10);
    assert_memory_equal(bytes,
                        "abbab\xE3"
                        "abba",
                        10);
}

/* As many pairs as there can be, each of the one before it and a letter: that stands right of it,
 * so that all letters wait, or left of it. */
static size_t chain(uint8_t packed[600], bool waits) {
    size_t used = 0;

    packed[used++] = 2;
    packed[used++] = 254;
    packed[used++] = 0;
    packed[used++] = 'a';
    for (unsigned symbol = 2; symbol < 256; symbol++) {
        packed[used++] = (uint8_t)(waits ? symbol - 1 : 1);
        packed[used++] = (uint8_t)(waits ? 1 : symbol - 1);
    }
    packed[used++] = 255;
    packed[used++] = 0;
    return used;
}

static void deepest(void **state) {
    uint8_t packed[600];

    (void)state;
    for (unsigned waits = 0; waits < 2; waits++) {
        assert_in_range(chain(packed, waits == 1), 1, sizeof packed);
        write_text(packed, 0, sizeof bytes);
        assert_int_equal(writer.used, 255);
        assert_int_equal(strspn(bytes, "a"), 255);
    }
}

/* Each pair is twice the one before it. */
static void longest(void **state) {
    uint8_t packed[64] = {2, 16, 0, 'a'};

    (void)state;
    for (uint8_t i = 0; i < 16; i++) {
        packed[4 + 2 * i] = packed[5 + 2 * i] = (uint8_t)(i + 1);
    }
    packed[36] = 17;
    write_text(packed, 0, sizeof bytes);
    assert_false(writer.full);
    assert_int_equal(writer.used, 65536);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts),
        cmocka_unit_test(no_room),
        cmocka_unit_test(deepest),
        cmocka_unit_test(longest),
    };

    return cmocka_run_group_tests_name("packed texts", tests, NULL, NULL);
}
