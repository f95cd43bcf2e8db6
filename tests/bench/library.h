/* One of the JSON libraries that tests/bench/json.c compares cmcwh with. They share names of
 * functions, so each is in a program of its own. */
#ifndef CMCWH_BENCH_LIBRARY_H
#define CMCWH_BENCH_LIBRARY_H

#include "bodies.h"

extern const char library_name[];

/* Parses a body and puts the fields of each event into a record. */
void library_take(const struct body *body);

/* What it calls for that. */
enum { FIELDS = 11 };
extern const char *const fields[FIELDS];
void begin_record(void);
void put_field(const char *text, size_t length);

#endif
