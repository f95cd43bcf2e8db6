/* A JSON library that tests/bench/json.c compares cmcwh with. Some share names of functions, so
 * each is a shared object of its own, with its own scope. */
#ifndef CMCWH_BENCH_LIBRARY_H
#define CMCWH_BENCH_LIBRARY_H

#include "bodies.h"

#include <string.h>

/* Where events go: a record each, with an id as cmcwh's, and behind it one text behind the other, a
 * length before each. */
struct taken {
    struct cmcwh_record *records;
    uint64_t (*hash)(const uint8_t *bytes, size_t length, uint64_t seed); /* cmcwh's */
    unsigned capacity, used;
    uint8_t *place, *end;
    unsigned field; /* of the record, that comes next */
    uint64_t id;
};

/* Parses a body and puts the fields of each event into a record. A body that it refuses leaves no
 * records, which is noticed. */
struct library {
    const char *name;
    void (*take)(const struct body *body, struct taken *taken);
};

#ifdef __cplusplus
extern "C" {
#endif

/* What each shared object has; the last one has no name. */
extern const struct library libraries[];

#ifdef __cplusplus
}
#endif

enum { FIELDS = 11 };
static const char *const fields[FIELDS] = {"reason",  "sourceIp", "returnPath", "created",
                                           "subject", "apiData",  "messageId",  "from",
                                           "to",      "senderIp", "status"};

/* Of what, beside the kind, the id is made: created, messageId, to, status. */
enum { IDENTITY = 1 << 3 | 1 << 6 | 1 << 8 | 1 << 10 };

static inline void begin_record(struct taken *taken) {
    uint8_t *bytes = taken->records[taken->used++ % taken->capacity].bytes;

    taken->place = bytes + sizeof taken->id;
    taken->end = bytes + CMCWH_RECORD_SIZE;
    taken->field = 0;
    taken->id = taken->hash((const uint8_t *)"deliveries", 10, 0);
}

/* The fields come in their order; NULL: there is none. */
static inline void put_field(struct taken *taken, const char *text, size_t length) {
    if (text != NULL && (IDENTITY >> taken->field & 1) != 0) {
        taken->id = taken->hash((const uint8_t *)text, length, taken->id);
    }
    if (text != NULL && length + 2 <= (size_t)(taken->end - taken->place)) {
        *taken->place++ = (uint8_t)length;
        *taken->place++ = (uint8_t)(length >> 8);
        memcpy(taken->place, text, length);
        taken->place += length;
    }
    if (++taken->field == FIELDS) {
        memcpy(taken->end - CMCWH_RECORD_SIZE, &taken->id, sizeof taken->id);
    }
}

#endif
