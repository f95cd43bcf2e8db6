/* What the benchmarks share: bodies made of the payloads' events, and the time. */
#ifndef CMCWH_BENCH_BODIES_H
#define CMCWH_BENCH_BODIES_H

#include <stdbool.h>
#include <stddef.h>

struct body {
    char *bytes;
    size_t length;
};

/* Seconds. */
double now(void);

/* Says what, and ends the program. */
void die(const char *what);

/* Takes the one event object out of each payload file. */
void load_events(int count, char **paths);

/* A request of `count` events, without the white space of the payload files or with it. */
struct body json_body(unsigned count, bool pretty);

/* The same in the form encoding. */
struct body form_body(unsigned count);

/* All work is done on one processor. */
void stay_here(void);

#endif
