/* Lists of the events that a person wants, as in only=bounces,failed: see Filter in cmcwh.h. */
#ifndef CMCWH_ONLY_H
#define CMCWH_ONLY_H

#include "cmcwh.h"

enum { ONLY_EXPECTED = 256 };

/* Reads such a list. False: `expected` says what was, and where something else stands. */
bool only_read(struct cmcwh_filter *filter, const char *list, char expected[ONLY_EXPECTED]);

#endif
