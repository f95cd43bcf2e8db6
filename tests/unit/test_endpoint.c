/* The endpoint of port/baremetal, called as lwIP's HTTP server calls it. */
#include "port/baremetal/endpoint.c"
#include "port/embed/request.c"

#include "support.h"

static struct fixture f;
static struct cmcwh_sink sink;
static char buffer[CMCWH_ENCODED_MAX];
static char uart[4096];
static size_t uart_used;
static bool uart_there; /* false: the cable has been pulled */

static int uart_write(void *context, const void *bytes, size_t length) {
    (void)context;
    if (!uart_there) {
        return -1;
    }
    assert_true(uart_used + length < sizeof uart);
    memcpy(uart + uart_used, bytes, length);
    uart_used += length;
    uart[uart_used] = '\0';
    return 0;
}

static void drain(void) {
    while (cmcwh_sink_pump(&sink) > 0) {
    }
}

static void drain_and_tell(void) {
    int moved;

    while ((moved = cmcwh_sink_pump(&sink)) > 0) {
    }
    if (moved < 0) {
        cmcwh_ring_fail(&f.ring, f.reader, 1000);
    }
}

static void pull_and_drain(void) {
    uart_there = false;
    drain_and_tell();
}

static void start_for(const struct cmcwh_access *access, bool confirm, void (*drain_sinks)(void)) {
    struct cmcwh_sink_config config = {.ring = &f.ring,
                                       .encoding = CMCWH_ENCODE_JSON,
                                       .write = uart_write,
                                       .buffer = buffer,
                                       .buffer_size = sizeof buffer};

    fixture_init(&f, 4, confirm);
    config.reader = f.reader;
    assert_int_equal(cmcwh_sink_init(&sink, &config), CMCWH_OK);
    endpoint_init(&f.ring, access, drain_sinks);
    uart_used = 0;
    uart[0] = '\0';
    uart_there = true;
}

static void start(bool confirm, void (*drain_sinks)(void)) {
    start_for(NULL, confirm, drain_sinks);
}

/* A request, in one piece. Returns the answer. */
static const char *ask_for(const char *uri, const char *head, const char *text) {
    static char answer[512], body[1024];
    char name[32] = "";
    struct pbuf piece = {NULL, body, (u16_t)strlen(text), (u16_t)strlen(text)};
    struct fs_file file;
    u8_t window = 1;
    int connection;

    strcpy(body, text);
    if (httpd_post_begin(&connection, uri, head, (u16_t)strlen(head), piece.len, name, sizeof name,
                         &window) == ERR_OK) {
        (void)httpd_post_receive_data(&connection, &piece);
        httpd_post_finished(&connection, name, sizeof name);
    }
    if (fs_open_custom(&file, name) != 1 || (size_t)file.len >= sizeof answer) {
        fail_msg("no answer under the name '%s'", name);
        return "";
    }
    memcpy(answer, file.data, (size_t)file.len);
    answer[file.len] = '\0';
    fs_close_custom(&file);
    return answer;
}

#define EVENT "{\"event_type\":\"bounces\",\"event\":{\"bounces\":[{\"to\":\"a\"}]}"

/* One request of one event. */
static const char *ask(void) {
    return ask_for("/mails", "Content-Type: application/json\r\n", EVENT "}");
}

static void assert_answer(const char *answer, const char *status, const char *body) {
    assert_memory_equal(answer, status, strlen(status));
    assert_non_null(strstr(answer, "\r\n\r\n"));
    assert_memory_equal(strstr(answer, "\r\n\r\n") + 4, body, strlen(body));
}

static const char stored[] = "{\"stored\":1}";
static const char failed[] = "{\"error\":\"storage_failed\",";

/* In memory a 200 means the ring: the UART may come back later. */
static void memory(void **state) {
    (void)state;
    start(false, NULL);
    uart_there = false;
    assert_answer(ask(), "HTTP/1.1 200 OK\r\n", stored);
    drain_and_tell();
    assert_int_equal(uart_used, 0);
    uart_there = true;
    drain_and_tell();
    assert_non_null(strstr(uart, "\"to\":\"a\""));
}

/* With confirm it means that the UART has it. */
static void confirmed(void **state) {
    (void)state;
    start(true, drain_and_tell);
    assert_answer(ask(), "HTTP/1.1 200 OK\r\n", stored);
    assert_non_null(strstr(uart, "\"to\":\"a\""));
}

/* The UART goes between the end of the body and the answer. */
static void pulled(void **state) {
    (void)state;
    start(true, pull_and_drain);
    assert_answer(ask(), "HTTP/1.1 503 Service Unavailable\r\n", failed);
    uart_there = true;
    drain_and_tell();
    assert_int_equal(uart_used, 0);
    assert_int_equal(f.ring.in_use, 0);
}

/* Without anybody to drain the ring, or one that does not tell of a failure, there is no 200. */
static void nobody_knows(void **state) {
    (void)state;
    start(true, NULL);
    assert_answer(ask(), "HTTP/1.1 503 Service Unavailable\r\n", "{\"error\":\"pending\",");
    start(true, drain);
    uart_there = false;
    assert_answer(ask(), "HTTP/1.1 503 Service Unavailable\r\n", "{\"error\":\"pending\",");
}

/* What is wrong with a head is said before the body comes, and with a body as the daemon says it.
 */
static void refused(void **state) {
    (void)state;
    start(false, NULL);
    assert_answer(ask_for("/", "Content-Type: application/json\r\n", ""),
                  "HTTP/1.1 404 Not Found\r\n", "{\"error\":\"not_found\",");
    assert_answer(ask_for("/mails", "Content-Type: text/plain\r\n", ""),
                  "HTTP/1.1 415 Unsupported Media Type\r\n",
                  "{\"error\":\"unsupported_media_type\",");
    assert_answer(ask_for("/mails", "", ""), "HTTP/1.1 415 ", "{\"error\":");
    assert_answer(ask_for("/mails", "content-type:application/json", "{]"),
                  "HTTP/1.1 400 Bad Request\r\n", "{\"error\":\"malformed_json\",\"offset\":1,");
    assert_answer(ask_for("/mails", "content-type:application/json", "{}"),
                  "HTTP/1.1 422 Unprocessable Content\r\n",
                  "{\"error\":\"missing_field\",\"field\":\"event\",\"offset\":0,");
    assert_int_equal(f.ring.in_use, 0);
}

/* A multipart body finds its boundary in the head, which is lwIP's again when the body comes. */
static void multipart(void **state) {
    char head[] = "Host: a\r\nContent-Type: multipart/form-data; boundary=\"a b\"\r\n";
    static const char body[] =
        "--a b\r\nContent-Disposition: form-data; name=event_type\r\n\r\nbounces\r\n"
        "--a b\r\nContent-Disposition: form-data; name=event\r\n\r\n"
        "{\"bounces\":[{\"to\":\"a\"}]}\r\n--a b--\r\n";

    (void)state;
    start(false, NULL);
    assert_answer(ask_for("/mails", head, body), "HTTP/1.1 200 OK\r\n", stored);
    assert_answer(ask_for("/mails", "Content-Type: multipart/form-data", body), "HTTP/1.1 400 ",
                  "{\"error\":\"malformed_form\",");
}

/* Credentials in the head, or in the body. */
static void guarded(void **state) {
    static const struct cmcwh_credential credentials[] = {{CMCWH_BEARER, {"token", 5}},
                                                          {CMCWH_API_KEY, {"key", 3}}};
    static const struct cmcwh_access both = {credentials, 2}, bearer = {credentials, 1};
    static const char json[] = "Content-Type: application/json\r\n";
    static const char right[] = "Authorization: Bearer token\r\nContent-Type: application/json\r\n";
    static const char wrong[] = "Authorization: Bearer taken\r\nContent-Type: application/json\r\n";
    static const char unauthorized[] = "{\"error\":\"unauthorized\",";

    (void)state;
    start_for(&bearer, false, NULL);
    assert_answer(ask_for("/mails", json, EVENT "}"), "HTTP/1.1 401 Unauthorized\r\n",
                  unauthorized);
    assert_answer(ask_for("/mails", wrong, EVENT "}"), "HTTP/1.1 401 ", unauthorized);
    assert_answer(ask_for("/mails", right, EVENT "}"), "HTTP/1.1 200 ", stored);
    start_for(&both, false, NULL);
    assert_answer(ask_for("/mails", json, EVENT "}"), "HTTP/1.1 401 ", unauthorized);
    assert_answer(ask_for("/mails", json, EVENT ",\"api_key\":\"kez\"}"), "HTTP/1.1 401 ",
                  unauthorized);
    assert_answer(ask_for("/mails", wrong, EVENT ",\"api_key\":\"key\"}"), "HTTP/1.1 401 ",
                  unauthorized);
    assert_answer(ask_for("/mails", right, EVENT ",\"api_key\":\"kez\"}"), "HTTP/1.1 401 ",
                  unauthorized);
    assert_int_equal(f.ring.in_use, 0);
    assert_answer(ask_for("/mails", json, EVENT ",\"api_key\":\"key\"}"), "HTTP/1.1 200 ", stored);
    assert_answer(ask_for("/mails", right, EVENT "}"), "HTTP/1.1 200 ", stored);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory),       cmocka_unit_test(confirmed), cmocka_unit_test(pulled),
        cmocka_unit_test(nobody_knows), cmocka_unit_test(refused),   cmocka_unit_test(multipart),
        cmocka_unit_test(guarded),
    };

    return cmocka_run_group_tests_name("endpoint", tests, NULL, NULL);
}
