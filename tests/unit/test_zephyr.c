/* The endpoint and the example of port/zephyr, called as Zephyr's HTTP server calls them. */
#include "port/zephyr/endpoint.c"
#include "port/zephyr/example.c"
#include "port/embed/request.c"

#include "support.h"

#define EVENT  "{\"event_type\":\"bounces\",\"event\":{\"bounces\":[{\"to\":\"a\"}]}"
#define KEYED  EVENT ",\"api_key\":\"secret\"}"
#define STORED "{\"stored\":1}"

static struct fixture f;
static struct http_response_ctx response;
static int started;

int http_server_start(void) {
    started++;
    return 0;
}

/* ---- The server ---- */

static struct http_client_ctx first, second;
static struct http_header json[] = {{"Content-Type", "application/json"}};

static int call_with(struct http_client_ctx *client, enum http_transaction_status status,
                     const char *bytes, size_t length, struct http_header *headers, size_t count,
                     enum http_header_status headers_status) {
    static uint8_t piece[REQUEST_BODY_MAX + 2];
    struct http_request_ctx request = {piece, length, headers, count, headers_status};
    int result;

    assert_true(length <= sizeof piece);
    memcpy(piece, bytes, length);
    memset(&response, 0, sizeof response);
    result = detail.cb(client, status, &request, &response, detail.user_data);
    memset(piece, 0, length); /* they are the server's again */
    return result;
}

/* The head, with a piece of the body. */
static void begin_with(struct http_client_ctx *client, struct http_header *headers, size_t count,
                       enum http_header_status headers_status, const char *bytes) {
    assert_int_equal(call_with(client, HTTP_SERVER_REQUEST_DATA_MORE, bytes, strlen(bytes), headers,
                               count, headers_status),
                     0);
    assert_int_equal(response.status, 0);
}

static void begin_json(struct http_client_ctx *client, const char *bytes) {
    begin_with(client, json, 1, HTTP_HEADER_STATUS_OK, bytes);
}

static void more(struct http_client_ctx *client, const char *bytes, size_t length) {
    assert_int_equal(call_with(client, HTTP_SERVER_REQUEST_DATA_MORE, bytes, length, NULL, 0,
                               HTTP_HEADER_STATUS_NONE),
                     0);
    assert_int_equal(response.status, 0);
}

static void end(struct http_client_ctx *client, const char *bytes, size_t length) {
    assert_int_equal(call_with(client, HTTP_SERVER_REQUEST_DATA_FINAL, bytes, length, NULL, 0,
                               HTTP_HEADER_STATUS_NONE),
                     0);
}

static void abort_client(struct http_client_ctx *client) {
    assert_int_equal(
        call_with(client, HTTP_SERVER_TRANSACTION_ABORTED, "", 0, NULL, 0, HTTP_HEADER_STATUS_NONE),
        0);
    assert_int_equal(response.status, 0);
}

/* ---- The tests ---- */

static void drain(void) {
    struct cmcwh_record record;

    while (cmcwh_ring_read(&f.ring, f.reader, &record) > 0) {
    }
    assert_int_equal(cmcwh_ring_acknowledge(&f.ring, f.reader), CMCWH_OK);
}

static void start(bool confirm, void (*drain_sinks)(void)) {
    fixture_init(&f, 4, confirm);
    started = 0;
    assert_true(example_serve(&f.ring, drain_sinks));
    assert_int_equal(started, 1);
    assert_string_equal(stub_resource_service_mails.resource, "/mails");
    assert_ptr_equal(stub_resource_service_mails.detail, &detail);
    assert_int_equal(*service.port, 80);
}

static void assert_answer(int status, const char *body) {
    assert_int_equal(response.status, status);
    assert_true(response.final_chunk);
    assert_string_equal(response.headers[0].name, "Content-Type");
    assert_string_equal(response.headers[0].value, "application/json");
    assert_true(strlen(body) <= response.body_len);
    assert_memory_equal(response.body, body, strlen(body));
}

static void assert_header(const char *name, const char *value) {
    assert_int_equal(response.header_count, 2);
    assert_string_equal(response.headers[1].name, name);
    assert_string_equal(response.headers[1].value, value);
}

/* In one call, and in pieces of each size, the last of them empty. */
static void stored(void **state) {
    (void)state;
    start(true, drain);
    assert_int_equal(call_with(&first, HTTP_SERVER_REQUEST_DATA_FINAL, KEYED, strlen(KEYED), json,
                               1, HTTP_HEADER_STATUS_OK),
                     0);
    assert_answer(200, STORED);
    assert_int_equal(response.header_count, 1);
    for (size_t step = 1; step < strlen(KEYED); step++) {
        begin_json(&first, "");
        for (size_t sent = 0; sent < strlen(KEYED); sent += step) {
            size_t left = strlen(KEYED) - sent;

            more(&first, &KEYED[sent], left < step ? left : step);
        }
        end(&first, "", 0);
        assert_answer(200, STORED);
    }
    assert_int_equal(f.ring.in_use, 0);
}

/* The server tells of an answer that is sent, from 4.4 on: nothing is to be done then. */
static void told(void **state) {
    (void)state;
    start(false, NULL);
    begin_json(&first, "");
    assert_int_equal(
        call_with(&first, (enum http_transaction_status)2, "", 0, NULL, 0, HTTP_HEADER_STATUS_NONE),
        0);
    assert_int_equal(response.status, 0);
    end(&first, KEYED, strlen(KEYED));
    assert_answer(200, STORED);
}

/* With confirm, and nobody to drain the ring. */
static void pending(void **state) {
    (void)state;
    start(true, NULL);
    begin_json(&first, KEYED);
    end(&first, "", 0);
    assert_answer(503, "{\"error\":\"pending\",");
    assert_header("Retry-After", "1");
}

/* The answer waits for the end of the body, which is not looked at. */
static void refused_by_head(void **state) {
    static const struct cmcwh_credential token = {CMCWH_BEARER, {"token", 5}};
    static const struct cmcwh_access bearer = {&token, 1};
    struct http_header text[] = {{"Content-Type", "text/plain"}};
    struct http_header right[] = {{"Authorization", "Bearer token"},
                                  {"Content-Type", "application/json"}};
    struct http_header wrong[] = {{"Content-Type", "application/json"},
                                  {"Authorization", "Bearer taken"}};

    (void)state;
    start(false, NULL);
    begin_with(&first, text, 1, HTTP_HEADER_STATUS_OK, EVENT);
    more(&first, "...", 3);
    end(&first, "...", 3);
    assert_answer(415, "{\"error\":\"unsupported_media_type\",");
    begin_with(&first, NULL, 0, HTTP_HEADER_STATUS_OK, KEYED);
    end(&first, "", 0);
    assert_answer(415, "{\"error\":\"unsupported_media_type\",");
    begin_with(&first, json, 1, HTTP_HEADER_STATUS_DROPPED, KEYED);
    end(&first, "", 0);
    assert_answer(431, "{\"error\":\"too_large\",");

    endpoint.request.access = &bearer;
    begin_json(&first, KEYED);
    end(&first, "", 0);
    assert_answer(401, "{\"error\":\"unauthorized\",");
    assert_header("WWW-Authenticate", "Basic realm=\"cmcwh\"");
    begin_with(&first, wrong, 2, HTTP_HEADER_STATUS_OK, KEYED);
    end(&first, "", 0);
    assert_answer(401, "{\"error\":\"unauthorized\",");
    assert_int_equal(f.ring.in_use, 0);
    begin_with(&first, right, 2, HTTP_HEADER_STATUS_OK, KEYED);
    end(&first, "", 0);
    assert_answer(200, STORED);
}

static void refused_by_body(void **state) {
    static char longer[REQUEST_BODY_MAX + 2];

    (void)state;
    start(false, NULL);
    begin_json(&first, EVENT);
    end(&first, "}", 1);
    assert_answer(401, "{\"error\":\"unauthorized\",");
    begin_json(&first, "{\"api_key\":");
    end(&first, "\"secret\"}", 9);
    assert_answer(422, "{\"error\":\"missing_field\",\"field\":");
    begin_json(&first, "{]");
    end(&first, KEYED, strlen(KEYED));
    assert_answer(400, "{\"error\":\"malformed_json\",\"offset\":1,");

    /* One byte too long, as the last piece and before it. */
    repeat(longer, " ", REQUEST_BODY_MAX);
    begin_json(&first, "");
    end(&first, longer, REQUEST_BODY_MAX + 1);
    assert_answer(413, "{\"error\":\"too_large\",");
    begin_json(&first, KEYED);
    more(&first, longer, REQUEST_BODY_MAX);
    end(&first, "", 0);
    assert_answer(413, "{\"error\":\"too_large\",");
    begin_json(&first, KEYED);
    end(&first, longer, REQUEST_BODY_MAX - strlen(KEYED));
    assert_answer(200, STORED);
    assert_int_equal(f.ring.in_use, 1);
}

/* As much of a body as it takes for its event to have a place in the ring. */
static void begin_event(struct http_client_ctx *client) {
    static char blanks[2 * CMCWH_WINDOW_SIZE];

    begin_json(client, EVENT);
    repeat(blanks, " ", sizeof blanks - 1);
    more(client, blanks, strlen(blanks));
    assert_int_equal(f.ring.in_use, 1);
}

/* The connection is lost in mid body: what came of it has no place, and nobody is disturbed. */
static void lost(void **state) {
    (void)state;
    start(true, drain);
    for (size_t cut = 0; cut < strlen(KEYED); cut++) {
        begin_json(&first, "");
        more(&first, KEYED, cut);
        abort_client(&first);
        assert_int_equal(f.ring.in_use, 0);
    }
    begin_event(&first);
    abort_client(&first);
    assert_int_equal(f.ring.in_use, 0);
    abort_client(&first);
    begin_json(&second, KEYED);
    abort_client(&first); /* of which nothing is known */
    end(&second, "", 0);
    assert_answer(200, STORED);
}

/* A request that ended without a word (HTTP/2 can reset one) does not keep others out. */
static void forgotten(void **state) {
    (void)state;
    start(true, drain);
    begin_event(&first);
    begin_json(&second, KEYED);
    end(&second, "", 0);
    assert_answer(200, STORED);
    assert_int_equal(f.ring.in_use, 0);
}

/* Two streams of one connection: the one that came first may come again. */
static void busy_streams(void **state) {
    struct http2_stream_ctx one, two;

    (void)state;
    start(true, drain);
    first.current_stream = &one;
    begin_json(&first, EVENT);
    first.current_stream = &two;
    begin_json(&first, EVENT);
    first.current_stream = &one;
    more(&first, ",\"api_key\":", 11);
    end(&first, "\"secret\"}", 9);
    assert_answer(503, "{\"error\":\"busy\",");
    assert_header("Retry-After", "1");
    first.current_stream = &two;
    more(&first, ",\"api_key\":", 11);
    end(&first, "\"secret\"}", 9);
    assert_answer(200, STORED);
    assert_int_equal(f.ring.in_use, 0);
    first.current_stream = NULL;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stored),          cmocka_unit_test(told),
        cmocka_unit_test(pending),         cmocka_unit_test(refused_by_head),
        cmocka_unit_test(refused_by_body), cmocka_unit_test(lost),
        cmocka_unit_test(forgotten),       cmocka_unit_test(busy_streams),
    };

    return cmocka_run_group_tests_name("zephyr", tests, NULL, NULL);
}
