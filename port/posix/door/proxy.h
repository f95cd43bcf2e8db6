/* Proxies that are trusted to say for whom they ask: in X-Forwarded-For, or ahead of everything in
 * a PROXY protocol header. From anybody else both are ignored: a sender could write them itself. */
#ifndef CMCWH_PROXY_H
#define CMCWH_PROXY_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include "cmcwh.h"
#include "platform/network.h"

struct mg_request_info;

/* The networks stay the caller's. Before anything else here. */
void proxy_trust(const struct network *networks, size_t count);

/* Is the other end of this connection trusted? */
bool proxy_trusted(int socket);

enum { PROXY_NONE = 0, PROXY_MORE = -1, PROXY_WRONG = -2, PROXY_HEADER_MAX = 536 };

/* Looks at the first bytes of a trusted connection. The length of the PROXY header (versions 1 and
 * 2) with which they begin; PROXY_NONE; PROXY_MORE: more bytes must come to tell; or PROXY_WRONG.
 * `peer` is set when the header names one. */
int proxy_header(const char *bytes, size_t length, union network_address *peer);

/* Replaces the address of a trusted proxy by the last one in X-Forwarded-For that is not a trusted
 * proxy itself. */
void proxy_forwarded(const struct mg_request_info *info, char address[CMCWH_ADDRESS_SIZE]);

#endif
