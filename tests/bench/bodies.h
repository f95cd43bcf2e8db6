/* What the benchmarks share: bodies made of the payloads' events, and the time. */
#ifndef CMCWH_BENCH_BODIES_H
#define CMCWH_BENCH_BODIES_H

#include "cmcwh.h"

struct body {
    char *bytes;
    size_t length;
};

/* Seconds since some moment, that only go forward. */
double now(void);

/* Says what, and ends the program. */
void die(const char *what);

/* Takes the one event object out of each payload file. */
void load_events(int count, char **paths);

/* A request of `count` events, without the white space of the payload files or with it. */
struct body json_body(unsigned count, bool pretty);

/* A request of `count` events in the form encoding. */
struct body form_body(unsigned count);

/* From the first byte to committed records, in pieces as a server reads them. */
void take_body(struct cmcwh_parser *parser, struct cmcwh_ring *ring, const struct body *body,
               enum cmcwh_format format);

/* A sink of the daemon's size, attached to the ring, whose medium costs nothing: it adds to *bytes
 * how many it was given. */
void make_sink(struct cmcwh_sink *sink, struct cmcwh_ring *ring, enum cmcwh_encoding encoding,
               size_t *bytes);

/* All work is done on one processor. */
void stay_here(void);

#endif
