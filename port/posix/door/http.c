/* What civetweb and the portable part call, and civetweb's settings. Not here: how connections wait
 * (gate.c), and what is answered (cmcwh.c). */
#include "door/http.h"

#include <civetweb.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "door/auth.h"
#include "door/civetweb_extra.h"
#include "door/gate.h"
#include "door/proxy.h"
#include "door/tls.h"
#include "door/watch.h"
#include "platform/log.h"

/* ---- What they call ---- */

static void *init_thread(const struct mg_context *context, int type) {
    struct http *http = mg_get_user_data(context);
    struct cmcwh_worker *worker = NULL;

    if (type == 1) { /* a worker */
        http->config.platform->port.lock(http->config.platform);
        worker = &http->workers[http->workers_taken++];
        http->config.platform->port.unlock(http->config.platform);
    }
    return worker;
}

static int admit(struct mg_context *context, int connection, int secure) {
    return gate_admit(context, connection, secure != 0);
}

static void produce(void *server, int connection, bool secure, const union network_address *peer) {
    cmcwh_civetweb_produce(server, connection, secure, peer == NULL ? NULL : &peer->any);
}

/* How it will wait for its next request, once this one has been answered. */
static enum gate_wait wait_of(const struct mg_connection *connection) {
    return cmcwh_civetweb_ahead(connection)   ? GATE_GOES_ON
           : cmcwh_civetweb_bound(connection) ? GATE_STAYS
                                              : GATE_RESTS;
}

static void end_request(const struct mg_connection *connection, int status) {
    (void)status;
    gate_answered(cmcwh_civetweb_socket(connection), wait_of(connection));
}

static int begin_request(struct mg_connection *connection) {
    struct http *http = mg_get_user_data(mg_get_context(connection));
    struct auth *auth = http->config.guarded ? auth_hold() : NULL;
    int status;

    gate_works(cmcwh_civetweb_socket(connection));
    status = cmcwh_server_handle(&http->server, mg_get_thread_pointer(connection),
                                 auth == NULL ? NULL : &auth->access, connection);
    if (auth != NULL) {
        auth_release(auth);
    }
    return status;
}

static int http_error(struct mg_connection *connection, int status, const char *message) {
    struct http *http = mg_get_user_data(mg_get_context(connection));

    (void)message;
    if (gate_was_cut(cmcwh_civetweb_socket(connection))) {
        status = 408; /* and not a head that ends too early */
    }
    return cmcwh_server_refuse(&http->server, mg_get_thread_pointer(connection), connection,
                               status);
}

/* What is noted of a connection that is to wait at the gate for its next request. */
static char to_gate[] = "to the gate";

static void connection_close(const struct mg_connection *connection) {
    int socket = cmcwh_civetweb_socket(connection);

    if (cmcwh_civetweb_unanswered(connection)) {
        (void)http_error((struct mg_connection *)connection, 400, "");
    }
    if (mg_get_user_connection_data(connection) == to_gate ||
        (gate_left(socket) && !cmcwh_civetweb_bound(connection))) {
        union network_address peer;

        network_copy(&peer, cmcwh_civetweb_peer(connection));
        cmcwh_civetweb_separate((struct mg_connection *)connection);
        gate_takes_back(mg_get_context(connection), socket, &peer);
    } else {
        gate_closes(socket);
    }
}

static int external_ssl_ctx(void **context, void *user_data) {
    (void)user_data;
    return tls_context(context);
}

static int log_message(const struct mg_connection *connection, const char *message) {
    (void)connection;
    log_line(CMCWH_LOG_DEBUG, "civetweb: %s", message);
    return 1;
}

static const char *head_fault(void *context, const struct mg_connection *connection) {
    (void)context;
    return cmcwh_civetweb_head_fault(connection);
}

static void peer(void *context, const struct mg_connection *connection,
                 char address[CMCWH_ADDRESS_SIZE]) {
    (void)context;
    proxy_forwarded(mg_get_request_info(connection), address);
}

static bool allow(void *context, const char *address) {
    const struct http *http = context;

    return http->config.allowed == 0 ||
           network_contains(http->config.allow, http->config.allowed, address);
}

static void watch(void *context, struct mg_connection *connection, uint32_t deadline) {
    const struct http *http = context;
    const struct cmcwh_worker *worker = mg_get_thread_pointer(connection);
    unsigned index = (unsigned)(worker - http->workers);
    int socket = cmcwh_civetweb_socket(connection);

    if (deadline > 0) {
        gate_may_cut(socket);
    }
    if (watch_socket(index, socket, deadline)) {
        gate_cut(socket);
    } else if (deadline == 0) {
        gate_works(socket);
    }
}

static bool cut(void *context, const struct mg_connection *connection) {
    (void)context;
    return gate_was_cut(cmcwh_civetweb_socket(connection));
}

static bool whole(void *context, const struct mg_connection *connection) {
    (void)context;
    return cmcwh_civetweb_body_whole(connection) != 0;
}

/* When others wait, the worker lets a connection that can rest at the gate go there at once. */
static bool closing(void *context, const struct mg_connection *connection) {
    enum gate_wait wait = wait_of(connection);

    (void)context;
    if (!cmcwh_civetweb_stays(connection) || !gate_keeps(cmcwh_civetweb_socket(connection), wait)) {
        return true;
    }
    if (wait == GATE_RESTS && gate_crowded()) {
        mg_set_user_connection_data(connection, to_gate);
        mg_disable_connection_keep_alive((struct mg_connection *)connection);
    }
    return false;
}

static void log_server(void *context, enum cmcwh_level level, const char *message) {
    (void)context;
    log_line(level, "%s", message);
}

/* ---- Start ---- */

static bool start_server(struct http *http) {
    const struct http_config *config = &http->config;
    struct cmcwh_server_config server = {.ring = config->ring,
                                         .path = config->path,
                                         .body_max = config->body_max,
                                         .body_timeout = config->body_timeout * 1000,
                                         .keep_alive = config->keep_alive,
                                         .context = http,
                                         .head_fault = head_fault,
                                         .peer = peer,
                                         .allow = allow,
                                         .watch = watch,
                                         .cut = cut,
                                         .whole = whole,
                                         .closing = closing,
                                         .log = log_server};

    http->workers = calloc(config->workers, sizeof *http->workers);
    if (http->workers == NULL) {
        return log_failure("memory for the workers (--workers)", ENOMEM);
    }
    return cmcwh_server_init(&http->server, &server) >= 0 || log_failure("the server", EINVAL);
}

/* Who watches over connections: the watchdog and the gate. */
static bool start_guards(struct http *http) {
    const struct http_config *config = &http->config;
    struct gate_config gate = {.workers = config->workers,
                               .timeout = config->body_timeout * 1000,
                               .keep = config->keep_alive * 1000,
                               .longest = config->body_max,
                               .plain = listen_plain(&config->listeners),
                               .produce = produce};
    int failed = watch_start(config->workers);

    if (failed != 0) {
        return log_failure("the watchdog", failed);
    }
    http->watching = true;
    proxy_trust(config->proxies, config->proxy_count);
    cmcwh_civetweb_gate = admit;
    cmcwh_civetweb_poll = gate_poll;
    failed = gate_start(&gate);
    http->gating = failed == 0;
    return http->gating || log_failure("the gate", failed);
}

static bool start_library(struct http *http) {
    unsigned wanted = MG_FEATURES_IPV6 | (tls_built_in() ? MG_FEATURES_TLS : 0);
    bool secure = (mg_init_library(wanted) & MG_FEATURES_TLS) != 0;

    http->library = true;
    if (!secure && http->config.secure) {
        log_line(CMCWH_LOG_ERROR, "--tls-cert: OpenSSL cannot be used");
        return false;
    }
    return true;
}

static const struct mg_callbacks callbacks = {.begin_request = begin_request,
                                              .http_error = http_error,
                                              .log_message = log_message,
                                              .external_ssl_ctx = external_ssl_ctx,
                                              .end_request = end_request,
                                              .connection_close = connection_close,
                                              .init_thread = init_thread};

static bool start_civetweb(struct http *http, const char *listeners) {
    const struct http_config *config = &http->config;
    char workers[16], timeout[16], rest[16], reason[256] = "";
    const char *settings[] = {"listening_ports",
                              listeners,
                              "num_threads",
                              workers,
                              "request_timeout_ms",
                              timeout,
                              "enable_keep_alive",
                              "yes",
                              "keep_alive_timeout_ms",
                              rest,
                              "enable_auth_domain_check",
                              "no",
                              "tcp_nodelay",
                              "1",
                              "max_request_size",
                              "8192",
                              "connection_queue",
                              "256",
                              "listen_backlog",
                              "1024",
                              NULL};
    struct mg_init_data init = {
        .callbacks = &callbacks, .user_data = http, .configuration_options = settings};
    struct mg_error_data error = {.text = reason, .text_buffer_size = sizeof reason};

    (void)snprintf(workers, sizeof workers, "%u", config->workers);
    (void)snprintf(timeout, sizeof timeout, "%u", (unsigned)config->body_timeout * 1000);
    (void)snprintf(rest, sizeof rest, "%u", (unsigned)(config->keep_alive + GATE_GRACE) * 1000);
    http->civetweb = mg_start2(&init, &error);
    if (http->civetweb == NULL) {
        log_line(CMCWH_LOG_ERROR, "the HTTP server did not start: %s", reason);
        return false;
    }
    cmcwh_civetweb_defer(http->civetweb, (int)config->body_timeout);
    return true;
}

bool http_start(struct http *http, const struct http_config *config) {
    char listeners[1024];

    http->config = *config;
    return start_server(http) &&
           listen_join(&http->config.listeners, listeners, sizeof listeners) &&
           start_guards(http) && start_library(http) && start_civetweb(http, listeners);
}

/* civetweb's real port where 0 was asked for. */
void http_say(const struct http *http) {
    struct mg_server_port ports[LISTEN_MAX];
    int count = mg_get_server_ports(http->civetweb, LISTEN_MAX, ports);

    for (int i = 0; i < count; i++) {
        const char *text = http->config.listeners.text[i];

        fprintf(stderr, "listening on %s://%.*s:%d%s\n", ports[i].is_ssl ? "https" : "http",
                (int)(strrchr(text, ':') - text), text, ports[i].port, http->config.path);
    }
}

/* ---- Stop ---- */

bool http_drain(struct http *http, uint32_t ms) {
    uint64_t start = platform_ticks(), passed;

    if (http->civetweb == NULL) {
        return true;
    }
    gate_drain(ms);
    cmcwh_server_stop(&http->server);
    passed = platform_ticks() - start;
    return cmcwh_server_drain(&http->server, passed < ms ? ms - (uint32_t)passed : 0);
}

void http_wait(struct http *http, uint32_t ms) {
    (void)cmcwh_server_drain(&http->server, ms);
}

void http_stop(struct http *http) {
    if (http->gating) {
        gate_stop();
    }
    if (http->civetweb != NULL) {
        mg_stop(http->civetweb);
    }
    if (http->gating) {
        gate_end();
    }
    if (http->watching) {
        watch_stop();
    }
    if (http->library) {
        (void)mg_exit_library();
    }
    free(http->workers);
}
