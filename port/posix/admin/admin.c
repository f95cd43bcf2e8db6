/* The admin port: one thread waits with poll() for a fixed number of connections, each of which
 * asks for one thing and is closed. Nothing here waits for the webhooks' side, nor that side for
 * anything here but the ring's lock. Not here: who may ask (gate.c), what there is to see (views.c,
 * events.c).
 *
 * What a connection waits for:
 *
 *   state    for                                     until      then
 *   SHAKES   the other side of the TLS handshake     PATIENCE   closed
 *   READS    the rest of a head                      PATIENCE   408
 *   WAITS    memory for a view                       PATIENCE   503
 *   WRITES   room for the rest of what is sent       PATIENCE   closed
 *   STREAMS  the next event                          BEAT       a sign of life is sent
 *   LINGERS  the other side's end, and drops what    LINGER     closed
 *            comes
 *
 * A place has one buffer: the head is read into it, then what is answered is written over it. When
 * no place is free, who has waited longest in SHAKES, READS or LINGERS gives way to who comes. */
#include "admin/admin.h"

#if CMCWH_ADMIN

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "admin/answer.h"
#include "admin/events.h"
#include "admin/gate.h"
#include "admin/request.h"
#include "admin/views.h"
#include "door/listen.h"
#include "platform/log.h"
#include "platform/network.h"
#include "platform/platform.h"
#include "platform/wire.h"
#include "tls/server.h"

enum {
    PATIENCE = 10000, /* ms without a step on */
    LINGER = 1000,
    BEAT = 15000,
    SOON = 20,      /* ms between looks for memory, while somebody waits for it */
    LOOK = 200,     /* ms between looks for new events, while somebody streams */
    TICK = 1000,    /* ms between looks at the time */
    PAUSE = 100,    /* ms without a descriptor for who comes */
    TURNS = 8,      /* steps that a connection may have before others */
    PAGES = 2,      /* views that are being sent */
    KERNEL = 65536, /* bytes that the kernel may take of what is sent: a view, mostly */
    STACK = 524288,
    CHUNK = 6,
    LAST = 7 /* "1234\r\n" before a chunk; "\r\n0\r\n\r\n" behind the last one */
};

/* For a head, or for an event, with a view's head or a stream's beginning before it. */
#define EVENT_ROOM (sizeof((struct events_room *)0)->text + ANSWER_HEAD_MAX)
#define BUFFER     (EVENT_ROOM > REQUEST_HEAD_MAX ? EVENT_ROOM : REQUEST_HEAD_MAX)

enum state { FREE, SHAKES, READS, WAITS, WRITES, STREAMS, LINGERS };

/* The head stands right before the view, which is written first. */
struct page {
    bool taken;
    char bytes[ANSWER_HEAD_MAX + VIEW_MAX];
};

/* The small ones come first, here and in the next: code that reaches them is shorter. */
struct connection {
    enum state state;
    int socket;
    bool secure;
    bool writes;     /* it waits for room, not for bytes */
    bool stream;     /* what is sent is followed by more */
    bool busy;       /* more can be sent at once */
    uint64_t since;  /* ticks of its last step on */
    const char *out; /* what is sent */
    size_t out_length, sent, used;
    struct tls *tls;
    const struct view *view;
    struct page *page;
    char peer[INET6_ADDRSTRLEN];
    struct request request; /* views of the bytes, as long as it READS or WAITS */
    struct events events;
    char bytes[BUFFER];
};

struct admin {
    bool stop, serves; /* atomic */
    bool started;

    /* The thread's. */
    unsigned streams;
    unsigned worked;      /* ms that the last round took */
    uint64_t now, paused; /* ticks: of the last look at the time, and without a descriptor */

    int wake;
    pthread_t thread;
    struct listener listener;
    struct tls_room *tls; /* NULL: it speaks none */
    struct admin_config config;

    /* The thread's too. */
    struct gate gate;
    struct status status;
    struct events_room room;
    struct page pages[PAGES];
    struct connection connections[ADMIN_CONNECTIONS];
};

bool admin_built_in(void) {
    return true;
}

/* ---- Places ---- */

static void let_page_go(struct connection *c) {
    if (c->page != NULL) {
        c->page->taken = false;
        c->page = NULL;
    }
}

static void end(struct admin *admin, struct connection *c) {
    let_page_go(c);
    admin->streams -= c->stream;
    c->stream = false;
    tls_close(c->tls);
    c->tls = NULL;
    (void)close(c->socket);
    c->state = FREE;
}

/* Who has a place that somebody who comes may have; NULL: nobody. */
static struct connection *find_place(struct admin *admin) {
    struct connection *found = NULL;

    for (unsigned i = 0; i < ADMIN_CONNECTIONS; i++) {
        struct connection *c = &admin->connections[i];

        if (c->state == FREE) {
            return c;
        }
        if ((c->state == SHAKES || c->state == READS || c->state == LINGERS) &&
            (found == NULL || c->since < found->since)) {
            found = c;
        }
    }
    return found;
}

static void set_peer(struct connection *c, const union network_address *remote) {
    (void)inet_ntop(remote->any.sa_family,
                    remote->any.sa_family == AF_INET ? (const void *)&remote->four.sin_addr
                                                     : (const void *)&remote->six.sin6_addr,
                    c->peer, sizeof c->peer);
}

static void accept_one(struct admin *admin) {
    union network_address remote = {.any = {.sa_family = AF_UNSPEC}};
    socklen_t length = sizeof remote;
    int kernel = KERNEL, patience = PATIENCE;
    int socket =
        accept4(admin->listener.socket, &remote.any, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
    struct connection *c = socket < 0 ? NULL : find_place(admin);

    if (c == NULL) {
        if (socket >= 0) {
            (void)close(socket);
        } else if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
            admin->paused = admin->now; /* no descriptor, or no memory */
        }
        return;
    }
    if (c->state != FREE) {
        end(admin, c);
    }
    /* What a peer that does not read costs the kernel has an end, also when it is closed here. */
    (void)setsockopt(socket, SOL_SOCKET, SO_SNDBUF, &kernel, sizeof kernel);
    (void)setsockopt(socket, IPPROTO_TCP, TCP_USER_TIMEOUT, &patience, sizeof patience);
    c->socket = socket;
    c->secure = admin->listener.secure;
    c->state = c->secure ? SHAKES : READS;
    c->since = admin->now;
    c->writes = c->busy = false;
    c->used = 0;
    set_peer(c, &remote);
}

/* ---- What is sent ---- */

static enum state send_this(struct connection *c, const char *bytes, size_t length) {
    c->out = bytes;
    c->out_length = length;
    c->sent = 0;
    return WRITES;
}

/* A writer for a whole answer in the place's own buffer. */
static struct writer own(struct connection *c) {
    return (struct writer){.bytes = c->bytes, .size = sizeof c->bytes};
}

static enum state say(struct connection *c, int status, const char *more, const char *sentence) {
    struct writer out = own(c);

    answer_say(&out, &c->request, status, more, writer_view(sentence));
    return send_this(c, out.bytes, out.used);
}

/* The snapshot, of this moment: who has just been answered 200 finds it counted. */
static const struct status *look(struct admin *admin) {
    status_take(&admin->status, admin->config.source);
    return &admin->status;
}

static enum state say_ready(struct admin *admin, struct connection *c) {
    char text[4096];
    struct writer why = {.bytes = text, .size = sizeof text};
    struct writer out = own(c);

    if (status_ready(look(admin), &why)) {
        return say(c, 200, NULL, "ready");
    }
    answer_say(&out, &c->request, 503, NULL, (struct cmcwh_text){text, why.used});
    return send_this(c, out.bytes, out.used);
}

/* ---- Views ---- */

/* Its memory is the page's. */
static enum state show(struct admin *admin, struct connection *c, struct page *page) {
    const struct view_of of = {.status = look(admin),
                               .ring = admin->config.ring,
                               .request = &c->request,
                               .hide = admin->config.hide};
    struct writer body = {.bytes = page->bytes + ANSWER_HEAD_MAX, .size = VIEW_MAX};
    char text[ANSWER_HEAD_MAX];
    struct writer head = {.bytes = text, .size = sizeof text};
    const char *type = c->view->write(&of, &body);
    struct answer answer = {.status = type == NULL ? 400 : 200,
                            .type = type == NULL ? "text/plain; charset=utf-8" : type,
                            .policy = c->view->policy,
                            .length = body.used};

    if (body.full) {
        return say(c, 500, NULL,
                   "there is more to say than there is room for: report this, please");
    }
    answer_head(&head, &answer);
    memcpy(body.bytes - head.used, head.bytes, head.used);
    page->taken = true;
    c->page = page;
    return send_this(c, body.bytes - head.used,
                     head.used + (c->request.method == REQUEST_HEAD ? 0 : body.used));
}

/* If there is memory for it. */
static enum state await_page(struct admin *admin, struct connection *c) {
    for (unsigned i = 0; i < PAGES; i++) {
        if (!admin->pages[i].taken) {
            return show(admin, c, &admin->pages[i]);
        }
    }
    return WAITS;
}

/* ---- Streams ---- */

static enum state begin_stream(struct admin *admin, struct connection *c, enum events_form form) {
    static const struct {
        const char *type, *more;
    } forms[] = {[EVENTS_LINES] = {"application/x-ndjson", NULL},
                 [EVENTS_SENT] = {"text/event-stream",
                                  "X-Accel-Buffering: no\r\n"}, /* nginx would gather them */
                 [EVENTS_CSV] = {"text/csv; charset=utf-8",
                                 "Content-Disposition: attachment; filename=\"events.csv\"\r\n"}};
    struct answer answer = {.status = 200, .type = forms[form].type, .more = forms[form].more};
    char text[512];
    struct writer why = {.bytes = text, .size = sizeof text - 1}, out = own(c);

    if (admin->streams == ADMIN_STREAMS) {
        return say(c, 503, "Retry-After: 5\r\n", "16 are reading events already: come again later");
    }
    if (!events_ask(&c->events, admin->config.ring, &c->request, form, &why)) {
        text[why.used] = '\0';
        return say(c, 400, NULL, text);
    }
    c->events.hide = c->events.hide || admin->config.hide;
    answer.chunked = c->request.chunks;
    answer.endless = !answer.chunked;
    answer_head(&out, &answer);
    c->stream = c->request.method == REQUEST_GET;
    admin->streams += c->stream;
    return send_this(c, out.bytes, out.used);
}

/* Puts what was written behind the first CHUNK bytes of the buffer into a chunk. */
static size_t make_chunk(struct connection *c, size_t used, bool last) {
    char head[2 * sizeof(unsigned) + 3]; /* as much as a compiler thinks there may be */
    size_t start = used > 0 ? 0 : CHUNK, length = CHUNK + used;

    if (used > 0) {
        (void)snprintf(head, sizeof head, "%04x\r\n", (unsigned)used);
        memcpy(c->bytes, head, CHUNK);
        memcpy(c->bytes + length, "\r\n", 2);
        length += 2;
    }
    if (last) {
        memcpy(c->bytes + length, "0\r\n\r\n", 5);
        length += 5;
    }
    (void)send_this(c, c->bytes + start, length - start);
    return length - start;
}

/* Everything has been sent; more may come. */
static enum state fill(struct admin *admin, struct connection *c) {
    struct writer out = {.bytes = c->bytes + CHUNK, .size = sizeof c->bytes - CHUNK - LAST};
    enum events_state state = events_write(&c->events, admin->config.ring, &admin->room, &out);
    size_t length = out.used;

    if (length == 0 && state == EVENTS_WAIT && admin->now - c->since >= BEAT) {
        events_beat(&c->events, &out);
        length = out.used;
    }
    c->busy = state == EVENTS_GO_ON;
    if (state == EVENTS_END) {
        c->stream = false;
        admin->streams--;
    }
    if (c->request.chunks) {
        length = make_chunk(c, length, state == EVENTS_END);
    } else {
        (void)send_this(c, out.bytes, length);
    }
    return length > 0 || state == EVENTS_END ? WRITES : STREAMS;
}

/* Is what comes looked at? A list is sent whole, also to who has closed its own side. */
static bool hears(const struct connection *c) {
    return c->state != WAITS && (c->state != STREAMS || c->events.form == EVENTS_SENT);
}

/* Has the reader gone, or does it talk on? No more is heard from it than a head may be long. */
static bool is_left(struct connection *c) {
    char bytes[256];
    int came;

    do {
        came = wire_read(c->tls, c->socket, bytes, sizeof bytes);
        c->used += came > 0 ? (size_t)came : 0;
    } while (came > 0 && c->used <= REQUEST_HEAD_MAX);
    return came >= 0 || came == TLS_FAILS;
}

/* ---- Requests ---- */

static enum state answer_request(struct admin *admin, struct connection *c) {
    struct cmcwh_text path = c->request.path;
    struct gate_answer refusal;
    struct writer out = own(c);

    if (c->request.method == REQUEST_OTHER) {
        return say(c, 405, "Allow: GET, HEAD\r\n", "there is nothing to be changed here");
    }
    refusal = gate_check(&admin->gate, &c->request, c->peer, admin->now);
    if (refusal.status != 0) {
        answer_gate(&out, &c->request, &refusal);
        return send_this(c, out.bytes, out.used);
    }
    if (request_is(path, "/healthz")) {
        return say(c, 200, NULL, "alive");
    }
    if (!__atomic_load_n(&admin->serves, __ATOMIC_ACQUIRE)) {
        return say(c, 503, "Retry-After: 1\r\n", "it is just starting");
    }
    if (request_is(path, "/readyz")) {
        return say_ready(admin, c);
    }
    if (request_is(path, "/events")) {
        bool sent = request_accepts(c->request.headers[REQUEST_ACCEPT], "text/event-stream") > 0;

        return begin_stream(admin, c, sent ? EVENTS_SENT : EVENTS_LINES);
    }
    if (request_is(path, "/events.csv")) {
        return begin_stream(admin, c, EVENTS_CSV);
    }
    c->view = view_find(path);
    return c->view != NULL ? await_page(admin, c)
                           : say(c, 404, NULL, "there is nothing at this path");
}

static enum state read_head(struct admin *admin, struct connection *c) {
    const char *fault;
    int came, length = 0;

    while (length == 0) {
        came = wire_read(c->tls, c->socket, c->bytes + c->used, REQUEST_HEAD_MAX - c->used);
        if (came == TLS_READS || came == TLS_WRITES) {
            c->writes = came == TLS_WRITES;
            return READS;
        }
        if (came <= 0) {
            return FREE;
        }
        c->used += (size_t)came;
        length = request_read(&c->request, c->bytes, c->used, &fault);
    }
    return length > 0 ? answer_request(admin, c) : say(c, -length, NULL, fault);
}

/* ---- TLS ---- */

/* Who speaks plain HTTP is answered so. */
static enum state greet(struct admin *admin, struct connection *c) {
    char first;
    ssize_t looked = recv(c->socket, &first, 1, MSG_PEEK);

    if (looked <= 0) {
        return looked < 0 && wire_waits() ? SHAKES : FREE;
    }
    if (first >= 'A' && first <= 'Z') {
        memset(&c->request, 0, sizeof c->request);
        return say(c, 400, NULL, "this port speaks HTTPS: the address begins with https://");
    }
    c->tls = tls_open(admin->tls, c->socket);
    return c->tls == NULL ? FREE : SHAKES;
}

static enum state shake(struct admin *admin, struct connection *c) {
    enum state state = c->tls == NULL ? greet(admin, c) : SHAKES;
    int result;

    if (state != SHAKES || c->tls == NULL) {
        return state;
    }
    result = tls_shake(c->tls);
    c->writes = result == TLS_WRITES;
    return result == 0 ? READS : result == TLS_FAILS ? FREE : SHAKES;
}

/* ---- A connection ---- */

/* Drops what comes, so that the other side can read the answer before it learns that it is not
 * listened to. */
static enum state linger(const struct connection *c) {
    char bytes[2048];
    ssize_t came = 1;

    for (unsigned turn = 0; turn < TURNS && came > 0; turn++) {
        came = recv(c->socket, bytes, sizeof bytes, 0);
    }
    return came > 0 || (came < 0 && wire_waits()) ? LINGERS : FREE;
}

static enum state finish(const struct connection *c) {
    if (c->tls != NULL) {
        tls_bye(c->tls);
    }
    return shutdown(c->socket, SHUT_WR) == 0 ? LINGERS : FREE;
}

static enum state write_on(struct admin *admin, struct connection *c) {
    while (c->sent < c->out_length) {
        int went = wire_write(c->tls, c->socket, c->out + c->sent, c->out_length - c->sent);

        if (went == TLS_READS || went == TLS_WRITES) {
            c->writes = went == TLS_WRITES;
            return WRITES;
        }
        if (went <= 0) {
            return FREE;
        }
        c->sent += (size_t)went;
        c->since = admin->now;
    }
    let_page_go(c);
    return c->stream ? STREAMS : finish(c);
}

static enum state step(struct admin *admin, struct connection *c, short came) {
    switch (c->state) {
    case SHAKES:
        return CMCWH_TLS ? shake(admin, c) : FREE;
    case READS:
        return read_head(admin, c);
    case WAITS:
        return await_page(admin, c);
    case WRITES:
        return write_on(admin, c);
    case STREAMS:
        return hears(c) && (came & POLLIN) != 0 && is_left(c) ? FREE : fill(admin, c);
    case LINGERS:
        return linger(c);
    default:
        return FREE;
    }
}

/* It has waited too long. */
static enum state late(struct connection *c) {
    return c->state == READS && c->used > 0
               ? say(c, 408, NULL, "the request did not come within 10 s")
           : c->state == WAITS ? say(c, 503, "Retry-After: 5\r\n", "others are just being answered")
                               : FREE;
}

static bool is_late(const struct admin *admin, const struct connection *c) {
    return c->state != STREAMS &&
           admin->now - c->since >= (uint64_t)(c->state == LINGERS ? LINGER : PATIENCE);
}

static void enter(struct admin *admin, struct connection *c, enum state state) {
    if (state == FREE) {
        end(admin, c);
    } else if (state != c->state) {
        c->writes = state == WRITES; /* until it is tried */
        c->since = admin->now;
        c->state = state;
    }
}

/* `came`: what poll() has said of it. */
static void go_on(struct admin *admin, struct connection *c, short came) {
    enum state before = c->state;

    if ((came & (POLLERR | POLLHUP)) != 0 && c->state != LINGERS) { /* whatever it waits for */
        end(admin, c);
        return;
    }
    if (is_late(admin, c)) {
        memset(&c->request, 0, c->state == READS ? sizeof c->request : 0);
        enter(admin, c, late(c));
        return;
    }
    if (came == 0 && c->state != WAITS && c->state != STREAMS) {
        return;
    }
    for (unsigned turn = 0; turn < TURNS && (turn == 0 || c->state != before); turn++) {
        before = c->state;
        enter(admin, c, step(admin, c, came));
        if (c->state == FREE || c->state == LINGERS) {
            return;
        }
    }
}

/* ---- The thread ---- */

enum { WAKE, LISTENER, FIRST, POLLED = FIRST + ADMIN_CONNECTIONS };

/* What is waited for. Returns how long, in ms: who reads many events takes no more than half of a
 * processor's time. */
static int prepare(struct admin *admin, struct pollfd polled[POLLED]) {
    int wait = -1;
    bool paused = admin->now - admin->paused < PAUSE;

    polled[WAKE] = (struct pollfd){.fd = admin->wake, .events = POLLIN};
    polled[LISTENER] = (struct pollfd){
        .fd = !paused && find_place(admin) != NULL ? admin->listener.socket : -1, .events = POLLIN};
    for (unsigned i = 0; i < ADMIN_CONNECTIONS; i++) {
        const struct connection *c = &admin->connections[i];
        int most = c->state == WAITS     ? SOON
                   : c->state != STREAMS ? TICK
                   : c->busy             ? 1 + (int)admin->worked
                                         : LOOK;

        polled[FIRST + i] = (struct pollfd){.fd = c->state == FREE ? -1 : c->socket,
                                            .events = c->writes  ? POLLOUT
                                                      : hears(c) ? POLLIN
                                                                 : 0};
        wait = c->state != FREE && (wait < 0 || most < wait) ? most : wait;
    }
    return paused && (wait < 0 || wait > PAUSE) ? PAUSE : wait;
}

static void *work(void *argument) {
    struct admin *admin = argument;
    struct pollfd polled[POLLED];

    while (!__atomic_load_n(&admin->stop, __ATOMIC_ACQUIRE)) {
        int ready = poll(polled, POLLED, prepare(admin, polled));
        uint64_t start = platform_microseconds();

        admin->now = platform_ticks();
        for (unsigned i = 0; i < ADMIN_CONNECTIONS; i++) {
            if (admin->connections[i].state != FREE) {
                go_on(admin, &admin->connections[i], ready > 0 ? polled[FIRST + i].revents : 0);
            }
        }
        if (ready > 0 && polled[LISTENER].revents != 0) {
            accept_one(admin);
        }
        admin->worked = (unsigned)((platform_microseconds() - start) / 1000);
    }
    return NULL;
}

/* ---- Start and end ---- */

static bool start_thread(struct admin *admin) {
    pthread_attr_t attributes;
    int error = pthread_attr_init(&attributes);

    if (error == 0) {
        error = pthread_attr_setstacksize(&attributes, STACK);
    }
    if (error == 0) {
        error = pthread_create(&admin->thread, &attributes, work, admin);
        admin->started = error == 0;
    }
    (void)pthread_attr_destroy(&attributes);
    return error == 0 || log_failure("a thread (--admin)", error);
}

static bool make_tls(struct admin *admin) {
    admin->tls = admin->listener.secure
                     ? tls_room_open(ADMIN_CONNECTIONS, ADMIN_CONNECTIONS, ADMIN_CONNECTIONS)
                     : NULL;
    return admin->tls != NULL || !admin->listener.secure;
}

enum outcome admin_open(const struct admin_config *config, struct admin **opened) {
    struct admin *admin = calloc(1, sizeof *admin);
    const struct listeners listeners = {"--admin", &config->listen, 1};
    enum outcome outcome;

    *opened = admin;
    if (admin == NULL) {
        (void)log_failure("memory for the admin port (--admin)", ENOMEM);
        return OUTCOME_FAILED;
    }
    admin->config = *config;
    admin->gate.hosts = config->hosts;
    admin->gate.host_count = config->host_count;
    admin->now = platform_ticks();
    admin->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (admin->wake < 0) {
        (void)log_failure("waking a thread (eventfd)", errno);
        return OUTCOME_FAILED;
    }
    outcome = listen_open(&listeners, 0, &admin->listener);
    return outcome != OUTCOME_RIGHT || (make_tls(admin) && start_thread(admin)) ? outcome
                                                                                : OUTCOME_FAILED;
}

void admin_say(const struct admin *admin) {
    const char *text = admin->config.listen;

    log_plain("admin on %s://%.*s:%u/: %d connections, %zu KiB",
              admin->listener.secure ? "https" : "http", (int)(strrchr(text, ':') - text), text,
              admin->listener.port, ADMIN_CONNECTIONS, sizeof *admin / 1024);
}

void admin_serves(struct admin *admin) {
    __atomic_store_n(&admin->serves, true, __ATOMIC_RELEASE);
}

bool admin_close(struct admin *admin) {
    enum { END = 500 /* ms */ };

    if (admin == NULL) {
        return true;
    }
    __atomic_store_n(&admin->stop, true, __ATOMIC_RELEASE);
    if (admin->started) {
        (void)eventfd_write(admin->wake, 1);
        if (!platform_join(admin->thread, END)) {
            return false;
        }
    }
    for (unsigned i = 0; i < ADMIN_CONNECTIONS; i++) {
        if (admin->connections[i].state != FREE) {
            end(admin, &admin->connections[i]);
        }
    }
    listen_close(&admin->listener, 1);
    tls_room_close(admin->tls);
    if (admin->wake >= 0) {
        (void)close(admin->wake);
    }
    free(admin);
    return true;
}

#else

bool admin_built_in(void) {
    return false;
}

enum outcome admin_open(const struct admin_config *config, struct admin **opened) {
    (void)config;
    *opened = NULL;
    return OUTCOME_WRONG;
}

void admin_say(const struct admin *admin) {
    (void)admin;
}

void admin_serves(struct admin *admin) {
    (void)admin;
}

bool admin_close(struct admin *admin) {
    (void)admin;
    return true;
}

#endif
