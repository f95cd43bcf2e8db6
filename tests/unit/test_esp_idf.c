/* The endpoint and the example of port/esp-idf, called as ESP-IDF's HTTP server calls them. */
#include "port/esp-idf/endpoint.c"
#include "port/esp-idf/example.c"
#include "port/embed/request.c"

#include "support.h"

#define EVENT  "{\"event_type\":\"bounces\",\"event\":{\"bounces\":[{\"to\":\"a\"}]}"
#define KEYED  EVENT ",\"api_key\":\"secret\"}"
#define JSON   "application/json"
#define STORED "{\"stored\":1}"

static struct fixture f;
static bool sink_works;

/* ---- The server ---- */

static httpd_uri_t registered;

static struct {
    const char *authorization, *type, *coding; /* NULL: there is none */
    const char *body;
    size_t step, cut; /* bytes a read; after which the connection is lost */
    size_t read;
    char status[64], answer[512], header[64];
    const char *answer_type;
    bool answered;
    uint32_t held; /* records, when the connection was lost */
} http;

esp_err_t httpd_start(httpd_handle_t *handle, const httpd_config_t *config) {
    assert_int_equal(config->stack_size, 4096);
    *handle = &http;
    return ESP_OK;
}

esp_err_t httpd_register_uri_handler(httpd_handle_t handle, const httpd_uri_t *uri_handler) {
    assert_ptr_equal(handle, &http);
    registered = *uri_handler;
    return ESP_OK;
}

static const char *value_of(const char *field) {
    return strcmp(field, "Authorization") == 0  ? http.authorization
           : strcmp(field, "Content-Type") == 0 ? http.type
                                                : http.coding;
}

size_t httpd_req_get_hdr_value_len(httpd_req_t *r, const char *field) {
    (void)r;
    return value_of(field) == NULL ? 0 : strlen(value_of(field));
}

esp_err_t httpd_req_get_hdr_value_str(httpd_req_t *r, const char *field, char *val,
                                      size_t val_size) {
    const char *value = value_of(field);

    (void)r;
    if (value == NULL) {
        return ESP_ERR_NOT_FOUND;
    }
    (void)snprintf(val, val_size, "%s", value);
    return strlen(value) < val_size ? ESP_OK : ESP_ERR_HTTPD_RESULT_TRUNC;
}

/* Never more than what is left of the body, as the real one. */
int httpd_req_recv(httpd_req_t *r, char *buf, size_t buf_len) {
    size_t length = r->content_len - http.read;

    length = length < buf_len ? length : buf_len;
    length = length < http.step ? length : http.step;
    if (http.read + length > http.cut) {
        http.held = f.ring.in_use;
        return HTTPD_SOCK_ERR_TIMEOUT;
    }
    memcpy(buf, http.body + http.read, length);
    http.read += length;
    return (int)length;
}

esp_err_t httpd_resp_set_status(httpd_req_t *r, const char *status) {
    (void)r;
    (void)snprintf(http.status, sizeof http.status, "%s", status);
    return ESP_OK;
}

esp_err_t httpd_resp_set_type(httpd_req_t *r, const char *type) {
    (void)r;
    http.answer_type = type;
    return ESP_OK;
}

esp_err_t httpd_resp_set_hdr(httpd_req_t *r, const char *field, const char *value) {
    (void)r;
    (void)snprintf(http.header, sizeof http.header, "%s: %s", field, value);
    return ESP_OK;
}

esp_err_t httpd_resp_send(httpd_req_t *r, const char *buf, ssize_t buf_len) {
    (void)r;
    assert_false(http.answered);
    http.answered = true;
    assert_in_range(buf_len, 1, sizeof http.answer - 1);
    memcpy(http.answer, buf, (size_t)buf_len);
    http.answer[buf_len] = '\0';
    return ESP_OK;
}

/* ---- The tests ---- */

static void drain(void) {
    struct cmcwh_record record;

    while (cmcwh_ring_read(&f.ring, f.reader, &record) > 0) {
    }
    if (sink_works) {
        assert_int_equal(cmcwh_ring_acknowledge(&f.ring, f.reader), CMCWH_OK);
    } else {
        cmcwh_ring_fail(&f.ring, f.reader, 0);
    }
}

static void start(bool confirm) {
    fixture_init(&f, 4, confirm);
    sink_works = true;
    assert_true(example_serve(&f.ring, drain));
    assert_string_equal(registered.uri, "/mails");
    assert_int_equal(registered.method, HTTP_POST);
}

/* A request that comes with a length, in pieces of `step` bytes, of which `cut` arrive. */
static esp_err_t ask_in(size_t step, size_t cut, size_t length, const char *type,
                        const char *body) {
    httpd_req_t request = {.content_len = length, .user_ctx = registered.user_ctx};
    const char *authorization = http.authorization, *coding = http.coding;

    memset(&http, 0, sizeof http);
    http.authorization = authorization;
    http.coding = coding;
    http.type = type;
    http.body = body;
    http.step = step;
    http.cut = cut;
    return registered.handler(&request);
}

static esp_err_t ask(const char *type, const char *body) {
    return ask_in(7, SIZE_MAX, strlen(body), type, body);
}

static void assert_answer(const char *status, const char *body) {
    assert_true(http.answered);
    assert_string_equal(http.status, status);
    assert_string_equal(http.answer_type, "application/json");
    assert_memory_equal(http.answer, body, strlen(body));
}

static void stored(void **state) {
    (void)state;
    start(true);
    for (size_t step = 1; step < 600; step += 37) {
        assert_int_equal(ask_in(step, SIZE_MAX, strlen(KEYED), JSON, KEYED), ESP_OK);
        assert_answer("200 OK", STORED);
        assert_string_equal(http.header, "");
    }
    assert_int_equal(f.ring.in_use, 0);
}

/* With confirm a 200 waits for the sink; one that fails takes the event back. */
static void sink_fails(void **state) {
    (void)state;
    start(true);
    sink_works = false;
    assert_int_equal(ask(JSON, KEYED), ESP_OK);
    assert_answer("503 Service Unavailable", "{\"error\":\"storage_failed\",");
    assert_string_equal(http.header, "Retry-After: 1");
    assert_int_equal(f.ring.in_use, 0);
}

/* What the head says is enough: the body is left to the server. */
static void refused_by_head(void **state) {
    static const struct cmcwh_credential token = {CMCWH_BEARER, {"token", 5}};
    static const struct cmcwh_access bearer = {&token, 1};
    static const char form[] = "event_type=bounces";
    static char longer[REQUEST_BODY_MAX + 2];

    (void)state;
    start(false);
    assert_int_equal(ask("text/plain", KEYED), ESP_OK);
    assert_answer("415 Unsupported Media Type", "{\"error\":\"unsupported_media_type\",");
    assert_int_equal(ask(NULL, KEYED), ESP_OK);
    assert_answer("415 Unsupported Media Type", "{\"error\":\"unsupported_media_type\",");
    assert_int_equal(http.read, 0);

    endpoint.request.access = &bearer;
    assert_int_equal(ask(JSON, KEYED), ESP_OK);
    assert_answer("401 Unauthorized", "{\"error\":\"unauthorized\",");
    assert_string_equal(http.header, "WWW-Authenticate: Basic realm=\"cmcwh\"");
    http.authorization = "Bearer taken";
    assert_int_equal(ask(JSON, KEYED), ESP_OK);
    assert_answer("401 Unauthorized", "{\"error\":\"unauthorized\",");
    http.authorization = "Bearer token";
    assert_int_equal(ask(JSON, KEYED), ESP_OK);
    assert_answer("200 OK", STORED);

    /* A value that is too long is not the secret with which it begins. */
    strcpy(longer, "Bearer token");
    *repeat(longer + strlen(longer), " ", ENDPOINT_VALUE_SIZE) = 'x';
    http.authorization = longer;
    assert_int_equal(ask(JSON, KEYED), ESP_OK);
    assert_answer("431 Request Header Fields Too Large", "{\"error\":\"too_large\",");
    http.authorization = "Bearer token";

    /* A body whose end the server would have to read for long: it closes instead. */
    repeat(longer, " ", sizeof longer - 1);
    assert_int_equal(ask(JSON, longer), ESP_FAIL);
    assert_answer("413 Content Too Large", "{\"error\":\"too_large\",");
    assert_int_equal(http.read, 0);
    assert_int_equal(ask_in(512, SIZE_MAX, REQUEST_BODY_MAX, JSON, longer), ESP_OK);
    assert_answer("400 Bad Request", "{\"error\":\"malformed_json\",");

    /* Chunks: nobody reads them. */
    http.coding = "chunked";
    assert_int_equal(ask_in(7, SIZE_MAX, 0, "application/x-www-form-urlencoded", form), ESP_FAIL);
    assert_answer("411 Length Required", "{\"error\":\"length_required\",");
    http.coding = http.authorization = NULL;
}

/* What the body says: no more of it is read than it takes to know. */
static void refused_by_body(void **state) {
    char body[2 * CMCWH_WINDOW_SIZE] = "{]";

    (void)state;
    start(false);
    assert_int_equal(ask(JSON, EVENT "}"), ESP_OK);
    assert_answer("401 Unauthorized", "{\"error\":\"unauthorized\",");
    assert_int_equal(ask(JSON, "{\"api_key\":\"secret\"}"), ESP_OK);
    assert_answer("422 Unprocessable Content", "{\"error\":\"missing_field\",\"field\":");
    repeat(body + 2, " ", sizeof body - 3);
    assert_int_equal(ask(JSON, body), ESP_OK);
    assert_answer("400 Bad Request", "{\"error\":\"malformed_json\",\"offset\":1,");
    assert_in_range(http.read, 2, sizeof body - 2);
    assert_int_equal(ask("multipart/form-data", KEYED), ESP_OK);
    assert_answer("400 Bad Request", "{\"error\":\"malformed_form\",");
    assert_int_equal(f.ring.in_use, 0);
}

/* A sender that falls silent in mid body gets no answer, and what came of it no place; the next
 * request is not disturbed. */
static void lost(void **state) {
    char body[2 * CMCWH_WINDOW_SIZE];

    (void)state;
    start(true);
    strcpy(body, EVENT);
    repeat(body + strlen(body), " ", sizeof body - strlen(body) - 1);
    assert_int_equal(ask_in(512, sizeof body - 512, sizeof body, JSON, body), ESP_FAIL);
    assert_false(http.answered);
    assert_int_equal(http.held, 1);
    assert_int_equal(f.ring.in_use, 0);
    for (size_t cut = 0; cut < strlen(KEYED); cut += 7) {
        assert_int_equal(ask_in(7, cut, strlen(KEYED), JSON, KEYED), ESP_FAIL);
        assert_false(http.answered);
        assert_int_equal(f.ring.in_use, 0);
    }
    assert_int_equal(ask(JSON, KEYED), ESP_OK);
    assert_answer("200 OK", STORED);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stored),
        cmocka_unit_test(sink_fails),
        cmocka_unit_test(refused_by_head),
        cmocka_unit_test(refused_by_body),
        cmocka_unit_test(lost),
    };

    return cmocka_run_group_tests_name("esp_idf", tests, NULL, NULL);
}
