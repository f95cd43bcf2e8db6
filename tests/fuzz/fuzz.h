/* What the fuzzers share: a condition that must hold, a ring on static memory, records that must be
 * what the header promises. */
#ifndef CMCWH_TEST_FUZZ_H
#define CMCWH_TEST_FUZZ_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmcwh.h"

#define MUST(condition)                                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            (void)fprintf(stderr, "%s:%d: must hold: %s\n", __FILE__, __LINE__, #condition);       \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

enum { FUZZ_RECORDS = 64 };

/* libFuzzer calls it with one input. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

/* An empty ring of FUZZ_RECORDS records in memory with one reader, 0; the same memory each time. */
struct cmcwh_ring *fuzz_ring(void);

/* The record is whole, its texts are UTF-8, no encoding of it carries a control character, and
 * syslog messages are no longer than they may be, and logfmt. `parsed`: the parser has made it. */
void fuzz_check_record(const struct cmcwh_record *record, bool parsed);

#endif
