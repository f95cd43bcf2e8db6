/* What an answer to a POST means. */
#include "support.h"

#include <stdio.h>
#include <string.h>

#include "sink/refusal.h"

static struct reply reply;
static char body[64], text[256];

static void answer(const char *head, const char *said) {
    char bytes[1024];
    int length = snprintf(bytes, sizeof bytes, "HTTP/1.1 %s\r\nContent-Length: %zu\r\n\r\n%s", head,
                          strlen(said), said);

    reply_begin(&reply, body, sizeof body);
    (void)reply_feed(&reply, bytes, (size_t)length);
    assert_int_equal(reply.state, REPLY_WHOLE);
}

static void what_each_status_means(void **state) {
    static const struct {
        int status;
        enum refusal refusal;
    } each[] = {
        {200, REFUSAL_NONE},  {202, REFUSAL_NONE},  {204, REFUSAL_NONE},  {299, REFUSAL_NONE},
        {301, REFUSAL_LATER}, {304, REFUSAL_LATER}, {400, REFUSAL_FINAL}, {401, REFUSAL_LATER},
        {403, REFUSAL_FINAL}, {404, REFUSAL_FINAL}, {407, REFUSAL_LATER}, {408, REFUSAL_LATER},
        {413, REFUSAL_SIZE},  {431, REFUSAL_SIZE},  {422, REFUSAL_FINAL}, {425, REFUSAL_LATER},
        {429, REFUSAL_LATER}, {499, REFUSAL_FINAL}, {500, REFUSAL_LATER}, {503, REFUSAL_LATER},
        {599, REFUSAL_LATER}, {999, REFUSAL_LATER}};

    (void)state;
    for (size_t i = 0; i < sizeof each / sizeof *each; i++) {
        if (refusal_of(each[i].status) != each[i].refusal) {
            fail_msg("%d", each[i].status);
        }
    }
}

static void assert_pause(int status, const char *after, uint64_t now, uint32_t pause) {
    char head[128];

    (void)snprintf(head, sizeof head, "%d x\r\nRetry-After: %s", status, after);
    answer(head, "");
    if (refusal_pause(&reply, now) != pause) {
        fail_msg("'%s' is %u ms", after, (unsigned)refusal_pause(&reply, now));
    }
}

static void pauses(void **state) {
    static const char date[] = "Sun, 06 Nov 1994 08:49:37 GMT";
    const uint64_t then = UINT64_C(784111777) * 1000;

    (void)state;
    assert_pause(503, "7", 0, 7000);
    assert_pause(429, "0", 0, 0);
    assert_pause(429, "3599", 0, 3599000);
    assert_pause(503, "3601", 0, 3600000);
    assert_pause(503, "18446744073709551615", 0, 0);
    assert_pause(503, "-1", 0, 0);
    assert_pause(503, "1.5", 0, 0);
    assert_pause(503, "", 0, 0);
    assert_pause(503, date, then - 1500, 1500);
    assert_pause(503, date, then - UINT64_C(86400000), 3600000);
    assert_pause(503, date, then, 0);
    assert_pause(503, date, then + 1, 0);
    assert_pause(503, "Sun, 06 Nov 1994 08:49:37 CET", then - 1500, 0);
    assert_pause(503, "Sun, 06 Nov 1994 08:49:37 GMT!", then - 1500, 0);
    assert_pause(500, "7", 0, 0);
    assert_pause(200, "7", 0, 0);
}

static void assert_explained(const char *head, const char *said, const char *words) {
    memset(text, '#', sizeof text);
    answer(head, said);
    refusal_explain(&reply, text, sizeof text);
    assert_string_equal(text, words);
}

static void words(void **state) {
    char head[400];

    (void)state;
    assert_explained("401 No", "",
                     "answered 401 Unauthorized: it wants credentials: see headers=FILE");
    assert_explained("500 Oh", "", "answered 500");
    assert_explained("422 x", "{\"error\":\"a\n\x1B[2Jb\"}\r\n",
                     "answered 422 Unprocessable Content; it says: "
                     "'{\"error\":\"a\\u000a\\u001b[2Jb\"}'");
    assert_explained("422 x\r\nContent-Type: text/html; charset=x", "<h1>No</h1>",
                     "answered 422 Unprocessable Content");
    assert_explained("400 x\r\nContent-Type: text/html", "<html><title>400 No\x1B</title><h1>No",
                     "answered 400 Bad Request: it does not understand what it gets: is format= "
                     "what it expects?; it says: '400 No\\u001b'");
    assert_explained("422 x\r\nContent-Type: text/html", "<title></title>",
                     "answered 422 Unprocessable Content");
    assert_explained("422 x\r\nContent-Type: text/html", "<title>No</titl",
                     "answered 422 Unprocessable Content");
    assert_explained("422 x\r\nContent-Encoding: gzip", "xx", "answered 422 Unprocessable Content");
    assert_explained("308 x\r\nLocation: https://b/\x1B", "",
                     "answered 308: redirects to 'https://b/\\u001b': name that URL");
    assert_explained("304 x", "", "answered 304");
    (void)snprintf(head, sizeof head, "302 x\r\nLocation: %0300d", 0);
    answer(head, "and more than there is any room for, which is cut");
    refusal_explain(&reply, text, sizeof text);
    assert_true(strlen(text) < sizeof text);
    refusal_explain(&reply, text, 30);
    assert_true(strlen(text) < 30);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(what_each_status_means),
                                       cmocka_unit_test(pauses), cmocka_unit_test(words)};

    return cmocka_run_group_tests_name("what an answer means", tests, NULL, NULL);
}
