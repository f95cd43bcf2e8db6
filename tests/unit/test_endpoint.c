/* The endpoint of port/baremetal, called as lwIP's HTTP server calls it. */
#include "port/baremetal/endpoint.c"
#include "port/embed/request.c"

#include <stdio.h>

#include "support.h"

static struct fixture f;
static struct cmcwh_sink sink;
static char buffer[CMCWH_ENCODED_MAX];
static char uart[4096];
static size_t uart_used;
static bool uart_there; /* false: the cable has been pulled */

/* lwIP's memory. */
static char memory_of_lwip[8][1024];
static bool memory_taken[8];
static size_t memory_there; /* pieces that there are */

void *mem_malloc(size_t size) {
    assert_true(size <= sizeof memory_of_lwip[0]);
    for (size_t i = 0; i < memory_there; i++) {
        if (!memory_taken[i]) {
            memory_taken[i] = true;
            return memory_of_lwip[i];
        }
    }
    return NULL;
}

void mem_free(void *memory) {
    for (size_t i = 0; i < 8; i++) {
        if (memory == memory_of_lwip[i]) {
            assert_true(memory_taken[i]);
            memory_taken[i] = false;
            memset(memory, 0xA5, sizeof memory_of_lwip[i]); /* what it held is gone */
            return;
        }
    }
    fail_msg("freed what was not taken");
}

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
    assert_int_equal(endpoint_init(&f.ring, access, drain_sinks), CMCWH_OK);
    memset(memory_taken, 0, sizeof memory_taken);
    memory_there = 8;
    uart_used = 0;
    uart[0] = '\0';
    uart_there = true;
}

static void start(bool confirm, void (*drain_sinks)(void)) {
    start_for(NULL, confirm, drain_sinks);
}

/* What lwIP's server does, a connection being an address and no more. */
static err_t begin_at(void *connection, const char *uri, const char *head, size_t length) {
    char lines[512], name[32] = "";
    u8_t window = 1;
    int size = snprintf(lines, sizeof lines, "HTTP/1.1\r\nContent-Length: %zu\r\n%s", length, head);

    return httpd_post_begin(connection, uri, lines, (u16_t)size, (int)length, name, sizeof name,
                            &window);
}

static err_t send_to(void *connection, const void *bytes, size_t length) {
    static char body[1024];
    struct pbuf piece = {NULL, body, (u16_t)length, (u16_t)length};
    err_t result;

    assert_true(length <= sizeof body);
    memcpy(body, bytes, length);
    result = httpd_post_receive_data(connection, &piece);
    memset(body, 0, sizeof body); /* lwIP's again */
    return result;
}

/* NULL: none. */
static const char *open_answer(const char *name) {
    static char answer[1024];
    struct fs_file file;

    if (fs_open_custom(&file, name) == 0) {
        return NULL;
    }
    assert_true(file.index == file.len && (size_t)file.len < sizeof answer);
    memcpy(answer, file.data, (size_t)file.len);
    answer[file.len] = '\0';
    fs_close_custom(&file);
    return answer;
}

/* The body is whole, or no more of it is wanted, or the connection is lost. The answer. */
static const char *finish_at(void *connection) {
    char name[32] = "";

    httpd_post_finished(connection, name, sizeof name);
    return open_answer(name);
}

/* A request, in one piece. Returns the answer. */
static const char *ask_for(const char *uri, const char *head, const char *text) {
    int connection;
    const char *answer;

    assert_int_equal(begin_at(&connection, uri, head, strlen(text)), ERR_OK);
    assert_int_equal(send_to(&connection, text, strlen(text)), ERR_VAL);
    answer = finish_at(&connection);
    assert_non_null(answer);
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

/* What is wrong with a body is said as the daemon says it. */
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

/* ---- Several at a time ---- */

static const char json_head[] = "Content-Type: application/json\r\n";
static const char request_body[] = EVENT "}";

/* The head, and all of the body but its last `missing` bytes. */
static void begin_part(void *connection, size_t missing) {
    assert_int_equal(begin_at(connection, "/mails", json_head, sizeof request_body - 1), ERR_OK);
    assert_int_equal(send_to(connection, request_body, sizeof request_body - 1 - missing), ERR_OK);
}

static const char *end_part(void *connection, size_t missing) {
    assert_int_equal(send_to(connection, request_body + sizeof request_body - 1 - missing, missing),
                     ERR_VAL);
    return finish_at(connection);
}

static const char busy_status[] = "HTTP/1.1 503 ";
static const char busy_body[] = "{\"error\":\"busy\",";
static const char late_body[] = "{\"error\":\"request_timeout\",";

/* lwIP forgets a connection that was reset, and says nothing; the next one has its address. */
static void reset_in_body(void **state) {
    int one;

    (void)state;
    start(false, NULL);
    begin_part(&one, 9);
    begin_part(&one, 5);
    assert_answer(end_part(&one, 5), "HTTP/1.1 200 ", stored);
    begin_part(&one, 5);
    assert_answer(ask_for("/mails", "", ""), busy_status, busy_body); /* another address */
    assert_int_equal(begin_at(&one, "/", "", 3), ERR_OK);
    assert_answer(ask(), "HTTP/1.1 200 ", stored);
    assert_int_equal(f.ring.in_use, 2);
}

/* It closes what is silent, and says so; a connection that it forgot is silent for longer. */
static void silent(void **state) {
    int one;

    (void)state;
    start(false, NULL);
    begin_part(&one, 5);
    f.now += SILENT_MAX - 1;
    assert_answer(ask(), busy_status, busy_body);
    f.now += 1;
    assert_answer(ask(), "HTTP/1.1 200 ", stored);
    assert_answer(end_part(&one, 5), "HTTP/1.1 408 ", late_body);
    assert_int_equal(f.ring.in_use, 1);
}

static void slow(void **state) {
    int one;

    (void)state;
    start(false, NULL);
    begin_part(&one, 9);
    for (unsigned i = 0; i < 6; i++) {
        assert_int_equal(send_to(&one, request_body + sizeof request_body - 10 + i, 1), ERR_OK);
        f.now += TIME_MAX / 6;
        if (i < 5) {
            assert_answer(ask(), busy_status, busy_body);
        }
    }
    assert_answer(ask(), "HTTP/1.1 200 ", stored);
    assert_answer(end_part(&one, 3), "HTTP/1.1 408 ", late_body);
    assert_int_equal(f.ring.in_use, 1);
}

/* Nobody waits for the parser: who is slow keeps it. */
static void slow_alone(void **state) {
    int one;

    (void)state;
    start(false, NULL);
    begin_part(&one, 5);
    f.now += 10 * TIME_MAX;
    assert_answer(end_part(&one, 5), "HTTP/1.1 200 ", stored);
}

/* The body of a request that is refused is dropped, then answered, and others come in between. */
static void dropped(void **state) {
    static const struct cmcwh_credential token = {CMCWH_BEARER, {"token", 5}};
    static const struct cmcwh_access access = {&token, 1};
    static const char right[] = "Authorization: Bearer token\r\nContent-Type: application/json\r\n";
    int three[3];

    (void)state;
    start_for(&access, false, NULL);
    for (int i = 0; i < 3; i++) {
        begin_part(&three[i], 9);
    }
    assert_answer(ask_for("/mails", right, request_body), "HTTP/1.1 200 ", stored);
    for (int i = 0; i < 3; i++) {
        assert_answer(end_part(&three[i], 9), "HTTP/1.1 401 ", "{\"error\":\"unauthorized\",");
    }
    assert_answer(ask_for("/mails", right, request_body), "HTTP/1.1 200 ", stored);
    begin_part(&three[0], 9);
    assert_null(finish_at(&three[0])); /* lost */
    assert_null(find_refused(&three[0]));
    assert_int_equal(f.ring.in_use, 2);
}

/* A fault in the body ends neither the body nor the connection. */
static void faulty(void **state) {
    int one;

    (void)state;
    start(false, NULL);
    assert_int_equal(begin_at(&one, "/mails", json_head, 100), ERR_OK);
    assert_int_equal(send_to(&one, "{]", 2), ERR_OK);
    for (int i = 0; i < 97; i++) {
        assert_int_equal(send_to(&one, "x", 1), ERR_OK);
    }
    assert_int_equal(send_to(&one, "xxxx", 4), ERR_VAL);
    assert_answer(finish_at(&one), "HTTP/1.1 400 ", "{\"error\":\"malformed_json\",\"offset\":1,");
}

/* Of a body that is too large as much is dropped as the largest has. */
static void too_long(void **state) {
    static const char zeros[1024];
    int one;

    (void)state;
    start(false, NULL);
    assert_int_equal(begin_at(&one, "/mails", json_head, 10 * REQUEST_BODY_MAX), ERR_OK);
    for (size_t sent = 0; sent < REQUEST_BODY_MAX - sizeof zeros; sent += sizeof zeros) {
        assert_int_equal(send_to(&one, zeros, sizeof zeros), ERR_OK);
    }
    assert_int_equal(send_to(&one, zeros, sizeof zeros), ERR_VAL);
    assert_answer(finish_at(&one), "HTTP/1.1 413 ", "{\"error\":\"too_large\",");
}

/* More than the table holds: the one that has been silent longest is thought to be gone. */
static void crowded(void **state) {
    int many[ENDPOINT_REFUSED_MAX + 1];

    (void)state;
    start(false, NULL);
    for (int i = 0; i <= ENDPOINT_REFUSED_MAX; i++) {
        assert_int_equal(begin_at(&many[i], "/", "", 10), ERR_OK);
        f.now += 1;
        assert_int_equal(send_to(&many[0], "x", 1), ERR_OK);
    }
    assert_null(find_refused(&many[1]));
    assert_int_equal(send_to(&many[1], "x", 1), ERR_VAL);
    assert_answer(finish_at(&many[1]), busy_status, busy_body);
    assert_null(finish_at(&many[1]));
    for (int i = 2; i <= ENDPOINT_REFUSED_MAX; i++) {
        assert_int_equal(send_to(&many[i], "0123456789", 10), ERR_VAL);
        assert_answer(finish_at(&many[i]), "HTTP/1.1 404 ", "{\"error\":\"not_found\",");
    }
}

/* Who drips what is dropped has an end too. */
static void dripping(void **state) {
    int one;

    (void)state;
    start(false, NULL);
    assert_int_equal(begin_at(&one, "/", "", 1000), ERR_OK);
    f.now += TIME_MAX - 1;
    assert_int_equal(send_to(&one, "x", 1), ERR_OK);
    f.now += 1;
    assert_int_equal(send_to(&one, "x", 1), ERR_VAL);
    assert_answer(finish_at(&one), "HTTP/1.1 404 ", "{\"error\":\"not_found\",");
}

/* ---- What else lwIP does ---- */

/* What it takes in one way and a proxy before it perhaps in another. */
static void in_two_ways(void **state) {
    static const char *const heads[] = {
        "Content-Length: 1\r\n",
        "content-length:3\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Authorization: Bearer a\r\nauthorization: Bearer b\r\n",
    };
    static const char malformed[] = "{\"error\":\"malformed_request\",";
    static const char hidden[] = "HTTP/1.1\r\nX-Content-Length: 1\r\nContent-Length: 2\r\n";
    char name[32] = "";
    u8_t window = 1;
    int one;

    (void)state;
    start(false, NULL);
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        assert_answer(ask_for("/mails", heads[i], "{}"), "HTTP/1.1 400 ", malformed);
    }
    assert_int_equal(
        httpd_post_begin(&one, "/mails", hidden, sizeof hidden - 1, 1, name, sizeof name, &window),
        ERR_OK);
    assert_int_equal(send_to(&one, "{", 1), ERR_VAL);
    assert_answer(finish_at(&one), "HTTP/1.1 400 ", malformed);
}

/* An answer is opened once, by the one it is for: GET of its name finds nothing. */
static void opened_by_others(void **state) {
    (void)state;
    start(false, NULL);
    assert_null(open_answer(answer_name));
    assert_answer(ask(), "HTTP/1.1 200 ", stored);
    assert_null(open_answer(answer_name));
}

/* Without memory for its answer a request has not been. */
static void no_memory(void **state) {
    (void)state;
    start(false, NULL);
    memory_there = 0;
    assert_answer(ask(), busy_status, busy_body);
    assert_answer(ask_for("/", "", ""), busy_status, busy_body);
    assert_int_equal(f.ring.in_use, 0);
    memory_there = 1;
    for (int i = 0; i < 3; i++) {
        assert_answer(ask(), "HTTP/1.1 200 ", stored);
    }
}

static void no_clock(void **state) {
    static const struct cmcwh_port none = {.context = NULL};

    (void)state;
    start(false, NULL);
    f.ring.config.port = NULL;
    assert_int_equal(endpoint_init(&f.ring, NULL, NULL), CMCWH_ERR_ARGUMENT);
    f.ring.config.port = &none;
    assert_int_equal(endpoint_init(&f.ring, NULL, NULL), CMCWH_ERR_ARGUMENT);
}

static void find(void **state) {
    static const char text[] = "a\r\nCONTENT-length: 5\r\n";

    (void)state;
    assert_ptr_equal(endpoint_find(text, "Content-Length: ", sizeof text - 1), text + 3);
    assert_ptr_equal(endpoint_find(text, "\r\n", sizeof text - 1), text + 1);
    assert_ptr_equal(endpoint_find(text, "Content-Length: ", 19), text + 3);
    assert_null(endpoint_find(text, "Content-Length: ", 18));
    assert_null(endpoint_find(text, "Content-Length: 6", sizeof text - 1));
    assert_null(endpoint_find(text, "5\r\n\r\n", 100)); /* the text ends sooner */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory),      cmocka_unit_test(confirmed),
        cmocka_unit_test(pulled),      cmocka_unit_test(nobody_knows),
        cmocka_unit_test(refused),     cmocka_unit_test(multipart),
        cmocka_unit_test(guarded),     cmocka_unit_test(reset_in_body),
        cmocka_unit_test(silent),      cmocka_unit_test(slow),
        cmocka_unit_test(slow_alone),  cmocka_unit_test(dropped),
        cmocka_unit_test(faulty),      cmocka_unit_test(too_long),
        cmocka_unit_test(crowded),     cmocka_unit_test(dripping),
        cmocka_unit_test(in_two_ways), cmocka_unit_test(opened_by_others),
        cmocka_unit_test(no_memory),   cmocka_unit_test(no_clock),
        cmocka_unit_test(find),
    };

    return cmocka_run_group_tests_name("endpoint", tests, NULL, NULL);
}
