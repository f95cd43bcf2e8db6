/* Whole HTTP requests, several on a connection, in one piece and in pieces whose sizes the last
 * byte of the input chooses. The answers are the same, each of them is one, and the events of the
 * 200s are just those that the ring was given. */
#include "fuzz.h"

#include "../unit/behind.h"

enum { ANSWERS_MAX = 1 << 20, LONGEST = 16384 };

static struct cmcwh_server server;
static struct cmcwh_ring *ring;
static struct exchange *x;

static void start(void) {
    struct cmcwh_server_config config;
    struct exchange *exchanges;

    ring = fuzz_ring();
    config = behind_exchanges(ring);
    MUST(cmcwh_server_init(&server, &config) == CMCWH_OK);
    exchanges = exchange_open(1, &server, NULL);
    MUST(exchanges != NULL);
    x = exchange_make(exchanges, 0);
}

/* From now on whoever posts needs this key; auth_use frees it. */
static void guard(void) {
    struct auth *auth = calloc(1, sizeof *auth);

    MUST(auth != NULL);
    memcpy(auth->secrets[0], "t", 2);
    auth->credentials[0] = (struct cmcwh_credential){CMCWH_BEARER, {auth->secrets[0], 1}};
    auth->access = (struct cmcwh_access){auth->credentials, 1};
    auth->users = 1;
    auth_use(AUTH_WEBHOOKS, auth);
}

/* The answers to a connection, in `text`. */
struct answers {
    size_t length;
    char text[ANSWERS_MAX + 1];
};

/* Takes what is to be sent. */
static void listen_to(struct answers *answers) {
    MUST(x->out_length <= sizeof x->out && answers->length + x->out_length <= ANSWERS_MAX);
    memcpy(answers->text + answers->length, x->out, x->out_length);
    answers->length += x->out_length;
    answers->text[answers->length] = '\0';
    x->out_length = x->sent = 0;
}

/* Goes on with what has come. False: the connection is to be closed. */
static bool go_on(struct answers *answers) {
    enum exchange_state state;

    do {
        state = exchange_go_on(x);
        MUST(state == EXCHANGE_READS || x->out_length > 0);
        listen_to(answers);
    } while (state == EXCHANGE_STAYS && exchange_again(x) > 0);
    return state == EXCHANGE_READS || state == EXCHANGE_STAYS;
}

/* Sends the input over a connection of its own, up to 2 ^ `bits` bytes at a time, and then ends
 * it, or with `refused` has it refused. */
static void converse(const uint8_t *bytes, size_t length, unsigned bits, bool refused,
                     struct answers *answers) {
    uint32_t random = bits;
    bool open = true;

    answers->length = 0;
    memset(&server.tries, 0, sizeof server.tries);
    exchange_begin(x, false, "192.0.2.1", 4711);
    while (length > 0 && open) {
        size_t room, piece;
        char *at = exchange_room(x, &room);

        MUST(room > 0 && at >= x->buffer && at + room <= x->buffer + sizeof x->buffer);
        random = random * 1103515245 + 12345;
        piece = bits >= 15 ? LONGEST : 1 + (random >> 8) % (1U << bits);
        piece = piece < length ? piece : length;
        piece = piece < room ? piece : room;
        memcpy(at, bytes, piece);
        exchange_came(x, piece);
        bytes += piece;
        length -= piece;
        open = go_on(answers);
    }
    if (open && !exchange_empty(x)) {
        if (refused) {
            MUST(exchange_refuse(x, 408) == EXCHANGE_REFUSES);
            listen_to(answers);
        } else {
            exchange_came(x, 0);
            MUST(!go_on(answers));
        }
    }
    MUST(server.in_flight == 0);
}

/* One answer at `text`; its length. Adds up the events that it says are stored. */
static size_t read_answer(const char *text, unsigned long *stored) {
    static const char go_on_with_it[] = "HTTP/1.1 100 Continue\r\n\r\n";
    const char *body, *length;

    if (strncmp(text, go_on_with_it, sizeof go_on_with_it - 1) == 0) {
        return sizeof go_on_with_it - 1;
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

/* What was stored is what they say, and all of the ring is given back. */
static void check(const struct answers *answers) {
    struct cmcwh_ring_state state;
    struct cmcwh_record record;
    unsigned long stored = 0;
    size_t at = 0;

    while (at < answers->length) {
        at += read_answer(answers->text + at, &stored);
    }
    MUST(at == answers->length);
    for (; cmcwh_ring_read(ring, 0, &record) > 0; stored--) {
        fuzz_check_record(&record, true);
        MUST(stored > 0);
    }
    MUST(stored == 0);
    MUST(cmcwh_ring_acknowledge(ring, 0) == CMCWH_OK);
    cmcwh_ring_state(ring, &state);
    MUST(state.in_use == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    static struct answers whole, parts;

    if (x == NULL) {
        start();
    }
    if (length == 0 || length > LONGEST) {
        return -1;
    }
    if (memmem(bytes, length, "Authorization", 13) != NULL) {
        guard();
    }
    converse(bytes, length, 15, (bytes[length - 1] & 16) != 0, &whole);
    check(&whole);
    converse(bytes, length, bytes[length - 1] & 15, (bytes[length - 1] & 16) != 0, &parts);
    check(&parts);
    MUST(strcmp(whole.text, parts.text) == 0);
    auth_use(AUTH_WEBHOOKS, NULL);
    return 0;
}
