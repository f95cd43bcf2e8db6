/* Counts how often a key is there, in memory that is given. */
#ifndef CMCWH_TALLY_H
#define CMCWH_TALLY_H

#include <stddef.h>
#include <stdint.h>

struct tally_entry {
    uint64_t key;
    unsigned count; /* 0: nothing is here */
};

struct tally {
    struct tally_entry *entries;
    size_t size; /* a power of two, more than there are keys */
};

/* Nothing has been counted. */
void tally_clear(struct tally *tally);

/* One more of it. */
void tally_add(struct tally *tally, uint64_t key);

unsigned tally_of(const struct tally *tally, uint64_t key);

#endif
