/* Threads that are all alike wait on one epoll, take whichever connection is ready for its next
 * step, do that step, and let it go. A step waits for no peer and no sink; one of a request whose
 * turn it is may write to the ring's file, for all that wait. Not here: what is in a request
 * (exchange.c), and how much of one has come (look.c).
 *
 * What a connection waits for:
 *
 *   state     for                                    until       then
 *   PROXIES   the rest of a PROXY header             timeout     closed
 *   GREETS    the first record of a TLS handshake    timeout     closed
 *   HELLOS    its turn: an answer to that costs as   timeout     closed
 *             much as hundreds of requests
 *   SHAKES    the other side of the TLS handshake    timeout     closed
 *   RESTS     the first byte of a request            keep+grace  closed; a new one: timeout
 *   QUEUES    others, which are being stored         QUEUE       503
 *   BEGINS    the rest of a request, in the kernel   timeout     408
 *   FEEDS     more of a request, in an exchange      timeout     408
 *   STORES    its events to be safe, before that     patience    it is asked whether to go on so
 *             for others to share a sync (gather)
 *   ANSWERS   room for the rest of an answer         LINGER      closed
 *   LINGERS   the other side's end, and drops        LINGER      closed
 *             what comes
 *
 *   FREE -> PROXIES -> GREETS -> HELLOS -> SHAKES -> RESTS -> BEGINS -> FEEDS -> STORES -> ANSWERS
 *   -> RESTS, or LINGERS -> FREE
 *
 * Steps are left out that need not be waited for; a request that is there whole goes from RESTS to
 * RESTS at once. `word` holds the state, whether a thread HOLDS the connection, whether something
 * came meanwhile (AGAIN), whether its end did, how often it was let go, and which of the
 * connections in this place it is. Whoever makes HOLDS of it may change the rest; whoever does not
 * hold it may only read what is atomic. The mutex guards what connections share: free places and
 * exchanges, and the counts. It is held for microseconds, and never while a byte is read or
 * written. One more thread looks at the time. */
#include "door/door.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "door/look.h"
#include "door/proxy.h"
#include "door/tally.h"
#include "platform/log.h"
#include "platform/platform.h"
#include "platform/wire.h"
#include "tls/server.h"

enum {
    LINGER = 2000,  /* ms for an answer to go, and for the end of a connection */
    QUEUE = 1500,   /* ms in which a request must have begun to be stored */
    PATIENCE = 100, /* ms between looks at what is being stored for long */
    TICK = 100,     /* ms between looks at the time, while something is to be late soon */
    MOMENT = 500,   /* ms in which requests that are on their way may come at the end */
    NEW = 250,      /* ms that a request in pieces is taken to be older, to have come slower */
    SHARED = 8,     /* requests for each worker that may wait for a sync which they share */
    AT_ONCE = 32,   /* pieces or requests that a connection may have before others */
    TRIES = 8,      /* to take something from others, while all of them go on just then */
    RESERVE = 24    /* places that are not promised to connections which are kept */
};

/* A thread needs some 10 KiB, and OpenSSL more. A sanitizer needs far more. */
#ifndef DOOR_STACK_SIZE
#define DOOR_STACK_SIZE 131072
#endif

enum state {
    FREE,
    PROXIES,
    GREETS,
    HELLOS,
    SHAKES,
    RESTS,
    QUEUES,
    BEGINS,
    FEEDS,
    STORES,
    ANSWERS,
    LINGERS
};

enum {
    STATE = 0x0F,
    HOLDS = 0x10,
    AGAIN = 0x20,
    ENDED = 0x40,  /* epoll has said that no more will come: perhaps in one with what came last */
    TURN = 0x80,   /* counts how often it was let go, for whoever looked at it before */
    TURNS = 0xF80, /* all bits of that */
    ONE = 0x1000   /* the next connection in a place */
};

struct connection {
    uint32_t word;     /* atomic */
    uint32_t received; /* atomic: bytes of the request that have come */
    uint32_t since;    /* atomic: ticks, low bits, when it entered RESTS, or its request began */
    uint32_t deadline; /* atomic: the same for its end; 64 bits are not atomic everywhere */
    uint64_t peer;     /* who it is, for fairness. Changed with the mutex held, as is the next */
    bool kept;         /* its client was told so */

    /* The holder's. */
    struct door *door;
    int socket;
    bool secure;
    bool trusted;   /* it comes from a proxy that speaks for others */
    bool writes;    /* it waits for room, not for bytes */
    bool left;      /* it was called by who looks at the time, and no worker has come yet */
    bool quiet;     /* nothing can have come since epoll spoke: it need not look again */
    bool looked;    /* a whole record was seen, and has not been read */
    bool shaking;   /* it is counted in door.shakes */
    uint32_t low;   /* SO_RCVLOWAT */
    uint32_t armed; /* what epoll was asked for; 0: it does not know it */
    struct tls *tls;
    struct exchange *exchange;
    enum exchange_state outcome; /* once it has been answered */
    unsigned port;               /* ours */
    char name[INET6_ADDRSTRLEN]; /* who is at its other end */

    /* With the mutex held. */
    struct connection *next; /* of the free ones, or in the queue */
    struct connection *next_called;
    bool queued, called;
};

/* Is anybody taken? Everybody; nobody is kept; nobody. */
enum doors { OPEN, ENDING, CLOSED };

struct thread {
    struct door *door;
    pthread_t id;
    bool started;
    struct exchange *spare; /* what it begins a request in: never NULL */
};

struct door {
    struct door_config config;
    int epoll, wake;
    int greet; /* says that some wait in HELLOS */
    int calls; /* says that some were called */
    int timer; /* for requests that wait for others; -1: none do */
    struct connection *connections;
    struct exchange *exchanges;
    size_t exchange_count;
    struct tls_room *tls;   /* NULL: no listener speaks it */
    struct thread *threads; /* the workers, and the one that looks at the time */

    pthread_mutex_t mutex;   /* guards what follows up to the next line */
    struct connection *free; /* which have been used; the unused ones take no memory yet */
    unsigned used;
    struct connection *queue; /* the first waits longest */
    struct connection *called, *called_last;
    unsigned storing, storing_most; /* the first may be read at any time */
    size_t exchanges_made;          /* the others take no memory yet */
    struct exchange *idle;          /* those made that nobody has */
    struct tally tally;
    unsigned kept, kept_most, shakes_most;
    struct door_counters counters; /* those since the start */

    unsigned shakes;                      /* atomic, as are the next */
    unsigned doors;                       /* enum doors */
    uint32_t said_plain, said_stranger;   /* when; 0: never */
    bool stop, paused, said_front, timed; /* of the last: the timer is set */
};

/* ---- Places ---- */

static uint32_t word_of(const struct connection *c) {
    return __atomic_load_n(&c->word, __ATOMIC_ACQUIRE);
}

static enum state state_in(uint32_t word) {
    return (enum state)(word & STATE);
}

static bool is_held(uint32_t word) {
    return (word & HOLDS) != 0;
}

static enum doors doors_of(const struct door *door) {
    return (enum doors)__atomic_load_n(&door->doors, __ATOMIC_ACQUIRE);
}

static uint32_t ticks(void) {
    return (uint32_t)platform_ticks();
}

/* ms since a time, 0 if that is yet to come. */
static uint32_t passed_since(uint32_t time) {
    uint32_t passed = ticks() - time;

    return passed <= INT32_MAX ? passed : 0;
}

static uint32_t age_of(const struct connection *c) {
    return passed_since(__atomic_load_n(&c->since, __ATOMIC_RELAXED));
}

static void set_deadline(struct connection *c, uint32_t ms) {
    uint32_t now = ticks();

    __atomic_store_n(&c->since, now, __ATOMIC_RELAXED);
    __atomic_store_n(&c->deadline, now + ms, __ATOMIC_RELAXED);
}

/* The clock goes in steps: at the deadline itself one step of the time may lack. */
static bool is_late(const struct connection *c) {
    return ticks() - __atomic_load_n(&c->deadline, __ATOMIC_RELAXED) - 1 <= INT32_MAX;
}

static void set_received(struct connection *c, size_t bytes) {
    __atomic_store_n(&c->received, (uint32_t)(bytes < UINT32_MAX ? bytes : UINT32_MAX),
                     __ATOMIC_RELAXED);
}

/* One more of what does not happen with every request. */
static void count(struct door *door, uint64_t *counter) {
    (void)pthread_mutex_lock(&door->mutex);
    ++*counter;
    (void)pthread_mutex_unlock(&door->mutex);
}

/* Takes a connection that waits, if it is as `word` says. */
static bool hold(struct connection *c, uint32_t word) {
    return !is_held(word) && state_in(word) != FREE &&
           __atomic_compare_exchange_n(&c->word, &word, word | HOLDS, false, __ATOMIC_ACQ_REL,
                                       __ATOMIC_RELAXED);
}

/* Lets it go. False: something has come meanwhile, and it is still held. */
static bool let_go(struct connection *c, enum state state) {
    int greet = c->door->greet;
    uint32_t word = word_of(c), turn = (word + TURN) & TURNS;
    uint32_t next = (word & ~(uint32_t)(STATE | HOLDS | AGAIN | TURNS)) | turn | state;

    word &= ~(uint32_t)AGAIN;
    if (__atomic_compare_exchange_n(&c->word, &word, next, false, __ATOMIC_ACQ_REL,
                                    __ATOMIC_RELAXED)) {
        if (state == HELLOS) {
            (void)eventfd_write(greet, 1);
        }
        return true;
    }
    (void)__atomic_fetch_and(&c->word, ~(uint32_t)AGAIN, __ATOMIC_ACQ_REL);
    return false;
}

/* Something has come for this connection, if it is still the one it was. True: it is held. */
static bool take(struct connection *c, uint32_t which, bool ended) {
    uint32_t word = word_of(c);

    while (word / ONE == which && state_in(word) != FREE) {
        uint32_t next = word | (is_held(word) ? AGAIN : HOLDS) | (ended ? ENDED : 0);

        if (__atomic_compare_exchange_n(&c->word, &word, next, false, __ATOMIC_ACQ_REL,
                                        __ATOMIC_ACQUIRE)) {
            return !is_held(word);
        }
    }
    return false;
}

/* Who somebody is for fairness: an IPv4 address, the first half of one of IPv6. */
static uint64_t peer_at(const struct network *address) {
    uint64_t half;

    memcpy(&half, address->address, sizeof half);
    if (half == 0) { /* IPv4 is in the other one */
        memcpy(&half, address->address + sizeof half, sizeof half);
    }
    return half;
}

/* Whoever has no address counts as nobody's like. */
static void count_as(struct connection *c, const char *address) {
    struct network network;
    uint64_t peer = address != NULL && network_parse(&network, address) ? peer_at(&network)
                                                                        : ~(uint64_t)(uintptr_t)c;

    (void)pthread_mutex_lock(&c->door->mutex);
    c->peer = peer;
    (void)pthread_mutex_unlock(&c->door->mutex);
}

/* It is somebody else than was known. The thread holds the connection. */
static void set_peer(struct connection *c, const union network_address *remote) {
    (void)inet_ntop(remote->any.sa_family,
                    remote->any.sa_family == AF_INET ? (const void *)&remote->four.sin_addr
                                                     : (const void *)&remote->six.sin6_addr,
                    c->name, sizeof c->name);
    c->trusted = proxy_trusts(&c->door->config.proxies, c->name);
    count_as(c, c->trusted ? NULL : c->name);
}

void door_speaks_for(struct exchange *exchange, const char *address) {
    struct connection *c = exchange->connection;

    if (c->trusted) {
        count_as(c, address);
    }
}

/* Others than fronts may lie as they like. */
static bool may_be_front(const struct connection *c) {
    return !__atomic_load_n(&c->door->said_front, __ATOMIC_RELAXED) && !c->trusted &&
           network_loopback(c->name);
}

static void disbelieve(struct connection *c) {
    if (may_be_front(c) && !__atomic_exchange_n(&c->door->said_front, true, __ATOMIC_RELAXED)) {
        log_line(CMCWH_LOG_WARN,
                 "%s: it tells whose requests it passes on, and is not believed: all count as its "
                 "own. Is it a proxy? Name it with --proxy",
                 c->name);
    }
}

void door_disbelieves(struct exchange *exchange) {
    disbelieve(exchange->connection);
}

/* ---- Who gives way ---- */

/* How soon somebody gives way: the higher the sooner; 0: never. `count`: how many his peer has. */
typedef uint64_t yield_of(const struct connection *c, enum state state, unsigned count);

/* Of places: those first that have rested past their promise; then of the peer that has most
 * whoever has done least. */
static uint64_t yield_place(const struct connection *c, enum state state, unsigned count) {
    enum { BITS = 32 };
    uint64_t age = age_of(c), rank = state >= ANSWERS ? 3 : state < BEGINS ? 2 : 1;

    if (state == RESTS && c->kept) {
        return age > c->door->config.keep ? (UINT64_C(1) << 62) + age : 0;
    }
    return ((uint64_t)count << (BITS + 2)) + (rank << BITS) + age;
}

/* Of those who wait for their turn the next: of the peer that has fewest; then the first. */
static uint64_t yield_turn(const struct connection *c, enum state state, unsigned count) {
    enum { BITS = 32 };

    return state == HELLOS ? ((uint64_t)(UINT32_MAX - count) << BITS) + age_of(c) : 0;
}

/* Of exchanges: the more the peer has, the sooner, and one that sends much the later: many peers
 * that send little do not push out somebody with two large bodies. */
static uint64_t yield_exchange(const struct connection *c, enum state state, unsigned count) {
    enum { BITS = 32, LITTLE = 4096 /* bytes a second */ };
    uint64_t speed = 0;

    if (state == FEEDS) {
        speed = __atomic_load_n(&c->received, __ATOMIC_RELAXED) * UINT64_C(1000) /
                ((uint64_t)age_of(c) + NEW);
    }
    return ((uint64_t)count << BITS) * LITTLE / (LITTLE + speed);
}

/* Of handshakes: the more the peer has, and the longer it has not answered. Many that are answered
 * soon, as those of a good sender, take less than one whose other side is silent. */
static uint64_t yield_shake(const struct connection *c, enum state state, unsigned count) {
    (void)state;
    return (uint64_t)count * (age_of(c) + UINT64_C(1));
}

/* The one that gives way first, and its word then. With the mutex held; NULL: nobody. */
static struct connection *first_of(struct door *door, unsigned states, yield_of *yields,
                                   uint32_t *chosen_word) {
    uint64_t most = 0;
    struct connection *chosen = NULL;

    for (unsigned i = 0; i < door->config.connections; i++) {
        struct connection *c = &door->connections[i];
        uint32_t word = word_of(c);

        if (!is_held(word) && (states >> state_in(word) & 1) != 0) {
            uint64_t yield = yields(c, state_in(word), tally_of(&door->tally, c->peer));

            if (yield > most) {
                most = yield;
                chosen = c;
                *chosen_word = word;
            }
        }
    }
    return chosen;
}

/* Holds one of those that wait in one of `states`, a bit for each; if that one goes on just then,
 * the next. NULL: nobody waits there who can give way. */
static struct connection *choose(struct door *door, unsigned states, yield_of *yields) {
    struct connection *chosen;
    uint32_t word = 0;

    (void)pthread_mutex_lock(&door->mutex);
    tally_clear(&door->tally);
    for (unsigned i = 0; i < door->config.connections; i++) {
        if ((states >> state_in(word_of(&door->connections[i])) & 1) != 0) {
            tally_add(&door->tally, door->connections[i].peer);
        }
    }
    do {
        chosen = first_of(door, states, yields, &word);
    } while (chosen != NULL && !hold(chosen, word));
    (void)pthread_mutex_unlock(&door->mutex);
    return chosen;
}

/* Has this peer not had more than half of the promises that are left to be had? */
static bool fair(const struct door *door, const struct connection *c) {
    unsigned left = door->kept_most - door->kept, has = 0;

    for (unsigned i = 0; i < door->config.connections && door->kept > left; i++) {
        has += door->connections[i].kept && door->connections[i].peer == c->peer;
    }
    return has < left;
}

bool door_keeps(struct exchange *exchange) {
    struct connection *c = exchange->connection;
    struct door *door = c->door;

    if (doors_of(door) != OPEN) {
        return false;
    }
    if (!c->kept) {
        (void)pthread_mutex_lock(&door->mutex);
        c->kept = door->kept < door->kept_most && fair(door, c);
        door->kept += c->kept;
        (void)pthread_mutex_unlock(&door->mutex);
    }
    return c->kept;
}

/* ---- Epoll ---- */

/* What epoll says of which connection. Listeners come behind all places. */
static const uint64_t WAKE = UINT32_MAX, GREET = UINT32_MAX - 1, CALLS = UINT32_MAX - 2;

static uint64_t event_of(const struct connection *c) {
    return (uint64_t)(word_of(c) / ONE) << 32 | (uint64_t)(c - c->door->connections);
}

/* It waits to be called. What comes meanwhile is looked at afterwards. */
static bool is_deaf(enum state state) {
    return state == QUEUES || state == STORES;
}

/* What epoll is to tell of it. False: it cannot. */
static bool arm(struct connection *c, enum state next) {
    uint32_t wanted = c->writes ? EPOLLOUT : next == HELLOS ? 0 : EPOLLIN | EPOLLRDHUP;
    struct epoll_event event = {.events = wanted | EPOLLET, .data = {.u64 = event_of(c)}};
    int what = c->armed == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;

    if (is_deaf(next) || (c->armed == event.events &&
                          (wanted == 0 || (c->quiet && !c->writes && (word_of(c) & ENDED) == 0)))) {
        return true;
    }
    c->armed = event.events;
    return epoll_ctl(c->door->epoll, what, c->socket, &event) == 0;
}

/* ---- Who was called: goes on at once, in the thread of some worker ---- */

/* With the mutex held. */
static void uncall(struct connection *c) {
    struct connection **at = &c->door->called, *before = NULL;

    if (!c->called) {
        return;
    }
    while (*at != c) {
        before = *at;
        at = &before->next_called;
    }
    *at = c->next_called;
    if (c->door->called_last == c) {
        c->door->called_last = before;
    }
    c->called = false;
}

/* It may wait for something else by now, or be another one in the same place. */
static void call(struct connection *c) {
    struct door *door = c->door;
    bool first;

    (void)pthread_mutex_lock(&door->mutex);
    first = door->called == NULL;
    if (!c->called) {
        *(first ? &door->called : &door->called_last->next_called) = c;
        c->next_called = NULL;
        c->called = true;
        door->called_last = c;
    }
    (void)pthread_mutex_unlock(&door->mutex);
    if (first) {
        (void)eventfd_write(door->calls, 1);
    }
}

/* Takes the first one that was called. It is held. NULL: none was. `more`: others were too. */
static struct connection *next_called(struct door *door, bool *more) {
    struct connection *c;

    (void)pthread_mutex_lock(&door->mutex);
    do {
        c = door->called;
        if (c != NULL) {
            uncall(c);
        }
    } while (c != NULL && !take(c, word_of(c) / ONE, false)); /* its holder goes on with it */
    *more = door->called != NULL;
    (void)pthread_mutex_unlock(&door->mutex);
    return c;
}

void door_settled(struct exchange *exchange) {
    call(exchange->connection);
}

/* ---- The queue: who waits until fewer are being stored ---- */

/* With the mutex held. */
static void unqueue(struct connection *c) {
    struct connection **at = &c->door->queue;

    while (c->queued && *at != c) {
        at = &(*at)->next;
    }
    if (c->queued) {
        *at = c->next;
        c->queued = false;
    }
}

/* Whoever was called too early has not lost his place. With the mutex held. */
static void queue(struct connection *c, bool first) {
    struct connection **at = &c->door->queue;

    while (*at != NULL && !first) {
        at = &(*at)->next;
    }
    c->next = *at;
    *at = c;
    c->queued = true;
}

/* Takes the first one off. With the mutex held; NULL: there is none. */
static struct connection *next_in_queue(struct door *door) {
    struct connection *c = door->queue;

    if (c != NULL) {
        unqueue(c);
    }
    return c;
}

/* It waits no longer, and does not begin either: if it was called, another one is instead of it. */
static void leave_queue(struct connection *c) {
    struct connection *next;

    (void)pthread_mutex_lock(&c->door->mutex);
    next = c->queued ? NULL : next_in_queue(c->door);
    unqueue(c);
    (void)pthread_mutex_unlock(&c->door->mutex);
    if (next != NULL) {
        call(next);
    }
}

/* Must its request wait for others, which are being stored? If not, and it has, it begins now, and
 * so may the next one: perhaps this one has not to be waited for. */
static bool has_to_queue(struct connection *c, enum state *state) {
    struct door *door = c->door;
    struct connection *next = NULL;
    bool full, queued = *state == QUEUES;

    if (!queued && __atomic_load_n(&door->storing, __ATOMIC_RELAXED) < door->storing_most) {
        return false;
    }
    (void)pthread_mutex_lock(&door->mutex);
    full = door->storing >= door->storing_most;
    if (full && !c->queued) {
        queue(c, queued);
    } else if (!full) {
        unqueue(c);
        next = next_in_queue(door);
    }
    (void)pthread_mutex_unlock(&door->mutex);
    if (next != NULL) {
        call(next);
    }
    if (full != queued) {
        set_deadline(c, full ? QUEUE : door->config.timeout);
    }
    *state = full ? QUEUES : queued ? BEGINS : *state;
    return full;
}

/* ---- Exchanges ---- */

static struct exchange *make_exchange(struct door *door) {
    return exchange_make(door->exchanges, door->exchanges_made++);
}

/* One that nobody has, or NULL. Those for requests that are being stored are made when there are
 * so many of these, so that slow ones do not take their memory. With the mutex held. */
static struct exchange *take_exchange(struct door *door) {
    struct exchange *idle = door->idle;

    if (idle != NULL) {
        door->idle = idle->next;
        return idle;
    }
    if (door->exchanges_made >= door->exchange_count ||
        door->exchanges_made >= door->config.workers + 1 + door->config.slow + door->storing) {
        return NULL;
    }
    return make_exchange(door);
}

/* The connection needs its exchange no longer. */
static void release(struct thread *t, struct connection *c) {
    struct exchange *exchange = c->exchange;

    c->exchange = NULL;
    if (exchange == NULL) {
        return;
    }
    exchange->connection = NULL;
    if (t->spare == NULL) {
        t->spare = exchange;
        return;
    }
    (void)pthread_mutex_lock(&t->door->mutex);
    exchange->next = t->door->idle;
    t->door->idle = exchange;
    (void)pthread_mutex_unlock(&t->door->mutex);
}

/* The connection begins a request. */
static void lend(struct thread *t, struct connection *c) {
    struct exchange *exchange = t->spare;

    t->spare = NULL;
    c->exchange = exchange;
    exchange->connection = c; /* NOLINT(clang-analyzer-core.NullDereference): see settle */
    exchange_begin(exchange, c->secure, c->name, c->port);
}

/* ---- Bytes ---- */

static size_t available(int socket) {
    int bytes = 0;

    return ioctl(socket, FIONREAD, &bytes) == 0 && bytes > 0 ? (size_t)bytes : 0;
}

/* So much must be there before epoll speaks. */
static void want(struct connection *c, size_t bytes) {
    int low = (int)bytes;

    if (c->low != bytes) {
        c->low = (uint32_t)bytes;
        (void)setsockopt(c->socket, SOL_SOCKET, SO_RCVLOWAT, &low, sizeof low);
    }
}

/* From now on it is worth another look when so much is there. False: it is already, or the kernel
 * has no room for that, or nothing more will come. */
static bool waits_for(struct connection *c, size_t bytes) {
    struct pollfd polled = {.fd = c->socket, .events = POLLIN | POLLRDHUP};

    want(c, bytes);
    return poll(&polled, 1, 0) == 0;
}

/* Is a whole record there, or the end of the connection? What is not whole stays in the kernel, for
 * in a session it would take 16 KiB. A record that is alone is read at once, and nothing behind it
 * is missed. */
static bool record_there(struct connection *c) {
    unsigned char bytes[2048]; /* as long as most requests are */
    ssize_t looked = recv(c->socket, bytes, sizeof bytes, MSG_PEEK);
    size_t there, need = 0;

    c->quiet = false;
    if (looked <= 0) {
        want(c, 1);
        return looked == 0 || !wire_waits();
    }
    there = looked < (ssize_t)sizeof bytes ? (size_t)looked : available(c->socket);
    if (look_record(bytes, (size_t)looked, there, &need) == LOOK_WAITS && waits_for(c, need)) {
        return false;
    }
    want(c, 1);
    c->quiet = need == there;
    c->looked = true;
    if (c->tls != NULL) {
        tls_alone(c->tls, c->quiet);
    }
    return true;
}

/* Bytes that have come; 0: no more will. TLS_READS: none yet. */
static int receive(struct connection *c, char *bytes, size_t length) {
    ssize_t came;

    if (c->tls == NULL) {
        came = recv(c->socket, bytes, length, 0);
        return came >= 0 ? (int)came : wire_waits() ? TLS_READS : 0;
    }
    if (!tls_pending(c->tls)) {
        if (!c->looked && !record_there(c)) {
            return TLS_READS;
        }
    } else {
        c->quiet = false;
    }
    c->looked = false;
    came = tls_read(c->tls, bytes, length);
    return came == TLS_FAILS ? 0 : came == TLS_WRITES ? TLS_READS : (int)came;
}

/* Sends what can be sent of an answer. False: the connection is of no use any more. */
static bool flush(const struct connection *c) {
    struct exchange *x = c->exchange;

    while (x->sent < x->out_length) {
        const char *bytes = x->out + x->sent;
        size_t length = x->out_length - x->sent;
        int went = wire_write(c->tls, c->socket, bytes, length);

        if (went <= 0) {
            return went == TLS_WRITES;
        }
        x->sent += (size_t)went;
    }
    x->out_length = x->sent = 0;
    return true;
}

/* ---- Ends ---- */

static void shakes_no_longer(struct connection *c) {
    if (c->shaking) {
        (void)__atomic_fetch_sub(&c->door->shakes, 1, __ATOMIC_RELAXED);
        c->shaking = false;
    }
}

/* Drops what comes, so that the other side can read the answer before it learns that it is not
 * listened to. */
static enum state linger(struct connection *c) {
    char bytes[2048];
    ssize_t came = 1;

    for (unsigned turn = 0; turn < AT_ONCE && came > 0; turn++) {
        came = recv(c->socket, bytes, sizeof bytes, 0);
    }
    return came > 0 || (came < 0 && wire_waits()) ? LINGERS : FREE;
}

/* Nothing more is sent: the other side is waited for to say so too. Of a session, which would take
 * room, nothing is needed for that. */
static enum state half_close(struct connection *c) {
    tls_close(c->tls);
    c->tls = NULL;
    if (shutdown(c->socket, SHUT_WR) != 0) {
        return FREE;
    }
    want(c, 1);
    set_deadline(c, LINGER);
    return linger(c);
}

/* Closes it. What has begun of a request is not taken. */
static void end(struct thread *t, struct connection *c) {
    struct door *door = t->door;

    if (c->exchange != NULL) {
        exchange_drop(c->exchange);
        release(t, c);
    }
    if (c->tls != NULL && state_in(word_of(c)) == RESTS) {
        tls_bye(c->tls);
    }
    tls_close(c->tls);
    c->tls = NULL;
    shakes_no_longer(c);
    (void)close(c->socket);
    if (state_in(word_of(c)) == QUEUES) {
        leave_queue(c);
    }
    (void)pthread_mutex_lock(&door->mutex);
    unqueue(c); /* it may not have been let go since it came there */
    uncall(c);
    door->kept -= c->kept;
    c->kept = false;
    __atomic_store_n(&c->word, (word_of(c) | (ONE - 1)) + 1, __ATOMIC_RELEASE);
    c->next = door->free;
    door->free = c;
    (void)pthread_mutex_unlock(&door->mutex);
}

/* Has it sent something of a request? An end of a session is none. */
static bool has_asked(const struct connection *c) {
    enum { DATA = 23 /* the type of a record */ };
    unsigned char first;

    return recv(c->socket, &first, 1, MSG_PEEK) == 1 && (!c->secure || first == DATA);
}

/* Makes room at once. A request that has begun is answered with `status`. */
static void evict(struct thread *t, struct connection *c, int status, const char *what) {
    enum state state = state_in(word_of(c));

    log_line(CMCWH_LOG_DEBUG, "%s: %s gives way", c->name, what);
    if (state == RESTS && has_asked(c)) {
        state = BEGINS; /* nobody has looked yet */
    }
    if (state == BEGINS || state == QUEUES) {
        lend(t, c);
    }
    if (state == BEGINS || state == QUEUES || state == FEEDS || state == STORES) {
        (void)exchange_refuse(c->exchange, status);
        (void)flush(c);
        (void)linger(c); /* what is left unread would reset the connection */
    }
    end(t, c);
}

/* Whoever has an exchange and gets on least gives it up, when none is left for the next request. */
static bool find_spare(struct thread *t) {
    struct door *door = t->door;

    for (unsigned tries = 0; tries < TRIES && t->spare == NULL;) {
        struct connection *c;

        (void)pthread_mutex_lock(&door->mutex);
        t->spare = take_exchange(door);
        (void)pthread_mutex_unlock(&door->mutex);
        if (t->spare != NULL) {
            break;
        }
        c = choose(door, 1U << FEEDS | 1U << ANSWERS, yield_exchange);
        if (c != NULL) {
            count(door, &door->counters.slow);
            evict(t, c, 408, "a slow request");
        } else {
            tries++;
            (void)sched_yield();
        }
    }
    return t->spare != NULL;
}

/* ---- Steps: each returns what the connection waits for next, FREE to be closed ---- */

static enum state rest(struct thread *t, struct connection *c) {
    const struct door_config *config = &t->door->config;

    release(t, c);
    set_received(c, 0);
    set_deadline(c, c->kept ? config->keep + DOOR_GRACE * 1000U : config->timeout);
    return RESTS;
}

static enum state bye(struct thread *t, struct connection *c) {
    bool more = c->outcome == EXCHANGE_REFUSES || available(c->socket) > 0;

    release(t, c);
    if (c->tls != NULL) {
        tls_bye(c->tls);
    }
    return more ? half_close(c) : FREE;
}

/* Sends the answer. FEEDS: a part of the next request is there already. */
static enum state answer(struct thread *t, struct connection *c) {
    if (!flush(c)) {
        return FREE;
    }
    if (c->exchange->out_length > 0) {
        if (!c->writes) {
            set_deadline(c, LINGER);
        }
        c->writes = true;
        return ANSWERS;
    }
    c->writes = false;
    if (c->outcome != EXCHANGE_STAYS) {
        return bye(t, c);
    }
    if (exchange_again(c->exchange) == 0) {
        return rest(t, c);
    }
    set_deadline(c, t->door->config.timeout);
    return FEEDS;
}

static enum state refuse(struct thread *t, struct connection *c, int status) {
    if (status == 408) {
        count(t->door, &t->door->counters.slow);
    }
    c->outcome = exchange_refuse(c->exchange, status);
    c->writes = false;
    return answer(t, c);
}

/* Nothing more has come of a request that is not whole. */
static enum state wait_for_rest(struct thread *t, struct connection *c, enum state state) {
    /* Who has a part of a record in memory is in a request: there is not room for more of these. */
    if (exchange_empty(c->exchange) && (c->tls == NULL || !tls_pending(c->tls))) {
        release(t, c);
        return state == RESTS ? state : rest(t, c);
    }
    if (state == RESTS) {
        set_deadline(c, t->door->config.timeout);
    }
    return FEEDS;
}

static struct cmcwh_ring *ring_of(const struct door *door) {
    return door->config.server->config.ring;
}

/* In so many ms somebody is to look whether requests have waited long enough for others. */
static void set_timer(struct door *door, uint32_t ms) {
    const struct itimerspec time = {
        .it_value = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000}};

    if (!__atomic_exchange_n(&door->timed, true, __ATOMIC_ACQ_REL)) {
        (void)timerfd_settime(door->timer, 0, &time, NULL);
    }
}

/* One more waits for others. Not if no more may come. */
static void gather(struct door *door) {
    if (door->timer >= 0 &&
        (doors_of(door) != OPEN ||
         __atomic_load_n(&door->storing, __ATOMIC_RELAXED) >= door->storing_most)) {
        (void)cmcwh_ring_gathered(ring_of(door), true);
    } else if (door->timer >= 0) {
        set_timer(door, ring_of(door)->config.gather);
    }
}

/* Whoever stores it will call: until then neither bytes nor an end of the connection matter. */
static enum state store(struct connection *c, enum state state) {
    struct door *door = c->door;

    if (state != STORES) {
        (void)pthread_mutex_lock(&door->mutex);
        __atomic_store_n(&door->storing, door->storing + 1, __ATOMIC_RELAXED);
        (void)pthread_mutex_unlock(&door->mutex);
        gather(door);
    }
    if (state != STORES || is_late(c)) {
        set_deadline(c, PATIENCE);
    }
    c->left = false;
    return STORES;
}

/* It is known what became of it: the next one may begin. */
static void stored(struct door *door) {
    struct connection *next;

    (void)pthread_mutex_lock(&door->mutex);
    __atomic_store_n(&door->storing, door->storing - 1, __ATOMIC_RELAXED);
    next = next_in_queue(door);
    (void)pthread_mutex_unlock(&door->mutex);
    if (next != NULL) {
        call(next);
    }
}

/* Reads what there is of a request, `limit` bytes at most, and answers it when it is whole. */
static enum state feed(struct thread *t, struct connection *c, enum state state, size_t limit) {
    struct exchange *x = c->exchange;

    c->writes = false;
    if (state == FEEDS && is_late(c)) { /* it may never have had to wait */
        return refuse(t, c, 408);
    }
    for (unsigned turn = 0; turn < AT_ONCE; turn++) {
        enum exchange_state outcome = exchange_go_on(x);
        size_t room;
        char *at;
        int came;

        if (outcome == EXCHANGE_STORES) {
            return store(c, state);
        }
        if (state == STORES) {
            stored(t->door);
            state = FEEDS;
        }
        if (outcome != EXCHANGE_READS) {
            c->outcome = outcome;
            state = answer(t, c);
            if (state != FEEDS) {
                return state;
            }
            continue;
        }
        if (!flush(c)) {
            return FREE;
        }
        at = exchange_room(x, &room);
        came = receive(c, at, room < limit ? room : limit);
        if (came < 0) {
            return wait_for_rest(t, c, state);
        }
        if (came == 0 && exchange_empty(x)) {
            return FREE;
        }
        limit = (size_t)came < limit && limit != SIZE_MAX ? limit - (size_t)came : SIZE_MAX;
        set_received(c, c->received + (size_t)came);
        exchange_came(x, (size_t)came);
    }
    if (state == RESTS) {
        set_deadline(c, t->door->config.timeout);
    }
    c->quiet = false;
    c->writes = true; /* others have their turn, and then it goes on at once */
    return FEEDS;
}

/* Looks at what has come of a request. */
static enum state begin(struct thread *t, struct connection *c, enum state state) {
    size_t room, need = 1, there;
    enum look look = LOOK_PIECES;
    ssize_t looked;
    char *at;

    c->writes = false;
    if (c->tls != NULL) {
        if (!tls_pending(c->tls) && !record_there(c)) {
            if (c->low == 1 || state == BEGINS) {
                return state;
            }
            set_deadline(c, t->door->config.timeout);
            return BEGINS;
        }
        if (has_to_queue(c, &state)) {
            return QUEUES;
        }
        lend(t, c);
        return doors_of(t->door) == CLOSED && state == RESTS ? refuse(t, c, 503)
                                                             : feed(t, c, state, SIZE_MAX);
    }
    lend(t, c);
    at = exchange_room(c->exchange, &room);
    looked = recv(c->socket, at, room, MSG_PEEK);
    if (looked <= 0) {
        release(t, c);
        return looked < 0 && wire_waits() ? state : FREE;
    }
    if (doors_of(t->door) == CLOSED && state == RESTS) {
        return refuse(t, c, 503);
    }
    if (has_to_queue(c, &state)) {
        release(t, c);
        return QUEUES;
    }
    there = (size_t)looked < room ? (size_t)looked : available(c->socket);
    look = look_request(at, (size_t)looked, there, t->door->config.longest, &need);
    if (look == LOOK_WAITS && waits_for(c, need)) {
        release(t, c);
        set_received(c, there);
        if (state == RESTS) {
            set_deadline(c, t->door->config.timeout);
        }
        return BEGINS;
    }
    want(c, 1);
    c->quiet = look == LOOK_WHOLE && need == there;
    return feed(t, c, state, look == LOOK_WHOLE ? need : SIZE_MAX);
}

/* Says at most once a minute what a stranger can make us say. */
static void say_seldom(uint32_t *last, const char *message, const struct connection *c) {
    uint32_t before = __atomic_load_n(last, __ATOMIC_RELAXED);

    if ((before == 0 || passed_since(before) >= 60000) &&
        __atomic_compare_exchange_n(last, &before, ticks() | 1, false, __ATOMIC_RELAXED,
                                    __ATOMIC_RELAXED)) {
        log_line(CMCWH_LOG_INFO, "%s: %s", c->name, message);
    }
}

/* Somebody who speaks no TLS is told so, in plain text. */
static enum state refuse_plain(struct connection *c) {
    static const struct cmcwh_answer why = {
        .status = 400, .error = "malformed_request", .detail = "this port speaks HTTPS"};
    char body[CMCWH_ANSWER_MAX], text[192 + CMCWH_ANSWER_MAX];
    size_t length = cmcwh_answer_body(&why, body);
    int used = snprintf(text, sizeof text,
                        "HTTP/1.1 %d %s\r\nContent-Type: application/json\r\n"
                        "Content-Length: %zu\r\nConnection: close\r\n\r\n%.*s",
                        why.status, cmcwh_http_reason(why.status), length, (int)length, body);

    say_seldom(&c->door->said_plain, "plain HTTP came to a port that speaks HTTPS", c);
    return send(c->socket, text, (size_t)used, MSG_NOSIGNAL) == used ? half_close(c) : FREE;
}

/* Does it begin with a letter, as a method does? */
static bool speaks_plain(const struct connection *c) {
    char first;

    return recv(c->socket, &first, 1, MSG_PEEK) == 1 && first >= 'A' && first <= 'Z';
}

/* Too many handshakes: one gives way. False: just then none waits for its other side. */
static bool may_shake(struct thread *t) {
    struct door *door = t->door;
    struct connection *other;

    if (__atomic_fetch_add(&door->shakes, 1, __ATOMIC_RELAXED) < door->shakes_most) {
        return true;
    }
    other = choose(door, 1U << SHAKES, yield_shake);
    if (other != NULL) {
        count(door, &door->counters.crowded);
        evict(t, other, 0, "a handshake");
    }
    return other != NULL;
}

/* It is its turn: SHAKES, or FREE if there is no memory. HELLOS: it has another one. */
static enum state begin_shake(struct thread *t, struct connection *c) {
    bool may = may_shake(t);

    c->shaking = true;
    if (!may) {
        shakes_no_longer(c);
        return HELLOS;
    }
    c->tls = tls_open(t->door->tls, c->socket);
    if (c->tls == NULL) {
        count(t->door, &t->door->counters.crowded);
        return FREE;
    }
    __atomic_store_n(&c->since, ticks(), __ATOMIC_RELAXED);
    return SHAKES;
}

/* The handshake has ended. */
static enum state shaken(struct thread *t, struct connection *c, bool well) {
    struct door *door = t->door;

    shakes_no_longer(c);
    count(door, well ? &door->counters.handshakes_good : &door->counters.handshakes_bad);
    if (!well) {
        return FREE;
    }
    set_deadline(c, door->config.timeout);
    return begin(t, c, RESTS);
}

static enum state shake(struct thread *t, struct connection *c, enum state state) {
    int result = TLS_READS;

    c->writes = false;
    while (result == TLS_READS) {
        if (!record_there(c)) {
            return c->tls == NULL ? GREETS : SHAKES;
        }
        if (c->tls == NULL) {
            if (speaks_plain(c)) {
                return refuse_plain(c);
            }
            state = state == SHAKES ? begin_shake(t, c) : HELLOS;
            if (state != SHAKES) {
                return state;
            }
        }
        c->looked = false;
        result = tls_shake(c->tls);
    }
    c->writes = result == TLS_WRITES;
    return c->writes ? SHAKES : shaken(t, c, result == 0);
}

/* A PROXY header would come at once. */
static void look_for_front(struct connection *c) {
    char bytes[PROXY_HEADER_MAX];
    union network_address peer;
    ssize_t looked = may_be_front(c) ? recv(c->socket, bytes, sizeof bytes, MSG_PEEK) : 0;

    if (looked > 0 && proxy_header(bytes, (size_t)looked, &peer) > 0) {
        disbelieve(c);
    }
}

/* It is known who it is. */
static enum state admit(struct thread *t, struct connection *c) {
    const struct door_config *config = &t->door->config;

    look_for_front(c);
    if (!c->secure) {
        return begin(t, c, RESTS); /* who may not post is told so */
    }
    if (!c->trusted && config->allow != NULL && !config->allow(config->context, c->name)) {
        say_seldom(&t->door->said_stranger,
                   "its TLS connection was closed: --allow does not name it", c);
        return FREE;
    }
    return shake(t, c, GREETS);
}

/* Takes a PROXY header off the connection. */
static enum state learn(struct thread *t, struct connection *c) {
    char bytes[PROXY_HEADER_MAX];
    union network_address peer = {.any = {.sa_family = AF_UNSPEC}};
    ssize_t looked = 0, before;
    int length;

    do {
        before = looked;
        looked = recv(c->socket, bytes, sizeof bytes, MSG_PEEK);
        if (looked <= 0) {
            return looked < 0 && wire_waits() ? PROXIES : FREE;
        }
        length = proxy_header(bytes, (size_t)looked, &peer);
        if (length == PROXY_MORE && waits_for(c, (size_t)looked + 1)) {
            return PROXIES;
        }
    } while (length == PROXY_MORE && looked > before);
    want(c, 1);
    if (length == PROXY_MORE || length == PROXY_WRONG ||
        (length > 0 && recv(c->socket, bytes, (size_t)length, 0) != length)) {
        return FREE;
    }
    if (peer.any.sa_family != AF_UNSPEC) {
        set_peer(c, &peer);
    }
    return admit(t, c);
}

static enum state step(struct thread *t, struct connection *c, enum state state) {
    switch (state) {
    case PROXIES:
        return learn(t, c);
    case HELLOS:
        return HELLOS; /* whose turn it is, is in SHAKES: greet_one */
    case GREETS:
    case SHAKES:
        return shake(t, c, state);
    case FEEDS:
    case STORES:
        return feed(t, c, state, SIZE_MAX);
    case ANSWERS:
        return answer(t, c);
    case LINGERS:
        return linger(c);
    default:
        return begin(t, c, state);
    }
}

/* ---- A connection that is held ---- */

/* It waits for the next step, or is closed. False: something has come meanwhile. */
static bool settle(struct thread *t, struct connection *c, enum state next) {
    while (next == STORES && t->spare == NULL && !find_spare(t)) {
        (void)sched_yield(); /* some are left that are not being stored: see make_places */
    }
    if (next != FREE && t->spare == NULL && !find_spare(t)) {
        count(t->door, &t->door->counters.crowded);
        if (next == FEEDS) {
            (void)exchange_refuse(c->exchange, 503);
            (void)flush(c);
        }
        next = FREE;
    }
    if (next == FREE || !arm(c, next)) {
        end(t, c);
        return true;
    }
    return let_go(c, next);
}

static void work_on(struct thread *t, struct connection *c, enum state state) {
    do {
        c->quiet = false;
        state = step(t, c, state);
    } while (!settle(t, c, state));
}

/* Goes on with those that were called. `wake`: this thread came for that, and if there are many it
 * gets another one to help. */
static void go_on(struct thread *t, bool wake) {
    struct connection *c;
    bool more;

    while ((c = next_called(t->door, &more)) != NULL) {
        enum state next;

        if (wake && more) {
            (void)eventfd_write(t->door->calls, 1);
        }
        wake = false;
        next = step(t, c, state_in(word_of(c)));
        if (!settle(t, c, next)) {
            work_on(t, c, next);
        }
    }
}

/* Epoll has spoken of it. */
static void look_at(struct thread *t, struct connection *c) {
    enum state state = state_in(word_of(c));

    c->quiet = false;
    if (!is_deaf(state) || !let_go(c, state)) {
        work_on(t, c, state);
    }
}

/* Gives one of those who wait for it its turn: it may take long, and then others have theirs. */
static void greet_one(struct thread *t) {
    struct door *door = t->door;
    struct connection *c;
    eventfd_t unused;

    if (eventfd_read(door->greet, &unused) != 0) {
        return; /* somebody else does so */
    }
    c = choose(door, 1U << HELLOS | 1U << SHAKES, yield_turn);
    if (c != NULL) {
        (void)eventfd_write(door->greet, 1); /* for the next one; the last finds nobody */
        work_on(t, c, SHAKES);
    }
}

/* It has waited too long. */
static enum state late(struct thread *t, struct connection *c, enum state state) {
    switch (state) {
    case QUEUES:
        leave_queue(c);
        lend(t, c);
        return refuse(t, c, 503);
    case BEGINS:
        lend(t, c);
        return refuse(t, c, 408);
    case FEEDS:
        return refuse(t, c, 408);
    case STORES:
        return step(t, c, state);
    case HELLOS:
        count(t->door, &t->door->counters.crowded);
        return FREE;
    case SHAKES:
        count(t->door, &t->door->counters.handshakes_bad);
        return FREE;
    default:
        return FREE;
    }
}

/* In the thread that looks at the time, which must not hang in the storage: what is to be refused
 * would not be. So a worker asks, unless none can, as where the other side does not read. */
static void be_late(struct thread *t, struct connection *c) {
    enum state state = state_in(word_of(c));

    c->quiet = false;
    if (state == STORES && !c->left) {
        c->left = true;
        set_deadline(c, PATIENCE);
        while (!let_go(c, state)) { /* whoever is called looks at what has come, too */
        }
        call(c);
        return;
    }
    state = late(t, c, state);
    if (!settle(t, c, state)) {
        work_on(t, c, state);
    }
}

/* ---- New connections ---- */

/* The caller has the lock. NULL: all are taken. */
static struct connection *free_place(struct door *door) {
    struct connection *c = door->free;

    if (c != NULL) {
        door->free = c->next;
    } else if (door->used < door->config.connections) {
        c = &door->connections[door->used++];
    }
    return c;
}

/* A place for one, if need be that of another. It is held. NULL: nobody gives way. */
static struct connection *find_place(struct thread *t) {
    struct door *door = t->door;
    struct connection *c;

    for (unsigned tries = 0; tries < TRIES;) {
        (void)pthread_mutex_lock(&door->mutex);
        c = free_place(door);
        door->counters.accepted += c != NULL;
        (void)pthread_mutex_unlock(&door->mutex);
        if (c != NULL) {
            return c;
        }
        c = choose(door, ~(1U << FREE | 1U << STORES), yield_place);
        if (c != NULL) {
            count(door, &door->counters.crowded);
            evict(t, c, 503, "a connection"); /* another thread may have its place before us */
        } else {
            tries++;
            (void)sched_yield();
        }
    }
    return NULL;
}

/* A connection has been accepted. */
static void welcome(struct thread *t, struct connection *c, int socket,
                    const struct listener *listener, const union network_address *remote) {
    struct door *door = t->door;
    enum state state;

    c->door = door;
    c->socket = socket;
    c->secure = listener->secure;
    c->port = listener->port;
    c->writes = c->looked = false;
    c->low = 1;
    c->armed = 0;
    set_received(c, 0);
    set_deadline(c, door->config.timeout);
    set_peer(c, remote);
    state = c->trusted ? PROXIES : c->secure ? GREETS : RESTS;
    __atomic_store_n(&c->word, word_of(c) | HOLDS | state, __ATOMIC_RELEASE);
    c->quiet = false;
    state = c->trusted ? learn(t, c) : admit(t, c); /* a PROXY header may come first */
    if (!settle(t, c, state)) {
        work_on(t, c, state);
    }
}

/* No descriptors are left: sinks may need the next one, and accept would fail again at once. */
static void pause_listeners(struct door *door) {
    for (unsigned i = 0; i < door->config.listener_count; i++) {
        (void)epoll_ctl(door->epoll, EPOLL_CTL_DEL, door->config.listeners[i].socket, NULL);
    }
    __atomic_store_n(&door->paused, true, __ATOMIC_RELEASE);
}

static bool watch_listeners(struct door *door) {
    bool right = true;

    for (unsigned i = 0; i < door->config.listener_count; i++) {
        struct epoll_event event = {.events = EPOLLIN | EPOLLEXCLUSIVE,
                                    .data = {.u64 = door->config.connections + i}};

        right =
            epoll_ctl(door->epoll, EPOLL_CTL_ADD, door->config.listeners[i].socket, &event) == 0 &&
            right;
    }
    return right;
}

/* False: nobody waits to be taken, or none can be. */
static bool accept_one(struct thread *t, const struct listener *listener) {
    union network_address remote = {.any = {.sa_family = AF_UNSPEC}};
    socklen_t length = sizeof remote;
    int socket = accept4(listener->socket, &remote.any, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
    struct connection *c;

    if (socket < 0) {
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            pause_listeners(t->door);
        }
        return false;
    }
    c = find_place(t);
    if (c == NULL) {
        count(t->door, &t->door->counters.crowded);
        (void)close(socket);
        return true;
    }
    welcome(t, c, socket, listener, &remote);
    return true;
}

/* A listener has its turn behind all connections that are ready: if it gave one at a time, the rate
 * of new ones would sink as there are more that are busy. */
static void accept_some(struct thread *t, const struct listener *listener) {
    for (unsigned turn = 0; turn < AT_ONCE && accept_one(t, listener); turn++) {
    }
}

/* ---- Threads ---- */

static bool stops(const struct door *door) {
    return __atomic_load_n(&door->stop, __ATOMIC_ACQUIRE);
}

static void *work(void *argument) {
    struct thread *t = argument;
    struct door *door = t->door;
    struct epoll_event event;

    while (!stops(door)) {
        uint32_t place;
        bool called = false;

        if (epoll_wait(door->epoll, &event, 1, -1) != 1 || event.data.u64 == WAKE) {
            continue;
        }
        place = (uint32_t)event.data.u64;
        if (event.data.u64 == GREET) {
            greet_one(t);
        } else if (event.data.u64 == CALLS) {
            called = true;
        } else if (place >= door->config.connections) {
            accept_some(t, &door->config.listeners[place - door->config.connections]);
        } else if (take(&door->connections[place], (uint32_t)(event.data.u64 >> 32),
                        (event.events & EPOLLRDHUP) != 0)) {
            look_at(t, &door->connections[place]);
        }
        go_on(t, called);
    }
    return NULL;
}

/* Closes those that rest, when nobody is taken any more; who has sent something is told so, but
 * none within a handshake, where there is no way to. */
static void close_door_on(struct thread *t, struct connection *c, uint32_t word) {
    if (hold(c, word)) {
        if (state_in(word) == RESTS && available(c->socket) > 0) {
            work_on(t, c, state_in(word));
        } else {
            end(t, c);
        }
    }
}

/* Looks at the time. Is something to be late soon? */
static bool look_at_time(struct thread *t) {
    struct door *door = t->door;
    bool soon = false;

    for (unsigned i = 0; i < door->config.connections && !stops(door); i++) {
        struct connection *c = &door->connections[i];
        uint32_t word = word_of(c);
        enum state state = state_in(word);

        if (is_held(word) || state == FREE) {
            continue;
        }
        soon = soon || state != RESTS;
        if (is_late(c)) {
            if (hold(c, word)) {
                be_late(t, c);
            }
        } else if (doors_of(door) == CLOSED && state <= RESTS) {
            close_door_on(t, c, word);
        }
    }
    return soon;
}

/* The timer has gone off. */
static void have_gathered(struct door *door) {
    uint64_t times;
    uint32_t left;

    if (read(door->timer, &times, sizeof times) < 0) {
        return;
    }
    __atomic_store_n(&door->timed, false, __ATOMIC_RELEASE);
    left = cmcwh_ring_gathered(ring_of(door), false);
    if (left > 0 && left < UINT32_MAX) {
        set_timer(door, left);
    }
}

static void *keep_time(void *argument) {
    struct thread *t = argument;
    struct door *door = t->door;
    struct pollfd polled[] = {{.fd = door->wake, .events = POLLIN},
                              {.fd = door->timer, .events = POLLIN}};
    bool soon = false;

    while (!stops(door)) {
        bool hurries =
            soon || doors_of(door) != OPEN || __atomic_load_n(&door->paused, __ATOMIC_ACQUIRE);

        if (poll(polled, 2, hurries ? TICK : 10 * TICK) > 0 && polled[1].revents != 0) {
            have_gathered(door);
        }
        soon = look_at_time(t);
        if (__atomic_exchange_n(&door->paused, false, __ATOMIC_ACQ_REL)) {
            (void)watch_listeners(door);
        }
    }
    return NULL;
}

/* ---- Start ---- */

static bool start_threads(struct door *door) {
    unsigned count = door->config.workers + 1;
    pthread_attr_t attributes;
    int error = pthread_attr_init(&attributes);

    if (error == 0) {
        error = pthread_attr_setstacksize(&attributes, DOOR_STACK_SIZE);
    }
    for (unsigned i = 0; i < count && error == 0; i++) {
        struct thread *t = &door->threads[i];

        error = pthread_create(&t->id, &attributes, i < door->config.workers ? work : keep_time, t);
        t->started = error == 0;
    }
    (void)pthread_attr_destroy(&attributes);
    return error == 0 || log_failure("threads (--workers)", error);
}

static bool make_places(struct door *door) {
    const struct door_config *config = &door->config;
    unsigned count = config->connections;
    size_t size = 2;

    while (size < 2 * (size_t)count) {
        size *= 2;
    }
    door->storing_most = SHARED * config->workers;
    /* One for each thread, one for each request that is being stored, and one more for each worker
     * who just then finds that one more may be. */
    door->exchange_count =
        config->workers + 1 + door->storing_most + config->workers + config->slow;
    door->connections = calloc(count, sizeof *door->connections);
    door->tally = (struct tally){calloc(size, sizeof *door->tally.entries), size};
    door->threads = calloc(config->workers + 1, sizeof *door->threads);
    door->exchanges = exchange_open(door->exchange_count, config->server, config->times);
    if (door->connections == NULL || door->tally.entries == NULL || door->threads == NULL ||
        door->exchanges == NULL) {
        return log_failure("memory for connections (--connections, --workers, --slow-requests)",
                           ENOMEM);
    }
    for (size_t i = 0; i <= config->workers; i++) {
        door->threads[i] = (struct thread){.door = door, .spare = make_exchange(door)};
    }
    door->kept_most = count - (count / 4 < RESERVE ? count / 4 : RESERVE);
    door->shakes_most = count / 8 > 16 ? count / 8 : 16;
    return true;
}

/* Whoever reads a part of a request has an exchange, or will in a moment. */
static bool make_tls(struct door *door) {
    const struct door_config *config = &door->config;
    bool secure = false;

    for (unsigned i = 0; i < config->listener_count; i++) {
        secure = secure || config->listeners[i].secure;
    }
    if (secure) {
        door->tls = tls_room_open(config->connections, door->shakes_most + config->workers + 1,
                                  (unsigned)door->exchange_count);
    }
    return !secure || door->tls != NULL;
}

static bool make_epoll(struct door *door) {
    struct epoll_event event = {.events = EPOLLIN, .data = {.u64 = WAKE}};
    struct epoll_event greet = {.events = EPOLLIN | EPOLLEXCLUSIVE, .data = {.u64 = GREET}};
    struct epoll_event calls = {.events = EPOLLIN | EPOLLET, .data = {.u64 = CALLS}};

    door->epoll = epoll_create1(EPOLL_CLOEXEC);
    door->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    door->greet = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    door->calls = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (ring_of(door)->config.gather > 0) {
        door->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
        if (door->timer < 0) {
            return log_failure("a timer (--sync)", errno);
        }
    }
    return (door->epoll >= 0 && door->wake >= 0 && door->greet >= 0 && door->calls >= 0 &&
            epoll_ctl(door->epoll, EPOLL_CTL_ADD, door->wake, &event) == 0 &&
            epoll_ctl(door->epoll, EPOLL_CTL_ADD, door->greet, &greet) == 0 &&
            epoll_ctl(door->epoll, EPOLL_CTL_ADD, door->calls, &calls) == 0 &&
            watch_listeners(door)) ||
           log_failure("waiting for connections (epoll)", errno);
}

struct door *door_open(const struct door_config *config) {
    struct door *door = calloc(1, sizeof *door);

    if (door == NULL) {
        (void)log_failure("memory for connections", ENOMEM);
        return NULL;
    }
    door->config = *config;
    door->epoll = door->wake = door->greet = door->calls = door->timer = -1;
    (void)pthread_mutex_init(&door->mutex, NULL);
    if (!make_places(door) || !make_tls(door) || !make_epoll(door) || !start_threads(door)) {
        (void)door_close(door);
        return NULL;
    }
    return door;
}

/* ---- For people ---- */

static unsigned *counter_of(struct door_counters *counters, enum state state) {
    switch (state) {
    case PROXIES:
    case GREETS:
    case HELLOS:
    case SHAKES:
        return &counters->shaking;
    case RESTS:
        return &counters->resting;
    case QUEUES:
        return &counters->queued;
    case BEGINS:
    case FEEDS:
        return &counters->reading;
    case STORES:
        return &counters->storing;
    default:
        return &counters->answering;
    }
}

void door_count(struct door *door, struct door_counters *counters) {
    (void)pthread_mutex_lock(&door->mutex);
    *counters = door->counters;
    (void)pthread_mutex_unlock(&door->mutex);
    counters->limit = door->config.connections;
    for (unsigned i = 0; i < door->config.connections; i++) {
        enum state state = state_in(word_of(&door->connections[i]));

        if (state != FREE) {
            counters->open++;
            ++*counter_of(counters, state);
        }
    }
}

/* ---- Stop ---- */

/* Has somebody sent a request, or a part of one, that is not answered yet? */
static bool some_begun(const struct door *door) {
    for (unsigned i = 0; i < door->config.connections; i++) {
        uint32_t word = word_of(&door->connections[i]);

        if (is_held(word) || (state_in(word) >= QUEUES && state_in(word) <= ANSWERS)) {
            return true;
        }
    }
    return false;
}

void door_drain(struct door *door, uint32_t ms) {
    uint64_t start = platform_ticks(), passed = 0;
    uint32_t moment;

    (void)pthread_mutex_lock(&door->mutex);
    moment = door->kept > 0 ? MOMENT : 0;
    (void)pthread_mutex_unlock(&door->mutex);
    __atomic_store_n(&door->doors, ENDING, __ATOMIC_RELEASE);
    if (door->timer >= 0) {
        (void)cmcwh_ring_gathered(ring_of(door), true);
    }
    while (passed < ms && (passed < moment || some_begun(door))) {
        if (passed >= moment) {
            __atomic_store_n(&door->doors, CLOSED, __ATOMIC_RELEASE);
        }
        (void)poll(NULL, 0, 10);
        passed = platform_ticks() - start;
    }
    __atomic_store_n(&door->doors, CLOSED, __ATOMIC_RELEASE);
}

/* Nobody works any more. */
static void close_all(struct door *door) {
    struct thread *t = &door->threads[0];

    for (unsigned i = 0; t != NULL && t->spare != NULL && i < door->config.connections; i++) {
        struct connection *c = &door->connections[i];

        if (state_in(word_of(c)) != FREE) {
            evict(t, c, 503, "at the end, a connection");
        }
    }
}

/* False: one is in a call that does not return, as a write to a disk that is away. */
static bool end_threads(struct door *door) {
    enum { TIME = 1000 /* ms for all of them */ };
    uint64_t start = platform_ticks(), passed = 0;
    bool ended = true;

    for (unsigned i = 0; door->threads != NULL && i <= door->config.workers; i++) {
        struct thread *t = &door->threads[i];

        if (t->started) {
            passed = platform_ticks() - start;
            t->started = !platform_join(t->id, passed < TIME ? (uint32_t)(TIME - passed) : 0);
            ended = !t->started && ended;
        }
    }
    return ended;
}

bool door_close(struct door *door) {
    if (door == NULL) {
        return true;
    }
    __atomic_store_n(&door->stop, true, __ATOMIC_RELEASE);
    if (door->wake >= 0) {
        (void)eventfd_write(door->wake, 1);
    }
    if (!end_threads(door)) {
        return false;
    }
    close_all(door);
    if (door->epoll >= 0) {
        (void)close(door->epoll);
    }
    if (door->wake >= 0) {
        (void)close(door->wake);
    }
    if (door->greet >= 0) {
        (void)close(door->greet);
    }
    if (door->calls >= 0) {
        (void)close(door->calls);
    }
    if (door->timer >= 0) {
        (void)close(door->timer);
    }
    exchange_close(door->exchanges);
    tls_room_close(door->tls);
    (void)pthread_mutex_destroy(&door->mutex);
    free(door->tally.entries);
    free(door->connections);
    free(door->threads);
    free(door);
    return true;
}
