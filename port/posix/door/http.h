/* The HTTP server: civetweb and its workers, the gate and the watchdog before them, the endpoint of
 * the portable part behind them. */
#ifndef CMCWH_HTTP_H
#define CMCWH_HTTP_H

#include "cmcwh.h"
#include "door/listen.h"
#include "platform/network.h"
#include "platform/platform.h"

/* What it points to must stay. */
struct http_config {
    struct platform *platform;
    struct cmcwh_ring *ring;
    struct listeners listeners;
    const char *path;
    unsigned workers;
    uint64_t body_max;
    uint32_t body_timeout, keep_alive; /* seconds */
    const struct network *allow;
    size_t allowed; /* 0: everybody */
    const struct network *proxies;
    size_t proxy_count;
    bool guarded; /* there are credentials: see auth.h */
    bool secure;  /* there is a certificate: see tls.h */
};

struct http {
    struct http_config config;
    struct cmcwh_server server;
    struct mg_context *civetweb;
    struct cmcwh_worker *workers;
    unsigned workers_taken; /* under the platform's lock */
    bool watching, gating, library;
};

/* False: one line has said why, and http_stop is to be called all the same. All memory is taken
 * here, before it listens. */
bool http_start(struct http *http, const struct http_config *config);

/* Says where it listens. */
void http_say(const struct http *http);

/* Begins the end: no other request is taken, and those that have begun get `ms` to come and to be
 * answered. False: some are not answered yet. */
bool http_drain(struct http *http, uint32_t ms);

/* Waits once more for those. */
void http_wait(struct http *http, uint32_t ms);

/* Whatever has been started ends. */
void http_stop(struct http *http);

#endif
