/* Whole numbers that a person writes. */
#ifndef CMCWH_NUMBER_H
#define CMCWH_NUMBER_H

#include <stdbool.h>
#include <stdint.h>

/* Digits and nothing else, from `least` to `most`. False: *number says nothing. */
bool number_read(const char *text, uint64_t least, uint64_t most, uint64_t *number);

#endif
