/* Cuts off requests that are late. */
#ifndef CMCWH_WATCH_H
#define CMCWH_WATCH_H

#include <stdint.h>

/* Starts the watchdog for up to `entries` connections at a time. 0, or an error number. */
int watch_start(unsigned entries);

/* Shuts the reading side of `socket` in `ms` milliseconds, so that whoever reads it learns of its
 * end; 0: no longer. Any thread. */
void watch_socket(int socket, uint32_t ms);

void watch_stop(void);

#endif
