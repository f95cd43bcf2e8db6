/* Connections that wait for their request stay in the kernel: nothing of them is read here, only
 * looked at (MSG_PEEK), and SO_RCVLOWAT tells poll how much must come before it is worth another
 * look. Not here: what is wrong with a request (civetweb.c, cmcwh.c). */
#include "door/gate.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
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

#include "platform/platform.h"
#include "door/proxy.h"

enum {
    GUESTS = 1024,         /* connections that may wait; then one gives way, see rank */
    HEAD = 8192,           /* longest head that is looked at, as civetweb's buffer */
    WHOLE = 65536,         /* a request up to this must arrive before it takes a worker */
    LOOK = 50,             /* ms between looks at who holds a worker, while others wait */
    PATIENCE = 300,        /* ms that a worker may be held without progress, while others wait */
    FIRST_PATIENCE = 2000, /* the same before a head has come: a handshake has two who compute */
    PROGRESS = 1024,       /* bytes in that time that count as progress */
    CHUNKS_PATIENCE = 300, /* ms: chunks may be whole though they do not look so */
    REST = 20,             /* ms that a worker waits for the next request before the gate does */
    MOMENT = 500           /* ms in which requests that are on their way may come at the end */
};

enum stage { WAITS, PART, WHOLLY, GONE };

/* What a worker does with a connection: nothing, it is not the worker's; nothing yet; it reads a
 * request; it answers it; it waits for the next one, for a short while or for as long as it rests;
 * it leaves it; or we have cut it off. */
enum doing { AWAY, FRESH, READS, WORKS, RESTS, STAYS, LEAVES, CUT };

enum { DOING_BITS = 3 };

/* What is known of a socket. */
struct place {
    uint32_t word; /* atomic: since when (ms; for FRESH and READS) and what a worker does with it */
    bool kept;  /* its client was told so; counted in gate.kept. This and the next are whose the */
    bool stays; /* connection is, a worker's or the gate's. Counted in gate.staying */
};

/* Is anybody taken? Everybody; nobody is kept; nobody. */
enum doors { OPEN, ENDING, CLOSED };

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

    struct place *places;                            /* for each socket */
    unsigned kept, kept_most, staying, staying_most; /* the counts are atomic */
    unsigned doors;                                  /* enum doors, atomic */
    int sockets;
    int wake[2];
    char head[HEAD + 1];
    struct pollfd polls[GUESTS + 1];
    bool stop;
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
    const char *length;
    unsigned long long need;
    char *after;

    gate.head[head - 1] = '\0'; /* what follows is no head, or another one */
    length = header("content-length");
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

/* ---- What is known of a socket ---- */

static struct place *place_of(int socket) {
    return socket >= 0 && socket < gate.sockets ? &gate.places[socket] : NULL;
}

static uint32_t word_now(enum doing doing) {
    return (uint32_t)platform_ticks() << DOING_BITS | doing;
}

static enum doing doing_in(uint32_t word) {
    return (enum doing)(word & ((1 << DOING_BITS) - 1));
}

/* ms since the word was written. */
static uint32_t age_of(uint32_t word) {
    return ((uint32_t)platform_ticks() - (word >> DOING_BITS)) & (UINT32_MAX >> DOING_BITS);
}

static uint32_t word_of(int socket) {
    const struct place *place = place_of(socket);

    return place == NULL ? AWAY : __atomic_load_n(&place->word, __ATOMIC_ACQUIRE);
}

static enum doing doing_of(int socket) {
    return doing_in(word_of(socket));
}

static void put_word(int socket, uint32_t word) {
    struct place *place = place_of(socket);

    if (place != NULL) {
        __atomic_store_n(&place->word, word, __ATOMIC_RELEASE);
    }
}

/* The worker goes on, unless it was cut off meanwhile. */
static void go_on(int socket, uint32_t word) {
    struct place *place = place_of(socket);
    uint32_t old = word_of(socket);

    while (place != NULL && doing_in(old) != CUT &&
           !__atomic_compare_exchange_n(&place->word, &old, word, true, __ATOMIC_ACQ_REL,
                                        __ATOMIC_ACQUIRE)) {
    }
}

static enum doors doors(void) {
    return (enum doors)__atomic_load_n(&gate.doors, __ATOMIC_ACQUIRE);
}

static void set_doors(enum doors doors) {
    __atomic_store_n(&gate.doors, doors, __ATOMIC_RELEASE);
}

/* Takes one of `most`, unless it has one. False when all are taken. */
static bool take(bool *has, unsigned *count, unsigned most) {
    if (!*has && __atomic_fetch_add(count, 1, __ATOMIC_RELAXED) >= most) {
        (void)__atomic_fetch_sub(count, 1, __ATOMIC_RELAXED);
        return false;
    }
    *has = true;
    return true;
}

static void give_back(bool *has, unsigned *count) {
    if (*has) {
        (void)__atomic_fetch_sub(count, 1, __ATOMIC_RELAXED);
    }
    *has = false;
}

/* The connection ends. */
static void forget_socket(int socket) {
    struct place *place = place_of(socket);

    if (place != NULL) {
        put_word(socket, AWAY);
        give_back(&place->kept, &gate.kept);
        give_back(&place->stays, &gate.staying);
    }
}

static bool is_kept(int socket) {
    const struct place *place = place_of(socket);

    return place != NULL && place->kept;
}

/* ---- Who has a worker ---- */

static struct hold *hold_of(int socket) {
    for (unsigned i = 0; i < gate.held; i++) {
        if (gate.holds[i].socket == socket) {
            return &gate.holds[i];
        }
    }
    return NULL;
}

/* Workers for what is not whole: one is for what is. */
static unsigned most_parts(void) {
    unsigned workers = gate.config.workers;

    return gate.config.plain && workers > 1 ? workers - 1 : workers;
}

/* May it go to a worker? Whole requests are quick: some may queue. */
static bool may_go(bool part) {
    return part ? gate.held < gate.config.workers && gate.parts < most_parts()
                : gate.held < 2 * gate.config.workers;
}

static void hold(const struct guest *guest) {
    want(guest->socket, 1);
    gate.parts += guest->stage == PART;
    gate.holds[gate.held++] = (struct hold){.socket = guest->socket, .part = guest->stage == PART};
    put_word(guest->socket, word_now(FRESH));
}

static uint64_t bytes_received(int socket) {
    struct tcp_info info;
    socklen_t length = sizeof info;

    memset(&info, 0, sizeof info);
    (void)getsockopt(socket, IPPROTO_TCP, TCP_INFO, &info, &length);
    return info.tcpi_bytes_received;
}

/* Cuts a connection off, unless its worker has gone on just now. */
static void cut_off(int socket, uint32_t word) {
    struct place *place = place_of(socket);

    if (__atomic_compare_exchange_n(&place->word, &word, CUT, false, __ATOMIC_ACQ_REL,
                                    __ATOMIC_RELAXED)) {
        (void)shutdown(socket, SHUT_RD);
    }
}

/* Cuts off whoever is late, and when others wait whoever holds a worker and sends nothing, or
 * hardly anything. What has arrived whole only waits for its turn. */
static void cut_off_some(bool pressed) {
    for (unsigned i = 0; i < gate.held; i++) {
        struct hold *held = &gate.holds[i];
        uint32_t word = word_of(held->socket), age = age_of(word);
        enum doing doing = doing_in(word);

        if (doing != READS && (doing != FRESH || !held->part)) {
            continue;
        }
        if (age >= gate.config.timeout) {
            cut_off(held->socket, word);
        } else if (pressed && age >= (doing == FRESH ? FIRST_PATIENCE : PATIENCE)) {
            uint64_t bytes = bytes_received(held->socket);

            if (bytes < held->bytes + PROGRESS) {
                cut_off(held->socket, word);
            } else {
                go_on(held->socket, word_now(doing));
            }
            held->bytes = bytes;
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

/* What is said to whoever is sent away. */
static const struct cmcwh_answer is_late = {
    .status = 408, .error = "request_timeout", .detail = "the request was not whole in time"};
static const struct cmcwh_answer no_place = {
    .status = 503, .error = "crowded", .detail = "too many connections are open"};
static const struct cmcwh_answer is_ending = {
    .status = 503, .error = "stopping", .detail = "the server is being stopped"};

static void say_why(int socket, const struct cmcwh_answer *why) {
    char body[CMCWH_ANSWER_MAX], text[192 + CMCWH_ANSWER_MAX];
    size_t length = cmcwh_answer_body(why, body);
    int used = snprintf(text, sizeof text,
                        "HTTP/1.1 %d %s\r\n%sContent-Type: application/json\r\n"
                        "Content-Length: %zu\r\nConnection: close\r\n\r\n%.*s",
                        why->status, cmcwh_http_reason(why->status),
                        why->status == 503 ? "Retry-After: 1\r\n" : "", length, (int)length, body);

    if (send(socket, text, (size_t)used, MSG_DONTWAIT | MSG_NOSIGNAL) > 0) {
        ssize_t got;

        (void)shutdown(socket, SHUT_WR);
        do { /* what is left unread would reset the connection before the answer is read */
            got = recv(socket, gate.head, HEAD, MSG_DONTWAIT);
        } while (got > 0);
    }
}

/* Closes a connection. If a part of a request has come, and can be answered, it is. */
static void turn_away(const struct guest *guest, const struct cmcwh_answer *why) {
    if (!guest->secure && guest->seen > 0) {
        say_why(guest->socket, why);
    }
    forget_socket(guest->socket);
    (void)close(guest->socket);
}

/* Does it rest between two requests, as its client was told it may? */
static bool rests(const struct guest *guest) {
    return guest->seen == 0 && is_kept(guest->socket);
}

/* When its time is over. */
static uint64_t end_of(const struct guest *guest) {
    if (!rests(guest)) {
        return guest->since + gate.config.timeout;
    }
    return doors() == CLOSED ? 0 : guest->since + gate.config.keep + GATE_GRACE * 1000;
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
        if (guest->stage == GONE || (guest->stage == WAITS && now >= end_of(guest))) {
            turn_away(guest, &is_late);
            forget(i);
        }
    }
}

/* How long poll may sleep. */
static int sleep_time(uint64_t now, bool pressed) {
    uint64_t left = 1000;

    for (unsigned i = 0; i < gate.count; i++) {
        uint64_t end = end_of(&gate.guests[i]);

        left = end <= now ? 0 : end - now < left ? end - now : left;
        if (gate.guests[i].chunked && left > CHUNKS_PATIENCE) {
            left = CHUNKS_PATIENCE;
        }
    }
    return pressed && left > LOOK ? LOOK : (int)left;
}

static bool hung_up(int socket) {
    struct pollfd polled = {.fd = socket, .events = POLLRDHUP};

    return poll(&polled, 1, 0) > 0;
}

static void *gate_thread(void *unused) {
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
        cut_off_some(pressed);
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
            /* Not by what poll has said: the guest may be another one now. */
            if (gate.guests[i].stage == WAITS && (gate.polls[i].revents & ~POLLIN) != 0 &&
                hung_up(gate.guests[i].socket)) {
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

/* Who gives way first: those that have rested as long as they were promised; those that never sent
 * anything; those that have not sent all. What was promised, and what is whole, is kept: not all
 * places are promised. */
static unsigned rank(const struct guest *guest, uint64_t now) {
    if (guest->stage == WHOLLY) {
        return 4;
    }
    if (!is_kept(guest->socket)) {
        return guest->seen == 0 ? 1 : 2;
    }
    return guest->seen == 0 && now - guest->since > gate.config.keep ? 0 : 3;
}

/* A new guest. When all places are taken it gets that of another: nothing else changes for the
 * thread that polls. */
static void enter(const struct guest *guest) {
    uint64_t now = platform_ticks();
    unsigned gives = 0;

    if (gate.count < gate.most) {
        gate.guests[gate.count++] = *guest;
        wake_thread();
        return;
    }
    for (unsigned i = 1; i < gate.count; i++) {
        unsigned one = rank(&gate.guests[i], now), best = rank(&gate.guests[gives], now);

        if (one < best || (one == best && gate.guests[i].since < gate.guests[gives].since)) {
            gives = i;
        }
    }
    turn_away(&gate.guests[gives], &no_place);
    gate.guests[gives] = *guest;
    wake_thread();
}

/* A worker is free again. */
static void free_hold(int socket) {
    struct hold *held = hold_of(socket);

    if (held != NULL) {
        gate.parts -= held->part;
        *held = gate.holds[--gate.held];
    }
}

/* ---- What others call ---- */

bool gate_crowded(void) {
    return __atomic_load_n(&gate.pressed, __ATOMIC_RELAXED);
}

bool gate_admit(void *server, int socket, bool secure) {
    struct guest guest = {
        .server = server, .socket = socket, .secure = secure, .since = platform_ticks()};
    bool proxy = proxy_trusted(socket), goes;

    guest.proxy = proxy;
    (void)pthread_mutex_lock(&gate.mutex);
    look(&guest);
    if (doors() == CLOSED || gate.stop) {
        turn_away(&guest, &is_ending);
        (void)pthread_mutex_unlock(&gate.mutex);
        return false;
    }
    goes = !proxy && (guest.stage == WHOLLY || guest.stage == PART) &&
           may_go(guest.stage == PART) && !some_ready();
    if (goes) {
        hold(&guest);
    } else {
        enter(&guest);
    }
    if (!gate_crowded() && see_pressure()) {
        wake_thread(); /* to look at who holds a worker */
    }
    (void)pthread_mutex_unlock(&gate.mutex);
    return goes;
}

void gate_may_cut(int socket) {
    go_on(socket, word_now(READS));
}

void gate_works(int socket) {
    go_on(socket, WORKS);
}

void gate_cut(int socket) {
    put_word(socket, CUT);
}

bool gate_was_cut(int socket) {
    return doing_of(socket) == CUT;
}

bool gate_keeps(int socket, enum gate_wait wait) {
    struct place *place = place_of(socket);

    if (place == NULL || gate_was_cut(socket) || doors() != OPEN ||
        (wait != GATE_RESTS && gate_crowded())) {
        return false;
    }
    if (wait == GATE_STAYS && !take(&place->stays, &gate.staying, gate.staying_most)) {
        return false;
    }
    if (wait == GATE_RESTS) {
        give_back(&place->stays, &gate.staying);
    }
    return take(&place->kept, &gate.kept, gate.kept_most);
}

void gate_answered(int socket, enum gate_wait wait) {
    go_on(socket, wait == GATE_GOES_ON ? word_now(READS) : wait == GATE_RESTS ? RESTS : STAYS);
}

int gate_poll(struct pollfd *polled, int ms) {
    enum doing doing = doing_of(polled->fd);
    int result;

    if (doing != RESTS && doing != STAYS) {
        return poll(polled, 1, ms);
    }
    result = poll(polled, 1, doing == RESTS && ms > REST ? REST : ms);
    if (result > 0) {
        gate_may_cut(polled->fd);
    } else if (result == 0 && (doing == RESTS || doors() == CLOSED)) {
        put_word(polled->fd, LEAVES);
        result = -1;
    }
    return result;
}

bool gate_left(int socket) {
    return doing_of(socket) == LEAVES;
}

static void free_worker(int socket) {
    free_hold(socket);
    if (some_ready()) {
        wake_thread();
    }
    (void)see_pressure();
}

void gate_closes(int socket) {
    (void)pthread_mutex_lock(&gate.mutex);
    forget_socket(socket);
    free_worker(socket);
    (void)pthread_mutex_unlock(&gate.mutex);
}

void gate_takes_back(void *server, int socket, const union network_address *peer) {
    struct guest guest = {
        .server = server, .socket = socket, .peer = *peer, .since = platform_ticks()};

    (void)pthread_mutex_lock(&gate.mutex);
    put_word(socket, AWAY);
    look(&guest);
    if (gate.stop) {
        turn_away(&guest, &is_ending);
    } else {
        enter(&guest);
    }
    free_worker(socket);
    (void)pthread_mutex_unlock(&gate.mutex);
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

/* Promises to keep connections: for whoever comes new some places are left, and some workers. */
static void limit_promises(void) {
    unsigned workers = gate.config.workers, parts = most_parts();

    gate.kept_most = gate.most - gate.most / 4;
    gate.staying_most = workers / 2 < parts ? workers / 2 : parts - 1;
}

int gate_start(const struct gate_config *config) {
    gate.config = *config;
    gate.count = gate.held = gate.parts = gate.kept = gate.staying = 0;
    gate.stop = false;
    set_doors(OPEN);
    gate.most = limit_guests();
    gate.sockets = (int)(gate.most + 2 * config->workers + 64);
    limit_promises();
    gate.holds = calloc(2 * config->workers, sizeof *gate.holds);
    gate.places = calloc((size_t)gate.sockets, sizeof *gate.places);
    if (gate.holds == NULL || gate.places == NULL) {
        return ENOMEM;
    }
    if (pipe(gate.wake) != 0) {
        return errno;
    }
    for (int i = 0; i < 2; i++) {
        (void)fcntl(gate.wake[i], F_SETFD, FD_CLOEXEC);
        (void)fcntl(gate.wake[i], F_SETFL, O_NONBLOCK);
    }
    return pthread_create(&gate.thread, NULL, gate_thread, NULL);
}

/* Has somebody sent a request, or a part of one, that is not answered yet? */
static bool some_begun(void) {
    for (unsigned i = 0; i < gate.count; i++) {
        if (gate.guests[i].seen > 0) {
            return true;
        }
    }
    for (unsigned i = 0; i < gate.held; i++) {
        enum doing doing = doing_of(gate.holds[i].socket);

        if (doing == FRESH || doing == READS || doing == WORKS) {
            return true;
        }
    }
    return false;
}

void gate_drain(uint32_t ms) {
    uint64_t start = platform_ticks(), passed = 0;
    uint32_t moment = __atomic_load_n(&gate.kept, __ATOMIC_RELAXED) > 0 ? MOMENT : 0;

    set_doors(ENDING);
    (void)pthread_mutex_lock(&gate.mutex);
    while (passed < ms && (passed < moment || some_begun())) {
        if (passed >= moment) {
            set_doors(CLOSED);
        }
        (void)pthread_mutex_unlock(&gate.mutex);
        (void)poll(NULL, 0, 10);
        (void)pthread_mutex_lock(&gate.mutex);
        passed = platform_ticks() - start;
    }
    set_doors(CLOSED);
    wake_thread();
    (void)pthread_mutex_unlock(&gate.mutex);
}

void gate_stop(void) {
    (void)pthread_mutex_lock(&gate.mutex);
    set_doors(CLOSED);
    gate.stop = true;
    wake_thread();
    (void)pthread_mutex_unlock(&gate.mutex);
    (void)pthread_join(gate.thread, NULL);
    (void)pthread_mutex_lock(&gate.mutex); /* workers still release what they hold */
    for (unsigned i = 0; i < gate.count; i++) {
        turn_away(&gate.guests[i], &is_ending);
    }
    gate.count = 0;
    (void)pthread_mutex_unlock(&gate.mutex);
}

void gate_end(void) {
    (void)close(gate.wake[0]);
    (void)close(gate.wake[1]);
    free(gate.holds);
    free(gate.places);
    gate.holds = NULL;
    gate.places = NULL;
    gate.sockets = 0;
}
