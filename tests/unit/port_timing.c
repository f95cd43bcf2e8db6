/* How long something takes, counted. */
#include "support.h"

#include <pthread.h>

#include "platform/timing.h"

static struct timer timer;

static int setup(void **state) {
    (void)state;
    timer_init(&timer);
    return 0;
}

static struct timing now(void) {
    struct timing timing;
    uint64_t sum = 0;

    timer_read(&timer, &timing);
    for (unsigned i = 0; i < TIMING_BUCKETS; i++) {
        sum += timing.buckets[i];
    }
    assert_true(sum == timing.count);
    return timing;
}

static void nothing(void **state) {
    (void)state;
    assert_true(now().count == 0);
    assert_true(now().sum_us == 0);
}

/* What takes as long as a limit is within it. */
static void limits(void **state) {
    (void)state;
    for (unsigned i = 0; i < TIMING_BUCKETS - 1; i++) {
        assert_true(i == 0 || timing_limits_us[i - 1] < timing_limits_us[i]);
        timer_add(&timer, timing_limits_us[i]);
        assert_true(now().buckets[i] == (i == 0 ? 1 : 2));
        timer_add(&timer, (uint64_t)timing_limits_us[i] + 1);
        assert_true(now().buckets[i + 1] == 1);
    }
    assert_true(now().count == 2 * (TIMING_BUCKETS - 1));
}

static void extremes(void **state) {
    (void)state;
    timer_add(&timer, 0);
    timer_add(&timer, UINT32_MAX + UINT64_C(7));
    assert_true(now().buckets[0] == 1);
    assert_true(now().buckets[TIMING_BUCKETS - 1] == 1);
    assert_true(now().sum_us == UINT32_MAX + UINT64_C(7));
}

enum { THREADS = 4, TIMES = 2000 };

static void *add(void *unused) {
    for (unsigned i = 0; i < TIMES; i++) {
        timer_add(&timer, i);
    }
    return unused;
}

static void threads(void **state) {
    pthread_t ids[THREADS];

    (void)state;
    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&ids[i], NULL, add, NULL), 0);
    }
    (void)now();
    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(ids[i], NULL), 0);
    }
    assert_true(now().count == THREADS * TIMES);
    assert_true(now().sum_us == (uint64_t)THREADS * TIMES * (TIMES - 1) / 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(nothing, setup), cmocka_unit_test_setup(limits, setup),
        cmocka_unit_test_setup(extremes, setup), cmocka_unit_test_setup(threads, setup)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
