/* Many clients at a door with few places, few exchanges and little time, each with a script of its
 * own that chance has written: every request is answered or its connection closed, whoever was told
 * that its connection stays finds it there, what is answered with 200 is stored and nothing else,
 * and nothing is left over. All clients are one thread, which waits for nobody. */
#include "support.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "behind.h"
#include "door/door.h"
#include "tls/server.h"
#include "platform/platform.h"
#include "said.h"

enum {
    CLIENTS_MAX = 48,
    RECORDS = 1024,
    BLOCK = 4096,
    LARGE = 40000,
    MANY = 100,
    HANGS = 60,    /* s: less than a connection may rest */
    GATHER = 20,   /* ms: some come together, and nobody waits for long */
    EVER = 3600000 /* ms */
};

#define HOST  " HTTP/1.1\r\nHost: x\r\n"
#define POST  "POST /mails" HOST "Content-Type: application/json\r\n"
#define EVENT "{\"event_type\":\"bounces\",\"event\":{\"bounces\":[{}]}}"

/* ---- TLS of the clients, when the door has it ---- */

#if CERTIFICATES
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "certificate.h"

static SSL_CTX *client_context;

/* The door gets a key and a certificate, and the clients a context. */
static void begin_tls(void) {
    struct made made = make(&(struct plan){.subject = "door"});
    char text[PEM_MOST] = "", key[PEM_MOST] = "";

    add_certificate(text, &made);
    add_key(key, &made, false);
    unmake(&made);
    assert_true(tls_load(file_of(text, strlen(text), 0644), file_of(key, strlen(key), 0600)));
    client_context = SSL_CTX_new(TLS_client_method());
    assert_non_null(client_context);
    (void)SSL_CTX_set_mode(client_context,
                           SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
}

static void end_tls(void) {
    SSL_CTX_free(client_context);
    tls_end();
}

static void *open_session(int socket) {
    SSL *session = SSL_new(client_context);

    assert_non_null(session);
    assert_int_equal(fcntl(socket, F_SETFL, O_NONBLOCK), 0);
    assert_int_equal(SSL_set_fd(session, socket), 1);
    SSL_set_connect_state(session);
    return session;
}

static void close_session(void *session) {
    SSL_free(session);
}

/* What recv and send would return. */
static ssize_t result_of(void *session, int result) {
    int error = result > 0 ? SSL_ERROR_NONE : SSL_get_error(session, result);

    errno = error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? EAGAIN : ECONNRESET;
    return error == SSL_ERROR_NONE ? result : error == SSL_ERROR_ZERO_RETURN ? 0 : -1;
}

static ssize_t session_read(void *session, char *bytes, size_t length) {
    ERR_clear_error();
    return result_of(session, SSL_read(session, bytes, (int)length));
}

static ssize_t session_write(void *session, const char *bytes, size_t length) {
    ERR_clear_error();
    return result_of(session, SSL_write(session, bytes, (int)length));
}
#else
static void begin_tls(void) {
}

static void end_tls(void) {
}

static void *open_session(int socket) {
    (void)socket;
    return NULL;
}

static void close_session(void *session) {
    (void)session;
}

static ssize_t session_read(void *session, char *bytes, size_t length) {
    (void)session;
    (void)bytes;
    (void)length;
    return -1;
}

static ssize_t session_write(void *session, const char *bytes, size_t length) {
    return session_read(session, (char *)bytes, length);
}
#endif

/* ---- A storage that is often slow, and fails at times ---- */

static uint8_t stored[3 * BLOCK + RECORDS * CMCWH_RECORD_SIZE];
static uint32_t syncs; /* atomic */

static int read_stored(void *context, uint64_t offset, void *bytes, size_t length) {
    (void)context;
    memcpy(bytes, stored + offset, length);
    return 0;
}

static int write_stored(void *context, uint64_t offset, const void *bytes, size_t length) {
    (void)context;
    memcpy(stored + offset, bytes, length);
    return 0;
}

static int sync_stored(void *context) {
    uint32_t chance = __atomic_add_fetch(&syncs, 1, __ATOMIC_RELAXED) * UINT32_C(2654435769) >> 16;

    (void)context;
    (void)poll(NULL, 0, (int)(chance % 16));
    return chance / 16 % 32 == 0 ? -1 : 0;
}

static const struct cmcwh_storage storage = {NULL, read_stored, write_stored, sync_stored};

/* ---- The door ---- */

static struct platform platform;
static struct cmcwh_record records[RECORDS];
static uint32_t links[RECORDS];
static struct cmcwh_ring ring;
static struct cmcwh_server server;
static struct listener listener[2];
static unsigned listener_count; /* the second one speaks TLS */
static struct door *door;
static uint64_t seen; /* events in the ring */

/* Where the ring is, for how long requests wait for others, and how many may come. */
static struct kind {
    bool stores; /* on that storage */
    uint32_t gather;
    bool wide; /* twice as many places, which may be kept for long */
} kind, on_storage = {true, 0, false}, sharing = {true, GATHER, false},
        patient = {true, EVER, false}, wide = {false, 0, true};

static bool closing(void *context, const struct mg_connection *connection) {
    (void)context;
    return !door_keeps(exchange_of(connection));
}

static void settled(void *context, struct mg_connection *connection) {
    (void)context;
    door_settled(exchange_of(connection));
}

static void open_ring(void) {
    struct cmcwh_ring_config config = {.records = records,
                                       .links = links,
                                       .capacity = RECORDS,
                                       .port = &platform.port,
                                       .confirm_wait = 50,
                                       .gather = kind.gather};
    struct cmcwh_geometry geometry = {.records = RECORDS, .block = BLOCK};
    struct cmcwh_recovery found;

    assert_int_equal(platform_init(&platform), 0);
    if (kind.stores) {
        syncs = 0; /* the first ones do not fail */
        config.storage = &storage;
        assert_int_equal(cmcwh_storage_format(&storage, &geometry), CMCWH_OK);
        assert_int_equal(cmcwh_ring_open(&ring, &config, &found), CMCWH_OK);
    } else {
        assert_int_equal(cmcwh_ring_init(&ring, &config, 1), CMCWH_OK);
    }
    assert_int_equal(cmcwh_ring_attach(&ring, "reader", true), 0);
}

static void open_door(void) {
    static const char *const text[] = {"127.0.0.1:0", "127.0.0.1:0s"};
    const struct listeners listeners = {"--listen", text, tls_built_in() ? 2 : 1};
    const struct door_config config = {.server = &server,
                                       .listeners = listener,
                                       .listener_count = listeners.count,
                                       .workers = 3,
                                       .connections = kind.wide ? 32 : 16,
                                       .slow = 2,
                                       .timeout = kind.wide ? HANGS * 1000 : 200,
                                       .keep = 60000,
                                       .longest = 65536};
    struct cmcwh_server_config server_config = behind_exchanges(&ring);
    int little = 4096;

    server_config.closing = closing;
    server_config.settled = settled;
    open_ring();
    assert_int_equal(cmcwh_server_init(&server, &server_config), CMCWH_OK);
    listener_count = listeners.count;
    assert_int_equal(listen_open(&listeners, 1, listener), OUTCOME_RIGHT);
    /* Connections have it from their listener: answers soon find no room. */
    for (unsigned i = 0; i < listener_count; i++) {
        (void)setsockopt(listener[i].socket, SOL_SOCKET, SO_SNDBUF, &little, sizeof little);
    }
    door = door_open(&config);
    assert_non_null(door);
    seen = 0;
}

static void read_ring(void) {
    struct cmcwh_record record;

    for (; cmcwh_ring_read(&ring, 0, &record) > 0; seen++) {
        assert_int_equal(cmcwh_record_check(&record), CMCWH_OK);
    }
    assert_int_equal(cmcwh_ring_acknowledge(&ring, 0), CMCWH_OK);
}

/* Whatever was not answered with 200 counts by its error, and every error has a name. */
static void assert_errors(const struct cmcwh_server_counters *counters) {
    uint64_t refused = 0;

    for (unsigned i = 0; i < CMCWH_ERRORS; i++) {
        refused += counters->errors[i];
    }
    assert_int_equal(refused, counters->requests - counters->answers[0]);
    assert_int_equal(counters->errors[CMCWH_ERRORS - 1], 0);
    assert_string_equal(cmcwh_error_name(CMCWH_ERRORS - 1), "other");
    assert_int_equal(counters->last_request != 0, counters->requests > 0);
    assert_int_equal(counters->last_ok != 0, counters->answers[0] > 0);
    assert_true(counters->last_ok <= counters->last_request);
}

static void close_door(void) {
    struct cmcwh_server_counters counters;
    struct cmcwh_ring_state state;

    while (!door_close(door)) { /* or setup's alarm: this machine may have much to do */
    }
    listen_close(listener, listener_count);
    read_ring();
    while (cmcwh_ring_flush(&ring) != CMCWH_OK) {
    }
    cmcwh_server_count(&server, &counters);
    cmcwh_ring_state(&ring, &state);
    assert_int_equal(counters.events, seen);
    assert_errors(&counters);
    assert_int_equal(state.in_use, 0);
    assert_null(ring.waiting);
    assert_int_equal(server.in_flight, 0);
}

static unsigned descriptors(void) {
    DIR *directory = opendir("/proc/self/fd");
    unsigned count = 0;

    assert_non_null(directory);
    while (readdir(directory) != NULL) {
        count++;
    }
    (void)closedir(directory);
    return count;
}

/* ---- Clients ---- */

enum leave { STAYS, ENDS, GOES, RESETS }; /* at the end of its script */

struct client {
    int socket;    /* -1: none */
    void *session; /* of TLS; NULL: plain */
    const char *text;
    size_t limit, sent, piece; /* bytes that it sends of its text, has sent, and sends at a time */
    unsigned rounds, expected, answers;
    unsigned deaf; /* turns until it reads */
    enum leave leave;
    bool small; /* its request is sent in one go, and is there whole */
    bool kept;  /* it was told so */
    char in[4096];
    size_t in_length;
};

static struct client clients[CLIENTS_MAX];
static char large[2 * LARGE], chunked[16 * LARGE], many[64 * MANY];
static uint64_t told; /* events, in 200s */
static unsigned by_status[6];
static uint64_t luck;

static unsigned pick(unsigned count) {
    return below(&luck, count);
}

static void write_texts(void) {
    char extension[900] = "", chunk[1000];
    char *out = large + sprintf(large, POST "Content-Length: %d\r\n\r\n", LARGE);

    (void)strcpy(repeat(out, " ", LARGE - (sizeof EVENT - 1)), EVENT);
    /* So long that others have their turn meanwhile; the next request begins in its last piece. */
    out = chunked + sprintf(chunked, POST "Transfer-Encoding: chunked\r\n\r\n");
    (void)memset(extension, 'x', sizeof extension - 1);
    (void)snprintf(chunk, sizeof chunk, "5;%s\r\n     \r\n", extension);
    out = repeat(out, chunk, 600);
    (void)strcpy(out,
                 "31\r\n" EVENT "\r\n0\r\nX: y\r\n\r\n" POST "Content-Length: 49\r\n\r\n" EVENT);
    (void)repeat(many, "GET /x" HOST "\r\n", MANY);
}

/* What the client says next. */
static void write_script(struct client *client) {
    static const struct {
        const char *text;
        unsigned answers;
    } texts[] = {
        {POST "Content-Length: 49\r\n\r\n" EVENT, 1},
        {POST "Content-Length: 49\r\n\r\n" EVENT, 1},
        {POST "Content-Length: 49\r\n\r\n" EVENT, 1},
        {POST "Content-Length: 49\r\nExpect: 100-continue\r\n\r\n" EVENT, 1},
        {POST "Content-Length: 49\r\n\r\n" EVENT POST
              "Transfer-Encoding: chunked\r\n\r\n31\r\n" EVENT "\r\n0\r\n\r\n",
         2},
        {large, 1},
        {chunked, 2},
        {many, MANY},
        {"\n", 1},
        {POST "Transfer-Encoding: chunked\r\n\r\nx", 1},
    };
    unsigned which = pick(sizeof texts / sizeof *texts);

    client->text = texts[which].text;
    client->expected = texts[which].answers;
    client->answers = 0;
    client->sent = 0;
    client->limit = strlen(client->text);
    client->piece = pick(3) > 0 ? client->limit : 1 + client->limit / (1 + pick(9));
    if (client->rounds == 0 && client->limit > 1 && pick(3) == 0) { /* not all of it */
        client->limit = 1 + pick((unsigned)client->limit - 1);
        if (client->expected > 1 && client->leave == STAYS) {
            client->leave = ENDS; /* or, with some answered, it might rest for as long as it may */
        }
        client->expected = MANY + 1;
    }
    client->small = which < 3 && client->piece >= client->limit && client->expected == 1;
    client->deaf = pick(8) > 0 ? 0 : pick(50);
}

/* A connection to this listener. */
static void reach(int socket, const struct listener *to) {
    const struct sockaddr_in address = {.sin_family = AF_INET,
                                        .sin_port = htons((uint16_t)to->port),
                                        .sin_addr = {htonl(INADDR_LOOPBACK)}};

    assert_int_equal(connect(socket, (const struct sockaddr *)&address, sizeof address), 0);
}

static void begin(struct client *client) {
    const struct listener *to = &listener[pick(listener_count)];
    int little = 4096;

    client->socket = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(client->socket >= 0);
    (void)setsockopt(client->socket, SOL_SOCKET, SO_RCVBUF, &little, sizeof little);
    reach(client->socket, to);
    client->session = to->secure ? open_session(client->socket) : NULL;
    client->kept = false;
    client->in_length = 0;
    client->rounds = pick(4);
    client->leave = (enum leave)pick(4);
    write_script(client);
}

static void stop(struct client *client) {
    if (client->session != NULL) {
        close_session(client->session);
    }
    (void)close(client->socket);
    client->socket = -1;
}

static void count_status(const char *answer) {
    static const int statuses[] = {100, 200, 400, 404, 408, 503};
    long status = strtol(answer + strlen("HTTP/1.1 "), NULL, 10);
    unsigned i = 0;

    while (i < 6 && statuses[i] != status) {
        i++;
    }
    if (i == 6) {
        fail_msg("an answer that nobody expects: '%.200s'", answer);
    } else {
        by_status[i]++;
    }
}

/* Reads one answer of those that have come; false: none is whole. */
static bool read_answer(struct client *client) {
    const char *body, *length;
    size_t whole;

    client->in[client->in_length] = '\0';
    body = strstr(client->in, "\r\n\r\n");
    if (body == NULL) {
        assert_true(client->in_length < 1024);
        return false;
    }
    assert_memory_equal(client->in, "HTTP/1.1 ", 9);
    body += 4;
    length = strstr(client->in, "\r\nContent-Length: ");
    whole = (size_t)(body - client->in);
    if (strncmp(client->in + 9, "100", 3) != 0) {
        assert_true(length != NULL && length < body);
        whole += strtoul(length + 18, NULL, 10);
        if (whole > client->in_length) {
            return false;
        }
        length = strstr(client->in, "\r\nConnection: close");
        client->kept = length == NULL || length > body;
        client->answers++;
        told += strncmp(client->in + 9, "200", 3) == 0 ? strtoul(body + 10, NULL, 10) : 0;
    }
    count_status(client->in);
    memmove(client->in, client->in + whole, client->in_length - whole);
    client->in_length -= whole;
    return true;
}

/* The door has closed the connection. */
static void was_closed(struct client *client) {
    if (client->kept && client->small && client->answers == 0) {
        fail_msg("closed under a client that was told that it stays");
    }
    stop(client);
}

static void listen_to(struct client *client) {
    char *to = client->in + client->in_length;
    size_t room = sizeof client->in - 1 - client->in_length;
    ssize_t came = client->session != NULL ? session_read(client->session, to, room)
                                           : recv(client->socket, to, room, MSG_DONTWAIT);

    if (came == 0 || (came < 0 && errno != EAGAIN)) {
        was_closed(client);
        return;
    }
    client->in_length += came > 0 ? (size_t)came : 0;
    while (read_answer(client)) {
    }
    if (client->answers >= client->expected && client->kept) {
        if (client->rounds-- == 0) {
            stop(client);
        } else {
            write_script(client);
        }
    }
}

static void speak(struct client *client) {
    const char *text = client->text + client->sent;
    size_t left = client->limit - client->sent, piece = left < client->piece ? left : client->piece;
    ssize_t went = client->session != NULL
                       ? session_write(client->session, text, piece)
                       : send(client->socket, text, piece, MSG_DONTWAIT | MSG_NOSIGNAL);

    client->sent += went > 0 ? (size_t)went : 0;
    if (went < 0 && errno != EAGAIN) {
        client->sent = client->limit; /* perhaps it was told why */
    }
}

static void be_gone(struct client *client) {
    const struct linger none = {1, 0};

    if (client->leave == RESETS) {
        (void)setsockopt(client->socket, SOL_SOCKET, SO_LINGER, &none, sizeof none);
    }
    if (client->leave == ENDS) {
        (void)shutdown(client->socket, SHUT_WR);
        client->leave = STAYS;
    } else if (client->leave != STAYS) {
        stop(client);
    }
}

static void have_turn(struct client *client) {
    if (client->sent < client->limit) {
        speak(client);
    } else if (client->rounds == 0) {
        be_gone(client);
    }
    if (client->deaf > 0) {
        client->deaf--;
    } else if (client->socket >= 0) {
        listen_to(client);
    }
}

/* So many clients at a time, until so many connections have been made, and all are gone. */
static void converse(unsigned count, unsigned connections) {
    struct pollfd polled[CLIENTS_MAX];
    unsigned open = 1;

    while (open > 0) {
        open = 0;
        for (unsigned i = 0; i < count; i++) {
            struct client *client = &clients[i];

            if (client->socket < 0 && connections > 0) {
                connections--;
                begin(client);
            }
            if (client->socket >= 0) {
                have_turn(client);
            }
            polled[i] = (struct pollfd){.fd = client->socket, .events = POLLIN};
            open += client->socket >= 0;
        }
        read_ring();
        (void)said();
        (void)poll(polled, count, 2);
    }
}

/* When all are gone, somebody new is told that its connection stays: promises are given back. */
static void keep_one(void) {
    struct client *client = &clients[0];

    do {
        begin(client);
        client->text = "GET /x" HOST "\r\n";
        client->sent = 0;
        client->limit = client->piece = strlen(client->text);
        client->rounds = client->deaf = 0;
        client->expected = 2; /* it does not stop by itself */
        client->answers = 0;
        while (client->socket >= 0 && client->answers == 0) {
            struct pollfd polled = {.fd = client->socket, .events = POLLIN};

            if (client->sent < client->limit) {
                speak(client);
            }
            (void)poll(&polled, 1, -1);
            listen_to(client);
        }
        if (client->socket >= 0) {
            stop(client);
        }
    } while (!client->kept);
}

static void converse_with(unsigned count, unsigned connections, uint32_t seed) {
    struct cmcwh_server_counters counters;
    unsigned before = descriptors();

    luck = seed;
    told = 0;
    for (unsigned i = 0; i < CLIENTS_MAX; i++) {
        clients[i].socket = -1;
    }
    open_door();
    converse(count, connections);
    keep_one();
    door_drain(door, HANGS * 1000);
    close_door();
    (void)said();
    cmcwh_server_count(&server, &counters);
    assert_true(told > 0 && told <= counters.events); /* some have not heard the answer */
    assert_int_equal(descriptors(), before);
}

/* ---- Tests ---- */

/* Whatever hangs ends the program. */
static int setup(void **state) {
    kind = *state != NULL ? *(struct kind *)*state : (struct kind){.stores = false};
    (void)alarm(HANGS);
    (void)signal(SIGPIPE, SIG_IGN);
    write_texts();
    begin_tls();
    return 0;
}

static int teardown(void **state) {
    (void)state;
    end_tls();
    return 0;
}

/* Until every answer has come that there is: who gives way is a matter of time. */
static void converse_of_all(unsigned count, unsigned connections, uint32_t seed) {
    enum { TRIES = 20 };
    unsigned tries = 0;

    memset(by_status, 0, sizeof by_status);
    do {
        converse_with(count, connections, seed);
        seed += 1000;
        assert_true(++tries <= TRIES);
    } while (by_status[1] == 0 || by_status[2] == 0 || by_status[3] == 0 || by_status[4] == 0);
}

static void room_for_all(void **state) {
    (void)state;
    converse_of_all(10, 200, 1);
}

static void too_many(void **state) {
    (void)state;
    converse_of_all(CLIENTS_MAX, 1000, 2);
}

/* The door is closed at any moment of all of them, with and without notice. */
static void closed_at_any_moment(void **state) {
    unsigned before = descriptors();

    (void)state;
    for (uint32_t seed = 3; seed < 23; seed++) {
        luck = seed;
        open_door();
        for (unsigned i = 0; i < CLIENTS_MAX; i++) {
            begin(&clients[i]);
            clients[i].rounds = 0;
            clients[i].leave = STAYS;
        }
        for (unsigned turns = pick(10); turns > 0; turns--) {
            for (unsigned i = 0; i < CLIENTS_MAX; i++) {
                speak(&clients[i]);
            }
        }
        if (seed % 2 == 0) {
            door_drain(door, pick(100));
        }
        close_door();
        for (unsigned i = 0; i < CLIENTS_MAX; i++) {
            stop(&clients[i]);
        }
        (void)said();
    }
    assert_int_equal(descriptors(), before);
}

/* The sender's end comes in one packet with its last request: it is answered, and the end is seen.
 */
static void ends_with_its_request(void **state) {
    static const char request[] = "GET /x" HOST "\r\n";
    int sender = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct pollfd polled = {.fd = sender, .events = POLLIN};
    char bytes[1024];

    (void)state;
    open_door();
    reach(sender, listener);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(send(sender, request, sizeof request - 1, i == 1 ? MSG_MORE : 0),
                         sizeof request - 1);
        if (i == 1) {
            assert_int_equal(shutdown(sender, SHUT_WR), 0);
        }
        assert_int_equal(poll(&polled, 1, HANGS * 500), 1);
        assert_true(recv(sender, bytes, sizeof bytes, 0) > 0);
    }
    assert_int_equal(poll(&polled, 1, HANGS * 500), 1);
    assert_int_equal(recv(sender, bytes, sizeof bytes, 0), 0);
    (void)close(sender);
    door_drain(door, HANGS * 1000);
    close_door();
}

/* ---- What is counted, and who waits for others ---- */

static struct door_counters counted(void) {
    struct door_counters counters;

    door_count(door, &counters);
    assert_int_equal(counters.open, counters.resting + counters.shaking + counters.reading +
                                        counters.storing + counters.queued + counters.answering);
    return counters;
}

/* Until `reached`, or setup's alarm. */
#define await(reached)                                                                             \
    while (!(reached)) {                                                                           \
        (void)poll(NULL, 0, 1);                                                                    \
    }

static int come(const struct listener *to) {
    int sender = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    reach(sender, to);
    return sender;
}

static void say(int sender, const char *text) {
    assert_int_equal(send(sender, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* Who is there, and what each waits for. */
static void what_they_wait_for(void **state) {
    int first, second;

    (void)state;
    open_door();
    assert_int_equal(counted().limit, 16);
    assert_int_equal(counted().open, 0);
    first = come(listener);
    say(first, "GET /x" HOST "\r\n");
    await(counted().resting == 1);
    second = come(listener);
    say(second, "GET /x" HOST);
    await(counted().reading == 1 || counted().slow == 1);
    await(counted().slow == 1); /* it gets 408 */
    assert_int_equal(counted().resting, 1);
    (void)close(first);
    (void)close(second);
    await(counted().open == 0);
    assert_true(counted().accepted == 2);
    assert_true(counted().crowded == 0);
    close_door();
    (void)said();
}

/* More than there are places for, within the time in which they may rest: some give way. */
static void crowds(void **state) {
    enum { SENDERS = 20 };
    int senders[SENDERS];
    uint64_t come_so_far = 0;

    (void)state;
    memset(senders, -1, sizeof senders);
    open_door();
    while (counted().crowded == 0) {
        int *sender = &senders[come_so_far++ % SENDERS];

        (void)close(*sender);
        *sender = come(listener);
        say(*sender, "P"); /* before that, the kernel keeps it */
        await(counted().accepted == come_so_far);
        assert_in_range(counted().open, 0, 16);
    }
    assert_true(come_so_far > 16);
    for (unsigned i = 0; i < SENDERS; i++) {
        (void)close(senders[i]);
    }
    await(counted().open == 0);
    close_door();
    (void)said();
}

/* One that is as it should be. NULL: it was not done in time. */
static void *shake_hands(int sender) {
    uint64_t before = counted().handshakes_good;
    void *session = open_session(sender);
    bool open = true;
    char byte;

    while (counted().handshakes_good == before && open) {
        open = session_read(session, &byte, 1) < 0 && errno == EAGAIN;
        (void)poll(NULL, 0, 1);
    }
    if (counted().handshakes_good > before) {
        return session;
    }
    close_session(session);
    return NULL;
}

static void handshakes(void **state) {
    static const char no_hello[] = {0x16, 3, 1, 0, 1, 'x'};
    uint64_t come_so_far = 1;
    void *session = NULL;
    int sender;

    (void)state;
    if (!tls_built_in()) {
        skip();
    }
    open_door();
    sender = come(&listener[1]);
    assert_int_equal(send(sender, no_hello, sizeof no_hello, 0), sizeof no_hello);
    await(counted().handshakes_bad == 1);
    (void)close(sender);
    for (; session == NULL; come_so_far++) {
        sender = come(&listener[1]);
        session = shake_hands(sender);
        (void)close(sender);
    }
    close_session(session);
    await(counted().open == 0);
    assert_true(counted().accepted == come_so_far);
    assert_in_range(counted().handshakes_bad, 1, come_so_far - 1);
    close_door();
    (void)said();
}

/* The kernel has no room for a record, and what has come of it takes memory: it is a slow request,
 * of which there may be few, not a connection that rests. */
static void a_record_without_its_end(void **state) {
    static const char part[8000] = {0x17, 3, 3, 0x3f, 0x00};
    enum { TRIES = 20 /* it may rest for too long before that comes */ };
    int little = 4096;

    (void)state;
    if (!tls_built_in()) {
        skip();
    }
    open_door();
    (void)setsockopt(listener[1].socket, SOL_SOCKET, SO_RCVBUF, &little, sizeof little);
    for (unsigned tries = 0; counted().slow == 0; tries++) {
        int sender = come(&listener[1]);
        void *session = shake_hands(sender);

        assert_true(tries < TRIES);
        if (session != NULL) {
            (void)send(sender, part, sizeof part, MSG_NOSIGNAL);
            await(counted().open == 0);
            close_session(session);
        }
        (void)close(sender);
        await(counted().open == 0);
    }
    close_door();
    (void)said();
}

/* A connection from this address to the door that speaks TLS. */
static int come_from(const char *from) {
    struct sockaddr_in address = {.sin_family = AF_INET};
    int sender = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(inet_pton(AF_INET, from, &address.sin_addr), 1);
    assert_int_equal(bind(sender, (struct sockaddr *)&address, sizeof address), 0);
    reach(sender, &listener[1]);
    return sender;
}

/* A client from this address, whose hello is on its way. */
static void *greet(const char *from, int *sender) {
    void *session;
    char byte;

    *sender = come_from(from);
    session = open_session(*sender);
    (void)session_read(session, &byte, 1);
    return session;
}

static bool answered(int sender, int ms) {
    struct pollfd polled = {.fd = sender, .events = POLLIN};

    return poll(&polled, 1, ms) == 1;
}

enum { CROWD = 12, AT_WORK = 3 /* workers, each with one of the crowd */ };

/* How many of a crowd of one address, who came before another one, wait when that is answered? */
static unsigned wait_longer(void) {
    int senders[CROWD], other;
    void *sessions[CROWD], *session;
    unsigned waiting = 0;

    open_door();
    for (unsigned i = 0; i < CROWD; i++) {
        sessions[i] = greet("127.0.0.2", &senders[i]);
    }
    session = greet("127.0.0.3", &other);
    assert_true(answered(other, HANGS * 500));
    for (unsigned i = 0; i < CROWD; i++) {
        waiting += !answered(senders[i], 0);
        close_session(sessions[i]);
        (void)close(senders[i]);
    }
    close_session(session);
    (void)close(other);
    close_door();
    (void)said();
    return waiting;
}

/* In turn it would be the last one of all: unless we are so slow that all are answered before it
 * comes, it is not. */
static void a_crowd_of_handshakes(void **state) {
    enum { TRIES = 200 };
    unsigned tries = 0;

    (void)state;
    if (!tls_built_in()) {
        skip();
    }
    while (wait_longer() <= AT_WORK) {
        assert_true(++tries < TRIES);
    }
}

enum { SILENT = 15 /* and one more is one too many */, GOOD = 3 };

/* A client whose words are passed on one by one, so that it is silent in between. */
struct slow {
    int sender, near,
        far; /* the latter two are a pair: what goes into one comes out of the other */
    void *session;
};

/* False: whoever speaks there has gone. */
static bool pass(int from, int to) {
    char bytes[4096];
    ssize_t came = recv(from, bytes, sizeof bytes, MSG_DONTWAIT);

    return came > 0 ? send(to, bytes, (size_t)came, MSG_NOSIGNAL) == came
                    : came < 0 && errno == EAGAIN;
}

/* It says as much as it can. False: the door has closed the connection. */
static bool speak_slowly(struct slow *client) {
    bool open = pass(client->sender, client->far);
    char byte;

    (void)session_read(client->session, &byte, 1);
    return pass(client->far, client->sender) && open;
}

static void come_slowly(struct slow *client, const char *from) {
    int pair[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    client->near = pair[0];
    client->far = pair[1];
    client->sender = come_from(from);
    client->session = open_session(client->near);
    assert_true(speak_slowly(client));
    assert_true(answered(client->sender, HANGS * 500));
}

static void go(struct slow *client) {
    close_session(client->session);
    (void)close(client->sender);
    (void)close(client->near);
    (void)close(client->far);
}

/* How many of some from one address end their handshakes, when as many as may shake hands at a
 * time, each from an address of its own, are silent in theirs? */
static uint64_t shaken_beside_silent(void) {
    enum { QUIET = 200, MOMENT = 5 /* ms: until no worker is at what has come */ };
    struct slow clients_there[SILENT + GOOD], *good = clients_there + SILENT;
    unsigned gone = 0;
    uint64_t shaken;

    open_door();
    for (unsigned i = 0; i < SILENT + GOOD; i++) {
        char from[16];

        (void)snprintf(from, sizeof from, "127.0.0.%u", i < SILENT ? 2 + i : 1);
        (void)poll(NULL, 0, i < SILENT ? 0 : i == SILENT ? QUIET : MOMENT);
        come_slowly(&clients_there[i], from);
    }
    do {
        gone = 0;
        for (unsigned i = 0; i < GOOD; i++) {
            gone += !speak_slowly(&good[i]);
        }
        shaken = counted().handshakes_good;
    } while (shaken + gone < GOOD);
    for (unsigned i = 0; i < SILENT + GOOD; i++) {
        go(&clients_there[i]);
    }
    close_door();
    (void)said();
    return shaken;
}

/* Those who answer give way to nobody who does not, though they are more of one address than any of
 * the others: unless we are so slow at times that they too have been silent for long. */
static void the_silent_give_way(void **state) {
    enum { TRIES = 9 };
    unsigned right = 0;

    (void)state;
    if (!tls_built_in()) {
        skip();
    }
    for (unsigned i = 0; i < TRIES; i++) {
        right += shaken_beside_silent() == GOOD;
    }
    assert_true(right > TRIES / 2);
}

/* What comes first of an answer; "": the connection has ended without one. */
static void assert_answered(int sender, const char *with) {
    char bytes[1024] = "";

    assert_true(answered(sender, HANGS * 500));
    assert_true(recv(sender, bytes, sizeof bytes - 1, 0) >= 0);
    bytes[strlen(with)] = '\0';
    assert_string_equal(bytes, with);
}

/* Nobody knocks a second time: the timer ends it or, if that were late, who looks at the time. */
static void time_ends_the_wait(void **state) {
    int first, second;

    (void)state;
    open_door();
    first = come(listener);
    second = come(listener);
    for (int i = 0; i < 2; i++) { /* once the clock has been set, it must be set again */
        say(first, POST "Content-Length: 49\r\n\r\n" EVENT);
        say(second, POST "Content-Length: 49\r\n\r\n" EVENT);
        assert_answered(first, "HTTP/1.1 200");
        assert_answered(second, "HTTP/1.1 200");
    }
    (void)close(first);
    (void)close(second);
    close_door();
    assert_int_equal(seen, 4);
}

/* Those who wait share one sync at the end, also for one who has gone meanwhile, and of a sender
 * who says more than one the first; a request that is not whole holds nobody. */
static void the_end_ends_the_wait(void **state) {
    uint32_t before;
    int senders[4];

    (void)state;
    open_door();
    before = syncs;
    for (unsigned i = 0; i < 4; i++) {
        senders[i] = come(listener);
    }
    say(senders[0], POST "Content-Length: 49\r\n\r\n" EVENT);
    say(senders[1], POST "Content-Length: 49\r\n\r\n" EVENT);
    say(senders[2], POST "Content-Length: 49\r\n\r\n" EVENT "GET /x" HOST "\r\n");
    await(counted().storing == 3);
    say(senders[3], POST "Content-Length: 49\r\n\r\n");
    await(counted().accepted == 4);
    (void)close(senders[1]);
    assert_int_equal(syncs, before);
    assert_int_equal(counted().storing, 3);
    door_drain(door, HANGS * 1000);
    assert_int_equal(syncs, before + 1);
    assert_answered(senders[0], "HTTP/1.1 200");
    assert_answered(senders[2], "HTTP/1.1 200");
    close_door();
    assert_int_equal(seen, 3);
    (void)close(senders[0]);
    (void)close(senders[2]);
    (void)close(senders[3]);
    (void)said();
}

/* Without notice: none of those who wait is taken, and none is told so. */
static void closed_on_those_who_wait(void **state) {
    int sender;

    (void)state;
    open_door();
    sender = come(listener);
    say(sender, POST "Content-Length: 49\r\n\r\n" EVENT);
    await(counted().storing == 1);
    close_door();
    assert_answered(sender, "HTTP/1.1 503");
    assert_int_equal(seen, 0);
    (void)close(sender);
    (void)said();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(room_for_all, setup, teardown),
        cmocka_unit_test_setup_teardown(ends_with_its_request, setup, teardown),
        cmocka_unit_test_setup_teardown(what_they_wait_for, setup, teardown),
        cmocka_unit_test_setup_teardown(crowds, setup, teardown),
        cmocka_unit_test_setup_teardown(handshakes, setup, teardown),
        cmocka_unit_test_setup_teardown(a_crowd_of_handshakes, setup, teardown),
        cmocka_unit_test_prestate_setup_teardown(the_silent_give_way, setup, teardown, &wide),
        cmocka_unit_test_setup_teardown(a_record_without_its_end, setup, teardown),
        cmocka_unit_test_setup_teardown(too_many, setup, teardown),
        cmocka_unit_test_setup_teardown(closed_at_any_moment, setup, teardown),
        cmocka_unit_test_prestate_setup_teardown(room_for_all, setup, teardown, &on_storage),
        cmocka_unit_test_prestate_setup_teardown(too_many, setup, teardown, &on_storage),
        cmocka_unit_test_prestate_setup_teardown(closed_at_any_moment, setup, teardown,
                                                 &on_storage),
        cmocka_unit_test_prestate_setup_teardown(too_many, setup, teardown, &sharing),
        cmocka_unit_test_prestate_setup_teardown(closed_at_any_moment, setup, teardown, &sharing),
        cmocka_unit_test_prestate_setup_teardown(time_ends_the_wait, setup, teardown, &sharing),
        cmocka_unit_test_prestate_setup_teardown(the_end_ends_the_wait, setup, teardown, &patient),
        cmocka_unit_test_prestate_setup_teardown(closed_on_those_who_wait, setup, teardown,
                                                 &patient)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
