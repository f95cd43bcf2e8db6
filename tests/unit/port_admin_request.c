/* Heads of requests to the admin port: read by RFC 9112, and no more loosely. */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/request.h"

static struct request request;
static const char *fault;

/* Reads bytes that end where memory does. */
static int read_bytes(const char *bytes, size_t length) {
    static char *copy;

    free(copy); /* the views of the last one */
    copy = malloc(length > 0 ? length : 1);
    assert_non_null(copy);
    memcpy(copy, bytes, length);
    return request_read(&request, copy, length, &fault);
}

static int read_text(const char *text) {
    return read_bytes(text, strlen(text));
}

static void assert_text(struct cmcwh_text text, const char *expected) {
    assert_int_equal(text.length, strlen(expected));
    assert_memory_equal(text.data, expected, text.length);
}

static void assert_header(enum request_header header, const char *expected) {
    assert_non_null(request.headers[header].data);
    assert_text(request.headers[header], expected);
}

/* Each part of it waits for more, and what follows it does not count. */
static void assert_whole(const char *text) {
    char more[1024];
    int length = (int)strlen(text);

    for (size_t part = 0; part < strlen(text); part++) {
        assert_int_equal(read_bytes(text, part), 0);
    }
    (void)snprintf(more, sizeof more, "%sGET \n", text);
    assert_int_equal(read_text(more), length);
    assert_int_equal(read_text(text), length);
}

static void assert_wrong(const char *text, int status, const char *why) {
    assert_int_equal(read_text(text), -status);
    if (strstr(fault, why) == NULL) {
        fail_msg("'%s' was not the fault, but '%s'", why, fault);
    }
}

static void heads(void **state) {
    (void)state;
    assert_whole("GET /events?after=3&limit=2 HTTP/1.1\r\nhost: a:1\r\nX: \xC3\xA9\r\n"
                 "ACCEPT:text/html, */*;q=0.1 \t\r\nLast-Event-ID:\r\n\r\n");
    assert_int_equal(request.method, REQUEST_GET);
    assert_true(request.chunks);
    assert_text(request.path, "/events");
    assert_text(request.query, "after=3&limit=2");
    assert_header(REQUEST_HOST, "a:1");
    assert_header(REQUEST_ACCEPT, "text/html, */*;q=0.1");
    assert_header(REQUEST_LAST_EVENT_ID, "");
    assert_null(request.headers[REQUEST_AUTHORIZATION].data);

    assert_whole("HEAD /?? HTTP/1.0\r\n\r\n");
    assert_int_equal(request.method, REQUEST_HEAD);
    assert_false(request.chunks);
    assert_text(request.path, "/");
    assert_text(request.query, "?");

    assert_whole("get / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n");
    assert_int_equal(request.method, REQUEST_OTHER);
    assert_whole("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
}

static void wrong_heads(void **state) {
    static const char no_request[] = "this is no request";

    (void)state;
    assert_wrong("\r\n", 400, "CR LF");
    assert_wrong("GET / HTTP/1.1\n", 400, "CR LF");
    assert_wrong("\x16\x03\x01\n", 400, "CR LF");
    assert_wrong("GET  / HTTP/1.1\r\n", 400, no_request);
    assert_wrong("GET / HTTP/1.1 \r\n", 400, no_request);
    assert_wrong("GET / HTTP/1.2\r\n", 400, no_request);
    assert_wrong("GET / http/1.1\r\n", 400, no_request);
    assert_wrong("GET /\r\n", 400, no_request);
    assert_wrong("GET http://a/ HTTP/1.1\r\n", 400, no_request);
    assert_wrong("OPTIONS * HTTP/1.1\r\n", 400, no_request);
    assert_wrong("GET /\t HTTP/1.1\r\n", 400, no_request);
    assert_wrong("GET /\xC3\xA9 HTTP/1.1\r\n", 400, no_request);
    assert_wrong(" / HTTP/1.1\r\n", 400, no_request);
    assert_wrong("PRI * HTTP/2.0\r\n", 505, "HTTP/1.1");
    assert_wrong("GET / HTTP/1.1\r\n\r\n", 400, "Host lacks");
    assert_wrong("GET / HTTP/1.1\r\nHost : a\r\n", 400, "no header");
    assert_wrong("GET / HTTP/1.1\r\nHost: a\r\n b\r\n", 400, "no header");
    assert_wrong("GET / HTTP/1.1\r\nHost: a\rb\r\n", 400, "no header");
    assert_wrong("GET / HTTP/1.1\r\nHost: a\x7F\r\n", 400, "no header");
    assert_wrong("GET / HTTP/1.1\r\nX\r\n", 400, "no header");
    assert_wrong("GET / HTTP/1.1\r\nHost: a\r\nHOST: a\r\n", 400, "twice");
    assert_wrong("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n", 400, "no body");
    assert_wrong("GET / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n", 400, "no body");
    assert_wrong("HEAD / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: x\r\n\r\n", 400, "no body");
    assert_int_equal(read_bytes("GET / HTTP/1.1\r\nHost: a\0b\r\n", 28), -400);
}

static void longest(void **state) {
    static char text[REQUEST_HEAD_MAX + 1];
    int start = snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: a\r\nX: ");

    (void)state;
    memset(text + start, 'x', sizeof text - 1 - (size_t)start);
    assert_int_equal(read_bytes(text, REQUEST_HEAD_MAX - 1), 0);
    assert_wrong(text, 431, "8 KiB");
    memcpy(text + REQUEST_HEAD_MAX - 4, "\r\n\r\n", 5);
    assert_int_equal(read_text(text), REQUEST_HEAD_MAX);
}

/* ---- The query ---- */

/* The parameters of a query, "name=value|..."; then "!" if one is wrong. */
static const char *parameters(const char *query) {
    static char out[2048];
    struct cmcwh_text rest = {query, strlen(query)};
    struct request_parameter parameter;
    size_t used = 0;
    int result;

    out[0] = '\0';
    while ((result = request_parameter(&rest, &parameter)) > 0) {
        used += (size_t)snprintf(out + used, sizeof out - used, "%.*s=%s|",
                                 (int)parameter.name.length, parameter.name.data, parameter.value);
        assert_true(used < sizeof out);
    }
    assert_true(result == 0 || parameter.value[0] == '\0'); /* nothing that is half of it */
    return result < 0 ? strcat(out, "!")
                      : out; /* NOLINT(clang-analyzer-security.insecureAPI.strcpy) */
}

static void queries(void **state) {
    char text[REQUEST_VALUE + 8], expected[REQUEST_VALUE + 16];

    (void)state;
    assert_string_equal(parameters(""), "");
    assert_string_equal(parameters("&&"), "");
    assert_string_equal(parameters("a=1&b&=2&c=3=4&a="), "a=1|b=|=2|c=3=4|a=|");
    assert_string_equal(parameters("only=bounces%3A2%2cfailed+x"), "only=bounces:2,failed x|");
    assert_string_equal(parameters("a%61=%25"), "a%61=%|");
    assert_string_equal(parameters("a=1&b=%0"), "a=1|!");
    assert_string_equal(parameters("b=%"), "!");
    assert_string_equal(parameters("b=%0g"), "!");
    assert_string_equal(parameters("b=%00"), "!");
    memset(text, 'x', sizeof text);
    memcpy(text, "a=", 2);
    text[2 + REQUEST_VALUE - 1] = '\0';
    (void)snprintf(expected, sizeof expected, "%s|", text);
    assert_string_equal(parameters(text), expected);
    text[2 + REQUEST_VALUE - 1] = 'x';
    text[2 + REQUEST_VALUE] = '\0';
    assert_string_equal(parameters(text), "!");
}

/* ---- What is accepted ---- */

static unsigned accepted(const char *header, const char *name) {
    return request_accepts((struct cmcwh_text){header, strlen(header)}, name);
}

static void accepts(void **state) {
    static const char prometheus[] = "application/openmetrics-text;version=1.0.0;q=0.5,"
                                     "application/openmetrics-text;version=0.0.1;q=0.4,"
                                     "text/plain;version=0.0.4;q=0.3,*/*;q=0.2";

    (void)state;
    assert_int_equal(accepted("", "text/html"), 0);
    assert_int_equal(accepted("*/*", "text/html"), 0);
    assert_int_equal(accepted("text/html-x", "text/html"), 0);
    assert_int_equal(accepted(" Text/HTML ; charset=utf-8, x", "text/html"), 1000);
    assert_int_equal(accepted("text/plain;q=0", "text/plain"), 0);
    assert_int_equal(accepted("text/plain;q=0.000, text/plain ; Q=0.25", "text/plain"), 250);
    assert_int_equal(accepted("text/plain;q=1.5", "text/plain"), 1000);
    assert_int_equal(accepted("text/plain;q=x", "text/plain"), 1000);
    assert_int_equal(accepted("text/plain;q=", "text/plain"), 1000);
    assert_int_equal(accepted(prometheus, "application/openmetrics-text"), 500);
    assert_int_equal(accepted(prometheus, "text/plain"), 300);
    assert_int_equal(accepted("en-US,en;q=0.9,ja-JP;q=0.8", "ja"), 800);
    assert_int_equal(accepted("en-US,en;q=0.9", "en"), 1000);
    assert_int_equal(accepted("jav", "ja"), 0);
    assert_int_equal(request_accepts((struct cmcwh_text){NULL, 0}, "ja"), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(heads),   cmocka_unit_test(wrong_heads), cmocka_unit_test(longest),
        cmocka_unit_test(queries), cmocka_unit_test(accepts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
