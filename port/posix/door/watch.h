/* Cuts off requests that are late. */
#ifndef CMCWH_WATCH_H
#define CMCWH_WATCH_H

#include <stdbool.h>
#include <stdint.h>

/* Starts the watchdog for `count` workers. 0, or an error number. */
int watch_start(unsigned count);

/* Shuts the reading side of the worker's socket in `ms` milliseconds, or up to a tenth of a second
 * later, so that whoever reads it learns of its end; 0: no longer. Returns whether that has
 * happened since the call before. Called by the worker's thread. */
bool watch_socket(unsigned worker, int socket, uint32_t ms);

void watch_stop(void);

#endif
