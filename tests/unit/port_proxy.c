/* What a trusted proxy says of its peer: PROXY protocol headers, and X-Forwarded-For. */
#include "support.h"

#include <arpa/inet.h>
#include <civetweb.h>
#include <stdio.h>
#include <string.h>

#include "door/proxy.h"

enum { ROOM = 1024 };

static union network_address peer;

/* The peer as text, "none" when the header has set none. */
static const char *peer_text(void) {
    static char text[64];
    char address[INET6_ADDRSTRLEN];
    bool six = peer.any.sa_family == AF_INET6;

    if (peer.any.sa_family == AF_UNSPEC) {
        return "none";
    }
    (void)inet_ntop(peer.any.sa_family,
                    six ? (const void *)&peer.six.sin6_addr : (const void *)&peer.four.sin_addr,
                    address, sizeof address);
    (void)snprintf(text, sizeof text, "%s %u", address,
                   (unsigned)ntohs(six ? peer.six.sin6_port : peer.four.sin_port));
    return text;
}

/* Bytes at the very end of what may be read: a look behind them is seen by the sanitizers. */
static int header(const char *bytes, size_t length) {
    char *exact = test_malloc(length + (length == 0));
    int result;

    memcpy(exact, bytes, length);
    memset(&peer, 0, sizeof peer);
    result = proxy_header(exact, length, &peer);
    test_free(exact);
    return result;
}

/* Puts a text without its zero into bytes. */
static void put(char *at, const char *text) {
    while (*text != '\0') {
        *at++ = *text++;
    }
}

/* The header is found whole and in front of others, and no part of it is taken for one. */
static void assert_header(const char *bytes, size_t length, const char *expected) {
    static const char after[] = "POST / HTTP/1.1\r\n\r\nPROXY TCP4 9.9.9.9 9.9.9.9 9 9\r\n";
    char both[ROOM + sizeof after];

    assert_true(length <= ROOM);
    for (size_t part = 0; part < length; part++) {
        assert_int_equal(header(bytes, part), PROXY_MORE);
        assert_string_equal(peer_text(), "none");
    }
    assert_int_equal(header(bytes, length), length);
    assert_string_equal(peer_text(), expected);
    memcpy(both, bytes, length);
    memcpy(both + length, after, sizeof after);
    assert_int_equal(header(both, length + sizeof after), length);
    assert_string_equal(peer_text(), expected);
}

static void version_one(void **state) {
    static const struct {
        const char *line, *peer;
    } good[] = {
        {"PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n", "192.0.2.1 56324"},
        {"PROXY TCP4 255.255.255.255 0.0.0.0 0 65535\r\n", "255.255.255.255 0"},
        {"PROXY TCP6 2001:db8::1 ::1 65535 1\r\n", "2001:db8::1 65535"},
        {"PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
         "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
         "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535"},
        {"PROXY UNKNOWN\r\n", "none"},
        {"PROXY UNKNOWN ffff::1 and whatever else it says\r\n", "none"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_header(good[i].line, strlen(good[i].line), good[i].peer);
    }
}

static void version_one_wrong(void **state) {
    static const char *const lines[] = {
        "PROXY \r\n",
        "PROXY TCP4\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.7 1 2\n", /* no CR */
        "PROXY \n",
        "PROXY TCP4 192.0.2.1 198.51.100.7 1\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.7 1 2 3\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.7 1 2 \r\n",
        "PROXY TCP4  192.0.2.1 198.51.100.7 1 2\r\n",
        "PROXY TCP4\t192.0.2.1 198.51.100.7 1 2\r\n",
        "PROXY TCP5 192.0.2.1 198.51.100.7 1 2\r\n",
        "PROXY tcp4 192.0.2.1 198.51.100.7 1 2\r\n",
        "PROXY TCP4 2001:db8::1 198.51.100.7 1 2\r\n",
        "PROXY TCP4 192.0.2.1 ::1 1 2\r\n",
        "PROXY TCP6 192.0.2.1 198.51.100.7 1 2\r\n",
        "PROXY TCP4 192.0.2.256 198.51.100.7 1 2\r\n",
        "PROXY TCP4 192.0.2 198.51.100.7 1 2\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.7 65536 2\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.7 1 99999999999999999999\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.7 -1 2\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.7 +1 2\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.7 1x 2\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.7 0x1 2\r\n",
    };
    static const char zero[] = "PROXY TCP4 192.0.2.1\0198.51.100.7 1 2\r\n";
    char longest[ROOM];

    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        assert_int_equal(header(lines[i], strlen(lines[i])), PROXY_WRONG);
        assert_string_equal(peer_text(), "none");
    }
    assert_int_equal(header(zero, sizeof zero - 1), PROXY_WRONG);
    memset(longest, 'x', sizeof longest); /* 107 bytes at most, by the specification */
    put(longest, "PROXY UNKNOWN ");
    assert_int_equal(header(longest, 106), PROXY_MORE);
    assert_int_equal(header(longest, 107), PROXY_WRONG);
    put(longest + 105, "\r\n");
    assert_int_equal(header(longest, sizeof longest), 107);
    put(longest + 105, "x\r\n");
    assert_int_equal(header(longest, sizeof longest), PROXY_WRONG);
}

/* A header of version 2; `size` bytes behind its fixed part. */
static size_t two(char *out, unsigned command, unsigned family, size_t size) {
    static const char signature[12] = "\r\n\r\n\0\r\nQUIT\n";
    static const unsigned char four[] = {192, 0, 2, 1, 198, 51, 100, 7, 0xDC, 4, 1, 187};
    static const unsigned char six[] = {0x20, 1, 0x0D, 0xB8, 0, 0, 0, 0, 0,    0,    0, 0,
                                        0,    0, 0,    1,    0, 0, 0, 0, 0,    0,    0, 0,
                                        0,    0, 0,    0,    0, 0, 0, 1, 0xFF, 0xFE, 1, 187};

    memcpy(out, signature, sizeof signature);
    out[12] = (char)command;
    out[13] = (char)family;
    out[14] = (char)(size >> 8);
    out[15] = (char)size;
    memset(out + 16, 0x5A, size);
    if (family >> 4 == 1) {
        memcpy(out + 16, four, size < sizeof four ? size : sizeof four);
    } else {
        memcpy(out + 16, six, size < sizeof six ? size : sizeof six);
    }
    return 16 + size;
}

static void version_two(void **state) {
    char bytes[ROOM];

    (void)state;
    assert_header(bytes, two(bytes, 0x21, 0x11, 12), "192.0.2.1 56324");
    assert_header(bytes, two(bytes, 0x21, 0x11, 40), "192.0.2.1 56324"); /* with TLVs */
    assert_header(bytes, two(bytes, 0x21, 0x21, 36), "2001:db8::1 65534");
    assert_header(bytes, two(bytes, 0x21, 0x21, PROXY_HEADER_MAX - 16), "2001:db8::1 65534");
    /* What names no peer of use: a health check, datagrams, sockets of a file system, too little.
     */
    assert_header(bytes, two(bytes, 0x20, 0x00, 0), "none");
    assert_header(bytes, two(bytes, 0x20, 0x11, 12), "none");
    assert_header(bytes, two(bytes, 0x21, 0x00, 0), "none");
    assert_header(bytes, two(bytes, 0x21, 0x12, 12), "none");
    assert_header(bytes, two(bytes, 0x21, 0x31, 216), "none");
    assert_header(bytes, two(bytes, 0x21, 0x11, 11), "none");
    assert_header(bytes, two(bytes, 0x21, 0x21, 35), "none");
}

static void version_two_wrong(void **state) {
    char bytes[ROOM];

    (void)state;
    assert_int_equal(header(bytes, two(bytes, 0x22, 0x11, 12)), PROXY_WRONG);
    assert_int_equal(header(bytes, two(bytes, 0x11, 0x11, 12)), PROXY_WRONG);
    assert_int_equal(header(bytes, two(bytes, 0x21, 0x21, PROXY_HEADER_MAX - 15)), PROXY_WRONG);
    (void)two(bytes, 0x21, 0x11, 900);
    put(bytes + 14, "\xFF\xFF");
    assert_int_equal(header(bytes, 16), PROXY_WRONG); /* before what it promises has come */
}

static void no_header(void **state) {
    static const char *const texts[] = {"POST / HTTP/1.1\r\n",
                                        "GET",
                                        "\x16\x03\x01",
                                        "PROXZ",
                                        "proxy TCP4 1.2.3.4 1.2.3.4 1 2\r\n",
                                        " PROXY ",
                                        "\r\nPOST",
                                        "\r\n\r\n\x01",
                                        "PRI * HTTP/2.0\r\n"};

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        assert_int_equal(header(texts[i], strlen(texts[i])), PROXY_NONE);
        assert_string_equal(peer_text(), "none");
    }
}

static struct proxies proxies;

/* Whose request it is when `from` sends these headers. */
static const char *forwarded(const char *from, const char *one, const char *two_of_them) {
    static char address[CMCWH_ADDRESS_SIZE];
    struct mg_request_info info = {.num_headers = 3,
                                   .http_headers = {{"X-Forwarded-For", one},
                                                    {"X-Forwarded-Foreign", "203.0.113.99"},
                                                    {"x-forwarded-for", two_of_them}}};

    (void)snprintf(address, sizeof address, "%s", from);
    proxy_forwarded(&proxies, &info, address);
    return address;
}

static void forwarded_for(void **state) {
    static const struct {
        const char *list, *address;
    } lists[] = {
        {"", "10.0.0.1"},
        {" , ,", "10.0.0.1"},
        {"203.0.113.5", "203.0.113.5"},
        {"198.51.100.1, 203.0.113.5", "203.0.113.5"}, /* only the last is the proxy's own word */
        {"198.51.100.1,203.0.113.5 , ", "203.0.113.5"},
        {"203.0.113.5, 10.2.3.4", "203.0.113.5"}, /* proxies behind each other */
        {"203.0.113.5\t10.2.3.4,10.9.9.9", "203.0.113.5"},
        {"10.2.3.4", "10.0.0.1"}, /* it names nobody but proxies */
        {"203.0.113.5:4711", "203.0.113.5"},
        {"[2001:db8::5]:4711", "2001:db8::5"},
        {"[2001:db8::5]", "2001:db8::5"},
        {"2001:db8::5", "2001:db8::5"},
        {"203.0.113.5, unknown", "10.0.0.1"}, /* nothing before it can be relied on */
        {"203.0.113.5, 10.2.3.4, _secret", "10.0.0.1"},
        {"203.0.113.5, 1.2.3", "10.0.0.1"},
        {"\"203.0.113.5\"", "10.0.0.1"},
        {"[", "10.0.0.1"},
        {":", "10.0.0.1"},
        {"203.0.113.5/24", "10.0.0.1"},
    };
    static struct network networks[2];
    char longest[1024];

    (void)state;
    assert_true(network_parse(&networks[0], "10.0.0.0/8") && network_parse(&networks[1], "::1"));
    proxies = (struct proxies){networks, 2};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        assert_string_equal(forwarded("10.0.0.1", lists[i].list, ""), lists[i].address);
        /* From anybody else it is not even looked at. */
        assert_string_equal(forwarded("192.0.2.9", lists[i].list, ""), "192.0.2.9");
    }
    /* Several of them are one list, of which the last is the proxy's. */
    assert_string_equal(forwarded("10.0.0.1", "192.0.2.77", "203.0.113.5"), "203.0.113.5");
    assert_string_equal(forwarded("10.0.0.1", "192.0.2.77", "10.2.3.4"), "192.0.2.77");
    assert_string_equal(forwarded("10.0.0.1", "192.0.2.77", ""), "192.0.2.77");
    assert_string_equal(forwarded("10.0.0.1", "192.0.2.77", "unknown"), "10.0.0.1");
    memset(longest, '1', sizeof longest);
    longest[sizeof longest - 1] = '\0';
    assert_string_equal(forwarded("10.0.0.1", longest, ""), "10.0.0.1");
    proxies.count = 0;
    assert_string_equal(forwarded("10.0.0.1", "203.0.113.5", ""), "10.0.0.1");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(version_one), cmocka_unit_test(version_one_wrong),
        cmocka_unit_test(version_two), cmocka_unit_test(version_two_wrong),
        cmocka_unit_test(no_header),   cmocka_unit_test(forwarded_for)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
