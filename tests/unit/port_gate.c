/* How the gate looks at what has come of a request: whether it must wait, and until when. What it
 * asks the kernel for must come, or nobody looks again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "door/gate.c" /* NOLINT(bugprone-suspicious-include): for its statics */

static struct guest guest;
static size_t low; /* bytes that must be there before the next look */

/* What the gate makes of these bytes. */
static enum stage see(const char *bytes, size_t length) {
    socklen_t size = sizeof(int);
    int pair[2], value = 0;

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    for (size_t sent = 0; sent < length;) {
        ssize_t taken = send(pair[1], bytes + sent, length - sent, MSG_DONTWAIT);

        assert_true(taken > 0);
        sent += (size_t)taken;
    }
    guest.socket = pair[0];
    guest.seen = 0;
    guest.chunked = false;
    look(&guest);
    assert_int_equal(getsockopt(pair[0], SOL_SOCKET, SO_RCVLOWAT, &value, &size), 0);
    low = (size_t)value;
    if (guest.stage == WAITS) { /* or poll would return at once, again and again */
        assert_true(low > available(pair[0]));
    }
    (void)close(pair[0]);
    (void)close(pair[1]);
    return guest.stage;
}

static enum stage see_text(const char *text) {
    return see(text, strlen(text));
}

static int setup(void **state) {
    (void)state;
    memset(&guest, 0, sizeof guest);
    gate.config = (struct gate_config){.longest = 1 << 20};
    return 0;
}

/* Every part of a request waits, for no more than the whole; which does not wait. */
static void assert_whole(const char *bytes, size_t length, size_t first) {
    for (size_t part = first; part < length; part++) {
        assert_int_equal(see(bytes, part), WAITS);
        assert_true(low <= length);
    }
    assert_int_equal(see(bytes, length), WHOLLY);
}

static void whole_requests(void **state) {
    static const char *const requests[] = {
        "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\n12345",
        "POST / HTTP/1.1\r\nCONTENT-LENGTH:\t  0005\r\nX: y\r\n\r\n12345",
        "POST / HTTP/1.1\r\nX-Content-Length: 99\r\ncontent-length: 0\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length-X: 99\r\n\r\n",
        "POST / HTTP/1.1\nContent-Length: 1\r\n\r\n1",
    };

    (void)state;
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
        assert_whole(requests[i], strlen(requests[i]), 0);
    }
}

static void waits_for_the_length(void **state) {
    static char bytes[2 * WHOLE];
    size_t head = (size_t)sprintf(bytes, "POST / HTTP/1.1\r\nContent-Length: 20000\r\n\r\n");

    (void)state;
    memset(bytes + head, 'x', sizeof bytes - head);
    assert_int_equal(see(bytes, head), WAITS);
    assert_int_equal(low, head + 20000);
    assert_int_equal(see(bytes, head + 19999), WAITS); /* longer than what is looked at */
    assert_int_equal(low, head + 20000);
    assert_int_equal(see(bytes, head + 20000), WHOLLY);
    /* More than it waits for: a worker reads the rest. */
    head = (size_t)sprintf(bytes, "POST / HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n");
    bytes[head] = 'x';
    assert_int_equal(see(bytes, head), WAITS);
    assert_int_equal(low, WHOLE);
    assert_int_equal(see(bytes, WHOLE - 1), WAITS);
    assert_int_equal(see(bytes, WHOLE), PART);
}

static void not_to_wait_for(void **state) {
    static const char *const heads[] = {
        "POST / HTTP/1.1\r\nContent-Length: 1048577\r\n\r\n", /* too large: refused at once */
        "POST / HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n",
        "POST / HTTP/1.1\r\nExpect: 100-continue\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 5\r\ncontent-length: 5\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: +5\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 5 \r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 5,5\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 0x5\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length:\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: five\r\n\r\n",
        "GET / HTTP/1.1\n\n", /* refused for its bare LF */
    };
    char long_head[HEAD + 1];

    (void)state;
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        assert_int_equal(see_text(heads[i]), PART);
    }
    assert_int_equal(see("GET /\0", 6), PART);
    memset(long_head, 'x', sizeof long_head);
    assert_int_equal(see(long_head, HEAD - 1), WAITS);
    assert_int_equal(see(long_head, HEAD), PART);
    assert_int_equal(see(long_head, HEAD + 1), PART);
}

static void chunks(void **state) {
    static const char head[] = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
    static const char body[] = "1\r\nx\r\n0\r\n\r\n";
    static char bytes[2 * HEAD];
    size_t length = sizeof head - 1;

    (void)state;
    memcpy(bytes, head, sizeof head);
    assert_int_equal(see(bytes, length), WAITS);
    assert_true(guest.chunked);
    assert_int_equal(low, length + 1);
    memcpy(bytes + length, body, sizeof body);
    for (size_t part = length; part < length + sizeof body - 1; part++) {
        assert_int_equal(see(bytes, part), WAITS);
        assert_int_equal(low, part + 1);
    }
    assert_int_equal(see(bytes, length + sizeof body - 1), PART);
    memset(bytes + length, 'x', HEAD); /* its end would be behind what is looked at */
    assert_int_equal(see(bytes, HEAD), WAITS);
    assert_int_equal(see(bytes, HEAD + 1), PART);
}

/* What follows a head, of its body or of another request, does not belong to it. */
static void only_the_head_counts(void **state) {
    (void)state;
    assert_int_equal(see_text("GET / HTTP/1.1\r\n\r\nPOST / HTTP/1.1\r\nContent-Length: 5\r\n\r\n"),
                     WHOLLY);
    assert_int_equal(see_text("POST / HTTP/1.1\r\nContent-Length: 14\r\n\r\n\nExpect: body\n"),
                     WHOLLY);
    assert_int_equal(see_text("POST / HTTP/1.1\r\nContent-Length: 30\r\n\r\n"
                              "\r\nTransfer-Encoding: chunked\r\n"),
                     WHOLLY);
    assert_int_equal(see_text("POST / HTTP/1.1\r\nContent-Length: 19\r\n\r\n"
                              "\nContent-Length: 9\n"),
                     WHOLLY);
    assert_int_equal(see_text("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nX: 0\r\n\r\n"),
                     WAITS);
}

static void nothing(void **state) {
    int pair[2];

    (void)state;
    assert_int_equal(see("", 0), WAITS);
    for (int secure = 0; secure < 4; secure++) {
        guest = (struct guest){.secure = secure & 1, .proxy = secure & 2};
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
        (void)close(pair[1]);
        guest.socket = pair[0];
        look(&guest);
        assert_int_equal(guest.stage, GONE);
        (void)close(pair[0]);
    }
}

static void handshakes(void **state) {
    static char record[16384 + 16] = {22, 3, 1, 1, 0};

    (void)state;
    guest.secure = true;
    for (size_t part = 0; part < 5; part++) {
        assert_int_equal(see(record, part), WAITS);
        assert_true(low <= 5);
    }
    assert_int_equal(see(record, 5), WAITS);
    assert_int_equal(low, 5 + 256);
    assert_int_equal(see(record, 5 + 255), WAITS);
    assert_int_equal(see(record, 5 + 256), PART);
    assert_int_equal(see(record, 5 + 300), PART);
    assert_int_equal(see_text("GET / HTTP/1.1\r\n"), PART); /* somebody took it for plain HTTP */
    record[3] = 127;                                        /* longer than a record may be */
    assert_int_equal(see(record, 5), PART);
    record[3] = record[4] = 0;
    assert_int_equal(see(record, 5), PART);
}

static void behind_a_proxy(void **state) {
    static const char text[] = "PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n"
                               "POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n12";
    const size_t header_length = 45;

    (void)state;
    for (size_t part = 0; part <= sizeof text - 1; part++) {
        memset(&guest, 0, sizeof guest);
        guest.proxy = true;
        assert_int_equal(see(text, part), part == sizeof text - 1 ? WHOLLY : WAITS);
        assert_int_equal(guest.proxy, part < header_length);
        assert_true(low <= sizeof text - 1);
        if (part >= header_length) { /* it was taken off */
            assert_int_equal(guest.seen, part - header_length);
            assert_int_equal(ntohl(guest.peer.four.sin_addr.s_addr), 0xC0000201);
        }
    }
    guest.proxy = true; /* it may come without one */
    assert_int_equal(see_text(text + header_length), WHOLLY);
    assert_false(guest.proxy);
    guest.proxy = true;
    assert_int_equal(see_text("PROXY TCP4 nonsense\r\nGET / HTTP/1.1\r\n\r\n"), GONE);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup(whole_requests, setup),
                                       cmocka_unit_test_setup(waits_for_the_length, setup),
                                       cmocka_unit_test_setup(not_to_wait_for, setup),
                                       cmocka_unit_test_setup(chunks, setup),
                                       cmocka_unit_test_setup(only_the_head_counts, setup),
                                       cmocka_unit_test_setup(nothing, setup),
                                       cmocka_unit_test_setup(handshakes, setup),
                                       cmocka_unit_test_setup(behind_a_proxy, setup)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
