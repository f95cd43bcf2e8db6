/* cmcwh, with its hash for others. */
#include "hash.h"

#include "cmcwh.c"

uint64_t hash(const uint8_t *bytes, size_t length, uint64_t seed) {
    return murmur64(bytes, length, seed);
}
