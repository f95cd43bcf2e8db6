/* The process as the system sees it: its user, its pid file, its signals, what it uses. */
#ifndef CMCWH_PROCESS_H
#define CMCWH_PROCESS_H

#include <stdint.h>

#include "platform/outcome.h"

/* Gives up root for this user. If it cannot, one line has said why. Before other threads start, or
 * all of them change. */
enum outcome process_become(const char *name);

/* Writes the pid file, which stays locked while the process runs, so that a second instance sees
 * that there is a first. Its place is empty, or one of us has left it: nothing else is touched.
 * Sets *claimed to its descriptor; if it cannot, one line has said why. */
enum outcome process_claim(const char *path, int *claimed);

/* Could it be claimed, unless another instance has? Changes nothing. */
enum outcome process_look(const char *path);

/* Removes the pid file, if it is still that one, and closes its descriptor. */
void process_unclaim(const char *path, int descriptor);

/* All threads share one heap: with one for each, as glibc has it, what a flood of handshakes has
 * once taken would stay with every one of them. Before other threads start. */
void process_share_heap(void);

/* From now on signals come to process_wait only. Before other threads start, from main's. */
void process_take_signals(void);

/* Waits for what somebody wants, `ms` at most. */
enum process_wish { PROCESS_NOTHING, PROCESS_STOP, PROCESS_RELOAD, PROCESS_STATUS };
enum process_wish process_wait(uint64_t ms);

/* What the process takes, 0 where the system does not tell: memory in bytes, descriptors that are
 * open, and how many may be. Costs some calls of the system. Any thread. */
struct process_usage {
    uint64_t rss, descriptors, descriptors_max;
};
void process_use(struct process_usage *usage);

/* A second signal to stop ends the process at once. */
void process_let_signals_kill(void);

#endif
