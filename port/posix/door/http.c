/* What the portable part calls, and what serving needs. Not here: how connections wait (door.c),
 * and what is answered (cmcwh.c). */
#include "door/http.h"

#include <civetweb.h>
#include <errno.h>
#include <sys/resource.h>

#include "door/civetweb_extra.h"
#include "platform/log.h"

/* ---- What the portable part calls ---- */

static const char *head_fault(void *context, const struct mg_connection *connection) {
    (void)context;
    return cmcwh_civetweb_head_fault(connection);
}

static void peer(void *context, const struct mg_connection *connection,
                 char address[CMCWH_ADDRESS_SIZE]) {
    const struct http *http = context;

    if (proxy_forwarded(&http->config.proxies, mg_get_request_info(connection), address)) {
        door_speaks_for(exchange_of(connection), address);
    } else if (network_loopback(address) && mg_get_header(connection, "X-Forwarded-For") != NULL) {
        door_disbelieves(exchange_of(connection));
    }
}

static bool allow(void *context, const char *address) {
    const struct http *http = context;

    return http->config.allowed == 0 ||
           network_contains(http->config.allow, http->config.allowed, address);
}

static int read_body(void *context, struct mg_connection *connection, const char **bytes) {
    (void)context;
    return exchange_read(exchange_of(connection), bytes);
}

static void took(void *context, struct mg_connection *connection, size_t length) {
    (void)context;
    exchange_took(exchange_of(connection), length);
}

static void settled(void *context, struct mg_connection *connection) {
    (void)context;
    door_settled(exchange_of(connection));
}

static bool closing(void *context, const struct mg_connection *connection) {
    (void)context;
    return !door_keeps(exchange_of(connection));
}

static void refused(void *context, const struct cmcwh_refusal *refusal) {
    struct http *http = context;

    refusals_say(&http->refusals, refusal);
}

/* ---- Start and stop ---- */

static bool start_server(struct http *http) {
    const struct http_config *config = &http->config;
    struct cmcwh_server_config server = {.ring = config->ring,
                                         .path = config->path,
                                         .body_max = config->body_max,
                                         .keep_alive = config->keep_alive,
                                         .context = http,
                                         .head_fault = head_fault,
                                         .peer = peer,
                                         .allow = allow,
                                         .read = read_body,
                                         .took = took,
                                         .settled = settled,
                                         .closing = closing,
                                         .refused = refused};

    return cmcwh_server_init(&http->server, &server) >= 0 || log_failure("the server", EINVAL);
}

/* Connections need descriptors, and so do files and sinks, and `others`. How many connections may
 * there be? 0: too few. */
static unsigned limit_connections(unsigned connections, unsigned others) {
    enum { FILES = 64, LEAST = 16 };
    struct rlimit limit;
    rlim_t wanted;

    others += FILES;
    wanted = (rlim_t)connections + others;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted) {
        return connections;
    }
    limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    (void)getrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur >= wanted) {
        return connections;
    }
    if (limit.rlim_cur < others + LEAST) {
        log_line(
            CMCWH_LOG_ERROR,
            "ulimit -n: %u descriptors are too few: %u are needed, and %u for --connections %u",
            (unsigned)limit.rlim_cur, others + LEAST, (unsigned)wanted, connections);
        return 0;
    }
    log_line(CMCWH_LOG_WARN,
             "ulimit -n: %u descriptors are enough for --connections %u, not for %u",
             (unsigned)limit.rlim_cur, (unsigned)limit.rlim_cur - others, connections);
    return (unsigned)limit.rlim_cur - others;
}

enum outcome http_look(unsigned connections, unsigned others) {
    return limit_connections(connections, others) > 0 ? OUTCOME_RIGHT : OUTCOME_WRONG;
}

enum outcome http_start(struct http *http, const struct http_config *config) {
    struct door_config door = {.server = &http->server,
                               .listeners = http->listener,
                               .listener_count = config->listeners.count,
                               .workers = config->workers,
                               .connections =
                                   limit_connections(config->connections, config->descriptors),
                               .slow = config->slow_requests,
                               .timeout = config->body_timeout * 1000,
                               .keep = config->keep_alive * 1000,
                               .longest = config->body_max,
                               .proxies = config->proxies,
                               .allow = config->allowed > 0 ? allow : NULL,
                               .times = &http->times,
                               .context = http};

    enum outcome outcome;

    http->config = *config;
    refusals_init(&http->refusals);
    timer_init(&http->times);
    if (door.connections == 0 || !start_server(http)) {
        return OUTCOME_WRONG;
    }
    outcome = listen_open(&http->config.listeners, config->body_timeout, http->listener);
    if (outcome == OUTCOME_RIGHT) {
        http->door = door_open(&door);
        outcome = http->door != NULL ? OUTCOME_RIGHT : OUTCOME_FAILED;
    }
    return outcome;
}

void http_sum_up(struct http *http, bool all) {
    if (http->config.ring != NULL) { /* it has been started, or tried to */
        refusals_sum_up(&http->refusals, all);
    }
}

void http_say(const struct http *http) {
    listen_say(&http->config.listeners, http->listener, http->config.path);
}

bool http_drain(struct http *http, uint32_t ms) {
    uint64_t start = platform_ticks(), passed;

    if (http->door == NULL) {
        return true;
    }
    door_drain(http->door, ms);
    cmcwh_server_stop(&http->server);
    passed = platform_ticks() - start;
    return cmcwh_server_drain(&http->server, passed < ms ? ms - (uint32_t)passed : 0);
}

void http_wait(struct http *http, uint32_t ms) {
    (void)cmcwh_server_drain(&http->server, ms);
}

bool http_stop(struct http *http) {
    bool ended = door_close(http->door);

    http->door = NULL;
    listen_close(http->listener, http->config.listeners.count);
    return ended;
}
