/* Memory that begins where the system copies fast. */
#include "support.h"

#include <stdint.h>
#include <string.h>

#include "platform/memory.h"

static void lines(void **state) {
    (void)state;
    for (size_t size = 1; size < 300; size += 7) {
        char *all[16];

        for (size_t i = 0; i < 16; i++) {
            all[i] = memory_take(i + 1, size);
            assert_non_null(all[i]);
            assert_int_equal((uintptr_t)all[i] % MEMORY_LINE, 0);
            for (size_t at = 0; at < (i + 1) * size; at++) {
                assert_int_equal(all[i][at], 0);
            }
            memset(all[i], 0xA5, (i + 1) * size);
        }
        for (size_t i = 0; i < 16; i++) {
            memory_free(all[i]);
        }
    }
}

static void too_much(void **state) {
    static const size_t most = SIZE_MAX;

    (void)state;
    assert_null(memory_take(0, 1));
    assert_null(memory_take(1, 0));
    assert_null(memory_take(most, 1));
    assert_null(memory_take(most / 2, 3));
    assert_null(memory_take(most / 1024 + 1, 1024));
    memory_free(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(lines), cmocka_unit_test(too_much)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
