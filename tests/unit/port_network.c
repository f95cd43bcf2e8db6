/* Addresses that people write: ranges, listeners, hosts of sinks. */
#include "support.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "platform/network.h"

static void ranges(void **state) {
    static const struct {
        const char *range, *inside, *outside;
    } good[] = {
        {"192.0.2.7", "192.0.2.7", "192.0.2.6"},
        {"192.0.2.0/24", "192.0.2.255", "192.0.3.0"},
        {"192.0.2.99/24", "192.0.2.0", "192.0.1.255"}, /* what is behind the bits is ignored */
        {"192.0.2.128/25", "192.0.2.128", "192.0.2.127"},
        {"192.0.2.6/31", "192.0.2.7", "192.0.2.8"},
        {"192.0.2.7/32", "192.0.2.7", "192.0.2.5"},
        {"0.0.0.0/0", "255.255.255.255", "::1"},
        {"0.0.0.0/1", "127.255.255.255", "128.0.0.0"},
        {"2001:db8::/32", "2001:db8:ffff::1", "2001:db9::"},
        {"2001:db8::1", "2001:0db8:0:0:0:0:0:1", "2001:db8::2"},
        {"::/0", "192.0.2.1", "nobody"},
        {"::/1", "7fff::", "8000::"},
        {"::1/128", "::1", "::"},
        {"::ffff:192.0.2.0/120", "192.0.2.1", "192.0.3.1"}, /* an IPv4 peer on an IPv6 socket */
        {"192.0.2.0/24", "::ffff:192.0.2.1", "::192.0.2.1"},
    };
    struct network network;

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_true(network_parse(&network, good[i].range));
        assert_true(network_contains(&network, 1, good[i].inside));
        assert_false(network_contains(&network, 1, good[i].outside));
        assert_false(network_contains(&network, 0, good[i].inside));
        assert_false(network_contains(&network, 1, ""));
    }
}

static void several_ranges(void **state) {
    struct network networks[2];

    (void)state;
    assert_true(network_parse(&networks[0], "192.0.2.0/24"));
    assert_true(network_parse(&networks[1], "2001:db8::/32"));
    assert_true(network_contains(networks, 2, "192.0.2.1"));
    assert_true(network_contains(networks, 2, "2001:db8::1"));
    assert_false(network_contains(networks, 2, "198.51.100.1"));
    assert_false(network_contains(networks, 1, "2001:db8::1"));
}

static void no_ranges(void **state) {
    static const char *const wrong[] = {"",
                                        "/",
                                        "/24",
                                        "192.0.2",
                                        "192.0.2.1.1",
                                        "192.0.2.256",
                                        "192.0.2.0/",
                                        "192.0.2.0/33",
                                        "192.0.2.0/-1",
                                        "192.0.2.0/+1",
                                        "192.0.2.0/ 1",
                                        "192.0.2.0/24x",
                                        "192.0.2.0/24/24",
                                        "192.0.2.0/0x8",
                                        "192.0.2.0/18446744073709551624",
                                        "192.0.2.0/99999999999999999999",
                                        " 192.0.2.0/24",
                                        "192.0.2.0 /24",
                                        "2001:db8::/129",
                                        "2001:db8:::1",
                                        "[2001:db8::1]",
                                        "fe80::1%lo",
                                        "example.jp",
                                        "192.0.2.0/24,198.51.100.0/24"};
    struct network network;
    char longest[256];

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_false(network_parse(&network, wrong[i]));
    }
    for (size_t length = 1; length < sizeof longest; length++) {
        memset(longest, '1', length);
        longest[length] = '\0';
        assert_false(network_parse(&network, longest));
        longest[0] = '/';
        assert_false(network_parse(&network, longest));
    }
}

static const char *listener(const char *text) {
    static char out[80];
    struct sockaddr_storage address;
    const struct sockaddr_in *four = (const struct sockaddr_in *)&address;
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)&address;
    char host[INET6_ADDRSTRLEN] = "";
    socklen_t length;

    if (!network_listener(text, &address, &length)) {
        return NULL;
    }
    if (address.ss_family == AF_INET6) {
        assert_int_equal(length, sizeof *six);
        (void)inet_ntop(AF_INET6, &six->sin6_addr, host, sizeof host);
        (void)snprintf(out, sizeof out, "[%s] %u", host, (unsigned)ntohs(six->sin6_port));
    } else {
        assert_int_equal(address.ss_family, AF_INET);
        assert_int_equal(length, sizeof *four);
        (void)inet_ntop(AF_INET, &four->sin_addr, host, sizeof host);
        (void)snprintf(out, sizeof out, "%s %u", host, (unsigned)ntohs(four->sin_port));
    }
    return out;
}

static void listeners(void **state) {
    static const char *const wrong[] = {"",
                                        "s",
                                        ":",
                                        ":80",
                                        "80",
                                        "127.0.0.1",
                                        "127.0.0.1:",
                                        "127.0.0.1:s",
                                        "127.0.0.1:65536",
                                        "127.0.0.1:8080x",
                                        "127.0.0.1:8080ss",
                                        "127.0.0.1:-1",
                                        "127.0.0.1:+1",
                                        "127.0.0.1: 80",
                                        " 127.0.0.1:80",
                                        "::1:80",
                                        "[::1]",
                                        "[::1]80",
                                        "[::1:80",
                                        "[]:80",
                                        "[127.0.0.1]:80",
                                        "localhost:80",
                                        "*:80",
                                        "[fe80::1%lo]:80",
                                        "127.0.0.1:80,127.0.0.1:81",
                                        "127.0.0.1:00000080"};
    char longest[256] = "[";

    (void)state;
    assert_string_equal(listener("127.0.0.1:8080"), "127.0.0.1 8080");
    assert_string_equal(listener("0.0.0.0:0"), "0.0.0.0 0");
    assert_string_equal(listener("127.0.0.1:65535s"), "127.0.0.1 65535");
    assert_string_equal(listener("[::]:8080"), "[::] 8080");
    assert_string_equal(listener("[2001:db8::1]:8443s"), "[2001:db8::1] 8443");
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_null(listener(wrong[i]));
    }
    for (size_t length = 1; length + 4 < sizeof longest; length++) {
        memset(longest + 1, ':', length);
        (void)strcpy(longest + 1 + length, "]:1");
        if (length != 2) { /* "::" */
            assert_null(listener(longest));
        }
    }
    assert_true(network_secure("127.0.0.1:8443s"));
    assert_false(network_secure("127.0.0.1:8443"));
    assert_false(network_secure(""));
}

static void hosts(void **state) {
    static const char *const wrong[] = {"",           "host",        "host:",  ":514",
                                        "host:x",     "[::1]",       "[]:514", "[::1:514",
                                        "host:65536", "h:123456789", "host:0"};
    char host[8], port[6];

    (void)state;
    assert_true(network_split("log.jp:514", host, sizeof host, port, sizeof port));
    assert_string_equal(host, "log.jp");
    assert_string_equal(port, "514");
    assert_true(network_split("[::1]:65535", host, sizeof host, port, sizeof port));
    assert_string_equal(host, "::1");
    assert_string_equal(port, "65535");
    assert_true(network_split("1234567:1", host, sizeof host, port, sizeof port));
    assert_false(network_split("12345678:1", host, sizeof host, port, sizeof port));
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_false(network_split(wrong[i], host, sizeof host, port, sizeof port));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(ranges), cmocka_unit_test(several_ranges),
                                       cmocka_unit_test(no_ranges), cmocka_unit_test(listeners),
                                       cmocka_unit_test(hosts)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
