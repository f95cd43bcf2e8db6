/* cmcwh serve: memory, sinks, civetweb, signals; and the way back in order. */
#include "command/serve.h"

#include <civetweb.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "door/auth.h"
#include "door/civetweb_extra.h"
#include "door/gate.h"
#include "platform/log.h"
#include "platform/notify.h"
#include "platform/platform.h"
#include "door/proxy.h"
#include "platform/ring_file.h"
#include "sink/sink.h"
#include "door/tls.h"
#include "door/watch.h"

/* Everything there is, allocated before it listens. */
struct service {
    const struct options *options;
    struct platform platform;
    struct cmcwh_ring ring;
    struct ring_file file;
    struct cmcwh_server server;
    struct sink sinks[CMCWH_READERS_MAX];
    struct mg_context *civetweb;
    struct cmcwh_record *records;
    uint32_t *links;
    char *buffers;
    struct cmcwh_worker *workers;
    unsigned workers_taken; /* under the port's lock */
    int pid_file;
    bool watching, gating, library;
};

/* ---- What civetweb and the portable part call ---- */

static void *init_thread(const struct mg_context *context, int type) {
    struct service *service = mg_get_user_data(context);
    struct cmcwh_worker *worker = NULL;

    if (type == 1) { /* a worker */
        service->platform.port.lock(&service->platform);
        worker = &service->workers[service->workers_taken++];
        service->platform.port.unlock(&service->platform);
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
    struct service *service = mg_get_user_data(mg_get_context(connection));
    struct auth *auth = service->options->auth_file == NULL ? NULL : auth_hold();
    int status;

    gate_works(cmcwh_civetweb_socket(connection));
    status = cmcwh_server_handle(&service->server, mg_get_thread_pointer(connection),
                                 auth == NULL ? NULL : &auth->access, connection);
    if (auth != NULL) {
        auth_release(auth);
    }
    return status;
}

static int http_error(struct mg_connection *connection, int status, const char *message) {
    struct service *service = mg_get_user_data(mg_get_context(connection));

    (void)message;
    if (gate_was_cut(cmcwh_civetweb_socket(connection))) {
        status = 408; /* and not a head that ends too early */
    }
    return cmcwh_server_refuse(&service->server, mg_get_thread_pointer(connection), connection,
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
        gate_return(mg_get_context(connection), socket, &peer);
    } else {
        gate_release(socket);
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
    const struct service *service = context;

    return service->options->networks == 0 ||
           network_contains(service->options->allow, service->options->networks, address);
}

static void watch(void *context, struct mg_connection *connection, uint32_t deadline) {
    const struct service *service = context;
    const struct cmcwh_worker *worker = mg_get_thread_pointer(connection);

    unsigned index = (unsigned)(worker - service->workers);
    int socket = cmcwh_civetweb_socket(connection);

    if (deadline > 0) {
        gate_reads(socket);
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

static bool fail(const char *what, int error) {
    log_line(CMCWH_LOG_ERROR, "%s: %s", what, strerror(error));
    return false;
}

/* What a ring file held, in one line. */
static void say_recovery(const char *path, const struct cmcwh_recovery *found) {
    log_line(found->damaged > 0 ? CMCWH_LOG_WARN : CMCWH_LOG_INFO,
             "ring '%s': kept %" PRIu32 " events, the next is seq %" PRIu64 "; dropped %" PRIu32
             " requests that were never acknowledged, skipped %" PRIu32 " damaged records",
             path, found->kept, found->next_seq, found->dropped, found->damaged);
}

static bool open_ring(struct service *service, struct cmcwh_ring_config *config) {
    const struct options *options = service->options;
    struct cmcwh_recovery found;
    int result;

    if (options->ring == NULL) {
        return cmcwh_ring_init(&service->ring, config, 1) >= 0;
    }
    config->storage = &service->file.storage;
    result = cmcwh_ring_open(&service->ring, config, &found);
    if (result < 0) {
        log_line(CMCWH_LOG_ERROR, "ring '%s': %s; move the file away, and a new one is made",
                 options->ring, found.why != NULL ? found.why : strerror(errno));
        return false;
    }
    say_recovery(options->ring, &found);
    return true;
}

static bool start_memory(struct service *service) {
    const struct options *options = service->options;
    struct cmcwh_ring_config ring = {.capacity = options->ring_records != 0 ? options->ring_records
                                                                            : RING_FILE_RECORDS,
                                     .port = &service->platform.port,
                                     .confirm = options->sync && options->ring == NULL,
                                     .room_wait = 1000};
    struct cmcwh_server_config server = {.ring = &service->ring,
                                         .path = options->path,
                                         .body_max = options->body_max,
                                         .body_timeout = options->body_timeout * 1000,
                                         .keep_alive = options->keep_alive,
                                         .context = service,
                                         .head_fault = head_fault,
                                         .peer = peer,
                                         .allow = allow,
                                         .watch = watch,
                                         .cut = cut,
                                         .whole = whole,
                                         .closing = closing,
                                         .log = log_server};
    int error = platform_init(&service->platform);

    if (options->ring != NULL) {
        if (!ring_file_open(&service->file, options->ring, options->ring_records, options->sync)) {
            return false;
        }
        ring.capacity = service->file.geometry.records;
        service->platform.sync_time = &service->file.sync_time;
    }
    if (!options->sync) {
        log_line(CMCWH_LOG_WARN, "--sync never: a 200 does not wait for stable storage: a power "
                                 "cut can lose events that were answered with 200");
    }
    service->records = calloc(ring.capacity, sizeof *service->records);
    service->links = calloc(ring.capacity, sizeof *service->links);
    service->buffers = malloc((size_t)options->sinks * SINK_BUFFER);
    service->workers = calloc(options->workers, sizeof *service->workers);
    if (error != 0 || service->records == NULL || service->links == NULL ||
        service->buffers == NULL || service->workers == NULL) {
        return fail("memory for the ring and the workers (--ring-records, --workers)",
                    error != 0 ? error : ENOMEM);
    }
    ring.records = service->records;
    ring.links = service->links;
    if (cmcwh_server_init(&service->server, &server) < 0) {
        return fail("the server", EINVAL);
    }
    return open_ring(service, &ring);
}

static bool start_sinks(struct service *service) {
    for (unsigned i = 0; i < service->options->sinks; i++) {
        if (!sink_prepare(&service->sinks[i], &service->ring,
                          service->buffers + (size_t)i * SINK_BUFFER)) {
            return false;
        }
    }
    for (unsigned i = 0; i < service->options->sinks; i++) {
        if (!sink_start(&service->sinks[i])) {
            return false;
        }
    }
    return true;
}

/* Is the address free? civetweb would only say that it could not start. */
static bool try_listener(const char *text) {
    struct sockaddr_storage address;
    socklen_t length;
    int one = 1, descriptor, error = 0;

    (void)network_listener(text, &address, &length);
    descriptor = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (descriptor < 0) {
        error = errno;
    } else {
        (void)setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
        if (bind(descriptor, (const struct sockaddr *)&address, length) != 0) {
            error = errno;
        }
        (void)close(descriptor);
    }
    if (error != 0) {
        log_line(CMCWH_LOG_ERROR, "--listen: cannot listen on %s: %s", text, strerror(error));
    }
    return error == 0;
}

/* civetweb's real port where 0 was asked for. */
static void say_listeners(const struct service *service) {
    struct mg_server_port ports[OPTIONS_LISTENERS];
    int count = mg_get_server_ports(service->civetweb, OPTIONS_LISTENERS, ports);

    for (int i = 0; i < count; i++) {
        const char *text = service->options->listen[i];

        fprintf(stderr, "listening on %s://%.*s:%d%s\n", ports[i].is_ssl ? "https" : "http",
                (int)(strrchr(text, ':') - text), text, ports[i].port, service->options->path);
    }
}

static bool join_listeners(const struct options *options, char *out, size_t room) {
    size_t used = 0;

    for (unsigned i = 0; i < options->listeners; i++) {
        int length =
            snprintf(out + used, room - used, "%s%s", i > 0 ? "," : "", options->listen[i]);

        if (!try_listener(options->listen[i]) || length < 0 || (size_t)length >= room - used) {
            return false;
        }
        used += (size_t)length;
    }
    return true;
}

/* Who watches over connections: the watchdog and the gate. */
static bool start_guards(struct service *service) {
    const struct options *options = service->options;
    struct gate_config gate = {.workers = options->workers,
                               .timeout = options->body_timeout * 1000,
                               .keep = options->keep_alive * 1000,
                               .longest = options->body_max,
                               .produce = produce};
    int failed = watch_start(options->workers);

    if (failed != 0) {
        return fail("the watchdog", failed);
    }
    service->watching = true;
    for (unsigned i = 0; i < options->listeners; i++) {
        gate.plain = gate.plain || !network_secure(options->listen[i]);
    }
    proxy_trust(options->proxies, options->proxy_count);
    cmcwh_civetweb_gate = admit;
    cmcwh_civetweb_poll = gate_poll;
    failed = gate_start(&gate);
    service->gating = failed == 0;
    return service->gating || fail("the gate", failed);
}

static bool start_civetweb(struct service *service) {
    const struct options *options = service->options;
    char listeners[1024], workers[16], timeout[16], rest[16], reason[256] = "";
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
    struct mg_callbacks callbacks = {.begin_request = begin_request,
                                     .http_error = http_error,
                                     .log_message = log_message,
                                     .external_ssl_ctx = external_ssl_ctx,
                                     .end_request = end_request,
                                     .connection_close = connection_close,
                                     .init_thread = init_thread};
    struct mg_init_data init = {
        .callbacks = &callbacks, .user_data = service, .configuration_options = settings};
    struct mg_error_data error = {.text = reason, .text_buffer_size = sizeof reason};

    if (!join_listeners(options, listeners, sizeof listeners) || !start_guards(service)) {
        return false;
    }
    (void)snprintf(workers, sizeof workers, "%u", options->workers);
    (void)snprintf(timeout, sizeof timeout, "%u", (unsigned)options->body_timeout * 1000);
    (void)snprintf(rest, sizeof rest, "%u", (unsigned)(options->keep_alive + GATE_GRACE) * 1000);
    if ((mg_init_library(MG_FEATURES_IPV6 | (tls_built_in() ? MG_FEATURES_TLS : 0)) &
         MG_FEATURES_TLS) == 0 &&
        options->tls_cert != NULL) {
        log_line(CMCWH_LOG_ERROR, "--tls-cert: OpenSSL cannot be used");
        return false;
    }
    service->library = true;
    service->civetweb = mg_start2(&init, &error);
    if (service->civetweb == NULL) {
        log_line(CMCWH_LOG_ERROR, "the HTTP server did not start: %s", reason);
        return false;
    }
    cmcwh_civetweb_defer(service->civetweb, (int)options->body_timeout);
    return true;
}

/* Gives up root. Before any file is opened, unless a listener needs a privileged port. */
static bool become_user(const char *name) {
    const struct passwd *user = getpwnam(name);

    if (user == NULL) {
        log_line(CMCWH_LOG_ERROR, "--user: there is no user '%s'", name);
        return false;
    }
    if (geteuid() == user->pw_uid) {
        return true;
    }
    if (initgroups(name, user->pw_gid) != 0 || setgid(user->pw_gid) != 0 ||
        setuid(user->pw_uid) != 0) {
        log_line(CMCWH_LOG_ERROR, "--user: cannot become '%s': %s", name, strerror(errno));
        return false;
    }
    return true;
}

static bool privileged_port(const struct options *options) {
    for (unsigned i = 0; i < options->listeners; i++) {
        unsigned long port = strtoul(strrchr(options->listen[i], ':') + 1, NULL, 10);

        if (port > 0 && port < 1024) {
            return true;
        }
    }
    return false;
}

/* The file stays locked while we run, so that a second instance sees that there is a first. */
static bool write_pid_file(struct service *service) {
    const char *path = service->options->pid_file;
    char text[32];
    int length = snprintf(text, sizeof text, "%ld\n", (long)getpid());

    service->pid_file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (service->pid_file < 0) {
        log_line(CMCWH_LOG_ERROR, "--pid-file: %s: %s", path, strerror(errno));
        return false;
    }
    if (flock(service->pid_file, LOCK_EX | LOCK_NB) != 0) {
        log_line(CMCWH_LOG_ERROR, "--pid-file: %s: another instance is running", path);
        (void)close(service->pid_file);
        service->pid_file = -1; /* not ours to remove */
        return false;
    }
    if (ftruncate(service->pid_file, 0) != 0 ||
        write(service->pid_file, text, (size_t)length) != length) {
        log_line(CMCWH_LOG_ERROR, "--pid-file: %s: %s", path, strerror(errno));
        return false;
    }
    return true;
}

static bool loopback(const char *text) {
    return strncmp(text, "127.", 4) == 0 || strncmp(text, "[::1]", 5) == 0;
}

/* What an operator should know who lets others than this machine in. */
static void warn_of_listeners(const struct options *options) {
    for (unsigned i = 0; i < options->listeners; i++) {
        const char *text = options->listen[i];

        if (!loopback(text) && options->auth_file == NULL) {
            log_line(CMCWH_LOG_WARN,
                     "--listen: %s: anybody who can reach it may post: no --auth-file is given",
                     text);
        }
        if (!loopback(text) && !network_secure(text)) {
            log_line(CMCWH_LOG_WARN,
                     "--listen: %s: plain HTTP: credentials and events can be read on the way",
                     text);
        }
    }
}

static bool start(struct service *service) {
    const struct options *options = service->options;
    bool late = options->user != NULL && privileged_port(options);

    if (options->pid_file != NULL && !write_pid_file(service)) {
        return false;
    }
    if (options->tls_cert != NULL && !tls_load(options->tls_cert, options->tls_key)) {
        return false;
    }
    if (options->user != NULL && !late && !become_user(options->user)) {
        return false;
    }
    if (!start_memory(service) || !start_sinks(service) || !start_civetweb(service)) {
        return false;
    }
    if (late && !become_user(options->user)) {
        return false;
    }
    warn_of_listeners(options);
    say_listeners(service);
    return true;
}

/* ---- While it runs ---- */

static void reload(struct service *service) {
    const char *path = service->options->auth_file;

    for (unsigned i = 0; i < service->options->sinks; i++) {
        sink_reopen(&service->sinks[i]);
    }
    if (path != NULL) {
        struct auth *auth = auth_read(path);

        if (auth != NULL) {
            auth_use(auth);
        } else {
            log_line(CMCWH_LOG_ERROR, "--auth-file: %s: what was read before stays in force", path);
        }
    }
    if (service->options->tls_cert != NULL &&
        !tls_load(service->options->tls_cert, service->options->tls_key)) {
        log_line(CMCWH_LOG_ERROR, "--tls-cert: what was read before stays in force");
    }
    log_line(CMCWH_LOG_INFO, "files are opened anew");
}

static void say_counters(struct service *service) {
    static const int statuses[CMCWH_STATUSES] = CMCWH_STATUS_LIST;
    struct cmcwh_server_counters counters;
    struct cmcwh_ring_state state;
    char line[512];
    int used = 0;

    cmcwh_server_count(&service->server, &counters);
    cmcwh_ring_state(&service->ring, &state);
    for (unsigned i = 0; i < CMCWH_STATUSES; i++) {
        if (counters.answers[i] > 0) {
            used += snprintf(line + used, sizeof line - (size_t)used, " %s%.0d=%" PRIu64,
                             statuses[i] == 0 ? "other" : "", statuses[i], counters.answers[i]);
        }
    }
    log_line(CMCWH_LOG_ERROR + 2, "requests=%" PRIu64 "%.*s events=%" PRIu64, counters.requests,
             used, line, counters.events);
    log_line(CMCWH_LOG_INFO, "ring in_use=%" PRIu32 " capacity=%" PRIu32 " stored=%" PRIu64,
             state.in_use, state.capacity, state.stored);
    for (unsigned i = 0; i < service->options->sinks; i++) {
        const struct sink *sink = &service->sinks[i];
        int reader = sink->pump.config.reader;

        log_line(CMCWH_LOG_INFO, "sink '%s' behind=%" PRIu32 " lost=%" PRIu64 " failed=%s",
                 sink->uri, state.behind[reader], state.lost[reader],
                 state.failed[reader] ? "yes" : "no");
    }
}

static void run(struct service *service, const sigset_t *signals) {
    int signal;

    while (sigwait(signals, &signal) == 0) {
        if (signal == SIGTERM || signal == SIGINT) {
            return;
        }
        if (signal == SIGHUP) {
            notify("RELOADING=1");
            reload(service);
            notify("READY=1");
        } else {
            say_counters(service);
        }
    }
}

/* ---- Stop ---- */

/* A second signal ends the process at once. */
static void let_signals_kill(void) {
    sigset_t ending;

    (void)sigemptyset(&ending);
    (void)sigaddset(&ending, SIGTERM);
    (void)sigaddset(&ending, SIGINT);
    (void)pthread_sigmask(SIG_UNBLOCK, &ending, NULL);
}

static uint64_t left_of(uint64_t start, uint64_t ms) {
    uint64_t passed = platform_ticks() - start;

    return passed < ms ? ms - passed : 0;
}

/* Requests that wait for a sink which does not answer must not keep the server from stopping. */
static void give_up_waiting(struct service *service) {
    for (unsigned i = 0; i < service->options->sinks; i++) {
        if (service->sinks[i].required && service->sinks[i].running) {
            cmcwh_ring_fail(&service->ring, service->sinks[i].pump.config.reader, UINT32_MAX);
        }
    }
    (void)cmcwh_server_drain(&service->server, 500);
}

/* In order: no new request, those in flight are answered, sinks take what is left. */
static bool stop(struct service *service) {
    uint64_t start = platform_ticks(), limit = service->options->body_timeout * UINT64_C(1000);
    uint32_t left = 0;

    let_signals_kill();
    if (service->civetweb != NULL) {
        gate_drain((uint32_t)limit);
        cmcwh_server_stop(&service->server);
        if (!cmcwh_server_drain(&service->server, (uint32_t)left_of(start, limit))) {
            give_up_waiting(service);
        }
        gate_stop();
        mg_stop(service->civetweb);
    } else if (service->gating) {
        gate_stop();
    }
    if (service->gating) {
        gate_end();
    }
    if (service->watching) {
        watch_stop();
    }
    for (unsigned i = 0; i < service->options->sinks; i++) {
        if (service->sinks[i].ring != NULL) {
            uint32_t missed = sink_finish(&service->sinks[i], left_of(start, limit));

            if (missed > 0 && service->options->ring != NULL) {
                log_line(CMCWH_LOG_WARN,
                         "sink '%s': %" PRIu32 " events wait in the ring for the next start",
                         service->sinks[i].uri, missed);
            } else if (missed > 0) {
                log_line(CMCWH_LOG_ERROR, "sink '%s': %" PRIu32 " events were not taken",
                         service->sinks[i].uri, missed);
                left += service->sinks[i].required ? missed : 0;
            }
        }
    }
    if (service->ring.config.storage != NULL) {
        (void)cmcwh_ring_flush(&service->ring);
    }
    return left == 0;
}

static void release(struct service *service) {
    bool hanging = false;

    for (unsigned i = 0; i < service->options->sinks; i++) {
        hanging = hanging || service->sinks[i].running;
    }
    if (service->library) {
        (void)mg_exit_library();
    }
    auth_use(NULL);
    tls_end();
    if (service->pid_file >= 0) {
        (void)unlink(service->options->pid_file);
        (void)close(service->pid_file);
    }
    if (!hanging) { /* a sink that hangs still uses its memory */
        ring_file_close(&service->file);
        for (unsigned i = 0; i < service->options->sinks; i++) {
            sink_free(&service->sinks[i]);
        }
        free(service->records);
        free(service->links);
        free(service->buffers);
        free(service->workers);
    }
}

/* Signals come to the main thread only, which waits for them. */
static void block_signals(sigset_t *signals) {
    static const int handled[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1};

    (void)sigemptyset(signals);
    for (size_t i = 0; i < sizeof handled / sizeof *handled; i++) {
        (void)sigaddset(signals, handled[i]);
    }
    (void)pthread_sigmask(SIG_BLOCK, signals, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGXFSZ, SIG_IGN); /* a limit on files is an error like any other */
}

int serve(const struct options *options) {
    static struct service service; /* too large for a stack, and there is one */
    sigset_t signals;
    bool right;

    /* The rest is zero, and need not take memory yet. */
    service.options = options;
    service.pid_file = -1;
    service.file.descriptor = -1;
    for (unsigned i = 0; i < options->sinks; i++) {
        if (!sink_parse(&service.sinks[i], options->sink[i], options->sync)) {
            return 2;
        }
    }
    if (options->auth_file != NULL) {
        struct auth *auth = auth_read(options->auth_file);

        if (auth == NULL) {
            return 2;
        }
        auth_use(auth);
    }
    block_signals(&signals);
    right = start(&service);
    if (right) {
        notify("READY=1");
        run(&service, &signals);
        notify("STOPPING=1");
        right = stop(&service);
    } else {
        (void)stop(&service);
    }
    release(&service);
    return right ? 0 : 1;
}
