/* The thread of a sink: it takes what is in the ring to the medium, and tries again when that
 * fails. Not here: the name of any medium. */
#include "sink/sink.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "platform/log.h"
#include "platform/platform.h"

int sink_trouble(struct sink *sink, const char *what, int error) {
    (void)snprintf(sink->trouble, sizeof sink->trouble, "%s%s%s", what, error != 0 ? ": " : "",
                   error != 0 ? strerror(error) : "");
    return -1;
}

enum outcome sink_unfit(struct sink *sink, const char *what, int error, enum outcome outcome) {
    (void)sink_trouble(sink, what, error);
    return outcome;
}

void sink_close(struct sink *sink) {
    (void)close(sink->descriptor);
    sink->descriptor = -1;
}

bool sink_same(const struct sink *sink, const struct sink *other) {
    return sink->medium == other->medium && strcmp(sink->target, other->target) == 0;
}

/* One that was put and taken before something failed does not go out again. */
static int put(void *context, const struct cmcwh_record *record, const void *bytes, size_t length) {
    struct sink *sink = context;
    struct cmcwh_event event;

    cmcwh_record_read(record, &event);
    return event.seq <= sink->took ? 0 : sink->medium->put(sink, record, bytes, length);
}

enum outcome sink_prepare(struct sink *sink, struct cmcwh_ring *ring, char *buffer) {
    struct cmcwh_sink_config config = {.ring = ring,
                                       .encoding = sink->encoding,
                                       .syslog = &sink->identity,
                                       .context = sink,
                                       .write = sink->medium->write,
                                       .write_record = sink->medium->put != NULL ? put : NULL,
                                       .sync = sink->medium->sync,
                                       .undo = sink->medium->undo,
                                       .single = sink->medium->single,
                                       .filter = &sink->only,
                                       .buffer = buffer,
                                       .buffer_size = SINK_BUFFER};
    char name[PATH_MAX + 32];

    sink->ring = ring;
    (void)gethostname(sink->hostname, sizeof sink->hostname - 1);
    (void)snprintf(sink->process_id, sizeof sink->process_id, "%ld", (long)getpid());
    sink->identity.hostname = sink->hostname;
    sink->identity.process_id = sink->process_id;
    sink->identity.facility = 2;
    /* Its place in a ring file is under this name, whatever its parameters. */
    (void)snprintf(name, sizeof name, "%s:%s", sink->medium->scheme, sink->target);
    config.reader = cmcwh_ring_attach(ring, name, sink->required);
    if (cmcwh_sink_init(&sink->pump, &config) < 0) {
        log_line(CMCWH_LOG_ERROR, "--sink: '%s': could not be attached", sink->uri);
        return OUTCOME_WRONG;
    }
    /* One that holds nobody up does not hold up the start either. */
    if (sink->required && sink->medium->look != NULL &&
        sink->medium->look(sink, false) == OUTCOME_WRONG) {
        log_line(CMCWH_LOG_ERROR, "--sink: '%s': %s", sink->uri, sink->trouble);
        return OUTCOME_WRONG;
    }
    return OUTCOME_RIGHT;
}

/* The ring's lock guards what a sink's thread and others tell each other: it waits there anyway. */
static void lock(const struct sink *sink) {
    sink->ring->config.port->lock(sink->ring->config.port->context);
}

static void unlock(const struct sink *sink) {
    sink->ring->config.port->unlock(sink->ring->config.port->context);
}

static void wake(const struct sink *sink) {
    sink->ring->config.port->wake(sink->ring->config.port->context);
}

/* One of the flags that the lock guards. */
static bool look(const struct sink *sink, const bool *flag) {
    bool set;

    lock(sink);
    set = *flag;
    unlock(sink);
    return set;
}

bool sink_stopping(const struct sink *sink) {
    return look(sink, &sink->stop);
}

static uint32_t low_ticks(void) {
    return (uint32_t)platform_ticks() | 1;
}

void sink_moves(struct sink *sink) {
    __atomic_store_n(&sink->moved, low_ticks(), __ATOMIC_RELAXED);
}

void sink_took(struct sink *sink, uint64_t seq) {
    /* Where requests wait, the number of one that was taken back is used again. */
    sink->took = sink->ring->config.confirm ? 0 : seq;
}

void sink_rejected(struct sink *sink, uint32_t records) {
    lock(sink);
    sink->news.rejected += records;
    sink->news.last_rejected = platform_now();
    unlock(sink);
}

/* What others ask of a sink. */
struct wish {
    bool reopen, finish, stop;
};

static struct wish hear(struct sink *sink) {
    struct wish wish;

    lock(sink);
    wish = (struct wish){sink->reopen, sink->finish, sink->stop};
    sink->reopen = false;
    unlock(sink);
    return wish;
}

/* Has anything been asked of it? With the lock held. */
static bool asked(const struct sink *sink) {
    return sink->reopen || sink->finish || sink->stop;
}

static void tell_delivered(struct sink *sink) {
    lock(sink);
    if (sink->news.delivered != sink->pump.delivered) {
        sink->news.delivered = sink->pump.delivered;
        sink->news.last_success = platform_now();
    }
    unlock(sink);
}

/* With the lock held. */
static void tell_trouble(struct sink_news *news, const char *trouble) {
    uint64_t now = platform_now();

    news->failures++;
    news->failing_since = news->failing_since != 0 ? news->failing_since : now;
    news->last_error_at = now;
    (void)snprintf(news->failing, sizeof news->failing, "%s", trouble);
    memcpy(news->last_error, news->failing, sizeof news->last_error);
}

/* Tells others why it does not work; NULL: it does. */
static void tell(struct sink *sink, const char *trouble) {
    struct sink_news *news = &sink->news;

    lock(sink);
    news->opened = true;
    if (trouble != NULL) {
        tell_trouble(news, trouble);
    } else {
        news->failing[0] = '\0';
        news->failing_since = 0;
        news->last_success = platform_now();
    }
    wake(sink);
    unlock(sink);
}

enum { SHORTLY = 10 /* ms in which more records may come, before what syncs writes */ };

/* What a sink's thread keeps in mind between rounds. */
struct trial {
    uint64_t quiet;   /* ticks since which there has been nothing to do; 0: there was */
    uint32_t pause;   /* ms until the next try, grows: see spread */
    uint64_t since;   /* ticks at which the trouble began, 0: none */
    uint64_t said;    /* losses that were said */
    uint64_t said_at; /* ticks */
};

/* How many ms to wait: three quarters of the pause to all of it, so that many who have failed
 * together do not come back together; and as much longer as the peer has asked for. */
static uint32_t spread(uint32_t pause, uint32_t retry) {
    uint32_t least = pause - pause / 4;

    least = retry > least ? retry : least;
    return least + platform_random() % (least / 3 + 1);
}

/* For so long, or until something is asked of it. Has it been asked to open anew? */
static bool rest(struct sink *sink, uint32_t ms) {
    uint64_t now = platform_ticks(), until = now + ms;
    bool reopen;

    lock(sink);
    sink->news.next_try = platform_now() + ms;
    for (; !asked(sink) && now < until; now = platform_ticks()) {
        (void)sink->ring->config.port->wait(sink->ring->config.port->context,
                                            (uint32_t)(until - now));
    }
    sink->news.next_try = 0;
    reopen = sink->reopen;
    unlock(sink);
    return reopen;
}

static void rest_a_while(struct sink *sink, struct trial *trial) {
    uint32_t ms;

    tell(sink, sink->trouble);
    if (trial->since == 0) {
        trial->since = platform_ticks();
        trial->pause = 100;
        log_line(CMCWH_LOG_ERROR, "sink '%s': %s; trying again%s", sink->uri, sink->trouble,
                 sink->required ? ", requests may get 503" : "");
    } else {
        trial->pause = trial->pause < 15000 ? 2 * trial->pause : 30000;
    }
    if (sink->descriptor >= 0) {
        sink->medium->close(sink);
    }
    ms = spread(trial->pause, sink->retry);
    sink->retry = 0;
    cmcwh_ring_fail(sink->ring, sink->pump.config.reader, ms);
    if (rest(sink, ms)) { /* somebody has mended it: the next request shows that */
        cmcwh_ring_fail(sink->ring, sink->pump.config.reader, 0);
    }
}

static void works_again(struct sink *sink, struct trial *trial) {
    if (trial->since != 0) {
        uint64_t failed = platform_ticks() - trial->since;

        log_line(CMCWH_LOG_INFO, "sink '%s': works again after %" PRIu64 ".%u s", sink->uri,
                 failed / 1000, (unsigned)(failed % 1000 / 100));
        trial->since = 0;
        tell(sink, NULL);
    }
}

/* Says how many records a besteffort sink has lost, once a minute at most. */
static void say_lost(struct sink *sink, struct trial *trial, bool last) {
    uint64_t now = platform_ticks(), lost;
    struct cmcwh_ring_state state;

    if (sink->required || (!last && trial->said_at != 0 && now - trial->said_at < 60000)) {
        return;
    }
    cmcwh_ring_state(sink->ring, &state);
    lost = state.lost[sink->pump.config.reader];
    if (lost > trial->said) {
        log_line(CMCWH_LOG_WARN, "sink '%s': fell behind and lost %llu events, %llu in all",
                 sink->uri, (unsigned long long)(lost - trial->said), (unsigned long long)lost);
        trial->said = lost;
        trial->said_at = now;
    }
}

/* What was loaded last is what counts from now on. */
static void refresh(struct sink *sink) {
    void *old;

    lock(sink);
    old = sink->fresh != NULL ? sink->loaded : NULL;
    sink->loaded = sink->fresh != NULL ? sink->fresh : sink->loaded;
    sink->fresh = NULL;
    unlock(sink);
    if (old != NULL) {
        sink->medium->unload(old);
    }
}

/* Opens if need be, and takes what there is. Returns how many records, or -1. */
static int open_and_pump(struct sink *sink, bool reopen) {
    uint64_t delivered = sink->pump.delivered;
    int count;

    if (reopen && sink->descriptor >= 0) {
        sink->medium->close(sink);
    }
    if (sink->descriptor < 0) {
        refresh(sink);
        sink->proven = false;
        if (sink->medium->open(sink) < 0) {
            return -1;
        }
        if (!sink->news.opened) { /* nothing has been read yet: this says that it has not failed */
            (void)cmcwh_ring_acknowledge(sink->ring, sink->pump.config.reader);
            tell(sink, NULL);
        }
    }
    count = cmcwh_sink_pump(&sink->pump);
    if (count >= 0 && sink->pump.delivered == delivered && sink->medium->idle != NULL &&
        sink->medium->idle(sink) < 0) {
        return -1;
    }
    return count;
}

/* It has been found hanging, and hangs no longer: it is to be waited for again. */
static void return_to_life(struct sink *sink, struct trial *trial) {
    bool stalled;

    lock(sink);
    stalled = sink->news.hangs;
    sink->news.hangs = false;
    unlock(sink);
    if (stalled) {
        trial->since = trial->since == 0 ? platform_ticks() - SINK_HANGS : trial->since;
        trial->pause = 100;
        cmcwh_ring_fail(sink->ring, sink->pump.config.reader, 0);
    }
}

/* One round. */
static int work(struct sink *sink, struct trial *trial, bool reopen) {
    int count;

    sink_moves(sink);
    count = open_and_pump(sink, reopen);
    __atomic_store_n(&sink->moved, 0, __ATOMIC_RELAXED);
    tell_delivered(sink);
    return_to_life(sink, trial);
    return count;
}

/* Not when the ring fills, or there is enough, or nothing to which more could come. */
static bool may_gather(const struct sink *sink) {
    struct cmcwh_ring_state state;
    uint32_t behind;

    cmcwh_ring_state(sink->ring, &state);
    behind = state.behind[sink->pump.config.reader];
    return state.in_use < state.capacity / 2 &&
           (sink->batch == 0 || (behind > 0 && behind < sink->batch));
}

/* How many ms a sink for which no request waits lets more records come before it writes: waking for
 * each one costs more than writing it, and what it syncs competes with the ring's own syncs, or
 * wears flash as those do. */
static uint32_t gathering(const struct sink *sink) {
    const struct cmcwh_ring_config *ring = &sink->ring->config;

    if (sink->batch > 0) {
        return sink->wait;
    }
    return !sink->durable || ring->storage == NULL ? 1
           : ring->gather > SHORTLY                ? ring->gather
                                                   : SHORTLY;
}

/* For so long, or until as many have come as its URI says. */
static void gather(struct sink *sink) {
    uint32_t ms = gathering(sink);
    uint64_t until = platform_ticks() + ms;
    bool late = false;

    if (sink->required && sink->ring->config.confirm) {
        return;
    }
    while (!late && may_gather(sink)) {
        (void)poll(NULL, 0, (int)(ms < SHORTLY ? ms : SHORTLY));
        lock(sink);
        late = sink->batch == 0 || asked(sink) || platform_ticks() >= until;
        unlock(sink);
    }
}

/* Waits for something to do. When all has been quiet for a while, the ring learns for good how far
 * its readers are: for a sync of its own, which is spared where syncs are. */
static void await_records(struct sink *sink, struct trial *trial) {
    enum { QUIET = 1000, SPARING = 10000 };
    uint32_t quiet = sink->ring->config.gather > 0 ? SPARING : QUIET;

    trial->quiet = trial->quiet != 0 ? trial->quiet : platform_ticks();
    if (!cmcwh_ring_wait(sink->ring, sink->pump.config.reader, 1000) &&
        platform_ticks() - trial->quiet >= quiet) {
        (void)cmcwh_ring_flush(sink->ring);
    }
}

static void *sink_thread(void *context) {
    struct sink *sink = context;
    struct trial trial = {0};
    struct wish wish;

    while (wish = hear(sink), !wish.stop) {
        uint64_t delivered = sink->pump.delivered;
        int count = work(sink, &trial, wish.reopen);

        if (count <= 0 && wish.finish) {
            break;
        }
        if (count < 0) {
            rest_a_while(sink, &trial);
        } else if (sink->pump.delivered > delivered || sink->proven) {
            works_again(sink, &trial); /* that it could be opened proves little */
        }
        if (count == 0) {
            await_records(sink, &trial);
        } else {
            trial.quiet = 0;
        }
        if (count >= 0 && !wish.finish) {
            gather(sink);
        }
        say_lost(sink, &trial, false);
    }
    say_lost(sink, &trial, true);
    lock(sink);
    sink->ended = true;
    unlock(sink);
    if (sink->descriptor >= 0) { /* here, where it may hang */
        sink->medium->close(sink);
    }
    return NULL;
}

bool sink_start(struct sink *sink) {
    int error;

    /* Until it is open, nobody waits for it. */
    cmcwh_ring_fail(sink->ring, sink->pump.config.reader, 2 * SINK_TIMEOUT);
    error = pthread_create(&sink->thread, NULL, sink_thread, sink);
    sink->running = error == 0;
    if (error != 0) {
        log_line(CMCWH_LOG_ERROR, "sink '%s': no thread: %s", sink->uri, strerror(error));
    }
    return sink->running;
}

/* Its thread may have looked for wishes just before, and be about to wait: once is not enough. */
static void nudge(struct sink *sink) {
    lock(sink);
    wake(sink);
    unlock(sink);
    (void)poll(NULL, 0, 10);
}

void sink_await(struct sink *sink, uint64_t ticks) {
    while (!look(sink, &sink->news.opened) && platform_ticks() < ticks) {
        nudge(sink);
    }
}

bool sink_load(struct sink *sink) {
    void *loaded, *old = NULL;

    if (sink->medium->load == NULL) {
        return true;
    }
    loaded = sink->medium->load(sink);
    if (sink->ring == NULL) { /* it does not run yet */
        sink->loaded = loaded;
    } else if (loaded != NULL) {
        lock(sink);
        old = sink->fresh;
        sink->fresh = loaded;
        unlock(sink);
    }
    if (old != NULL) {
        sink->medium->unload(old);
    }
    return loaded != NULL;
}

void sink_reopen(struct sink *sink) {
    lock(sink);
    sink->reopen = true;
    sink->news.opened = false;
    wake(sink);
    unlock(sink);
}

void sink_ask(const struct sink *sink, struct sink_news *news) {
    lock(sink);
    *news = sink->news;
    unlock(sink);
}

/* For how many ms it has not got on with its work; with none, since `otherwise`. */
static uint32_t at_rest(const struct sink *sink, uint32_t otherwise) {
    uint32_t moved = __atomic_load_n(&sink->moved, __ATOMIC_RELAXED);
    uint32_t passed = low_ticks() - (moved != 0 ? moved : otherwise);

    return passed <= INT32_MAX ? passed : 0; /* it may just have moved */
}

void sink_watch(struct sink *sink) {
    char trouble[SINK_TROUBLE];
    bool known;

    if (!sink->running || at_rest(sink, low_ticks()) < SINK_HANGS) {
        return;
    }
    (void)snprintf(trouble, sizeof trouble, "hangs: a call of the system has not returned for %d s",
                   SINK_HANGS / 1000);
    cmcwh_ring_stall(sink->ring, sink->pump.config.reader, UINT32_MAX);
    lock(sink);
    known = sink->news.hangs || sink->news.failing[0] != '\0';
    sink->news.hangs = true;
    if (!known) {
        tell_trouble(&sink->news, trouble);
    }
    unlock(sink);
    if (!known) {
        log_line(CMCWH_LOG_ERROR, "sink '%s': %s%s", sink->uri, trouble,
                 sink->required ? "; requests may get 503" : "");
    }
}

void sink_hurry(struct sink *sink) {
    sink->hurried = low_ticks();
    lock(sink);
    sink->finish = true;
    wake(sink);
    unlock(sink);
}

static uint32_t behind(const struct sink *sink) {
    struct cmcwh_ring_state state;

    cmcwh_ring_state(sink->ring, &state);
    return state.behind[sink->pump.config.reader];
}

void sink_finish(struct sink *sink, uint64_t ms) {
    uint64_t start = platform_ticks();

    while (sink->running && !look(sink, &sink->ended) && platform_ticks() - start < ms &&
           at_rest(sink, sink->hurried) < SINK_LAST) {
        nudge(sink);
    }
    lock(sink);
    sink->stop = true;
    wake(sink);
    unlock(sink);
}

uint32_t sink_end(struct sink *sink, uint32_t ms) {
    if (sink->running) {
        /* A thread that hangs in a write must not keep the process: it ends with it. */
        sink->running = !platform_join(sink->thread, ms);
    }
    if (!sink->running && sink->descriptor >= 0) { /* its thread has never run */
        sink->medium->close(sink);
    }
    return behind(sink);
}
