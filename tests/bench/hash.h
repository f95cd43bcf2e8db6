/* The hash of which cmcwh makes ids. */
#ifndef CMCWH_BENCH_HASH_H
#define CMCWH_BENCH_HASH_H

#include <stddef.h>
#include <stdint.h>

uint64_t hash(const uint8_t *bytes, size_t length, uint64_t seed);

#endif
