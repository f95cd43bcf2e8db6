/* The HTTP server: the door with its threads, and behind it the endpoint of the portable part. */
#ifndef CMCWH_HTTP_H
#define CMCWH_HTTP_H

#include "cmcwh.h"
#include "door/door.h"
#include "door/refusals.h"
#include "platform/network.h"
#include "platform/outcome.h"
#include "platform/platform.h"

/* What it points to must stay. */
struct http_config {
    struct cmcwh_ring *ring;
    struct listeners listeners;
    const char *path;
    unsigned workers, connections, slow_requests;
    unsigned descriptors; /* that others than connections, sinks and the ring need */
    uint64_t body_max;
    uint32_t body_timeout, keep_alive; /* seconds */
    const struct network *allow;
    size_t allowed; /* 0: everybody */
    struct proxies proxies;
};

struct http {
    struct http_config config;
    struct cmcwh_server server;
    struct refusals refusals;
    struct timer times; /* of requests */
    struct listener listener[LISTEN_MAX];
    struct door *door;
};

/* Are there descriptors enough for so many connections, or at least for some, and for `others`?
 * Unless for none, only a warning is said. Takes as many as this process may have. */
enum outcome http_look(unsigned connections, unsigned others);

/* If it cannot, one line has said why, and http_stop is to be called all the same. All memory is
 * taken here, before it listens. */
enum outcome http_start(struct http *http, const struct http_config *config);

/* Says what was refused and counted for a minute, or `all`. To be called every second or so, and
 * after http_stop. */
void http_sum_up(struct http *http, bool all);

/* Says where it listens. */
void http_say(const struct http *http);

/* Begins the end: no other request is taken, and those that have begun get `ms` to come and to be
 * answered. False: some are not answered yet. */
bool http_drain(struct http *http, uint32_t ms);

/* Waits once more for those. */
void http_wait(struct http *http, uint32_t ms);

/* Whatever has been started ends. False: something hangs, and all of it stays. */
bool http_stop(struct http *http);

#endif
