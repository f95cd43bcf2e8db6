/* Whole HTTP requests, several on a connection, through civetweb and our handler. Every answer must
 * be one, and the events of the 200s are just those that the ring was given. */
#include "fuzz.h"

#include <civetweb.h>
#include <errno.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "door/civetweb_extra.h"

enum { ANSWERS_MAX = 1 << 20 };

static struct cmcwh_server server;
static struct cmcwh_worker worker;
static struct cmcwh_ring *ring;
static struct mg_context *civetweb;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static void lock(void *context) {
    (void)context;
    (void)pthread_mutex_lock(&mutex);
}

static void unlock(void *context) {
    (void)context;
    (void)pthread_mutex_unlock(&mutex);
}

static uint64_t now(void *context) {
    (void)context;
    return 0; /* no request is late */
}

static const char *head_fault(void *context, const struct mg_connection *connection) {
    (void)context;
    return cmcwh_civetweb_head_fault(connection);
}

static bool whole(void *context, const struct mg_connection *connection) {
    (void)context;
    return cmcwh_civetweb_body_whole(connection) != 0;
}

static int begin_request(struct mg_connection *connection) {
    static const struct cmcwh_credential key = {CMCWH_BEARER, {"t", 1}};
    static const struct cmcwh_access access = {&key, 1};
    bool guarded = mg_get_header(connection, "Authorization") != NULL;

    return cmcwh_server_handle(&server, &worker, guarded ? &access : NULL, connection);
}

static int http_error(struct mg_connection *connection, int status, const char *message) {
    (void)message;
    return cmcwh_server_refuse(&server, &worker, connection, status);
}

static void connection_close(const struct mg_connection *connection) {
    if (cmcwh_civetweb_unanswered(connection)) {
        (void)http_error((struct mg_connection *)connection, 400, "");
    }
}

static void start(void) {
    static const struct cmcwh_port port = {.now = now, .lock = lock, .unlock = unlock};
    static struct cmcwh_record records[FUZZ_RECORDS];
    static uint32_t links[FUZZ_RECORDS];
    static struct cmcwh_ring memory;
    const char *settings[] = {"listening_ports",
                              "127.0.0.1:0",
                              "num_threads",
                              "1",
                              "enable_keep_alive",
                              "yes",
                              "request_timeout_ms",
                              "30000",
                              "enable_auth_domain_check",
                              "no",
                              NULL};
    struct mg_callbacks callbacks = {.begin_request = begin_request,
                                     .http_error = http_error,
                                     .connection_close = connection_close};
    struct cmcwh_ring_config ring_config = {
        .records = records, .links = links, .capacity = FUZZ_RECORDS, .port = &port};
    struct cmcwh_server_config config = {.ring = &memory,
                                         .path = "/mails",
                                         .body_max = 65536,
                                         .body_timeout = 30000,
                                         .keep_alive = 60,
                                         .head_fault = head_fault,
                                         .whole = whole};

    ring = &memory;
    MUST(cmcwh_ring_init(ring, &ring_config, 1) == CMCWH_OK);
    MUST(cmcwh_ring_attach(ring, NULL, true) == 0);
    MUST(cmcwh_server_init(&server, &config) == CMCWH_OK);
    (void)mg_init_library(0);
    civetweb = mg_start(&callbacks, NULL, settings);
    MUST(civetweb != NULL);
}

/* Sends the input over a connection of its own and reads until the server closes it. */
static size_t converse(const uint8_t *bytes, size_t length, char *answers) {
    struct timeval timeout = {20, 0};
    size_t used = 0;
    ssize_t taken;
    int pair[2];

    MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
    MUST(setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout) == 0);
    for (size_t at = 0; at < length; at += (size_t)taken) { /* up to 4 KiB: it fits */
        taken = send(pair[0], bytes + at, length - at, MSG_NOSIGNAL);
        MUST(taken > 0);
    }
    MUST(shutdown(pair[0], SHUT_WR) == 0);
    cmcwh_civetweb_produce(civetweb, pair[1], 0, NULL);
    while ((taken = recv(pair[0], answers + used, ANSWERS_MAX - used, 0)) > 0 ||
           (taken < 0 && errno == EINTR)) { /* libFuzzer has a timer */
        used += taken > 0 ? (size_t)taken : 0;
    }
    MUST(taken == 0 || errno == ECONNRESET); /* closed, perhaps with some unread; not timed out */
    (void)close(pair[0]);
    return used;
}

/* One answer at `text`; its length. Adds up the events that it says are stored. */
static size_t read_answer(const char *text, unsigned long *stored) {
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    const char *body, *length;

    if (strncmp(text, go_on, sizeof go_on - 1) == 0) {
        return sizeof go_on - 1;
    }
    MUST(strncmp(text, "HTTP/1.1 ", 9) == 0);
    length = strstr(text, "\r\nContent-Length: ");
    body = strstr(text, "\r\n\r\n");
    MUST(length != NULL && body != NULL && length < body);
    body += 4;
    if (strncmp(text + 9, "200 ", 4) == 0) {
        MUST(strncmp(body, "{\"stored\":", 10) == 0);
        *stored += strtoul(body + 10, NULL, 10);
    } else {
        MUST(*body != '{' || strncmp(body, "{\"error\":\"", 10) == 0);
    }
    return *body != '{' /* HEAD */ ? (size_t)(body - text)
                                   : (size_t)(body - text) + strtoul(length + 18, NULL, 10);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    static char answers[ANSWERS_MAX + 1];
    struct cmcwh_record record;
    unsigned long stored = 0;
    size_t used, at = 0;

    if (civetweb == NULL) {
        start();
    }
    if (length == 0 || length > 16384) {
        return -1;
    }
    used = converse(bytes, length, answers);
    answers[used] = '\0';
    while (at < used) {
        at += read_answer(answers + at, &stored);
    }
    MUST(at == used);
    for (; cmcwh_ring_read(ring, 0, &record) > 0; stored--) {
        fuzz_check_record(&record);
        MUST(stored > 0);
    }
    MUST(stored == 0);
    MUST(cmcwh_ring_acknowledge(ring, 0) == CMCWH_OK);
    return 0;
}
