/* What an HTTP sink sends: heads, bodies, and that the parser makes the same events of them. */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sink/post.h"

enum { RECORDS = 1200 };

static struct fixture fixture;
static struct cmcwh_record records[RECORDS];
static struct post it;
static struct url url;
static struct post_style style;

static int set_up(void **state) {
    (void)state;
    fixture_init(&fixture, RING_MAX, false);
    assert_null(url_parse(&url, "http://h.example:81/in?a=1"));
    style = (struct post_style){.url = &url, .headers = "", .api_key = ""};
    return 0;
}

/* A request with one event, whose record is the next of `records`. */
static void take_in(const char *type, const char *composition, const char *members, uint32_t at) {
    static char body[CMCWH_ENCODED_MAX];

    (void)snprintf(
        body, sizeof body,
        "{\"event_type\":\"%s\",\"server_composition\":\"%s\",\"event\":{\"%s\":[{%s}]}}", type,
        composition, type, members);
    assert_true(post(&fixture, CMCWH_JSON, body) >= 0);
    records[at] = take(&fixture);
}

static void deliveries(uint32_t count) {
    char members[64];

    for (uint32_t i = 0; i < count; i++) {
        (void)snprintf(members, sizeof members, "\"to\":\"u%u@x\",\"status\":\"queued\"",
                       (unsigned)i);
        take_in("deliveries", "pro", members, i);
    }
}

static const char *body_of(size_t *length) {
    const char *head = it.bytes + it.begin, *end;
    char *text = calloc(1, it.end - it.begin + 1);
    const char *body;

    assert_non_null(text);
    memcpy(text, head, it.end - it.begin);
    end = strstr(text, "\r\n\r\n");
    assert_non_null(end);
    body = head + (end - text) + 4;
    *length = (size_t)(it.bytes + it.end - body);
    free(text);
    return body;
}

static void assert_body(const char *expected) {
    size_t length;
    const char *body = body_of(&length);

    if (length != strlen(expected) || memcmp(body, expected, length) != 0) {
        fail_msg("'%.*s', not '%s'", (int)length, body, expected);
    }
}

static void assert_head(const char *expected) {
    size_t length = strlen(expected);

    if (it.end - it.begin < length || memcmp(it.bytes + it.begin, expected, length) != 0) {
        fail_msg("'%.*s', not '%s'", (int)(it.end - it.begin), it.bytes + it.begin, expected);
    }
}

static void has(const char *text, bool there) {
    assert_true((memmem(it.bytes + it.begin, it.end - it.begin, text, strlen(text)) != NULL) ==
                there);
}

static void lines(void **state) {
    char expected[2048];

    (void)state;
    deliveries(2);
    style.headers = "Authorization: Bearer t\r\nX: y\r\n";
    style.api_key = "secret";
    post_make(&it, &style, records, 2);
    assert_int_equal(it.count, 2);
    (void)snprintf(expected, sizeof expected, "%s", encoded(&records[0], CMCWH_ENCODE_JSON));
    (void)strncat(expected, encoded(&records[1], CMCWH_ENCODE_JSON), 1000);
    assert_body(expected);
    (void)snprintf(expected, sizeof expected,
                   "POST /in?a=1 HTTP/1.1\r\nHost: h.example:81\r\nUser-Agent: cmcwh/" CMCWH_VERSION
                   "\r\nContent-Type: application/x-ndjson\r\nContent-Length: %zu\r\n"
                   "Idempotency-Key: %016llx\r\nAuthorization: Bearer t\r\nX: y\r\n\r\n{",
                   strlen(expected), (unsigned long long)it.key);
    assert_head(expected);
    has("secret", false);
}

static void as_the_service(void **state) {
    static const char object[] = "{\"deliveries\":[";
    char expected[4096], chain[128];

    (void)state;
    deliveries(2);
    style.format = POST_CMC;
    style.api_key = "k\"1";
    post_make(&it, &style, records, 2);
    (void)snprintf(expected, sizeof expected,
                   "{\"api_key\":\"k\\\"1\",\"server_composition\":\"pro\","
                   "\"event_type\":\"deliveries\",\"event\":%s%s,",
                   object, encoded(&records[0], CMCWH_ENCODE_CMC));
    (void)strncat(expected, encoded(&records[1], CMCWH_ENCODE_CMC), 1000);
    (void)strncat(expected, "]}}", 4);
    assert_body(expected);
    has("\r\nContent-Type: application/json; charset=UTF-8\r\n", true);
    (void)snprintf(
        chain, sizeof chain, "\r\nCmcwh-Events: %016llx@1674622986120,%016llx@1674622986120\r\n",
        (unsigned long long)event_of(&records[0]).id, (unsigned long long)event_of(&records[1]).id);
    has(chain, true);
    style.format = POST_NDJSON;
    post_make(&it, &style, records, 2);
    has("Cmcwh-Events", false);
}

static void as_its_form(void **state) {
    size_t length;
    const char *body;

    (void)state;
    take_in("deliveries", "p o&=", "\"to\":\"a\"", 0);
    style.format = POST_FORM;
    style.api_key = "k 1";
    post_make(&it, &style, records, 1);
    body = body_of(&length);
    assert_memory_equal(
        body,
        "api_key=k+1&server_composition=p+o%26%3D&event_type=deliveries&event=%7B%22deliveries%22"
        "%3A%5B%7B%22",
        100);
    assert_memory_equal(body + length - 12, "%22%7D%5D%7D", 12);
    has("\r\nContent-Type: application/x-www-form-urlencoded; charset=UTF-8\r\n", true);
}

/* What the parser makes of a body is what it was made of. */
static void assert_comes_back(enum cmcwh_format format, uint32_t count) {
    size_t length;
    const char *body = body_of(&length);

    assert_true(feed(&fixture, format, body, length, length) >= 0);
    assert_true(cmcwh_parser_commit(&fixture.parser) >= 0);
    for (uint32_t i = 0; i < count; i++) {
        struct cmcwh_record record = take(&fixture);

        assert_true(same_event(&record, &records[i]));
    }
    assert_empty(&fixture);
}

static void comes_back(void **state) {
    static const char odd[] =
        "\"to\":\"a\\\"\\\\\\u0001\\u2028\xE3\x81\x82 +&=%\",\"status\":\"x\"";

    (void)state;
    for (uint32_t i = 0; i < 3; i++) {
        take_in("deliveries", "p\\u0022r\\u202eo", odd, i);
    }
    for (style.format = POST_CMC; style.format <= POST_FORM; style.format++) {
        post_make(&it, &style, records, 3);
        assert_int_equal(it.count, 3);
        assert_comes_back(style.format == POST_CMC ? CMCWH_JSON : CMCWH_FORM, 3);
    }
    take_in("new \\\"type\\\"", "", "\"x\":{\"y\":[1,\"z\"]},\"to\":\"b\"", 0);
    for (style.format = POST_CMC; style.format <= POST_FORM; style.format++) {
        post_make(&it, &style, records, 1);
        assert_comes_back(style.format == POST_CMC ? CMCWH_JSON : CMCWH_FORM, 1);
    }
}

/* A request of the service's has one type and one composition. */
static void one_type(void **state) {
    (void)state;
    deliveries(2);
    take_in("bounces", "pro", "\"to\":\"a\",\"status\":\"1\"", 2);
    take_in("bounces", "prx", "\"to\":\"a\",\"status\":\"1\"", 3);
    post_make(&it, &style, records, 4);
    assert_int_equal(it.count, 4);
    for (style.format = POST_CMC; style.format <= POST_FORM; style.format++) {
        post_make(&it, &style, records, 4);
        assert_int_equal(it.count, 2);
        post_make(&it, &style, records + 2, 2);
        assert_int_equal(it.count, 1);
        has("bounces", true);
        has("deliveries", false);
    }
}

static void assert_keys(uint64_t ids, uint64_t other, bool same) {
    char text[64];

    assert_true(it.ids == ids);
    assert_true((it.key == other) == same);
    (void)snprintf(text, sizeof text, "\r\nIdempotency-Key: %016llx\r\n",
                   (unsigned long long)it.key);
    has(text, true);
}

/* The same events have the same; events that came again only where nobody sees that. */
static void key(void **state) {
    uint64_t ids, one;

    (void)state;
    deliveries(3);
    post_make(&it, &style, records, 1);
    one = it.key;
    assert_keys(event_of(&records[0]).id, 0, false);
    post_make(&it, &style, records, 2);
    ids = it.ids;
    post_make(&it, &style, records + 1, 2);
    assert_true(it.ids != ids);
    post_make(&it, &style, records, 1);
    assert_keys(event_of(&records[0]).id, one, true);
    fixture.now++;
    deliveries(3);
    post_make(&it, &style, records, 1);
    assert_keys(event_of(&records[0]).id, one, false);
    for (style.format = POST_CMC; style.format <= POST_FORM; style.format++) {
        post_make(&it, &style, records, 2);
        assert_keys(ids, ids, true);
    }
}

/* Texts that were cut are known to be, further on too. */
static void cut(void **state) {
    char members[3072], chain[64];
    int used = snprintf(members, sizeof members, "\"to\":\"a\",\"subject\":\"%02000d\"", 0);

    (void)state;
    (void)snprintf(members + used, sizeof members - (size_t)used, ",\"reason\":\"%0500d\"", 0);
    take_in("deliveries", "pro", members, 0);
    assert_true(event_of(&records[0]).truncated != 0);
    style.format = POST_CMC;
    post_make(&it, &style, records, 1);
    (void)snprintf(chain, sizeof chain, "@1674622986120/%x\r\n", event_of(&records[0]).truncated);
    has(chain, true);
}

/* The longest there is, in whatever form: at least one goes in a request, and none is half. */
static void much(void **state) {
    static char members[CMCWH_RECORD_SIZE], headers[4096];
    uint32_t counts[3];

    (void)state;
    for (uint32_t i = 0; i < RECORDS; i++) { /* each takes six bytes */
        int used = snprintf(members, sizeof members, "\"to\":\"%u\",\"subject\":\"", (unsigned)i);

        memset(members + used, 0x7F, 700);
        (void)snprintf(members + used + 700, sizeof members - (size_t)used - 700, "\"");
        take_in("deliveries", "pro", members, i);
    }
    (void)snprintf(headers, sizeof headers, "X: %0*d\r\n", (int)sizeof headers - 6, 0);
    style.headers = headers;
    for (style.format = POST_NDJSON; style.format <= POST_FORM; style.format++) {
        post_make(&it, &style, records, style.format == POST_NDJSON ? RECORDS : POST_CMC_EVENTS);
        counts[style.format] = it.count;
        assert_true(it.end <= sizeof it.bytes);
        has("\r\n\r\n", true);
    }
    assert_in_range(counts[POST_NDJSON], 50, RECORDS - 1);
    assert_int_equal(counts[POST_CMC], POST_CMC_EVENTS);
    assert_in_range(counts[POST_FORM], 100, POST_CMC_EVENTS);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(lines, set_up),       cmocka_unit_test_setup(as_the_service, set_up),
        cmocka_unit_test_setup(as_its_form, set_up), cmocka_unit_test_setup(comes_back, set_up),
        cmocka_unit_test_setup(one_type, set_up),    cmocka_unit_test_setup(key, set_up),
        cmocka_unit_test_setup(cut, set_up),         cmocka_unit_test_setup(much, set_up)};

    return cmocka_run_group_tests_name("what an HTTP sink sends", tests, NULL, NULL);
}
