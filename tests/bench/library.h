/* A JSON library that tests/bench/json.c compares cmcwh with. Some share names of functions, so
 * each is a shared object of its own, with its own scope. */
#ifndef CMCWH_BENCH_LIBRARY_H
#define CMCWH_BENCH_LIBRARY_H

#include "bodies.h"

#include <string.h>

/* Where the events' texts go: a record each, one text behind the other, a length before each. */
struct taken {
    struct cmcwh_record *records;
    unsigned capacity, used;
    uint8_t *place, *end;
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

static inline void begin_record(struct taken *taken) {
    taken->place = taken->records[taken->used++ % taken->capacity].bytes;
    taken->end = taken->place + CMCWH_RECORD_SIZE;
}

static inline void put_field(struct taken *taken, const char *text, size_t length) {
    if (text != NULL && length + 2 <= (size_t)(taken->end - taken->place)) {
        *taken->place++ = (uint8_t)length;
        *taken->place++ = (uint8_t)(length >> 8);
        memcpy(taken->place, text, length);
        taken->place += length;
    }
}

#endif
