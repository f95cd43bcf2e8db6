/* Addresses: listeners, peers that are allowed, hosts of sinks. */
#ifndef CMCWH_NETWORK_H
#define CMCWH_NETWORK_H

#include <stdbool.h>
#include <stddef.h>
#include <netinet/in.h>
#include <stdint.h>
#include <sys/socket.h>

/* Where a peer is; a fifth of sockaddr_storage. */
union network_address {
    struct sockaddr any;
    struct sockaddr_in four;
    struct sockaddr_in6 six;
};

/* A range of addresses. IPv4 is kept as IPv4-mapped IPv6. */
struct network {
    uint8_t address[16];
    unsigned bits;
};

/* "192.0.2.0/24", "2001:db8::/32", or one address. False when it is none of these. */
bool network_parse(struct network *network, const char *text);

/* Is it an address, of either family? */
bool network_is_address(const char *text);

/* Is `address`, as text, in one of the ranges? */
bool network_contains(const struct network *networks, size_t count, const char *address);

/* Is `address`, as text, this machine's own, which nobody else can use? */
bool network_loopback(const char *address);

/* Does ADDR:PORT end in the 's' of HTTPS? */
bool network_secure(const char *text);

/* "ADDR:PORT" or "[ADDR]:PORT" of a listener; port 0 is allowed. False when it is not one. */
bool network_listener(const char *text, struct sockaddr_storage *address, socklen_t *length);

/* "HOST:PORT" or "[ADDR]:PORT" of a peer into its parts; false when it is not one, as with port 0.
 */
bool network_split(const char *text, char *host, size_t host_size, char *port, size_t port_size);

#endif
