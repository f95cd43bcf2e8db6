/* How much of a request or a record is there, and for how many bytes it is worth to wait: what is
 * waited for must come, or nobody looks again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "door/look.h"

enum { LONGEST = 1 << 20 };

static size_t need;

/* Looks at the first `looked` of `there` bytes, which end where memory does. */
static enum look see(const char *bytes, size_t looked, size_t there) {
    char *copy = malloc(looked > 0 ? looked : 1);
    enum look look;

    assert_non_null(copy);
    memcpy(copy, bytes, looked);
    need = 0;
    look = look_request(copy, looked, there, LONGEST, &need);
    free(copy);
    assert_true(look != LOOK_WAITS || need > there); /* or epoll would speak at once, for ever */
    assert_true(look != LOOK_WHOLE || (need > 0 && need <= there));
    return look;
}

static enum look see_text(const char *text) {
    return see(text, strlen(text), strlen(text));
}

/* Every part of a request waits, for no more than the whole; which does not wait, whatever follows
 * it. */
static void whole_requests(void **state) {
    static const char *const requests[] = {
        "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\n12345",
        "POST / HTTP/1.1\r\nCONTENT-LENGTH:\t  0005\r\nX: y\r\n\r\n12345",
        "POST / HTTP/1.1\r\nX-Content-Length: 99\r\ncontent-length: 0\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length-X: 99\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length : 99\r\n\r\n", /* others refuse the space */
        /* A body is not looked into. */
        "POST / HTTP/1.1\r\nContent-Length: 14\r\n\r\n\nExpect: body\n",
        "POST / HTTP/1.1\r\nContent-Length: 30\r\n\r\n\r\nTransfer-Encoding: chunked\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 19\r\n\r\n\nContent-Length: 9\n",
    };
    static const char next[] = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
    char two[256];

    (void)state;
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
        size_t length = strlen(requests[i]);

        for (size_t part = 0; part < length; part++) {
            assert_int_equal(see(requests[i], part, part), LOOK_WAITS);
            assert_true(need <= length);
        }
        assert_int_equal(see_text(requests[i]), LOOK_WHOLE);
        assert_int_equal(need, length);
        (void)snprintf(two, sizeof two, "%s%s", requests[i], next);
        assert_int_equal(see_text(two), LOOK_WHOLE);
        assert_int_equal(need, length);
    }
}

/* Bodies of which only the beginning is looked at. */
static void large_bodies(void **state) {
    static const struct {
        size_t length;
        enum look look;
    } bodies[] = {
        {20000, LOOK_WAITS},
        {LOOK_WHOLE_MAX - 44, LOOK_WAITS},
        {LOOK_WHOLE_MAX - 43, LOOK_PIECES}, /* one byte more than is waited for */
        {LONGEST, LOOK_PIECES},
        {LONGEST + 1, LOOK_PIECES}, /* refused */
    };
    char head[128];

    (void)state;
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        size_t length = bodies[i].length;
        size_t size = (size_t)snprintf(head, sizeof head,
                                       "POST / HTTP/1.1\r\nContent-Length: %07zu\r\n\r\n", length);

        assert_int_equal(size, 44);
        assert_int_equal(see(head, size, size), bodies[i].look);
        assert_int_equal(see(head, size, size + length - 1), bodies[i].look);
        if (bodies[i].look == LOOK_WAITS) {
            assert_int_equal(need, size + length);
            assert_int_equal(see(head, size, size + length), LOOK_WHOLE);
            assert_int_equal(need, size + length);
            assert_int_equal(see(head, size, size + length + 1), LOOK_WHOLE);
            assert_int_equal(need, size + length);
        }
    }
}

static void not_to_wait_for(void **state) {
    static const char *const heads[] = {
        "POST / HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 18446744073709551615\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 18446744073709551616\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 18446744073709551621\r\n\r\n12345",
        "POST / HTTP/1.1\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n",
        "POST / HTTP/1.1\r\nExpect: 100-continue\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 5\r\ncontent-length: 5\r\n\r\n12345",
        "POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n12345",
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST / HTTP/1.1\r\ntransfer-encoding:gzip\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: +5\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 5 \r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 5,5\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 5\r5\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 0x5\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length:\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: \r\n5\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: five\r\n\r\n",
        /* Wrong before the head has ended: bare LF, a blank line first. */
        "\n",
        "\r\n",
        "\r\nGET / HTTP/1.1\r\n",
        "GET / HTTP/1.1\n",
        "GET / HTTP/1.1\r\nX: y\n",
        "GET / HTTP/1.1\r\n\n",
    };

    (void)state;
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        if (see_text(heads[i]) != LOOK_PIECES) {
            fail_msg("case %zu", i);
        }
    }
    assert_int_equal(see("GET /\0", 6, 6), LOOK_PIECES);
    assert_int_equal(see("\0", 1, 1), LOOK_PIECES);
    assert_int_equal(see("GET / HTTP/1.1\r\nX: \0\r\n", 22, 22), LOOK_PIECES);
}

/* The head's end is behind what was looked at. */
static void long_heads(void **state) {
    static char head[8192];

    (void)state;
    memset(head, 'x', sizeof head);
    assert_int_equal(see(head, sizeof head, sizeof head), LOOK_WAITS);
    assert_int_equal(see(head, sizeof head, sizeof head + 1), LOOK_PIECES);
    assert_int_equal(see(head, 0, 1), LOOK_PIECES);
    memcpy(head + sizeof head - 5, "\r\n\r\n", 5);
    assert_int_equal(see(head, sizeof head, sizeof head + 1), LOOK_WHOLE);
    assert_int_equal(need, sizeof head - 1);
}

static enum look see_record(const char *bytes, size_t looked, size_t there) {
    unsigned char *copy = malloc(looked > 0 ? looked : 1);
    enum look look;

    assert_non_null(copy);
    memcpy(copy, bytes, looked);
    need = 0;
    look = look_record(copy, looked, there, &need);
    free(copy);
    assert_true(look == LOOK_WHOLE || (look == LOOK_WAITS && need > there));
    return look;
}

static void records(void **state) {
    static char record[LOOK_RECORD + 16384 + 2048 + 1] = {22, 3, 1, 1, 0};

    (void)state;
    for (size_t part = 0; part < LOOK_RECORD; part++) {
        assert_int_equal(see_record(record, part, part), LOOK_WAITS);
        assert_int_equal(need, LOOK_RECORD);
    }
    assert_int_equal(see_record(record, 5, 5), LOOK_WAITS);
    assert_int_equal(need, 5 + 256);
    assert_int_equal(see_record(record, 5 + 255, 5 + 255), LOOK_WAITS);
    assert_int_equal(see_record(record, 5 + 256, 5 + 256), LOOK_WHOLE);
    assert_int_equal(need, 5 + 256);
    assert_int_equal(see_record(record, 5, 5 + 300), LOOK_WHOLE);
    assert_int_equal(need, 5 + 256);
    record[3] = record[4] = 0;
    assert_int_equal(see_record(record, 5, 5), LOOK_WHOLE);
    for (int type = 0; type < 256; type++) {
        record[0] = (char)type;
        record[3] = 1;
        assert_int_equal(see_record(record, 5, 5),
                         type >= 20 && type <= 23 ? LOOK_WAITS : LOOK_WHOLE);
        assert_int_equal(see_record(record, 1, 1),
                         type >= 20 && type <= 23 ? LOOK_WAITS : LOOK_WHOLE);
    }
    assert_int_equal(see_record("GET / HTTP/1.1\r\n", 16, 16), LOOK_WHOLE);
}

/* What is longer than a record may be is not waited for. */
static void long_records(void **state) {
    char head[LOOK_RECORD] = {23, 3, 3, 0, 0};

    (void)state;
    for (size_t length = 0; length < 65536; length += 17) {
        head[3] = (char)(length >> 8);
        head[4] = (char)length;
        if (length == 0 || LOOK_RECORD + length > 16384 + 2048) {
            assert_int_equal(see_record(head, sizeof head, sizeof head), LOOK_WHOLE);
        } else {
            assert_int_equal(see_record(head, sizeof head, sizeof head), LOOK_WAITS);
            assert_int_equal(need, LOOK_RECORD + length);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_requests),  cmocka_unit_test(large_bodies),
        cmocka_unit_test(not_to_wait_for), cmocka_unit_test(long_heads),
        cmocka_unit_test(records),         cmocka_unit_test(long_records)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
