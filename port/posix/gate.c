/* Connections that wait for their request stay in the kernel: nothing of them is read here, only
 * looked at (MSG_PEEK), and SO_RCVLOWAT tells poll how much must come before it is worth another
 * look. */
#include "gate.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#ifdef __GLIBC__
#include <linux/tcp.h> /* its own tcp_info ends before tcpi_bytes_received */
#else
#include <netinet/tcp.h>
#endif

#include "platform.h"
#include "proxy.h"

enum {
    GUESTS = 1024,        /* connections that may wait; the one that waits longest gives way */
    HEAD = 8192,          /* longest head that is looked at, as civetweb's buffer */
    WHOLE = 65536,        /* a request up to this must arrive before it takes a worker */
    LOOK = 50,            /* ms between looks at who holds a worker, while others wait */
    PATIENCE = 300,       /* ms that a worker may be held without progress, while others wait */
    PROGRESS = 1024,      /* bytes in that time that count as progress */
    CHUNKS_PATIENCE = 300 /* ms: chunks may be whole though they do not look so */
};

enum stage { WAITS, PART, WHOLLY, GONE };

/* What a worker does with its connection: it reads a request; it has not begun to; it waits for the
 * next one, of which nothing has come; it has left the connection to those who wait. */
enum doing { READS, FRESH, RESTS, LEAVES };

struct guest {
    void *server; /* whose it is */
    int socket;
    bool secure;
    bool proxy;                 /* a PROXY header may come first */
    union network_address peer; /* that it named; its family is AF_UNSPEC when there was none */
    bool chunked;               /* its end can only be guessed from here */
    enum stage stage;
    uint32_t seen; /* bytes, when it was last looked at */
    uint64_t since, changed;
};

/* A connection that a worker has, or will have next. */
struct hold {
    int socket;
    bool part;
    uint64_t bytes; /* received when it was last looked at */
};

static struct {
    struct gate_config config;
    pthread_mutex_t mutex;
    pthread_t thread;
    struct guest guests[GUESTS];
    unsigned count, most;
    struct hold *holds;
    unsigned held, parts;
    bool pressed; /* atomic: somebody waits for a worker */

    /* For each socket: since when (ticks, never 0) a worker has read it without progress, 0: it
     * does not. Atomic, so that workers need no lock. */
    uint32_t *reading;
    uint8_t *doing; /* for each socket. Atomic */
    int sockets;
    int wake[2];
    char head[HEAD + 1];
    struct pollfd polls[GUESTS + 1];
    bool closed, stop;
} gate = {.mutex = PTHREAD_MUTEX_INITIALIZER};

/* ---- Looking at a request that is still in the kernel ---- */

static size_t available(int socket) {
    int bytes = 0;

    return ioctl(socket, FIONREAD, &bytes) == 0 && bytes > 0 ? (size_t)bytes : 0;
}

static void want(int socket, size_t bytes) {
    int low = (int)bytes;

    (void)setsockopt(socket, SOL_SOCKET, SO_RCVLOWAT, &low, sizeof low);
}

/* The value of the next header of this name behind `from`, or NULL. What is wrong with a head is
 * civetweb's and the server's to say. */
static const char *header_behind(const char *from, const char *name) {
    size_t length = strlen(name);

    for (const char *line = strchr(from, '\n'); line != NULL; line = strchr(line, '\n')) {
        line++;
        if (strncasecmp(line, name, length) == 0 && line[length] == ':') {
            return line + length + 1;
        }
    }
    return NULL;
}

static const char *header(const char *name) {
    return header_behind(gate.head, name);
}

/* Does gate.head end in a last chunk? */
static bool last_chunk_came(size_t looked) {
    static const char last[] = "0\r\n\r\n";
    size_t length = sizeof last - 1;

    return looked >= length && memcmp(&gate.head[looked - length], last, length) == 0;
}

/* Is the request whole whose head is in gate.head, followed by what came of its body? */
static enum stage judge_body(struct guest *guest, size_t head, size_t bytes, size_t looked) {
    const char *length = header("content-length");
    unsigned long long need;
    char *after;

    /* Somebody wants to be asked for the body; or the head is to be refused. */
    if (header("expect") != NULL ||
        (length != NULL && header_behind(length, "content-length") != NULL)) {
        return PART;
    }
    if (header("transfer-encoding") != NULL) {
        guest->chunked = true;
        return bytes > looked || last_chunk_came(looked) ? PART : WAITS;
    }
    if (length == NULL) {
        return WHOLLY;
    }
    length += strspn(length, " \t");
    need = strtoull(length, &after, 10);
    if (*length < '0' || *length > '9' || *after != '\r') {
        return PART; /* no number: to be refused */
    }
    if (need > gate.config.longest) {
        return PART; /* the same, before it has come */
    }
    need = need < WHOLE ? need + head : 2 * WHOLE; /* more than is waited for */
    if (need <= bytes) {
        return WHOLLY;
    }
    want(guest->socket, need < WHOLE ? (size_t)need : WHOLE);
    return bytes >= WHOLE ? PART : WAITS;
}

static enum stage judge_plain(struct guest *guest) {
    ssize_t looked = recv(guest->socket, gate.head, HEAD, MSG_PEEK | MSG_DONTWAIT);
    const char *end;
    size_t bytes;

    if (looked <= 0) {
        return looked < 0 && (errno == EAGAIN || errno == EINTR) ? WAITS : GONE;
    }
    bytes = available(guest->socket);
    if ((size_t)looked > bytes) {
        bytes = (size_t)looked;
    }
    guest->changed = bytes != guest->seen ? platform_ticks() : guest->changed;
    guest->since = guest->seen == 0 ? guest->changed : guest->since; /* it has begun just now */
    guest->seen = (uint32_t)bytes;
    if (memchr(gate.head, '\0', (size_t)looked) != NULL) {
        return PART; /* not for us to understand */
    }
    gate.head[looked] = '\0';
    /* Not `bytes`: some may have come after the look. */
    want(guest->socket, (looked < HEAD ? (size_t)looked : bytes) + 1);
    end = strstr(gate.head, "\r\n\r\n");
    if (end == NULL) {
        return looked == HEAD || strstr(gate.head, "\n\n") != NULL ? PART : WAITS;
    }
    return judge_body(guest, (size_t)(end - gate.head) + 4, bytes, (size_t)looked);
}

/* The first TLS record must be whole, a ClientHello. */
static enum stage judge_secure(struct guest *guest) {
    unsigned char record[5];
    ssize_t looked = recv(guest->socket, record, sizeof record, MSG_PEEK | MSG_DONTWAIT);
    size_t need;

    if (looked <= 0) {
        return looked < 0 && (errno == EAGAIN || errno == EINTR) ? WAITS : GONE;
    }
    if (record[0] != 22) {
        return PART; /* the handshake will fail */
    }
    if (looked < (ssize_t)sizeof record) {
        want(guest->socket, sizeof record);
        return WAITS;
    }
    need = sizeof record + ((size_t)record[3] << 8 | record[4]);
    if (need > 16384 || available(guest->socket) >= need) {
        return PART;
    }
    want(guest->socket, need);
    return WAITS;
}

/* Takes a PROXY header off the connection. False when the rest cannot be looked at yet. */
static bool take_proxy_header(struct guest *guest) {
    ssize_t looked = recv(guest->socket, gate.head, PROXY_HEADER_MAX, MSG_PEEK | MSG_DONTWAIT);
    int length;

    if (looked <= 0) {
        guest->stage = looked < 0 && (errno == EAGAIN || errno == EINTR) ? WAITS : GONE;
        return false;
    }
    length = proxy_header(gate.head, (size_t)looked, &guest->peer);
    guest->stage = length == PROXY_MORE ? WAITS : GONE;
    if (length == PROXY_MORE) {
        want(guest->socket, (size_t)looked + 1);
        return false;
    }
    guest->proxy = false;
    want(guest->socket, 1);
    return length == PROXY_NONE ||
           (length > 0 && recv(guest->socket, gate.head, (size_t)length, 0) == length);
}

static void look(struct guest *guest) {
    if (!guest->proxy || take_proxy_header(guest)) {
        guest->stage = guest->secure ? judge_secure(guest) : judge_plain(guest);
    }
}

/* ---- Who has a worker ---- */

static uint32_t moment(void) {
    uint32_t ticks = (uint32_t)platform_ticks();

    return ticks == 0 ? 1 : ticks;
}

static void note(int socket, uint32_t since, enum doing doing) {
    if (socket >= 0 && socket < gate.sockets) {
        __atomic_store_n(&gate.reading[socket], since, __ATOMIC_RELAXED);
        __atomic_store_n(&gate.doing[socket], (uint8_t)doing, __ATOMIC_RELEASE);
    }
}

static enum doing doing_of(int socket) {
    return socket < 0 || socket >= gate.sockets
               ? READS
               : (enum doing)__atomic_load_n(&gate.doing[socket], __ATOMIC_ACQUIRE);
}

static struct hold *hold_of(int socket) {
    for (unsigned i = 0; i < gate.held; i++) {
        if (gate.holds[i].socket == socket) {
            return &gate.holds[i];
        }
    }
    return NULL;
}

/* May it go to a worker? Whole requests are quick: some may queue; and one worker is theirs. */
static bool may_go(bool part) {
    unsigned workers = gate.config.workers;

    if (!part) {
        return gate.held < 2 * workers;
    }
    return gate.held < workers &&
           gate.parts < (gate.config.plain && workers > 1 ? workers - 1 : workers);
}

static void hold(const struct guest *guest) {
    want(guest->socket, 1);
    gate.parts += guest->stage == PART;
    gate.holds[gate.held++] = (struct hold){.socket = guest->socket, .part = guest->stage == PART};
    note(guest->socket, moment(), FRESH);
}

static uint64_t received(int socket) {
    struct tcp_info info;
    socklen_t length = sizeof info;

    memset(&info, 0, sizeof info);
    (void)getsockopt(socket, IPPROTO_TCP, TCP_INFO, &info, &length);
    return info.tcpi_bytes_received;
}

/* Others wait: cuts off whoever holds a worker and sends nothing, or hardly anything. Who rests is
 * left by its worker, see gate_rest. */
static void cut_off(void) {
    for (unsigned i = 0; i < gate.held; i++) {
        struct hold *held = &gate.holds[i];
        uint32_t *reading = held->socket < gate.sockets ? &gate.reading[held->socket] : NULL;
        uint32_t since = reading == NULL ? 0 : __atomic_load_n(reading, __ATOMIC_RELAXED);

        if (since != 0 && moment() - since >= PATIENCE && doing_of(held->socket) < RESTS) {
            uint64_t bytes = received(held->socket);
            uint32_t next = bytes < held->bytes + PROGRESS ? 0 : moment();

            held->bytes = bytes;
            /* Not if the worker has gone on just now. */
            if (__atomic_compare_exchange_n(reading, &since, next, false, __ATOMIC_RELAXED,
                                            __ATOMIC_RELAXED) &&
                next == 0) {
                (void)shutdown(held->socket, SHUT_RD);
            }
        }
    }
}

/* ---- Who waits ---- */

static void forget(unsigned index) {
    gate.guests[index] = gate.guests[--gate.count];
}

static void wake_thread(void) {
    (void)!write(gate.wake[1], "", 1);
}

/* Answers a request that did not become whole in time, unless nothing of it has come. */
static void give_up(const struct guest *guest) {
    static const char late[] =
        "HTTP/1.1 408 Request Timeout\r\nContent-Type: application/json\r\n"
        "Content-Length: 72\r\nConnection: close\r\n\r\n"
        "{\"error\":\"request_timeout\",\"detail\":\"the request was not whole in time\"}";
    ssize_t got;

    if (!guest->secure && guest->seen > 0 &&
        send(guest->socket, late, sizeof late - 1, MSG_DONTWAIT | MSG_NOSIGNAL) > 0) {
        (void)shutdown(guest->socket, SHUT_WR);
        do { /* what is left unread would reset the connection before the answer is read */
            got = recv(guest->socket, gate.head, HEAD, MSG_DONTWAIT);
        } while (got > 0);
    }
    (void)close(guest->socket);
}

/* The next to get a worker: the oldest whole request, or the newest of the others, which when many
 * stall is the one least likely to. */
static unsigned next_guest(void) {
    unsigned chosen = GUESTS;

    for (unsigned i = 0; i < gate.count; i++) {
        const struct guest *guest = &gate.guests[i], *best = &gate.guests[chosen % GUESTS];

        if ((guest->stage != WHOLLY && guest->stage != PART) || !may_go(guest->stage == PART)) {
            continue;
        }
        if (chosen == GUESTS || (guest->stage == WHOLLY && best->stage == PART) ||
            (guest->stage == WHOLLY && guest->since < best->since) ||
            (guest->stage == PART && best->stage == PART && guest->since >= best->since)) {
            chosen = i;
        }
    }
    return chosen;
}

/* Sends on whoever may go. Lets the lock go for each, because a full queue blocks. */
static void send_on(void) {
    unsigned index;

    while ((index = next_guest()) < GUESTS) {
        struct guest guest = gate.guests[index];

        hold(&guest);
        forget(index);
        (void)pthread_mutex_unlock(&gate.mutex);
        gate.config.produce(guest.server, guest.socket, guest.secure,
                            guest.peer.any.sa_family == AF_UNSPEC ? NULL : &guest.peer);
        (void)pthread_mutex_lock(&gate.mutex);
    }
}

static bool some_ready(void) {
    for (unsigned i = 0; i < gate.count; i++) {
        if (gate.guests[i].stage == PART || gate.guests[i].stage == WHOLLY) {
            return true;
        }
    }
    return false;
}

static bool see_pressure(void) {
    bool pressed = gate.held > gate.config.workers || some_ready();

    __atomic_store_n(&gate.pressed, pressed, __ATOMIC_RELAXED);
    return pressed;
}

/* Those whose time is over, and those that went away. */
static void sweep(uint64_t now) {
    for (unsigned i = gate.count; i-- > 0;) {
        struct guest *guest = &gate.guests[i];

        if (guest->stage == WAITS && guest->chunked && now - guest->changed >= CHUNKS_PATIENCE) {
            guest->stage = PART;
        }
        if (guest->stage == GONE) {
            (void)close(guest->socket);
            forget(i);
        } else if (guest->stage == WAITS && now - guest->since >= gate.config.timeout) {
            give_up(guest);
            forget(i);
        }
    }
}

/* How long poll may sleep. */
static int sleep_time(uint64_t now, bool pressed) {
    uint64_t left = 1000;

    for (unsigned i = 0; i < gate.count; i++) {
        uint64_t end = gate.guests[i].since + gate.config.timeout;

        left = end <= now ? 0 : end - now < left ? end - now : left;
        if (gate.guests[i].chunked && left > CHUNKS_PATIENCE) {
            left = CHUNKS_PATIENCE;
        }
    }
    return pressed && left > LOOK ? LOOK : (int)left;
}

static void *run(void *unused) {
    (void)unused;
    (void)pthread_mutex_lock(&gate.mutex);
    while (!gate.stop) {
        uint64_t now = platform_ticks();
        unsigned count;
        bool pressed;
        int timeout;

        sweep(now);
        send_on();
        pressed = see_pressure();
        if (pressed) {
            cut_off();
        }
        timeout = sleep_time(now, pressed);
        count = gate.count;
        for (unsigned i = 0; i < count; i++) {
            gate.polls[i] =
                (struct pollfd){.fd = gate.guests[i].stage == WAITS ? gate.guests[i].socket : -1,
                                .events = POLLIN | POLLRDHUP};
        }
        gate.polls[count] = (struct pollfd){.fd = gate.wake[0], .events = POLLIN};
        (void)pthread_mutex_unlock(&gate.mutex);
        (void)poll(gate.polls, count + 1, timeout);
        (void)pthread_mutex_lock(&gate.mutex);
        for (unsigned i = 0; i < count; i++) {
            if (gate.polls[i].revents != 0) {
                look(&gate.guests[i]);
            }
            if (gate.guests[i].stage == WAITS && (gate.polls[i].revents & ~POLLIN) != 0) {
                gate.guests[i].stage = PART; /* nothing more will come of it */
            }
        }
        if (gate.polls[count].revents != 0) {
            char bytes[64];

            while (read(gate.wake[0], bytes, sizeof bytes) > 0) {
            }
        }
    }
    (void)pthread_mutex_unlock(&gate.mutex);
    return NULL;
}

/* A new guest. When all places are taken, the one that waits longest gives way: nothing else
 * changes for the thread that polls. */
static void enter(const struct guest *guest) {
    if (gate.count == gate.most) {
        unsigned oldest = 0;

        for (unsigned i = 1; i < gate.count; i++) {
            oldest = gate.guests[i].since < gate.guests[oldest].since ? i : oldest;
        }
        (void)close(gate.guests[oldest].socket);
        gate.guests[oldest] = *guest;
    } else {
        gate.guests[gate.count++] = *guest;
    }
    wake_thread();
}

/* A worker is free again. */
static void release(int socket) {
    struct hold *held = hold_of(socket);

    if (held != NULL) {
        gate.parts -= held->part;
        *held = gate.holds[--gate.held];
    }
}

/* ---- What others call ---- */

bool gate_admit(void *server, int socket, bool secure) {
    struct guest guest = {
        .server = server, .socket = socket, .secure = secure, .since = platform_ticks()};
    bool proxy = proxy_trusted(socket), goes;

    guest.proxy = proxy;
    (void)pthread_mutex_lock(&gate.mutex);
    if (gate.closed) {
        (void)pthread_mutex_unlock(&gate.mutex);
        (void)close(socket);
        return false;
    }
    look(&guest);
    goes = !proxy && (guest.stage == WHOLLY || guest.stage == PART) &&
           may_go(guest.stage == PART) && !some_ready();
    if (goes) {
        hold(&guest);
    } else {
        enter(&guest);
    }
    (void)see_pressure();
    (void)pthread_mutex_unlock(&gate.mutex);
    return goes;
}

void gate_return(void *server, int socket, const union network_address *peer) {
    struct guest guest = {
        .server = server, .socket = socket, .peer = *peer, .since = platform_ticks()};

    note(socket, 0, READS);
    (void)pthread_mutex_lock(&gate.mutex);
    release(socket);
    if (gate.closed) {
        (void)close(socket);
    } else {
        look(&guest);
        enter(&guest);
    }
    (void)see_pressure();
    (void)pthread_mutex_unlock(&gate.mutex);
}

void gate_reading(int socket) {
    note(socket, moment(), READS);
}

void gate_read(int socket) {
    note(socket, 0, READS);
}

void gate_answered(int socket) {
    note(socket, moment(), RESTS);
}

bool gate_rest(int socket, bool came) {
    if (doing_of(socket) != RESTS || (!came && !gate_crowded())) {
        return false;
    }
    note(socket, moment(), came ? READS : LEAVES);
    return !came;
}

bool gate_left(int socket) {
    return doing_of(socket) == LEAVES;
}

void gate_release(int socket) {
    (void)pthread_mutex_lock(&gate.mutex);
    release(socket);
    if (some_ready()) {
        wake_thread();
    }
    (void)see_pressure();
    (void)pthread_mutex_unlock(&gate.mutex);
}

bool gate_crowded(void) {
    return __atomic_load_n(&gate.pressed, __ATOMIC_RELAXED);
}

/* Guests and holds need descriptors; some are left for sinks and files. */
static unsigned limit_guests(void) {
    struct rlimit limit;
    rlim_t wanted = GUESTS + 2 * gate.config.workers + 64;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return 64;
    }
    if (limit.rlim_cur < wanted) {
        limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
        (void)getrlimit(RLIMIT_NOFILE, &limit);
    }
    return limit.rlim_cur >= wanted ? GUESTS
           : limit.rlim_cur > 2 * wanted - 2 * GUESTS
               ? (unsigned)(limit.rlim_cur - (wanted - GUESTS))
               : 16;
}

int gate_start(const struct gate_config *config) {
    gate.config = *config;
    gate.count = gate.held = gate.parts = 0;
    gate.closed = gate.stop = false;
    gate.most = limit_guests();
    gate.sockets = (int)(gate.most + 2 * config->workers + 64);
    gate.holds = calloc(2 * config->workers, sizeof *gate.holds);
    gate.reading = calloc((size_t)gate.sockets, sizeof *gate.reading);
    gate.doing = calloc((size_t)gate.sockets, sizeof *gate.doing);
    if (gate.holds == NULL || gate.reading == NULL || gate.doing == NULL) {
        return ENOMEM;
    }
    if (pipe(gate.wake) != 0) {
        return errno;
    }
    for (int i = 0; i < 2; i++) {
        (void)fcntl(gate.wake[i], F_SETFD, FD_CLOEXEC);
        (void)fcntl(gate.wake[i], F_SETFL, O_NONBLOCK);
    }
    return pthread_create(&gate.thread, NULL, run, NULL);
}

/* Has somebody sent a part of a request, here or to a worker that is yet to see it? */
static bool some_begun(void) {
    for (unsigned i = 0; i < gate.count; i++) {
        if (gate.guests[i].seen > 0) {
            return true;
        }
    }
    for (unsigned i = 0; i < gate.held; i++) {
        if (doing_of(gate.holds[i].socket) == FRESH) {
            return true;
        }
    }
    return false;
}

void gate_drain(uint32_t ms) {
    uint64_t start = platform_ticks();

    (void)pthread_mutex_lock(&gate.mutex);
    gate.closed = true;
    while (some_begun() && platform_ticks() - start < ms) {
        (void)pthread_mutex_unlock(&gate.mutex);
        (void)poll(NULL, 0, 10);
        (void)pthread_mutex_lock(&gate.mutex);
    }
    (void)pthread_mutex_unlock(&gate.mutex);
}

void gate_stop(void) {
    (void)pthread_mutex_lock(&gate.mutex);
    gate.closed = gate.stop = true;
    wake_thread();
    (void)pthread_mutex_unlock(&gate.mutex);
    (void)pthread_join(gate.thread, NULL);
    (void)pthread_mutex_lock(&gate.mutex); /* workers still release what they hold */
    for (unsigned i = 0; i < gate.count; i++) {
        (void)close(gate.guests[i].socket);
    }
    gate.count = 0;
    (void)pthread_mutex_unlock(&gate.mutex);
}

void gate_end(void) {
    (void)close(gate.wake[0]);
    (void)close(gate.wake[1]);
    free(gate.holds);
    free(gate.reading);
    free(gate.doing);
    gate.holds = NULL;
    gate.reading = NULL;
    gate.doing = NULL;
    gate.sockets = 0;
}
