/* What an HTTP server sends back, in pieces of any size, and the addresses of such servers. */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "platform/reply.h"
#include "platform/url.h"

static char body[64];
static struct reply reply;

/* Feeds a reply in pieces of `step` bytes up to where it is whole or wrong. Returns how many bytes
 * that took. */
static size_t feed_in(const char *text, size_t length, size_t step) {
    size_t at = 0;

    memset(body, '#', sizeof body);
    reply_begin(&reply, body, sizeof body);
    while (at < length && reply.state < REPLY_WHOLE) {
        size_t part = length - at < step ? length - at : step;
        char *piece;

        assert_true(part > 0);
        piece = malloc(part); /* with nothing behind it that may be read */
        assert_non_null(piece);
        memcpy(piece, text + at, part);
        at += reply_feed(&reply, piece, part);
        free(piece);
    }
    return at;
}

/* Whatever the pieces: it is whole, with this status and body. */
static void assert_reply(const char *text, int status, const char *expected) {
    for (size_t step = 1; step <= strlen(text); step++) {
        size_t taken = feed_in(text, strlen(text), step);

        if (reply.state == REPLY_CLOSE) {
            reply_end(&reply);
        }
        assert_null(reply.fault);
        assert_int_equal(reply.state, REPLY_WHOLE);
        assert_int_equal(taken, strlen(text));
        assert_int_equal(reply.status, status);
        assert_int_equal(reply.length, strlen(expected));
        assert_memory_equal(body, expected, reply.length);
        assert_false(reply.cut);
    }
}

/* Whatever the pieces: it is wrong, and that is what is said. */
static void assert_wrong(const char *text, const char *fault) {
    for (size_t step = 1; step == 1 || step <= strlen(text); step++) {
        (void)feed_in(text, strlen(text), step);
        reply_end(&reply);
        assert_int_equal(reply.state, REPLY_WRONG);
        if (strstr(reply.fault, fault) == NULL) {
            fail_msg("'%s' was said of '%s', not '%s'", reply.fault, text, fault);
        }
    }
}

static void lengths(void **state) {
    (void)state;
    assert_reply("HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n{\"stored\":1}", 200,
                 "{\"stored\":1}");
    assert_true(reply.stays);
    assert_reply("HTTP/1.1 401 \r\ncontent-LENGTH:3 \r\nContent-Length: 3\r\n\r\nabc", 401, "abc");
    assert_reply("HTTP/1.1 200\nContent-Length: 0\n\n", 200, "");
    assert_reply("HTTP/1.0 503 No\r\n\r\nto the end", 503, "to the end");
    assert_false(reply.stays);
    assert_reply("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", 204, "");
    assert_reply("HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n", 304, "");
}

static void chunks(void **state) {
    (void)state;
    assert_reply("HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n"
                 "3\r\nabc\r\n0a ;x=\"y\"\r\n0123456789\r\n0\r\nX: y\r\n\r\n",
                 200, "abc0123456789");
    assert_true(reply.stays);
    assert_wrong("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n",
                 "longer than its size");
    assert_wrong("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", "no size");
    assert_wrong("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3 3\r\n", "no size");
    assert_wrong("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1234567890123456\r\n",
                 "no size");
    assert_wrong("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc", "before it is");
    assert_wrong("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "other than");
}

static void what_a_head_says(void **state) {
    (void)state;
    assert_reply("HTTP/1.1 308 Moved\r\nLocation: https://example.com/mails\r\nLocation: x\r\n"
                 "Content-Type:\ttext/html \r\nContent-Encoding: gzip\r\nRetry-After: 5\r\n"
                 "Connection: x, close\r\nContent-Length: 0\r\n\r\n",
                 308, "");
    assert_string_equal(reply.location, "https://example.com/mails");
    assert_string_equal(reply.type, "text/html");
    assert_string_equal(reply.coding, "gzip");
    assert_string_equal(reply.retry_after, "5");
    assert_false(reply.stays);
    assert_reply("HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 0\r\n\r\n", 200, "");
    assert_true(reply.stays);
    assert_reply("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLocation: x\r\n\r\n"
                 "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na",
                 200, "a");
    assert_string_equal(reply.location, "");
}

static void what_is_no_reply(void **state) {
    (void)state;
    assert_wrong("", "closed without");
    assert_wrong("SSH-2.0-OpenSSH_9.2\r\n", "does not begin");
    assert_wrong("HTTP/2 200\r\n", "does not begin");
    assert_wrong("HTTP/1.1 20\r\n", "no status");
    assert_wrong("HTTP/1.1 2000\r\n", "no status");
    assert_wrong("HTTP/1.1 x00 OK\r\n", "no status");
    assert_wrong("HTTP/1.1 200 OK\r\nno header\r\n\r\n", "no header");
    assert_wrong("HTTP/1.1 200 OK\r\nA : b\r\n\r\n", "no header");
    assert_wrong("HTTP/1.1 200 OK\r\n folded: b\r\n\r\n", "no header");
    assert_wrong("HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\n", "no number");
    assert_wrong("HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", "no number");
    assert_wrong("HTTP/1.1 200 OK\r\nContent-Length: 1234567890123456789\r\n\r\n", "no number");
    assert_wrong("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
                 "two different");
    assert_wrong("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
                 "a length and chunks");
    assert_wrong("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabcd", "before it is whole");
    assert_wrong("HTTP/1.1 200 OK\r\nContent-Le", "before it is whole");
    assert_wrong("HTTP/1.1 101 Switching\r\n\r\n", "another protocol");
    (void)feed_in("HTTP/1.1 200\0 OK\r\n", 18, 18);
    assert_int_equal(reply.state, REPLY_WRONG);
}

/* What comes after it is the caller's. */
static void what_follows(void **state) {
    static const char two[] = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\naHTTP/1.1 200";

    (void)state;
    assert_int_equal(feed_in(two, sizeof two - 1, sizeof two),
                     strlen(two) - strlen("HTTP/1.1 200"));
    assert_int_equal(reply.state, REPLY_WHOLE);
}

/* Memory does not grow: long lines are left out, a long body is cut, a head without an end is
 * wrong. */
static void much(void **state) {
    static char text[2 * REPLY_HEAD];
    int used = snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\nX: %0*d\r\nLocation: %0300d\r\n",
                        9000, 0, 7);

    (void)state;
    (void)snprintf(text + used, sizeof text - (size_t)used, "Content-Length: 100\r\n\r\n%0100d", 0);
    assert_int_equal(feed_in(text, strlen(text), 4096), strlen(text));
    assert_int_equal(reply.state, REPLY_WHOLE);
    assert_int_equal(reply.length, sizeof body);
    assert_true(reply.cut);
    assert_int_equal(strlen(reply.location), REPLY_TEXT - 1);
    used = snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\nContent-Length: %0*d\r\n\r\n", 600, 0);
    (void)feed_in(text, (size_t)used, 100);
    assert_int_equal(reply.state, REPLY_WRONG);
    used = snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\nX: ");
    memset(text + used, 'x', sizeof text - (size_t)used);
    assert_in_range(feed_in(text, sizeof text, 1000), REPLY_HEAD, REPLY_HEAD + 1000);
    assert_int_equal(reply.state, REPLY_WRONG);
}

/* Once its head is whole a status stands, whatever comes after it; a body has an end. */
static void what_stands(void **state) {
    static char text[4096];
    static const char head[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    size_t fed = 0;

    (void)state;
    assert_wrong("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n", "before it is whole");
    assert_false(reply.headed);
    assert_wrong("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", "");
    assert_false(reply.headed);
    assert_wrong("HTTP/1.1 503 No\r\nContent-Length: 5\r\n\r\nabcd", "before it is whole");
    assert_true(reply.headed);
    (void)feed_in(head, sizeof head - 1, sizeof head - 1);
    assert_true(reply.headed);
    (void)snprintf(text, sizeof text, "f00\r\n%0*d\r\n", 0xf00, 0);
    while (reply.state < REPLY_WHOLE) {
        fed += reply_feed(&reply, text, strlen(text));
        assert_true(fed < 2 * REPLY_BODY);
    }
    assert_string_equal(reply.fault, "its body has no end");
    assert_true(fed > REPLY_BODY);
}

static void assert_url(const char *text, bool secure, const char *host, const char *port,
                       const char *authority, const char *path) {
    struct url url;

    assert_null(url_parse(&url, text));
    assert_int_equal(url.secure, secure);
    assert_string_equal(url.host, host);
    assert_string_equal(url.port, port);
    assert_string_equal(url.authority, authority);
    assert_string_equal(url.path, path);
}

static void addresses(void **state) {
    static const char *const wrong[] = {"",
                                        "example.com",
                                        "ftp://x/",
                                        "http://",
                                        "http:///x",
                                        "http://a b/",
                                        "http://a/\r\nX: y",
                                        "http://u:p@host/",
                                        "http://a/#x",
                                        "http://a:b/",
                                        "http://a:99999/",
                                        "http://a:0/",
                                        "http://[::1]:00/",
                                        "http://[::1",
                                        "http://::1/",
                                        "http://a:80:80/",
                                        "http://a?x",
                                        "http://[::1]80/",
                                        "http://a/\x80",
                                        "http://[]/",
                                        "http://a:/"};
    struct url url;
    char text[400];

    (void)state;
    assert_url("https://your.host/mails", true, "your.host", "443", "your.host", "/mails");
    assert_url("http://127.0.0.1:8080", false, "127.0.0.1", "8080", "127.0.0.1:8080", "/");
    assert_url("http://[::1]:81/a?b=c:d@e", false, "::1", "81", "[::1]:81", "/a?b=c:d@e");
    assert_url("https://[2001:db8::1]/", true, "2001:db8::1", "443", "[2001:db8::1]", "/");
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        if (url_parse(&url, wrong[i]) == NULL) {
            fail_msg("'%s' was taken", wrong[i]);
        }
    }
    (void)snprintf(text, sizeof text, "http://%0300d/", 0);
    assert_non_null(url_parse(&url, text));
    /* Each says what is wrong with it. */
    assert_non_null(strstr(url_parse(&url, "ftp://x/"), "https://HOST[:PORT]/PATH"));
    assert_non_null(strstr(url_parse(&url, "http://a b/"), "blanks as %20"));
    assert_non_null(strstr(url_parse(&url, "http://a:65536/"), "a port from 1 to 65535"));
}

static void assert_user(const char *text, const char *user, const char *shown) {
    struct cmcwh_text found = url_user(text);
    struct url url;
    char out[64];

    assert_int_equal(found.length, strlen(user));
    assert_memory_equal(found.data, user, found.length);
    assert_string_equal(url_shown(text, out, sizeof out), shown);
    assert_true(found.length == 0 || url_parse(&url, text) != NULL);
}

/* Nobody is shown a password that does not belong where it stands. */
static void users(void **state) {
    char out[8];

    (void)state;
    assert_user("https://u:p@host/", "u:p@", "https://***@host/");
    assert_user("mqtts://token@host", "token@", "mqtts://***@host");
    assert_user("http://@host", "@", "http://***@host");
    assert_user("http://u:p@w@host/x@y", "u:p@w@", "http://***@host/x@y");
    assert_user("http://u:p/w@host/", "u:p/w@", "http://***@host/");
    assert_user("http://u:p?w#@host/", "u:p?w#@", "http://***@host/");
    assert_user("http://host/a:b@c", "", "http://host/a:b@c");
    assert_user("http://host:80/a@c", "", "http://host:80/a@c");
    assert_user("http://[::1]:80/a@c", "", "http://[::1]:80/a@c");
    assert_user("http://host?a=b@c", "", "http://host?a=b@c");
    assert_user("file:/a@b", "", "file:/a@b");
    assert_user("u:p@host", "", "u:p@host");
    assert_user("", "", "");
    assert_string_equal(url_shown("https://u:p@host/", out, sizeof out), "http...");
}

static void percents(void **state) {
    static const char *const wrong[] = {"%", "a%2", "%2g", "%g2", "%00", "12345678"};
    char text[8];

    (void)state;
    assert_true(url_decode("", text, sizeof text));
    assert_string_equal(text, "");
    assert_true(url_decode("a%3D%2526", text, sizeof text));
    assert_string_equal(text, "a=%26");
    assert_true(url_decode("+%e3%82%B9", text, sizeof text));
    assert_string_equal(text, "+\xE3\x82\xB9");
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        if (url_decode(wrong[i], text, sizeof text)) {
            fail_msg("'%s' was taken", wrong[i]);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(lengths),
                                       cmocka_unit_test(chunks),
                                       cmocka_unit_test(what_a_head_says),
                                       cmocka_unit_test(what_is_no_reply),
                                       cmocka_unit_test(what_follows),
                                       cmocka_unit_test(much),
                                       cmocka_unit_test(what_stands),
                                       cmocka_unit_test(addresses),
                                       cmocka_unit_test(users),
                                       cmocka_unit_test(percents)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
