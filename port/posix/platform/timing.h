/* How long something takes, again and again: how often, in all, and how often at most so long. */
#ifndef CMCWH_TIMING_H
#define CMCWH_TIMING_H

#include <pthread.h>
#include <stdint.h>

enum { TIMING_BUCKETS = 16 };

/* Bucket i has what took timing_limits_us[i] microseconds at most, and longer than the one before;
 * the last has all that took longer. */
extern const uint32_t timing_limits_us[TIMING_BUCKETS - 1];

struct timing {
    uint64_t count, sum_us;
    uint64_t buckets[TIMING_BUCKETS]; /* their sum is `count` */
};

/* What several threads add to. The processors of small devices know no atomic of 64 bits. */
struct timer {
    pthread_mutex_t mutex;
    struct timing timing;
};

void timer_init(struct timer *timer);

/* Something took so many microseconds. Any thread, as the next. */
void timer_add(struct timer *timer, uint64_t us);

/* All of one moment. */
void timer_read(struct timer *timer, struct timing *timing);

#endif
