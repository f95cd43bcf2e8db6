/* Sinks: a thread for each, which takes records from the ring to its medium.
 *
 * A new medium (an onward sink, say) is one file in this folder that fills a struct sink_medium,
 * its declaration at the end of this header, and its place in the list in uri.c. Nothing else asks
 * which medium a sink has. What several media need to reach a peer is in dial.h. */
#ifndef CMCWH_SINK_H
#define CMCWH_SINK_H

#include "cmcwh.h"

#include <limits.h>
#include <pthread.h>

#include "platform/outcome.h"

struct sink;

/* NAME=VALUE in a URI, of one medium only. `set` says whether the value is right. */
struct sink_parameter {
    const char *name;
    const char *expected; /* unless `set` has said it better in sink->trouble */
    bool (*set)(struct sink *sink, const char *value);
};

struct sink_medium {
    const char *scheme; /* what its URI begins with, without the colon */
    const char *help;   /* its URI, as --help shows it */

    enum cmcwh_encoding encoding; /* unless format= says another */
    bool fixed;                   /* format= says no other */
    bool besteffort;              /* the policy, unless policy= says another */
    bool single;                  /* one record per write, as in datagrams */

    /* Looks at what stands between the colon and '?', and may change it. Returns what was expected
     * instead, or NULL. */
    const char *(*target)(char *text);

    const struct sink_parameter *parameters; /* the last has no name; NULL: none */

    /* What sink->own points to is a copy of this, with so many zeros behind it: settings and state
     * of this medium only. NULL: none. */
    const void *own;
    size_t own_size, own_zeros;

    uint32_t batch, wait; /* as in struct sink, unless its URI says others */

    /* What can be known without opening it, or changing anything: OUTCOME_WRONG, after
     * sink_trouble, of what no time will mend; OUTCOME_FAILED of what is not there yet and may
     * come. With `reach`, which may take a while, names of hosts are looked up. In main, before its
     * thread runs. NULL: nothing. */
    enum outcome (*look)(struct sink *sink, bool reach);

    /* The file that keeps what it has taken, or some of that; NULL, and no function: it goes on to
     * somebody else. */
    const char *(*keeps)(const struct sink *sink);

    /* Reads the files that its URI names, such as credentials: in main, at the start, while that
     * may still read all of them, and again when they may have changed. What it returns is given to
     * `unload` when it is of no use any more. NULL: one line has said what is wrong with them, and
     * errno is the system's error, EINVAL when it has none; then what was read before stays. What
     * `own` points to begins with a struct secret_files then. No function: there are none. */
    void *(*load)(const struct sink *sink);
    void (*unload)(void *loaded);

    /* These run in the sink's own thread, one at a time. They return 0, or -1 after sink_trouble.
     * They may block while the medium makes progress, and SINK_TIMEOUT beyond that, or until
     * sink_stopping; they allocate nothing that grows, and do not touch the ring.
     *
     * open    sets sink->descriptor. After a failure it is called again, later and later.
     * write   takes all of it, one or several whole records as encoded, or fails. 0 lets more
     *         writes share a sync, 1 is enough for one. A record that was written in part may come
     *         again.
     * put     instead of write, one record a call: see cmcwh_sink_config.write_record.
     * sync    makes stable what was written since the last one: only then is it acknowledged, and
     *         may be answered with 200. NULL: written is as good.
     * undo    takes back what was written since the sync before the last write, be that synced or
     *         not. NULL: the medium cannot, and those behind it must bear a record twice.
     * idle    it is open, and there is nothing that it is to take: at least once a second. Keeps
     *         a connection alive, and fails when that has ended. Not while records gather. NULL:
     *         nothing is to be done.
     * close   sets sink->descriptor to -1. */
    int (*open)(struct sink *sink);
    int (*write)(void *sink, const void *bytes, size_t length);
    int (*put)(void *sink, const struct cmcwh_record *record, const void *bytes, size_t length);
    int (*sync)(void *sink);
    void (*undo)(void *sink);
    int (*idle)(struct sink *sink);
    void (*close)(struct sink *sink);
};

enum {
    SINK_BUFFER = 65536,
    SINK_TROUBLE = 256,
    SINK_TIMEOUT = 5000,              /* ms */
    SINK_HANGS = SINK_TIMEOUT + 1000, /* ms in one call of the system */
    SINK_LAST = 1000                  /* the same, at the end */
};

struct sink {
    const struct sink_medium *medium;
    const char *uri; /* as the user wrote it */

    /* From the URI. */
    char target[PATH_MAX]; /* path, or HOST:PORT */
    enum cmcwh_encoding encoding;
    struct cmcwh_filter only; /* what comes there */
    bool required;
    bool durable; /* --sync always */

    /* Where no request waits for it, so many records are waited for, `wait` ms at most. 0: for a
     * few more than there are. */
    uint32_t batch, wait;

    /* While it runs, of its thread. */
    int descriptor;             /* -1: not open */
    bool shared;                /* others write there too, so that it may block: see send_most */
    char trouble[SINK_TROUBLE]; /* why the last call has failed */
    void *own;
    void *loaded;   /* what the medium's `load` read; a newer one replaces it before `open` */
    uint32_t retry; /* ms: no sooner the peer wants to see us again; set when something fails */
    bool proven;    /* its peer has shown that it works, also without being given anything */
    uint64_t took;  /* see sink_took */
    struct cmcwh_ring *ring;
    struct cmcwh_sink pump;
    struct cmcwh_syslog identity; /* its `max` is from the URI */
    char hostname[256], process_id[16];
    pthread_t thread;
    bool running;     /* main's, as is the next */
    uint32_t hurried; /* the ticks, low bits, of sink_hurry */

    uint32_t moved; /* atomic: ticks, low bits, at which it last got on with its work; 0: none */

    /* Under the ring's lock: what others ask of it, and what it tells them. */
    bool reopen, finish, stop;
    void *fresh; /* what `load` has read since; NULL: nothing */
    bool ended;  /* it will do no more */
    struct sink_news {
        uint64_t delivered; /* records */
        uint64_t failures;  /* to open or to write, since the start */
        uint64_t rejected;  /* records that its peer will never take */
        /* ms since 1970, 0: never. */
        uint64_t last_success;  /* when it last delivered something, or was opened */
        uint64_t failing_since; /* 0: it works */
        uint64_t last_error_at;
        uint64_t last_rejected;
        uint64_t next_try;             /* 0: it works, or is at it */
        bool opened;                   /* tried to open, since the start or sink_reopen */
        bool hangs;                    /* sink_watch has found it hanging */
        char failing[SINK_TROUBLE];    /* why it is not working; "": it is */
        char last_error[SINK_TROUBLE]; /* the same of the last time that it did not */
    } news;
};

/* Reads a URI. False: one line has said what is wrong with it, and errno is EINVAL; or ENOMEM. */
bool sink_parse(struct sink *sink, const char *uri, bool durable);

/* The media, for --help. */
void sink_print_media(void);

/* Has it the same place as another? */
bool sink_same(const struct sink *sink, const struct sink *other);

/* Attaches it to the ring. `buffer` has SINK_BUFFER bytes. Unless it can, one line has said why: a
 * required one that is wrong in itself is OUTCOME_WRONG. */
enum outcome sink_prepare(struct sink *sink, struct cmcwh_ring *ring, char *buffer);

/* Starts its thread, which opens it, and tries again if it is not there yet. False: one line has
 * said why not. */
bool sink_start(struct sink *sink);

/* Waits until its thread has tried to open it, at the start or after sink_reopen, until `ticks` at
 * most. At the start no request waits for it before. */
void sink_await(struct sink *sink, uint64_t ticks);

/* Reads the files that its URI names, before sink_prepare, and again while it runs. In main. False:
 * one line has said what is wrong with them, errno is as `load` sets it. */
bool sink_load(struct sink *sink);

/* Asks its thread to open its file anew. Any thread. */
void sink_reopen(struct sink *sink);

/* How it gets on. Any thread. */
void sink_ask(const struct sink *sink, struct sink_news *news);

/* Does it hang in a call that does not return? Then nobody waits for it any longer, until it
 * returns. To be called every second or so, by one thread that is not its own. */
void sink_watch(struct sink *sink);

/* Asks it to take what is left, with one more try if it does not work, and to end. */
void sink_hurry(struct sink *sink);

/* Waits for that, `ms` at most, and no longer than it gets on, since it was asked. Then it is to
 * stop where it is. */
void sink_finish(struct sink *sink, uint64_t ms);

/* Waits until it has, `ms` at most. Returns how many records it did not take. */
uint32_t sink_end(struct sink *sink, uint32_t ms);

/* Frees what sink_parse and sink_load have allocated. Not while it runs. */
void sink_free(struct sink *sink);

/* ---- For media ---- */

/* Has the end been asked for? Whoever waits gives up then, and has failed: what was not taken is
 * not acknowledged. */
bool sink_stopping(const struct sink *sink);

/* It has got on with a write that takes its time. */
void sink_moves(struct sink *sink);

/* The peer has acknowledged what was put up to this event: when a later one fails, these are not
 * put again. Not where a request waits for the sink, which is then told so, and comes again whole.
 */
void sink_took(struct sink *sink, uint64_t seq);

/* The peer will never take so many records, which are not put again either. */
void sink_rejected(struct sink *sink, uint32_t records);

/* Sets sink->trouble, with the system's error text when `error` is not 0. Returns -1. */
int sink_trouble(struct sink *sink, const char *what, int error);

/* The same for `look`. Returns `outcome`. */
enum outcome sink_unfit(struct sink *sink, const char *what, int error, enum outcome outcome);

/* For `target`: a path must be there. */
const char *sink_path(char *text);

/* For `close`, when there is nothing but the descriptor. */
void sink_close(struct sink *sink);

extern const struct sink_medium sink_file, sink_stdout, sink_syslog, sink_udp, sink_tcp,
    sink_serial, sink_http, sink_https, sink_mqtt, sink_mqtts;

#endif
