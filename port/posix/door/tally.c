/* A hash table that is filled and asked, and then cleared. */
#include "door/tally.h"

#include <string.h>

void tally_clear(struct tally *tally) {
    memset(tally->entries, 0, tally->size * sizeof *tally->entries);
}

static struct tally_entry *find(const struct tally *tally, uint64_t key) {
    uint64_t hash = key * UINT64_C(0x9E3779B97F4A7C15);
    size_t at = (size_t)(hash >> 32) & (tally->size - 1);

    while (tally->entries[at].count > 0 && tally->entries[at].key != key) {
        at = (at + 1) & (tally->size - 1);
    }
    return &tally->entries[at];
}

void tally_add(struct tally *tally, uint64_t key) {
    struct tally_entry *entry = find(tally, key);

    entry->key = key;
    entry->count++;
}

unsigned tally_of(const struct tally *tally, uint64_t key) {
    return find(tally, key)->count;
}
