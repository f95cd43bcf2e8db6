/* Shelves of equal blocks, for places, handshakes and buffers; in the first two blocks a first fit.
 * Not here: what is in a session, and when it needs its buffers (session.c). */
#include "tls/mbedtls/pool.h"

#include <errno.h>
#include <mbedtls/aes.h>
#include <mbedtls/chachapoly.h>
#include <mbedtls/gcm.h>
#include <mbedtls/platform.h>
#include <mbedtls/ssl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "platform/log.h"

/* ---- Chunks in a block: one behind the other ---- */

struct chunk {
    uint32_t bytes; /* with this */
    uint32_t taken; /* of 64 bits in all: what follows is aligned like that */
};

struct area {
    unsigned char *at; /* NULL: there is none */
    size_t bytes;
};

static struct chunk *chunk_at(unsigned char *at) {
    return (struct chunk *)(void *)at;
}

static struct area area_of(unsigned char *at, size_t bytes) {
    struct area area = {at, bytes & ~(size_t)7};

    *chunk_at(at) = (struct chunk){(uint32_t)area.bytes, 0};
    return area;
}

/* A free chunk takes in those that are free behind it. */
static void join(const struct area *area, struct chunk *chunk) {
    const unsigned char *end = area->at + area->bytes;
    unsigned char *next = (unsigned char *)chunk + chunk->bytes;

    while (next < end && chunk_at(next)->taken == 0) {
        chunk->bytes += chunk_at(next)->bytes;
        next = (unsigned char *)chunk + chunk->bytes;
    }
}

/* The first part becomes taken. */
static void *split(struct chunk *chunk, uint32_t bytes) {
    enum { LEAST = 2 * sizeof(struct chunk) };

    if (chunk->bytes - bytes >= LEAST) {
        *chunk_at((unsigned char *)chunk + bytes) = (struct chunk){chunk->bytes - bytes, 0};
        chunk->bytes = bytes;
    }
    chunk->taken = 1;
    return memset(chunk + 1, 0, chunk->bytes - sizeof *chunk);
}

static void *area_take(const struct area *area, size_t size) {
    size_t bytes = (size + sizeof(struct chunk) + 7) & ~(size_t)7;

    for (unsigned char *at = area->at; at != NULL && at < area->at + area->bytes;
         at += chunk_at(at)->bytes) {
        if (chunk_at(at)->taken == 0) {
            join(area, chunk_at(at));
            if (chunk_at(at)->bytes >= bytes) {
                return split(chunk_at(at), (uint32_t)bytes);
            }
        }
    }
    return NULL;
}

static bool area_is_empty(const struct area *area) {
    struct chunk *first = chunk_at(area->at);

    if (first->taken == 0) {
        join(area, first);
    }
    return first->taken == 0 && first->bytes == area->bytes;
}

/* ---- Shelves ---- */

struct shelf {
    unsigned char *base;
    size_t each;
    unsigned count, fresh; /* from here on none was ever used: no memory is there yet */
    unsigned free;
    void *given; /* the last that was given back: each begins with the one before */
};

static void *shelf_take(struct shelf *shelf) {
    void *block = shelf->given;

    if (block != NULL) {
        memcpy(&shelf->given, block, sizeof shelf->given);
    } else if (shelf->fresh < shelf->count) {
        block = shelf->base + shelf->each * shelf->fresh++;
    }
    shelf->free -= block != NULL;
    return block;
}

static void shelf_give(struct shelf *shelf, void *block) {
    if (block != NULL) {
        memcpy(block, &shelf->given, sizeof shelf->given);
        shelf->given = block;
        shelf->free++;
    }
}

/* ---- A room ---- */

enum {
    /* A record's header, number, vector and tag are beside its content: less than in TLS 1.1, for
     * which the limit was made. */
    BESIDE = 512,
    IN_BYTES = MBEDTLS_SSL_IN_CONTENT_LEN + BESIDE,
    OUT_BYTES = MBEDTLS_SSL_OUT_CONTENT_LEN + BESIDE,
    SHAKE_BYTES = 8192, /* of which one over P-384 takes 6 900 on 64 bits, over X25519 2 600 */
    /* What lasts of the setup, and is no larger; and what a session has of ciphers. */
    SETUP_LASTS = 512,
    LASTS = 1536 + 2 * (sizeof(mbedtls_gcm_context) + sizeof(mbedtls_aes_context))
};

struct pool_place {
    struct tls_room *room;
    struct area own, shake;
    unsigned char *buffers, *before;
    void *owner;
    bool set_up; /* the session has been left once */
};

struct tls_room {
    unsigned char *base;
    size_t bytes;
    pthread_mutex_t mutex; /* guards the shelves */
    struct shelf places, shakes, buffers;
};

static size_t shelf_lay(struct shelf *shelf, unsigned count, size_t each) {
    shelf->each = (each + 63) & ~(size_t)63; /* no line of a cache is in two sessions */
    shelf->count = shelf->free = count;
    return shelf->each * count;
}

struct tls_room *tls_room_open(unsigned sessions, unsigned shaking, unsigned reading) {
    struct tls_room *room = calloc(1, sizeof *room);
    size_t places, shakes;

    if (room == NULL) {
        (void)log_failure("memory for TLS", ENOMEM);
        return NULL;
    }
    places = shelf_lay(&room->places, sessions, sizeof(struct pool_place) + LASTS);
    shakes = shelf_lay(&room->shakes, shaking, SHAKE_BYTES);
    room->bytes =
        places + shakes + shelf_lay(&room->buffers, shaking + reading, IN_BYTES + OUT_BYTES);
    room->base = mmap(NULL, room->bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (room->base == MAP_FAILED) {
        (void)log_failure("memory for TLS (--connections)", errno);
        free(room);
        return NULL;
    }
    room->places.base = room->base;
    room->shakes.base = room->base + places;
    room->buffers.base = room->shakes.base + shakes;
    (void)pthread_mutex_init(&room->mutex, NULL);
    return room;
}

void tls_room_close(struct tls_room *room) {
    if (room != NULL) {
        (void)munmap(room->base, room->bytes);
        (void)pthread_mutex_destroy(&room->mutex);
        free(room);
    }
}

void pool_count(struct tls_room *room, struct pool_counts *counts) {
    (void)pthread_mutex_lock(&room->mutex);
    *counts = (struct pool_counts){room->places.free, room->shakes.free, room->buffers.free,
                                   room->places.each, room->shakes.each, room->buffers.each};
    (void)pthread_mutex_unlock(&room->mutex);
}

/* ---- What Mbed TLS takes ---- */

static __thread struct pool_place *here;

/* A guess by its size. If it is wrong, a handshake's room stays with its session. */
static bool lasts(const struct pool_place *place, size_t size) {
    return place->set_up
               ? size == sizeof(mbedtls_gcm_context) || size == sizeof(mbedtls_aes_context) ||
                     size == sizeof(mbedtls_chachapoly_context)
               : size <= SETUP_LASTS;
}

static void *take(const struct pool_place *place, size_t size) {
    void *taken = NULL;

    if (size > MBEDTLS_SSL_OUT_CONTENT_LEN) { /* nothing else is as large */
        bool in = size > MBEDTLS_SSL_IN_CONTENT_LEN;

        return place->buffers == NULL || size > (in ? IN_BYTES : OUT_BYTES)
                   ? NULL
                   : memset(place->buffers + (in ? 0 : IN_BYTES), 0, size);
    }
    if (lasts(place, size)) {
        taken = area_take(&place->own, size);
    }
    return taken != NULL ? taken : area_take(&place->shake, size);
}

static void *pool_calloc(size_t count, size_t size) {
    if (here == NULL) {
        return calloc(count, size);
    }
    return size != 0 && count > SIZE_MAX / 2 / size ? NULL : take(here, count * size);
}

/* Where it is says whose it is. */
static void pool_free(void *bytes) {
    const struct tls_room *room = here == NULL ? NULL : here->room;
    size_t offset = room == NULL ? 0 : (size_t)((uintptr_t)bytes - (uintptr_t)room->base);

    if (room == NULL || offset >= room->bytes) {
        free(bytes);
    } else if (offset < (size_t)(room->buffers.base - room->base)) {
        ((struct chunk *)bytes)[-1].taken = 0;
    }
}

void pool_begin(void) {
    (void)mbedtls_platform_set_calloc_free(pool_calloc, pool_free);
}

struct pool_place *pool_enter(struct pool_place *place) {
    struct pool_place *before = here;

    if (before != NULL) {
        before->set_up = true;
    }
    here = place;
    return before;
}

/* ---- Places ---- */

static void give_all(struct tls_room *room, struct pool_place *place) {
    (void)pthread_mutex_lock(&room->mutex);
    shelf_give(&room->buffers, place->buffers);
    shelf_give(&room->shakes, place->shake.at);
    shelf_give(&room->places, place);
    (void)pthread_mutex_unlock(&room->mutex);
}

struct pool_place *pool_take(struct tls_room *room, size_t size) {
    struct pool_place *place;
    unsigned char *shake = NULL, *buffers = NULL;

    (void)pthread_mutex_lock(&room->mutex);
    place = shelf_take(&room->places);
    if (place != NULL) {
        shake = shelf_take(&room->shakes);
        buffers = shelf_take(&room->buffers);
    }
    (void)pthread_mutex_unlock(&room->mutex);
    if (place == NULL) {
        return NULL;
    }
    *place = (struct pool_place){.room = room, .buffers = buffers, .before = buffers};
    if (shake != NULL) {
        place->shake = area_of(shake, room->shakes.each);
        place->own = area_of((unsigned char *)(place + 1), room->places.each - sizeof *place);
        place->owner = area_take(&place->own, size);
    }
    if (buffers == NULL || place->owner == NULL) {
        give_all(room, place);
        return NULL;
    }
    return place;
}

void *pool_owner(const struct pool_place *place) {
    return place->owner;
}

void pool_shaken(struct pool_place *place) {
    if (place->shake.at != NULL && area_is_empty(&place->shake)) {
        (void)pthread_mutex_lock(&place->room->mutex);
        shelf_give(&place->room->shakes, place->shake.at);
        (void)pthread_mutex_unlock(&place->room->mutex);
        place->shake = (struct area){NULL, 0};
    }
}

void pool_give_buffers(struct pool_place *place) {
    (void)pthread_mutex_lock(&place->room->mutex);
    shelf_give(&place->room->buffers, place->buffers);
    (void)pthread_mutex_unlock(&place->room->mutex);
    place->buffers = NULL;
}

bool pool_take_buffers(struct pool_place *place, ptrdiff_t *moved) {
    (void)pthread_mutex_lock(&place->room->mutex);
    place->buffers = shelf_take(&place->room->buffers);
    (void)pthread_mutex_unlock(&place->room->mutex);
    if (place->buffers == NULL) {
        return false;
    }
    *moved = place->buffers - place->before;
    place->before = place->buffers;
    return true;
}

bool pool_has_buffers(const struct pool_place *place) {
    return place->buffers != NULL;
}

void pool_give(struct pool_place *place) {
    give_all(place->room, place);
}
