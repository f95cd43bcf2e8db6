/* A ring in a file: the storage that cmcwh_ring_open works on. */
#ifndef CMCWH_RING_FILE_H
#define CMCWH_RING_FILE_H

#include "cmcwh.h"
#include "platform/outcome.h"
#include "platform/timing.h"

struct ring_file {
    const char *path;
    int descriptor;
    struct cmcwh_storage storage;
    struct cmcwh_geometry geometry;
    uint64_t failing;   /* ticks since which it fails, 0: it works */
    uint32_t sync_time; /* microseconds that a sync takes, of late; atomic */
    struct timer syncs; /* those that went well and those that did not */
    uint32_t faults;    /* atomic: writes and syncs that failed */
    bool fails;         /* atomic: the last one did */
    uint32_t begun; /* atomic: ticks, odd, of the call that has not returned; 0: there is none */
    bool hangs;     /* atomic: ring_file_watch has found it hanging */
};

enum { RING_FILE_RECORDS = 1024 };

/* What to do about one that cannot be used, for the end of a message. */
#define RING_FILE_ANEW "if the file may go, move it away, and a new one is made"

/* Opens the file for one process, or makes it with `records` records (0: as many as the file has,
 * RING_FILE_RECORDS in a new one). With `sync`, what was written is synced when the ring asks for
 * it. If it cannot, one line has said why, and the file is as it was. */
enum outcome ring_file_open(struct ring_file *file, const char *path, uint32_t records, bool sync);

/* Could it be opened so, unless another process uses it? Changes nothing. */
enum outcome ring_file_look(const char *path, uint32_t records);

/* Opens the file to look at: nothing is locked or changed. */
bool ring_file_view(struct ring_file *file, const char *path);

/* Of another thread, now and then: says it when a call of the system has not returned for `ms`. */
void ring_file_watch(struct ring_file *file, uint32_t ms);

/* Can it be neither written nor synced now? Any thread. */
bool ring_file_fails(const struct ring_file *file);

void ring_file_close(struct ring_file *file);

/* Is this the beginning of a ring file? */
bool ring_file_is(const char *path);

#endif
