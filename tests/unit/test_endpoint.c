/* The endpoint of port/baremetal, called as lwIP's HTTP server calls it. */
#include "port/baremetal/endpoint.c"

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

static void start(bool confirm, void (*drain_sinks)(void)) {
    struct cmcwh_sink_config config = {.ring = &f.ring,
                                       .encoding = CMCWH_ENCODE_JSON,
                                       .write = uart_write,
                                       .buffer = buffer,
                                       .buffer_size = sizeof buffer};

    fixture_init(&f, 4, confirm);
    config.reader = f.reader;
    assert_int_equal(cmcwh_sink_init(&sink, &config), CMCWH_OK);
    endpoint_init(&f.ring, NULL, drain_sinks);
    uart_used = 0;
    uart[0] = '\0';
    uart_there = true;
}

/* One request of one event. Returns the answer. */
static const char *ask(void) {
    static char body[] = "{\"event_type\":\"bounces\",\"event\":{\"bounces\":[{\"to\":\"a\"}]}}";
    static char answer[512];
    const char *head = "Content-Type: application/json\r\n";
    char name[32] = "";
    struct pbuf piece = {NULL, body, sizeof body - 1, sizeof body - 1};
    struct fs_file file;
    u8_t window = 1;
    int connection;

    assert_int_equal(httpd_post_begin(&connection, "/mails", head, (u16_t)strlen(head),
                                      sizeof body - 1, name, sizeof name, &window),
                     ERR_OK);
    assert_int_equal(httpd_post_receive_data(&connection, &piece), ERR_OK);
    httpd_post_finished(&connection, name, sizeof name);
    if (fs_open_custom(&file, name) != 1 || (size_t)file.len >= sizeof answer) {
        fail_msg("no answer under the name '%s'", name);
        return "";
    }
    memcpy(answer, file.data, (size_t)file.len);
    answer[file.len] = '\0';
    fs_close_custom(&file);
    return answer;
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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory),
        cmocka_unit_test(confirmed),
        cmocka_unit_test(pulled),
        cmocka_unit_test(nobody_knows),
    };

    return cmocka_run_group_tests_name("endpoint", tests, NULL, NULL);
}
