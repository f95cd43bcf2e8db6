/* cmcwh serve: in which order things start, are read anew, and stop. Not here: how each is done. */
#include "command/serve.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/admin.h"
#include "admin/daily.h"
#include "admin/status.h"
#include "admin/verdict.h"
#include "command/config.h"
#include "door/auth.h"
#include "door/http.h"
#include "platform/log.h"
#include "platform/memory.h"
#include "platform/notify.h"
#include "platform/outcome.h"
#include "platform/platform.h"
#include "platform/process.h"
#include "platform/ring_file.h"
#include "platform/writer.h"
#include "sink/sink.h"
#include "tls/server.h"

/* Everything there is, allocated before it listens. */
struct service {
    const struct options *options;
    struct platform platform;
    struct cmcwh_ring ring;
    struct ring_file file;
    struct sink sinks[CMCWH_READERS_MAX];
    struct http http;
    struct admin *admin; /* NULL: there is none */
    struct status_source source;
    struct status status; /* main's last one */
    struct cmcwh_record *records;
    uint32_t *links;
    struct cmcwh_history history;
    char *buffers;
    int pid_file;
    bool hangs; /* a thread could not be ended */
};

/* ---- Start ---- */

/* What a ring file held, in one line. */
static void say_recovery(const char *path, const struct cmcwh_recovery *found) {
    log_line(found->damaged > 0 ? CMCWH_LOG_WARN : CMCWH_LOG_INFO,
             "ring '%s': %" PRIu32 " events wait for sinks, the next is seq %" PRIu64
             "; dropped %" PRIu32 " requests that were never acknowledged, skipped %" PRIu32
             " damaged records",
             path, found->kept, found->next_seq, found->dropped, found->damaged);
}

/* Events that CMC puts into one request, unless its console says otherwise. */
enum { USUAL_BATCH = 100 };

/* A request that the ring can never hold is lost for good. */
static void warn_small(uint32_t records) {
    if (records < USUAL_BATCH) {
        log_line(CMCWH_LOG_WARN,
                 "the ring holds %" PRIu32
                 " records: a request of more events is answered 413, and "
                 "Customers Mail Cloud sends up to %d at once; --ring-records should say more",
                 records, USUAL_BATCH);
    }
}

static enum outcome open_ring(struct service *service, struct cmcwh_ring_config *config) {
    const struct options *options = service->options;
    struct cmcwh_recovery found;
    int result;

    if (options->ring == NULL) {
        return cmcwh_ring_init(&service->ring, config, 1) >= 0 ? OUTCOME_RIGHT : OUTCOME_WRONG;
    }
    config->storage = &service->file.storage;
    result = cmcwh_ring_open(&service->ring, config, &found);
    if (result < 0 && found.why != NULL) {
        log_line(CMCWH_LOG_ERROR, "ring '%s': %s; " RING_FILE_ANEW, options->ring, found.why);
        return OUTCOME_WRONG;
    }
    if (result < 0) {
        int error = errno;

        log_line(CMCWH_LOG_ERROR, "ring '%s': cannot be read or written: %s", options->ring,
                 strerror(error));
        return outcome_of(error);
    }
    say_recovery(options->ring, &found);
    return OUTCOME_RIGHT;
}

/* What the ring remembers of events that have passed. False: there is no memory. */
static bool make_history(struct cmcwh_history *history, uint32_t records) {
    history->mark_count = 2;
    while (history->mark_count / 2 < records) {
        history->mark_count *= 2;
    }
    history->places = calloc(records, sizeof *history->places);
    history->marks = calloc(history->mark_count, sizeof *history->marks);
    return history->places != NULL && history->marks != NULL;
}

static enum outcome start_ring(struct service *service) {
    const struct options *options = service->options;
    struct cmcwh_ring_config ring = {.capacity = options->ring_records != 0 ? options->ring_records
                                                                            : RING_FILE_RECORDS,
                                     .port = &service->platform.port,
                                     .confirm = options->sync && options->ring == NULL,
                                     .room_wait = options->workers > 1 ? 1000 : 100,
                                     .room_waiters = options->workers - 1,
                                     .confirm_wait = options->store_timeout * 1000,
                                     .gather = options->gather,
                                     .history = &service->history};
    int error = platform_init(&service->platform);
    enum outcome opened;

    if (options->ring != NULL) {
        opened =
            ring_file_open(&service->file, options->ring, options->ring_records, options->sync);
        if (opened != OUTCOME_RIGHT) {
            return opened;
        }
        ring.capacity = service->file.geometry.records;
        service->platform.sync_time = &service->file.sync_time;
    }
    if (!options->sync) {
        log_line(CMCWH_LOG_WARN, "--sync never: a 200 does not wait for stable storage: a power "
                                 "cut can lose events that were answered with 200");
    }
    service->records = memory_take(ring.capacity, sizeof *service->records);
    service->links = calloc(ring.capacity, sizeof *service->links);
    service->buffers = malloc((size_t)options->sinks * SINK_BUFFER);
    if (error != 0 || service->records == NULL || service->links == NULL ||
        service->buffers == NULL || !make_history(&service->history, ring.capacity)) {
        (void)log_failure("memory for the ring (--ring-records)", error != 0 ? error : ENOMEM);
        return OUTCOME_FAILED;
    }
    ring.records = service->records;
    ring.links = service->links;
    opened = open_ring(service, &ring);
    if (opened == OUTCOME_RIGHT) {
        status_found(&service->source);
        warn_small(ring.capacity);
    }
    return opened;
}

static enum outcome start_sinks(struct service *service) {
    enum { MOMENT = 2000 };
    uint64_t until = platform_ticks() + MOMENT;

    for (unsigned i = 0; i < service->options->sinks; i++) {
        enum outcome outcome = sink_prepare(&service->sinks[i], &service->ring,
                                            service->buffers + (size_t)i * SINK_BUFFER);

        if (outcome != OUTCOME_RIGHT) {
            return outcome;
        }
    }
    for (unsigned i = 0; i < service->options->sinks; i++) {
        if (!sink_start(&service->sinks[i])) {
            return OUTCOME_FAILED;
        }
    }
    /* Those who come first are not refused because a sink is just being opened; and the names of
     * hosts may take as long as they like to be found. */
    for (unsigned i = 0; i < service->options->sinks; i++) {
        sink_await(&service->sinks[i], until);
    }
    return OUTCOME_RIGHT;
}

static enum outcome start_http(struct service *service) {
    const struct options *options = service->options;
    const struct http_config config = {.ring = &service->ring,
                                       .listeners = config_listeners(options),
                                       .path = options->path,
                                       .workers = options->workers,
                                       .connections = options->connections,
                                       .slow_requests = options->slow_requests,
                                       .descriptors = config_descriptors(options),
                                       .body_max = options->body_max,
                                       .body_timeout = options->body_timeout,
                                       .keep_alive = options->keep_alive,
                                       .allow = options->allow,
                                       .allowed = options->networks,
                                       .proxies = {options->proxies, options->proxy_count}};

    return http_start(&service->http, &config);
}

static void prepare_status(struct service *service) {
    const struct options *options = service->options;

    service->source = (struct status_source){.http = &service->http,
                                             .ring = &service->ring,
                                             .file = options->ring == NULL ? NULL : &service->file,
                                             .sinks = service->sinks,
                                             .sink_count = options->sinks,
                                             .quiet_after = options->quiet_after * UINT64_C(1000)};
    status_init(&service->source);
}

/* It answers from the first, also while a large ring is read: who watches over us must not take
 * that for an end. */
static enum outcome start_admin(struct service *service) {
    const struct options *options = service->options;
    const struct admin_config config = {.listen = options->admin,
                                        .hosts = options->admin_host,
                                        .host_count = options->admin_hosts,
                                        .hide = options->hide_addresses,
                                        .ring = &service->ring,
                                        .source = &service->source};
    enum outcome outcome = OUTCOME_RIGHT;

    if (options->admin != NULL) {
        outcome = admin_open(&config, &service->admin);
    }
    if (outcome == OUTCOME_RIGHT && service->admin != NULL) {
        admin_say(service->admin);
    }
    return outcome;
}

static enum outcome start_steps(struct service *service) {
    enum outcome outcome = start_admin(service);

    outcome = outcome != OUTCOME_RIGHT ? outcome : start_ring(service);
    outcome = outcome != OUTCOME_RIGHT ? outcome : start_sinks(service);
    if (outcome == OUTCOME_RIGHT) {
        config_warn_places(service->options, service->sinks);
    }
    return outcome != OUTCOME_RIGHT ? outcome : start_http(service);
}

/* Root is given up before any file is opened, unless a listener needs a privileged port. */
static enum outcome start(struct service *service) {
    const struct options *options = service->options;
    const struct listeners listeners = config_listeners(options);
    bool late = options->user != NULL && config_privileged(options);
    enum outcome outcome = OUTCOME_RIGHT;

    if (options->pid_file != NULL) {
        outcome = process_claim(options->pid_file, &service->pid_file);
    }
    if (outcome == OUTCOME_RIGHT && options->user != NULL && !late) {
        outcome = config_become(options, service->sinks);
    }
    outcome = outcome != OUTCOME_RIGHT ? outcome : start_steps(service);
    if (outcome == OUTCOME_RIGHT && late) {
        outcome = config_become(options, service->sinks);
    }
    if (outcome == OUTCOME_RIGHT) {
        listen_warn(&listeners, options->auth_file != NULL);
        http_say(&service->http);
        if (service->admin != NULL) {
            admin_serves(service->admin);
        }
    }
    return outcome;
}

/* ---- While it runs ---- */

static bool reload_auth(enum auth_door door, const char *path) {
    struct auth *auth = path == NULL ? NULL : auth_read(door, path);

    if (auth != NULL) {
        auth_use(door, auth);
    }
    return path == NULL || auth != NULL;
}

/* One that could not be opened anew, NULL: all could. Each is tried at once. */
static const struct sink *reopen_sinks(struct service *service) {
    enum { REOPEN = 1000 /* ms */ };
    uint64_t until = platform_ticks() + REOPEN;
    const struct sink *failing = NULL;

    for (unsigned i = 0; i < service->options->sinks; i++) {
        sink_reopen(&service->sinks[i]);
    }
    for (unsigned i = 0; i < service->options->sinks; i++) {
        struct sink_news news;

        sink_await(&service->sinks[i], until);
        sink_ask(&service->sinks[i], &news);
        failing = news.failing[0] != '\0' ? &service->sinks[i] : failing;
    }
    return failing;
}

/* NULL: all that sinks' URIs name could be read. */
static const struct sink *reload_sinks(struct service *service) {
    const struct sink *unread = NULL;

    for (unsigned i = 0; i < service->options->sinks; i++) {
        unread = sink_load(&service->sinks[i]) ? unread : &service->sinks[i];
    }
    return unread;
}

/* One more of those that could not be read. */
static void name_unread(struct writer *said, bool read, const char *option, const char *path,
                        const char *more) {
    bool first = said->used > 0 && said->bytes[said->used - 1] == ':';

    if (!read) {
        writer_print(said, "%s %s %.200s%s", first ? "" : ",", option, path, more);
    }
}

/* Reads again what a start reads. Writes what came of it; false: some of it could not be read. */
static bool read_anew(struct service *service, struct writer *said) {
    const struct options *options = service->options;
    const struct sink *sink = reload_sinks(service);
    bool auth = reload_auth(AUTH_WEBHOOKS, options->auth_file);
    bool admin = reload_auth(AUTH_ADMIN, options->admin_auth_file);
    bool tls = options->tls_cert == NULL || tls_load(options->tls_cert, options->tls_key);

    if (auth && admin && tls && sink == NULL) {
        writer_text(said, "files are opened anew");
        return true;
    }
    writer_text(said, "could not be read again:");
    name_unread(said, auth, "--auth-file", options->auth_file, "");
    name_unread(said, admin, "--admin-auth-file", options->admin_auth_file, "");
    name_unread(said, tls, "--tls-cert", options->tls_cert, " or its key");
    name_unread(said, sink == NULL, "--sink", sink == NULL ? "" : sink->uri, "'s files");
    writer_text(said, ": what was read before stays in force");
    return false;
}

/* What came of it stands in the last line, and with the service manager. */
static void reload(struct service *service) {
    static const char state[] = "READY=1\nSTATUS=";
    char text[1024] = {0};
    struct writer all = {.bytes = text, .size = sizeof text - 1};
    const char *said = text + sizeof state - 1;
    const struct sink *failing;
    bool read;

    writer_text(&all, state);
    read = read_anew(service, &all);
    failing = reopen_sinks(service);
    if (read && failing != NULL) {
        writer_print(&all, ", but sink '%.200s' does not work", failing->uri);
    }
    log_line(read && failing == NULL ? CMCWH_LOG_INFO : CMCWH_LOG_ERROR, "%s", said);
    status_reloaded(&service->source, read, said);
    notify(text);
}

static const struct status *take_status(struct service *service) {
    status_take(&service->status, &service->source);
    return &service->status;
}

static void do_daily(const struct service *service) {
    if (service->options->tls_cert != NULL) {
        tls_say_dates(service->options->tls_cert);
    }
}

/* Have `ms` passed since *last? Then that is now. */
static bool due(uint64_t *last, uint64_t ms) {
    uint64_t now = platform_ticks();
    bool passed = now - *last >= ms;

    *last = passed ? now : *last;
    return passed;
}

/* Until somebody wants it to stop. */
static void heed_wishes(struct service *service) {
    enum { DAY = 86400000, WATCH = 1000 };
    uint64_t day = platform_ticks(), look = day;
    struct status_watch watch = {.looks = 0};
    struct daily daily = {.minute = service->options->summary_at};
    enum process_wish wish = PROCESS_NOTHING;

    while (wish != PROCESS_STOP) {
        if (due(&day, DAY)) {
            do_daily(service);
        }
        if (due(&look, STATUS_LOOK)) {
            status_look(&watch, take_status(service));
        }
        status_observe(&service->source);
        if (daily_due(&daily, service->platform.port.now(&service->platform))) {
            daily_say(take_status(service));
        }
        for (unsigned i = 0; i < service->options->sinks; i++) {
            sink_watch(&service->sinks[i]);
        }
        ring_file_watch(&service->file, service->options->store_timeout * 1000);
        http_sum_up(&service->http, false);
        log_sum_up(false);
        wish = process_wait(WATCH);
        if (wish == PROCESS_RELOAD) {
            notify("RELOADING=1");
            reload(service);
        } else if (wish == PROCESS_STATUS) {
            verdict_log(take_status(service));
            status_log(&service->status);
        }
    }
}

/* ---- Stop ---- */

static uint64_t left_of(uint64_t start, uint64_t ms) {
    uint64_t passed = platform_ticks() - start;

    return passed < ms ? ms - passed : 0;
}

/* Requests that wait for a sink which does not answer must not keep the server from stopping. */
static void give_up_waiting(struct service *service) {
    for (unsigned i = 0; i < service->options->sinks; i++) {
        if (service->sinks[i].required && service->sinks[i].running) {
            cmcwh_ring_stall(&service->ring, service->sinks[i].pump.config.reader, UINT32_MAX);
        }
    }
    http_wait(&service->http, 200);
}

/* Returns how many events are lost because a required sink did not take them. */
static uint32_t end_sink(const struct service *service, struct sink *sink, uint32_t ms) {
    uint32_t missed = sink_end(sink, ms);

    if (missed > 0 && service->options->ring != NULL) {
        log_line(CMCWH_LOG_WARN,
                 "sink '%s': %" PRIu32 " events wait in the ring for the next start", sink->uri,
                 missed);
        return 0;
    }
    if (missed > 0) {
        log_line(CMCWH_LOG_ERROR, "sink '%s': %" PRIu32 " events were not taken", sink->uri,
                 missed);
    }
    return sink->required ? missed : 0;
}

/* The same of all. Those that hang share the time in which they might still end. */
static uint32_t stop_sinks(struct service *service, uint64_t start) {
    enum { END = 300 /* ms */ };
    uint64_t limit = service->options->body_timeout * UINT64_C(1000);
    unsigned count = 0;
    uint32_t left = 0;

    while (count < service->options->sinks && service->sinks[count].ring != NULL) {
        sink_hurry(&service->sinks[count++]);
    }
    for (unsigned i = 0; i < count; i++) {
        sink_finish(&service->sinks[i], left_of(start, limit));
    }
    start = platform_ticks();
    for (unsigned i = 0; i < count; i++) {
        left += end_sink(service, &service->sinks[i], (uint32_t)left_of(start, END));
    }
    return left;
}

static void *flush(void *ring) {
    (void)cmcwh_ring_flush(ring);
    return NULL;
}

/* Tells the ring's file how far sinks have come. False: the storage hangs, in a thread of its own.
 */
static bool flush_last(struct service *service) {
    enum { FLUSH = 500 /* ms */ };
    pthread_t thread;

    if (pthread_create(&thread, NULL, flush, &service->ring) != 0 || platform_join(thread, FLUSH)) {
        return true; /* without it, sinks get the last events once more */
    }
    log_line(CMCWH_LOG_ERROR, "ring '%s': its storage hangs: what sinks took last may come again",
             service->options->ring);
    return false;
}

/* In order: no new request, those in flight are answered, sinks take what is left. What does not
 * get on is not waited for: the whole takes less than 3 s, unless a slow sink works till the end.
 */
static bool stop(struct service *service) {
    enum { REQUESTS = 700 /* ms */ };
    uint64_t start = platform_ticks();
    uint32_t left;

    process_let_signals_kill();
    if (!http_drain(&service->http, REQUESTS)) {
        give_up_waiting(service);
    }
    service->hangs = !admin_close(service->admin);
    service->hangs = !http_stop(&service->http) || service->hangs;
    if (service->hangs) {
        log_line(CMCWH_LOG_ERROR,
                 "a thread that answers requests has not ended: its disk hangs, or "
                 "this machine has too much to do");
    }
    http_sum_up(&service->http, true);
    left = stop_sinks(service, start);
    if (service->ring.config.storage != NULL && !service->hangs) {
        service->hangs = !flush_last(service);
    }
    return left == 0 && !service->hangs;
}

static void free_all(struct service *service) {
    bool hanging = service->hangs;

    for (unsigned i = 0; i < service->options->sinks; i++) {
        hanging = hanging || service->sinks[i].running;
    }
    auth_use(AUTH_WEBHOOKS, NULL);
    auth_use(AUTH_ADMIN, NULL);
    tls_end();
    if (service->pid_file >= 0) {
        process_unclaim(service->options->pid_file, service->pid_file);
    }
    if (hanging) { /* what hangs still uses its memory */
        return;
    }
    for (unsigned i = 0; i < service->options->sinks; i++) {
        sink_free(&service->sinks[i]);
    }
    ring_file_close(&service->file);
    memory_free(service->records);
    free(service->links);
    free(service->history.places);
    free(service->history.marks);
    free(service->buffers);
}

int serve(const struct options *options) {
    static struct service service; /* too large for a stack, and there is one */
    enum outcome outcome;

    log_serve();
    process_share_heap();
    /* The rest is zero, and need not take memory yet. */
    service.options = options;
    service.pid_file = -1;
    service.file.descriptor = -1;
    outcome = config_read(options, service.sinks);
    if (outcome != OUTCOME_RIGHT) {
        return (int)outcome;
    }
    prepare_status(&service);
    process_take_signals();
    outcome = start(&service);
    if (outcome == OUTCOME_RIGHT) {
        notify("READY=1");
        heed_wishes(&service);
        notify("STOPPING=1");
        status_stops(&service.source);
        outcome = stop(&service) ? OUTCOME_RIGHT : OUTCOME_FAILED;
    } else {
        (void)stop(&service);
    }
    free_all(&service);
    log_sum_up(true);
    return (int)outcome;
}
