/* Requests that come in pieces, and what is answered: the same however they come. Nothing is taken
 * of a request that is not answered with 200. */
#include "support.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "behind.h"
#include "platform/platform.h"
#include "said.h"

enum { EXCHANGES = 2, SENT_MAX = 1 << 17, HEAD_MAX = 8192 };

#define LINE    "POST /mails HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
#define EVENT   "{\"event_type\":\"bounces\",\"event\":{\"bounces\":[{}]}}"
#define GOOD    LINE "Content-Length: 49\r\n\r\n" EVENT
#define CHUNKED LINE "Transfer-Encoding: chunked\r\n\r\n"
#define CHUNK   "31\r\n" EVENT "\r\n"

static struct fixture f;
static struct cmcwh_server server;
static struct exchange *exchanges, *x;
static struct timer times;
static char refused_path[64];

static void note_refusal(void *context, const struct cmcwh_refusal *refusal) {
    (void)context;
    (void)snprintf(refused_path, sizeof refused_path, "%s", refusal->path);
}

static void begin(void) {

    exchange_begin(x, false, "192.0.2.1", 4711);
}

static int setup(void **state) {
    struct cmcwh_server_config config;

    (void)state;
    fixture_init(&f, 256, false);
    config = behind_exchanges(&f.ring);
    config.refused = note_refusal;
    assert_int_equal(cmcwh_server_init(&server, &config), CMCWH_OK);
    timer_init(&times);
    exchanges = exchange_open(EXCHANGES, &server, &times);
    assert_non_null(exchanges);
    for (size_t i = 0; i < EXCHANGES; i++) {
        x = exchange_make(exchanges, i);
    }
    begin();
    return 0;
}

static int teardown(void **state) {
    (void)state;
    exchange_close(exchanges);
    assert_int_equal(server.in_flight, 0);
    return 0;
}

/* The ring gives back all that was taken but these events. */
static void assert_stored(unsigned count) {
    struct cmcwh_ring_state state;

    for (unsigned i = 0; i < count; i++) {
        (void)take(&f);
    }
    assert_empty(&f);
    cmcwh_ring_state(&f.ring, &state);
    assert_int_equal(state.in_use, 0);
}

/* ---- A sender ---- */

static char got[SENT_MAX]; /* what was sent to it, as text */
static size_t got_length;
static enum exchange_state last;
static bool closed;

static void take_answer(void) {
    assert_true(x->out_length <= sizeof x->out);
    assert_true(got_length + x->out_length < sizeof got);
    memcpy(got + got_length, x->out, x->out_length);
    got_length += x->out_length;
    got[got_length] = '\0';
    x->out_length = x->sent = 0;
}

/* Goes on until more must come, or the connection is to be closed. */
static void go_on(void) {
    do {
        last = exchange_go_on(x);
        take_answer();
        closed = last == EXCHANGE_CLOSES || last == EXCHANGE_REFUSES;
    } while (last == EXCHANGE_STAYS && exchange_again(x) > 0);
}

static void reset(void) {
    memset(&server.tries, 0, sizeof server.tries); /* wrong credentials are forgiven */
    got_length = 0;
    got[0] = '\0';
    closed = false;
    begin();
}

/* Sends these bytes, `step` at most at a time, and stops when it is not listened to any more. */
static void put(const char *bytes, size_t length, size_t step) {
    while (length > 0 && !closed) {
        size_t room, piece = length < step ? length : step;
        char *at = exchange_room(x, &room);

        assert_true(room > 0 && room <= sizeof x->buffer);
        assert_true(at >= x->buffer && at + room <= x->buffer + sizeof x->buffer);
        piece = piece < room ? piece : room;
        memcpy(at, bytes, piece);
        exchange_came(x, piece);
        bytes += piece;
        length -= piece;
        go_on();
    }
}

static void hang_up(void) {
    exchange_came(x, 0);
    go_on();
}

/* The statuses that came, "200 400"; then "!" when it was closed. */
static const char *statuses(void) {
    static char text[256];
    const char *at = got;
    char *out = text;

    while ((at = strstr(at, "HTTP/1.1 ")) != NULL) {
        assert_true(out - text < (ptrdiff_t)sizeof text - 8);
        at += 9;
        if (*at >= '0' && *at <= '9') { /* some speak of HTTP/1.1 in their text */
            out += sprintf(out, "%s%.3s", out > text ? " " : "", at);
        }
    }
    (void)strcpy(out, closed ? "!" : "");
    return text;
}

static const size_t steps[] = {1, 2, 3, 7, 64, 1000, 8191, SENT_MAX};

/* These bytes are answered with `expected` in whatever pieces they come, each time alike, and
 * `stored` events are there afterwards. */
static void assert_bytes(const char *bytes, size_t length, const char *expected, unsigned stored) {
    static char first[SENT_MAX];

    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        reset();
        put(bytes, length, steps[i]);
        if (strcmp(statuses(), expected) != 0) {
            fail_msg("'%.1000s' in steps of %zu: %s, not %s", bytes, steps[i], statuses(),
                     expected);
        }
        if (i == 0) {
            (void)strcpy(first, got);
        }
        assert_string_equal(got, first);
        assert_true(closed || exchange_empty(x));
        assert_stored(stored);
    }
}

static void assert_answers(const char *text, const char *expected, unsigned stored) {
    assert_bytes(text, strlen(text), expected, stored);
}

/* ---- Tests ---- */

static void requests(void **state) {
    (void)state;
    assert_answers(GOOD, "200", 1);
    assert_answers("POST /mails HTTP/1.0\r\nContent-Type: application/json\r\n"
                   "Content-Length: 49\r\n\r\n" EVENT,
                   "200!", 1);
    assert_answers(LINE "Connection: close\r\nContent-Length: 49\r\n\r\n" EVENT, "200!", 1);
    assert_answers("GET / HTTP/1.1\r\nHost: x\r\n\r\n", "404", 0);
    assert_answers("GET /mails HTTP/1.1\r\nHost: x\r\n\r\n", "405", 0);
    assert_answers("POST /mails HTTP/1.1\r\nHost: x\r\nContent-Length: 49\r\n\r\n" EVENT, "415!",
                   0);
    assert_answers(LINE "Content-Length: 0\r\n\r\n", "400", 0);
    assert_answers(LINE "Content-Length: 2\r\n\r\n{}", "422", 0);
    assert_answers(LINE "Content-Length: 65537\r\n\r\n", "413!", 0);
    assert_answers(LINE "\r\n", "411", 0);
    assert_answers("\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", "400!", 0);
    assert_answers("GET / HTTP/2.0\r\nHost: x\r\n\r\n", "505!", 0);
    assert_answers("GET /\r\n\r\n", "400!", 0);
    assert_bytes("\0\r\n\r\n", 5, "400!", 0);
}

static void pipelined(void **state) {
    (void)state;
    assert_answers(GOOD GOOD, "200 200", 2);
    assert_answers(GOOD CHUNKED CHUNK "0\r\n\r\n" GOOD, "200 200 200", 3);
    assert_answers(GOOD "GET / HTTP/1.1\r\nHost: x\r\n\r\n" GOOD, "200 404 200", 2);
    assert_answers(GOOD LINE "Connection: close\r\nContent-Length: 49\r\n\r\n" EVENT GOOD,
                   "200 200!", 2);
    assert_answers(GOOD "\r\n" GOOD, "200 400!", 1);
}

/* Many more than the buffer holds, so that heads and bodies are cut at every place of it. */
static void many_pipelined(void **state) {
    static char text[SENT_MAX];
    char expected[256] = "200";

    (void)state;
    repeat(text, GOOD, 60);
    repeat(expected + 3, " 200", 59);
    assert_answers(text, expected, 60);
}

static void chunks(void **state) {
    static const char *const right[] = {
        CHUNK "0\r\n\r\n",
        "1\r\n{\r\n30\r\n\"event_type\":\"bounces\",\"event\":{\"bounces\":[{}]}}\r\n000\r\n\r\n",
        "031;\r\n" EVENT "\r\n0;x\r\n\r\n",
        "31;a=b;c=\"d;e\"\r\n" EVENT "\r\n0;\t\x80\r\n\r\n",
        CHUNK "0\r\nX-Trailer: 1\r\n\r\n",
        CHUNK "0\r\nContent-Length: 7\r\nTransfer-Encoding: chunked\r\n\r\n",
        "000000000000031\r\n" EVENT "\r\n0\r\n\r\n", /* fifteen digits */
    };
    static const char *const wrong[] = {
        "\r\n",
        "\n",
        ";\r\n",
        " 31\r\n",
        "31 \r\n",
        "-31\r\n",
        "+31\r\n",
        "0x31\r\n",
        "g\r\n",
        "0000000000000031",
        "ffffffffffffffff", /* sixteen digits */
        "31\n",
        "31\rx",
        "31\r\r",
        "31;\n",
        "31;\x01",
        "31;\x7f",
        "31;\rx",
        "31;\r\r",
        "31\r\n" EVENT "\n",
        "31\r\n" EVENT "\rx",
        "31\r\n" EVENT "0\r\n",
        "31\r\n" EVENT "\r\n\r\n",
        CHUNK "0\r\n\n",
        CHUNK "0\r\n\rx",
        CHUNK "0\r\nX: y\n",
        CHUNK "0\r\nX: y\rx",
        CHUNK "0\r\nX: \x01",
        CHUNK "0\r\n\x01",
        CHUNK "0\r\nX: y\r\n\n",
        CHUNK "x\r\n",
    };
    char text[512];

    (void)state;
    for (size_t i = 0; i < sizeof right / sizeof *right; i++) {
        (void)snprintf(text, sizeof text, CHUNKED "%s" GOOD, right[i]);
        assert_answers(text, "200 200", 2);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        (void)snprintf(text, sizeof text, CHUNKED "%s", wrong[i]);
        assert_answers(text, "400!", 0);
        assert_non_null(strstr(got, "chunks"));
    }
}

/* Extensions and trailers may be so long, and no longer. */
static void long_lines(void **state) {
    static char text[SENT_MAX];
    char *out;

    (void)state;
    for (size_t length = 1024; length <= 1025; length++) {
        const char *expected = length == 1024 ? "200" : "400!";

        out = text + sprintf(text, CHUNKED "31;");
        out = repeat(out, "x", length);
        (void)strcpy(out, "\r\n" EVENT "\r\n0\r\n\r\n");
        assert_answers(text, expected, length == 1024);
        out = text + sprintf(text, CHUNKED CHUNK "0\r\n");
        out = repeat(out, "x", length);
        (void)strcpy(out, "\r\n\r\n");
        assert_answers(text, expected, length == 1024);
    }
    out = text + sprintf(text, CHUNKED CHUNK "0\r\n");
    (void)repeat(out, "X: y\r\n", 1024);
    assert_answers(text, "400!", 0);
}

/* Bodies that are larger than the buffer. */
static void large_bodies(void **state) {
    static const struct {
        size_t length;
        const char *expected;
    } bodies[] = {{HEAD_MAX, "200"},
                  {EXCHANGE_BUFFER, "200"},
                  {EXCHANGE_BUFFER + 1, "200"},
                  {65536, "200"},
                  {65537, "413!"}};
    static char text[SENT_MAX];

    (void)state;
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        size_t spaces = bodies[i].length - (sizeof EVENT - 1);
        bool good = bodies[i].expected[0] == '2';
        char *out = text + sprintf(text, LINE "Content-Length: %zu\r\n\r\n", bodies[i].length);

        (void)strcpy(repeat(out, " ", spaces), EVENT);
        assert_answers(text, bodies[i].expected, good);
        out = text + sprintf(text, CHUNKED "%zx\r\n", spaces);
        (void)strcpy(repeat(out, " ", spaces), "\r\n" CHUNK "0\r\n\r\n");
        assert_answers(text, bodies[i].expected, good);
    }
}

/* A head of exactly so many bytes, and a body. */
static void make_head(char *text, size_t length, const char *body) {
    static const char before[] = LINE "Content-Length: 49\r\nX: ";
    char *out = text + sprintf(text, "%s", before);

    out = repeat(out, "x", length - (sizeof before - 1) - 4);
    (void)sprintf(out, "\r\n\r\n%s", body);
}

static void large_heads(void **state) {
    static char text[SENT_MAX];
    char *out;

    (void)state;
    make_head(text, HEAD_MAX, EVENT);
    assert_answers(text, "200", 1);
    make_head(text, HEAD_MAX, EVENT GOOD);
    assert_answers(text, "200 200", 2);
    make_head(text, HEAD_MAX + 1, EVENT);
    assert_answers(text, "431!", 0);
    /* Behind a body whose end comes with much else. */
    out = text + sprintf(text, LINE "Content-Length: %d\r\n\r\n", HEAD_MAX);
    out = repeat(out, " ", HEAD_MAX - (sizeof EVENT - 1));
    out += sprintf(out, EVENT);
    make_head(out, HEAD_MAX, EVENT);
    assert_answers(text, "200 200", 2);
    make_head(out, HEAD_MAX + 1, EVENT);
    assert_answers(text, "200 431!", 1);
    (void)repeat(text, "x", EXCHANGE_BUFFER * 2);
    assert_answers(text, "431!", 0);
    (void)repeat(text + sprintf(text, GOOD), "x", EXCHANGE_BUFFER * 2);
    assert_answers(text, "200 431!", 1);
}

static void expectation(void **state) {
    static const char head[] = LINE "Expect: 100-continue\r\nContent-Length: 49\r\n\r\n";
    char text[1024];

    (void)state;
    (void)snprintf(text, sizeof text, "%s%s", head, EVENT GOOD);
    assert_answers(text, "100 200 200", 2);
    assert_answers("POST /x HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n\r\n", "404", 0);
    reset();
    put(head, sizeof head - 1, SENT_MAX);
    assert_string_equal(statuses(), "100"); /* before anything of the body has come */
    put(EVENT, 49, SENT_MAX);
    assert_string_equal(statuses(), "100 200");
    assert_stored(1);
}

/* The sender ends after each of the bytes. */
static void hangs_up(void **state) {
    static const char *const texts[] = {GOOD, CHUNKED "31;x\r\n" EVENT "\r\n0\r\nX: y\r\n\r\n"};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        size_t length = strlen(texts[i]);
        size_t head = (size_t)(strstr(texts[i], "\r\n\r\n") + 4 - texts[i]);

        for (size_t part = 1; part < length; part++) {
            reset();
            put(texts[i], part, SENT_MAX);
            assert_string_equal(statuses(), "");
            assert_false(exchange_empty(x));
            hang_up();
            assert_string_equal(statuses(), "400!");
            assert_int_equal(strstr(got, "truncated_body") != NULL, part >= head);
            assert_int_equal(last, EXCHANGE_REFUSES);
            assert_stored(0);
        }
        reset();
        put(texts[i], length, SENT_MAX);
        assert_true(exchange_empty(x));
        assert_stored(1);
    }
    reset();
    assert_true(exchange_empty(x));
    hang_up();
    assert_true(closed);
}

/* A part of a large request, of which much is in the ring when it is refused. */
static void refused_in_the_middle(void **state) {
    static const int reasons[] = {408, 503};
    static char text[16384];
    struct cmcwh_ring_state ring;
    char expected[8];
    unsigned most = 0;
    size_t length;

    (void)state;
    (void)repeat(text + sprintf(text,
                                LINE "Content-Length: 19999\r\n\r\n{\"event_type\":\"bounces\","
                                     "\"event\":{\"bounces\":["),
                 "{\"to\":\"somebody@a.mailbox.example\"},", 300);
    length = strlen(text);
    for (size_t i = 0; i < 2; i++) {
        for (size_t part = 0; part < length; part += 1 + part / 200) {
            reset();
            put(text, part, SENT_MAX);
            cmcwh_ring_state(&f.ring, &ring);
            most = ring.in_use > most ? ring.in_use : most;
            last = exchange_refuse(x, reasons[i]);
            assert_int_equal(last, EXCHANGE_REFUSES);
            take_answer();
            (void)sprintf(expected, "%d", reasons[i]);
            assert_string_equal(statuses(), expected);
            assert_non_null(strstr(got, "Connection: close"));
            assert_stored(0);
            assert_int_equal(server.in_flight, 0);
            exchange_drop(x); /* does nothing more */
            assert_int_equal(x->out_length, 0);
        }
    }
    assert_true(most > 100); /* or this would show nothing */
    reset();
    put(text, length, SENT_MAX);
    exchange_drop(x);
    assert_stored(0);
    assert_int_equal(server.in_flight, 0);
}

/* What is told of a request that could not be read is nothing of it, for secrets may be in it, and
 * nothing of the one before. */
static void refused_unread(void **state) {
    static const char *const texts[] = {
        "GET \x01/x HTTP/1.1\r\nAuthorization: Basic c2VjcmV0\r\n\r\n",
        "GET /x HTTP/1.2\r\nAuthorization: Basic c2VjcmV0\r\n\r\n",
        "GET x HTTP/1.1\r\nAuthorization: Basic c2VjcmV0\r\n\r\n",
        "\x01\x02 HTTP/1.1\r\nAuthorization: Basic c2VjcmV0\r\n\r\n"};

    static const char before[] = "GET /ab HTTP/1.1\r\nHost: x\r\n\r\n";

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        reset();
        put(before, sizeof before - 1, SENT_MAX);
        assert_string_equal(refused_path, "/ab");
        put(texts[i], strlen(texts[i]), SENT_MAX);
        assert_true(closed);
        assert_string_equal(refused_path, "");
    }
}

/* Two requests at a time do not meet. */
static void side_by_side(void **state) {
    static const char text[] = LINE "Content-Length: 49\r\n\r\n" EVENT;

    (void)state;
    for (size_t i = 0; i < EXCHANGES; i++) {
        x = &exchanges[i];
        begin();
    }
    for (size_t at = 0; at < sizeof text - 1; at++) {
        for (size_t i = 0; i < EXCHANGES; i++) {
            x = &exchanges[i];
            got_length = 0;
            closed = false;
            put(text + at, 1, 1);
            assert_string_equal(statuses(), at + 1 < sizeof text - 1 ? "" : "200");
        }
    }
    assert_stored(2);
}

/* The longest answer with everything that may be before it. */
static void answers_have_room(void **state) {
    static char text[8192], key[2048];
    char *out;

    (void)state;
    auth_use(AUTH_WEBHOOKS,
             auth_read(AUTH_WEBHOOKS, file_of("basic u:p\nbearer t\napi_key k\n", 29, 0600)));
    assert_quiet();
    (void)repeat(key, "\\u0001", 300);
    out = text + sprintf(text, LINE "Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n");
    out += sprintf(out, "%zx\r\n", strlen(key) + 4);
    (void)sprintf(out, "{\"%s\"[", key);
    (void)strcat(text, "\r\n0\r\n\r\n");
    assert_answers(text, "100 400", 0);
    assert_true(got_length <= EXCHANGE_OUT);
    (void)snprintf(text, sizeof text,
                   LINE "Expect: 100-continue\r\nAuthorization: Bearer %s\r\n"
                        "Content-Length: 1\r\n\r\n",
                   key);
    assert_answers(text, "401!", 0);
    assert_true(got_length <= EXCHANGE_OUT);
    auth_use(AUTH_WEBHOOKS, NULL);
}

/* The key is in the body; the file that is in force when the head has come holds until the end. */
static void api_key(void **state) {
    static const char head[] = LINE "Content-Length: 63\r\n\r\n";
    static const char body[] =
        "{\"api_key\":\"k\",\"event_type\":\"bounces\",\"event\":{\"bounces\":[{}]}}";
    char text[512];

    (void)state;
    assert_int_equal(sizeof body - 1, 63);
    auth_use(AUTH_WEBHOOKS, auth_read(AUTH_WEBHOOKS, file_of("api_key k\n", 10, 0600)));
    assert_quiet();
    (void)snprintf(text, sizeof text, "%s%s", head, body);
    assert_answers(text, "200", 1);
    *strstr(text, "\"k\"") = ' '; /* no longer JSON: its fault is told to who has no key, too */
    assert_answers(text, "400", 0);
    (void)snprintf(text, sizeof text, "%s%s", head, body);
    *(strstr(text, "\"k\"") + 1) = 'l';
    assert_answers(text, "401", 0);
    assert_answers(GOOD, "401", 0);
    reset();
    put(head, sizeof head - 1, SENT_MAX);
    auth_use(AUTH_WEBHOOKS, auth_read(AUTH_WEBHOOKS, file_of("api_key other\n", 14, 0600)));
    assert_quiet();
    put(body, sizeof body - 1, SENT_MAX);
    assert_string_equal(statuses(), "200");
    assert_stored(1);
    (void)snprintf(text, sizeof text, "%s%s", head, body);
    assert_answers(text, "401", 0);
    auth_use(AUTH_WEBHOOKS, NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

/* Each request is measured once, from where it begins: they do not take longer than all together.
 */
static void measured(void **state) {
    uint64_t start = platform_microseconds(), all;
    struct timing timing;

    (void)state;
    reset();
    timer_init(&times);
    put(GOOD "GET / HTTP/1.1\r\nHost: x\r\n\r\n" GOOD,
        2 * strlen(GOOD) + strlen("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), 7);
    (void)exchange_refuse(x, 408);
    all = platform_microseconds() - start;
    timer_read(&times, &timing);
    assert_true(timing.count == 4);
    assert_true(timing.sum_us <= all);
    assert_stored(2);
}

int main(void) {
    const struct CMUnitTest tests[] = {TEST(requests),          TEST(pipelined),
                                       TEST(many_pipelined),    TEST(chunks),
                                       TEST(long_lines),        TEST(large_bodies),
                                       TEST(large_heads),       TEST(expectation),
                                       TEST(hangs_up),          TEST(refused_in_the_middle),
                                       TEST(refused_unread),    TEST(side_by_side),
                                       TEST(answers_have_room), TEST(api_key),
                                       TEST(measured)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
