/* A storage in memory that loses power: it keeps what was synced apart from what was written since,
 * and makes every image that a power cut could leave. It can also fail. */
#ifndef CMCWH_TEST_DISK_H
#define CMCWH_TEST_DISK_H

#include "support.h"

enum { DISK_SIZE = 69632, DISK_PAGE = 256, DISK_WRITES = 512 };

struct disk {
    struct cmcwh_storage storage;
    size_t size;
    uint8_t stable[DISK_SIZE]; /* survives for certain */
    uint8_t now[DISK_SIZE];    /* what a read gives */
    struct disk_write {
        size_t offset, length;
    } writes[DISK_WRITES]; /* since the last sync; their bytes are in `log` */
    size_t written, log_used;
    uint8_t log[4 * DISK_SIZE];

    uint64_t syncs;   /* that succeeded */
    uint64_t calls;   /* writes and syncs so far */
    uint64_t fail_at; /* this call fails, and fail_count in all, 0: none */
    uint64_t fail_count;
    bool forgets;    /* keeps no list of writes: there will be no cuts */
    uint64_t random; /* how much of a failed write gets through */

    /* Before and after every write and sync: the power may go now. */
    void (*cut)(struct disk *disk);
};

/* A disk of zeros. */
void disk_init(struct disk *disk, size_t size);

/* A disk that holds `image`, all of it stable. */
void disk_load(struct disk *disk, const uint8_t *image, size_t size);

/* Calls check(image) for what a power cut could leave now: nothing of what is not synced; all; each
 * write alone, and all but it; each page alone, and all but it; the first writes, the last ones;
 * each write torn at a random byte, with the rest old, or garbage; and random sets of pages. When
 * few pages are at stake, every set of them. Returns how many images there were. */
unsigned disk_cuts(const struct disk *disk, uint64_t *random, void (*check)(const uint8_t *image));

#endif
