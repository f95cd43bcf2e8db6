/* Reaching a peer over the network: its addresses, a socket to one of them, waiting for that. */
#ifndef CMCWH_REACH_H
#define CMCWH_REACH_H

#include <netdb.h>
#include <stdbool.h>
#include <stdint.h>

/* How long somebody waits. */
struct patience {
    uint64_t until; /* ticks (platform_ticks) */

    /* Is it over sooner? Asked ten times a second; NULL: it is not. */
    bool (*over)(const void *context);
    const void *context;
};

bool patience_over(const struct patience *patience);

/* Waits for these events of poll(), or an error there. False: the patience has ended. Without
 * events only for an error. */
bool patience_wait(const struct patience *patience, int descriptor, short events);

/* The addresses of a host, a name or an address, for SOCK_STREAM or SOCK_DGRAM; to be freed with
 * freeaddrinfo. Takes as long as the system's resolver does. 0, or an error for gai_strerror. */
int reach_find(const char *host, const char *port, int type, struct addrinfo **found);

/* Until when the first of these addresses is tried, if all of them have up to `until`: one that
 * does not answer leaves some of that to the others. */
uint64_t reach_share(const struct addrinfo *found, uint64_t until);

/* Connects to the first of these addresses that can be reached. The socket does not block; TCP
 * gives it up when the peer has not acknowledged anything for `silence` ms. -1, with errno. */
int reach(const struct addrinfo *found, unsigned silence, const struct patience *patience);

#endif
