/* How long something takes. Not here: clocks. */
#include "platform/timing.h"

#include <string.h>

const uint32_t timing_limits_us[TIMING_BUCKETS - 1] = {100,    250,    500,     1000,    2500,
                                                       5000,   10000,  25000,   50000,   100000,
                                                       250000, 500000, 1000000, 2500000, 10000000};

void timer_init(struct timer *timer) {
    memset(timer, 0, sizeof *timer);
    (void)pthread_mutex_init(&timer->mutex, NULL);
}

void timer_add(struct timer *timer, uint64_t us) {
    unsigned bucket = 0;

    while (bucket < TIMING_BUCKETS - 1 && us > timing_limits_us[bucket]) {
        bucket++;
    }
    (void)pthread_mutex_lock(&timer->mutex);
    timer->timing.count++;
    timer->timing.sum_us += us;
    timer->timing.buckets[bucket]++;
    (void)pthread_mutex_unlock(&timer->mutex);
}

void timer_read(struct timer *timer, struct timing *timing) {
    (void)pthread_mutex_lock(&timer->mutex);
    *timing = timer->timing;
    (void)pthread_mutex_unlock(&timer->mutex);
}
