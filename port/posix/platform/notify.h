/* Tells a service manager what the daemon is doing. */
#ifndef CMCWH_NOTIFY_H
#define CMCWH_NOTIFY_H

/* Sends one state, such as "READY=1", to the socket that $NOTIFY_SOCKET names. Does nothing without
 * one; a service manager that cannot be reached is no fault of ours. */
void notify(const char *state);

#endif
