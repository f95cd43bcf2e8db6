/* The process as the system sees it: its user, its pid file, its signals. */
#ifndef CMCWH_PROCESS_H
#define CMCWH_PROCESS_H

#include <stdbool.h>
#include <stdint.h>

/* Gives up root for this user. False: one line has said why not. Before other threads start, or all
 * of them change. */
bool process_become(const char *name);

/* Writes the pid file, which stays locked while the process runs, so that a second instance sees
 * that there is a first. Returns its descriptor, or -1: one line has said why. */
int process_claim(const char *path);

/* Removes the pid file, and closes its descriptor. */
void process_unclaim(const char *path, int descriptor);

/* From now on signals come to process_wait only. Before other threads start, from main's. */
void process_take_signals(void);

/* Waits for what somebody wants, `ms` at most. */
enum process_wish { PROCESS_NOTHING, PROCESS_STOP, PROCESS_RELOAD, PROCESS_STATUS };
enum process_wish process_wait(uint64_t ms);

/* A second signal to stop ends the process at once. */
void process_let_signals_kill(void);

#endif
