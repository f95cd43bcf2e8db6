/* Proxies that are trusted to say for whom they ask: in X-Forwarded-For, or ahead of everything in
 * a PROXY protocol header. From anybody else both are ignored: a sender could write them itself. */
#ifndef CMCWH_PROXY_H
#define CMCWH_PROXY_H

#include <stdbool.h>
#include <stddef.h>

#include "cmcwh.h"
#include "platform/network.h"

struct mg_request_info;

/* Which they are. */
struct proxies {
    const struct network *networks;
    size_t count;
};

/* Is it one of them? */
bool proxy_trusts(const struct proxies *proxies, const char *address);

enum { PROXY_NONE = 0, PROXY_MORE = -1, PROXY_WRONG = -2, PROXY_HEADER_MAX = 536 };

/* Looks at the first bytes of a trusted connection. The length of the PROXY header (versions 1 and
 * 2) with which they begin; PROXY_NONE; PROXY_MORE: more bytes must come to tell; or PROXY_WRONG.
 * `peer` is set when the header names one. */
int proxy_header(const char *bytes, size_t length, union network_address *peer);

/* Replaces the address of a trusted proxy by the last one in X-Forwarded-For that is not a trusted
 * proxy itself. Who asks the proxy from its own machine may have written what stands before that
 * address: a list that ends in it names nobody, as does one of nothing but proxies, and the address
 * stays. Is it another one now? */
bool proxy_forwarded(const struct proxies *proxies, const struct mg_request_info *info,
                     char address[CMCWH_ADDRESS_SIZE]);

#endif
