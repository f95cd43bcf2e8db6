/* Memory of TLS sessions of those who come in: taken once, at the start, and never more. A session
 * has a place as long as it lives; room for a handshake only until that is done; and the buffers
 * for records, by far the most, only while a part of a record is in them. Within these nothing is
 * left over that would be in the way of the next session, whatever peers do: each begins with empty
 * ones.
 *
 * What Mbed TLS takes belongs to the session in which the thread is (pool_enter), or to the heap.
 */
#ifndef CMCWH_MBEDTLS_POOL_H
#define CMCWH_MBEDTLS_POOL_H

#include <stdbool.h>
#include <stddef.h>

#include "tls/server.h"

/* From now on Mbed TLS takes its memory as said above. Before its first use; any number of times.
 */
void pool_begin(void);

/* What one session has of a room. */
struct pool_place;

/* A place, room for a handshake and buffers; NULL: one of them lacks. Its first bytes, zeroes, are
 * `size` bytes for the caller, at pool_owner. Any thread; a place is used by one at a time. */
struct pool_place *pool_take(struct tls_room *room, size_t size);
void *pool_owner(const struct pool_place *place);

/* This thread works on the session of this place; NULL, also in one of them: on what is shared.
 * Returns where it was before. */
struct pool_place *pool_enter(struct pool_place *place);

/* The handshake is done: its room is given back. */
void pool_shaken(struct pool_place *place);

/* Gives its buffers back, or takes others. *moved: how far they lie behind the ones before. False:
 * there are none. */
void pool_give_buffers(struct pool_place *place);
bool pool_take_buffers(struct pool_place *place, ptrdiff_t *moved);
bool pool_has_buffers(const struct pool_place *place);

/* All that Mbed TLS has taken there must have been given back. */
void pool_give(struct pool_place *place);

/* What is free now of a room, and what one of each takes. Any thread. */
struct pool_counts {
    unsigned places, shakes, buffers;
    size_t place_bytes, shake_bytes, buffer_bytes;
};
void pool_count(struct tls_room *room, struct pool_counts *counts);

#endif
