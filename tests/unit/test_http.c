/* What an endpoint needs of HTTP: statuses, bodies of answers, Content-Type, Authorization. */
#include "support.h"

#include <string.h>

static struct cmcwh_answer answer;
static struct cmcwh_content content;

static struct cmcwh_text text(const char *word) {
    struct cmcwh_text view = {word, word == NULL ? 0 : strlen(word)};

    return view;
}

/* ---- Statuses ---- */

static void status_of_each_result(void **state) {
    static const struct {
        int result, status;
    } rows[] = {{7, 200},
                {CMCWH_OK, 200},
                {CMCWH_ERR_JSON, 400},
                {CMCWH_ERR_FORM, 400},
                {CMCWH_ERR_DEPTH, 400},
                {CMCWH_ERR_MISSING, 422},
                {CMCWH_ERR_TYPE, 422},
                {CMCWH_ERR_EVENT_TYPE, 422},
                {CMCWH_ERR_FULL, 503},
                {CMCWH_ERR_STORAGE, 503},
                {CMCWH_ERR_RECORD, 503},
                {CMCWH_ERR_ARGUMENT, 503},
                {CMCWH_ERR_WRITE, 503},
                {CMCWH_ERR_FORMAT, 503},
                {CMCWH_PENDING, 503},
                {CMCWH_ERR_NOBODY, 401},
                {CMCWH_ERR_WRONG, 401},
                {CMCWH_ERR_MEDIA_TYPE, 415},
                {CMCWH_STORING, 503},
                {CMCWH_ERR_EVENTS, 413},
                {CMCWH_ERR_CHAIN, 400},
                {CMCWH_ERR_CHAIN - 1, 503},
                {-1000, 503}};
    static struct fixture f;

    (void)state;
    fixture_init(&f, 1, false);
    cmcwh_parser_init(&f.parser, &f.ring, CMCWH_JSON);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        cmcwh_parser_answer(&f.parser, rows[i].result, &answer);
        assert_int_equal(answer.status, rows[i].status);
        assert_string_not_equal(cmcwh_http_reason(rows[i].status), "Error");
    }
    /* The table knows every result: the first that has no name stands behind the last of it. */
    assert_string_equal(cmcwh_result_name(CMCWH_ERR_MEDIA_TYPE), "unsupported_media_type");
    assert_string_equal(cmcwh_result_name(CMCWH_STORING), "storing");
    assert_string_equal(cmcwh_result_name(CMCWH_ERR_EVENTS), "too_many_events");
    assert_string_equal(cmcwh_result_name(CMCWH_ERR_CHAIN), "malformed_chain");
    assert_string_equal(cmcwh_result_name(CMCWH_ERR_CHAIN - 1), "unknown");
    assert_string_equal(cmcwh_result_name(CMCWH_ERR_NOBODY), "unauthorized");
    assert_string_equal(cmcwh_result_name(CMCWH_ERR_WRONG), "unauthorized");
}

static void reasons(void **state) {
    static const int used[] = {200, 400, 401, 403, 404, 405, 408, 411,
                               413, 415, 422, 429, 431, 503, 505};

    (void)state;
    for (size_t i = 0; i < sizeof used / sizeof *used; i++) {
        assert_string_not_equal(cmcwh_http_reason(used[i]), "Error");
    }
    assert_string_equal(cmcwh_http_reason(200), "OK");
    assert_string_equal(cmcwh_http_reason(413), "Content Too Large");
    assert_string_equal(cmcwh_http_reason(418), "Error");
    assert_string_equal(cmcwh_http_reason(0), "Error");
    assert_string_equal(cmcwh_http_reason(-1), "Error");
}

/* ---- Bodies of answers ---- */

static const char *body_of(const struct cmcwh_answer *made) {
    static char out[CMCWH_ANSWER_MAX + 2];
    size_t length;

    memset(out, '#', sizeof out);
    length = cmcwh_answer_body(made, out);
    assert_true(length <= CMCWH_ANSWER_MAX);
    assert_int_equal(out[CMCWH_ANSWER_MAX], '#');
    out[length] = '\0';
    return out;
}

static void bodies(void **state) {
    const struct cmcwh_answer stored = {.status = 200, .stored = 3};
    const struct cmcwh_answer busy = {.status = 503, .error = "busy", .detail = "come again"};
    const struct cmcwh_answer at = {.status = 400,
                                    .error = "malformed_json",
                                    .detail = "no",
                                    .offset = UINT64_MAX,
                                    .has_offset = true,
                                    .field = ""};
    const struct cmcwh_answer field = {
        .status = 422, .error = "wrong_type", .detail = "no", .field = "to", .has_offset = true};
    const struct cmcwh_answer bare = {.status = 404};

    (void)state;
    assert_string_equal(body_of(&stored), "{\"stored\":3}");
    assert_string_equal(body_of(&busy), "{\"error\":\"busy\",\"detail\":\"come again\"}");
    assert_string_equal(body_of(&at),
                        "{\"error\":\"malformed_json\",\"offset\":18446744073709551615,"
                        "\"detail\":\"no\"}");
    assert_string_equal(body_of(&field), "{\"error\":\"wrong_type\",\"field\":\"to\",\"offset\":0,"
                                         "\"detail\":\"no\"}");
    assert_string_equal(body_of(&bare), "{\"error\":\"\",\"detail\":\"\"}");
}

static void bodies_are_escaped(void **state) {
    const struct cmcwh_answer odd = {.status = 400,
                                     .error = "a\"b",
                                     .field = "c\\d\x7F",
                                     .detail = "x\r\ny\xC2\x85z\xE2\x80\xA8 \xE3\x83\xA1"};

    (void)state;
    assert_string_equal(body_of(&odd), "{\"error\":\"a\\\"b\",\"field\":\"c\\\\d\\u007f\","
                                       "\"detail\":\"x\\r\\ny\\u0085z\\u2028 \xE3\x83\xA1\"}");
}

/* Is it JSON? The parser says so: it is an object without the members of a request. */
static bool is_json(const char *body) {
    static struct fixture f;
    int result;

    fixture_init(&f, 4, false);
    result = feed(&f, CMCWH_JSON, body, strlen(body), strlen(body));
    cmcwh_parser_abort(&f.parser);
    return result == CMCWH_ERR_MISSING;
}

/* Whatever the texts are, what comes out is an object, whole and not too long: also when a cut
 * falls into an escape or a character. */
static void bodies_are_bounded(void **state) {
    static const char *const units[] = {
        "a", "\x01", "\"", "\xE3\x83\xA1", "\xC2\x85", "\\", "\xF0\x9F\x98\x80"};
    static char longest[8 * CMCWH_ANSWER_MAX + 1];

    (void)state;
    for (size_t unit = 0; unit < sizeof units / sizeof *units; unit++) {
        for (size_t count = 0; count <= CMCWH_ANSWER_MAX; count++) {
            struct cmcwh_answer made = {.status = 400,
                                        .error = longest,
                                        .detail = longest,
                                        .field = longest,
                                        .offset = UINT64_MAX,
                                        .has_offset = true};
            const char *body;

            (void)repeat(longest, units[unit], count);
            body = body_of(&made);
            assert_true(is_json(body));
            assert_memory_equal(body, "{\"error\":\"", 10);
            assert_non_null(strstr(body, "\",\"offset\":18446744073709551615,\"detail\":\""));
        }
    }
}

static void answer_of_a_parser(void **state) {
    static struct fixture f;
    static const char *const events =
        "{\"event_type\":\"bounces\",\"event\":{\"bounces\":[{},{}]}}";
    static const char *const one = "{\"event_type\":\"bounces\",\"event\":{\"bounces\":[{}]}}";
    static const char *const wrong = "{\"event_type\":\"bounces\",\"event\":{\"bounces\":7}}";
    int result;

    (void)state;
    fixture_init(&f, 1, false);
    result = post(&f, CMCWH_JSON, wrong);
    cmcwh_parser_answer(&f.parser, result, &answer);
    cmcwh_parser_abort(&f.parser);
    assert_int_equal(answer.status, 422);
    assert_string_equal(answer.error, "wrong_type");
    assert_string_equal(answer.field, "bounces");
    assert_true(answer.has_offset);
    assert_int_equal(answer.offset, strchr(wrong, '7') - wrong);

    /* What no ring of this size will ever hold: the sender is told where the first of it begins. */
    result = post(&f, CMCWH_JSON, events);
    cmcwh_parser_answer(&f.parser, result, &answer);
    cmcwh_parser_abort(&f.parser);
    assert_int_equal(answer.status, 413);
    assert_string_equal(answer.error, "too_many_events");
    assert_true(answer.has_offset);
    assert_int_equal(answer.offset, strrchr(events, '{') - events);

    /* Where in the body a ring was full tells nobody anything. */
    fixture_init(&f, 2, false);
    assert_int_equal(post(&f, CMCWH_JSON, one), 1);
    result = post(&f, CMCWH_JSON, events);
    cmcwh_parser_answer(&f.parser, result, &answer);
    cmcwh_parser_abort(&f.parser);
    assert_int_equal(answer.status, 503);
    assert_string_equal(answer.error, "ring_full");
    assert_false(answer.has_offset);

    fixture_init(&f, 4, false);
    result = post(&f, CMCWH_JSON, events);
    cmcwh_parser_answer(&f.parser, result, &answer);
    assert_string_equal(body_of(&answer), "{\"stored\":2}");

    /* No fault of the body's. */
    cmcwh_parser_answer(&f.parser, CMCWH_PENDING, &answer);
    assert_int_equal(answer.status, 503);
    assert_string_equal(answer.error, "pending");
    assert_string_not_equal(answer.detail, "");
    assert_false(answer.has_offset);
}

/* ---- Content-Type ---- */

static void assert_format(const char *value, enum cmcwh_format format) {
    assert_int_equal(cmcwh_content_type(text(value), &content, &answer), CMCWH_OK);
    assert_int_equal(content.format, format);
}

static void content_types(void **state) {
    (void)state;
    assert_format("application/json", CMCWH_JSON);
    assert_format("Application/JSON", CMCWH_JSON);
    assert_format("application/json; charset=utf-8", CMCWH_JSON);
    assert_format("application/json;charset=\"UTF-8\"", CMCWH_JSON);
    assert_format("application/json ;", CMCWH_JSON);
    assert_format("application/json\t", CMCWH_JSON);
    assert_format("application/x-www-form-urlencoded", CMCWH_FORM);
    assert_format("APPLICATION/x-www-form-urlencoded; charset=utf-8", CMCWH_FORM);
    assert_int_equal(content.boundary.length, 0);
}

static void content_types_that_are_not_taken(void **state) {
    static const char *const values[] = {NULL,
                                         "",
                                         "text/plain",
                                         "application/jsonx",
                                         "application/jso",
                                         "json",
                                         "*/*",
                                         "application/json,a/b",
                                         " application/json",
                                         "application/",
                                         ";",
                                         "a/b; application/json",
                                         "multipart/form-datax; boundary=a",
                                         "multipart/mixed; boundary=a"};

    (void)state;
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        memset(&answer, 0xFF, sizeof answer);
        assert_int_equal(cmcwh_content_type(text(values[i]), &content, &answer),
                         CMCWH_ERR_MEDIA_TYPE);
        assert_int_equal(answer.status, 415);
        assert_string_equal(answer.error, "unsupported_media_type");
        assert_true(is_json(body_of(&answer)));
    }
}

/* The text is a view: nothing behind its end counts. */
static void content_type_ends_where_it_ends(void **state) {
    struct cmcwh_text value = text("application/jsonx");

    (void)state;
    value.length--;
    assert_int_equal(cmcwh_content_type(value, &content, &answer), CMCWH_OK);
    value = text("multipart/form-data; boundary=abc");
    value.length -= 2;
    assert_int_equal(cmcwh_content_type(value, &content, &answer), CMCWH_OK);
    assert_int_equal(content.boundary.length, 1);
}

static void boundaries(void **state) {
    static const struct {
        const char *value, *boundary;
    } rows[] = {{"multipart/form-data; boundary=abc", "abc"},
                {"Multipart/Form-Data;BOUNDARY=abc", "abc"},
                {"multipart/form-data; boundary=\"a b\"", "a b"},
                {"multipart/form-data; charset=utf-8; boundary=a=b;", "a=b"},
                {"multipart/form-data ; boundary = \"a;b\" ; x=y", NULL},
                {"multipart/form-data; boundary=\"'()+_,-./:=?\"", "'()+_,-./:=?"},
                {"multipart/form-data; x=\"boundary=no\"; boundary=yes", "yes"},
                {"multipart/form-data;\tboundary=----WebKitFormBoundary7MA4YWxk",
                 "----WebKitFormBoundary7MA4YWxk"}};

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int result = cmcwh_content_type(text(rows[i].value), &content, &answer);

        if (rows[i].boundary == NULL) {
            assert_int_equal(result, CMCWH_ERR_FORM);
            continue;
        }
        assert_int_equal(result, CMCWH_OK);
        assert_int_equal(content.format, CMCWH_MULTIPART);
        assert_int_equal(content.boundary.length, strlen(rows[i].boundary));
        assert_memory_equal(content.boundary.data, rows[i].boundary, content.boundary.length);
    }
}

static void boundaries_that_are_broken(void **state) {
    static const char seventy[] =
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    static char longest[128];
    static const char *const values[] = {"multipart/form-data",
                                         "multipart/form-data;",
                                         "multipart/form-data; charset=utf-8",
                                         "multipart/form-data; boundary",
                                         "multipart/form-data; boundary=",
                                         "multipart/form-data; boundary=\"\"",
                                         "multipart/form-data; boundary=\"a",
                                         "multipart/form-data; boundary=\"a\\",
                                         "multipart/form-data; boundary=a{b",
                                         "multipart/form-data; boundary=\"a \"",
                                         "multipart/form-data; boundary=\"a\\\"b\"",
                                         "multipart/form-data; boundary=a; boundary=a",
                                         "multipart/form-data; boundary=a b",
                                         "multipart/form-data boundary=a",
                                         "multipart/form-data; =a"};

    (void)state;
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        assert_int_equal(cmcwh_content_type(text(values[i]), &content, &answer), CMCWH_ERR_FORM);
        assert_int_equal(answer.status, 400);
        assert_string_equal(answer.error, "malformed_form");
        assert_true(is_json(body_of(&answer)));
    }
    strcpy(longest, "multipart/form-data; boundary=");
    strcat(longest, seventy);
    assert_int_equal(cmcwh_content_type(text(longest), &content, &answer), CMCWH_OK);
    assert_int_equal(content.boundary.length, CMCWH_BOUNDARY_MAX);
    strcat(longest, "a");
    assert_int_equal(cmcwh_content_type(text(longest), &content, &answer), CMCWH_ERR_FORM);
}

/* What was read out of a Content-Type is what the parser takes. */
static void boundary_for_the_parser(void **state) {
    static struct fixture f;

    (void)state;
    fixture_init(&f, 4, false);
    assert_format("multipart/form-data; boundary=\"a b\"", CMCWH_MULTIPART);
    cmcwh_parser_init(&f.parser, &f.ring, content.format);
    assert_int_equal(cmcwh_parser_boundary(&f.parser, content.boundary), CMCWH_OK);
    cmcwh_parser_abort(&f.parser);
}

/* ---- Authorization ---- */

static const struct cmcwh_credential basic_only[] = {{CMCWH_BASIC, {"dTpw", 4}}};
static const struct cmcwh_credential many[] = {
    {CMCWH_BASIC, {"dTpw", 4}}, {CMCWH_BASIC, {"dTpwcA==", 8}}, {CMCWH_BEARER, {"token", 5}}};
static const struct cmcwh_credential with_key[] = {
    {CMCWH_BEARER, {"token", 5}}, {CMCWH_API_KEY, {"key", 3}}, {CMCWH_API_KEY, {"key2", 4}}};
static const struct cmcwh_credential key_only[] = {{CMCWH_API_KEY, {"key", 3}}};

#define ACCESS(list)                                                                               \
    { list, sizeof(list) / sizeof *(list) }

static int asked(const struct cmcwh_access *access, const char *authorization) {
    int result;

    memset(&answer, 0xFF, sizeof answer);
    result = cmcwh_authorized(access, text(authorization), &answer);
    if (result != CMCWH_OK) {
        assert_int_equal(answer.status, 401);
        assert_string_equal(answer.error, "unauthorized");
        assert_true(is_json(body_of(&answer)));
    }
    return result;
}

static void everybody(void **state) {
    const struct cmcwh_access nobody = {NULL, 0};

    (void)state;
    assert_int_equal(asked(NULL, NULL), CMCWH_OK);
    assert_int_equal(asked(NULL, "Basic x"), CMCWH_OK);
    assert_int_equal(asked(&nobody, "Bearer x"), CMCWH_OK);
}

static void basic_and_bearer(void **state) {
    const struct cmcwh_access access = ACCESS(many);

    (void)state;
    assert_int_equal(asked(&access, "Basic dTpw"), CMCWH_OK);
    assert_int_equal(asked(&access, "basic dTpwcA=="), CMCWH_OK);
    assert_int_equal(asked(&access, "BEARER token"), CMCWH_OK);
    assert_int_equal(asked(&access, "Basic token"), CMCWH_ERR_WRONG);
    assert_int_equal(asked(&access, "Basic dtpw"), CMCWH_ERR_WRONG);
    assert_int_equal(asked(&access, "Basic dTp"), CMCWH_ERR_WRONG);
    assert_int_equal(asked(&access, "Basic dTpwdTpw"), CMCWH_ERR_WRONG);
    assert_int_equal(asked(&access, "Basic "), CMCWH_ERR_WRONG);
    assert_int_equal(asked(&access, "Bearer tokentoken"), CMCWH_ERR_WRONG);
    assert_int_equal(asked(&access, "Bearer token "), CMCWH_ERR_WRONG);
    assert_int_equal(asked(&access, "Bearer  token"), CMCWH_ERR_WRONG);
    assert_int_equal(asked(&access, NULL), CMCWH_ERR_NOBODY);
    assert_int_equal(asked(&access, ""), CMCWH_ERR_NOBODY);
    assert_int_equal(asked(&access, "Basic"), CMCWH_ERR_NOBODY);
    assert_int_equal(asked(&access, "Bearertoken"), CMCWH_ERR_NOBODY);
    assert_int_equal(asked(&access, "Digest dTpw"), CMCWH_ERR_NOBODY);
}

/* A scheme that is not configured says nothing, neither for nor against. */
static void other_scheme(void **state) {
    const struct cmcwh_access access = ACCESS(basic_only);

    (void)state;
    assert_int_equal(asked(&access, "Bearer token"), CMCWH_ERR_NOBODY);
    assert_int_equal(asked(&access, "Basic dTpw"), CMCWH_OK);
}

/* The token of a chain is a Bearer one: it lets in, beside others or alone, and says more. */
static void chain_token(void **state) {
    static const struct cmcwh_credential beside[] = {{CMCWH_BEARER, {"token", 5}},
                                                     {CMCWH_CHAIN, {"link", 4}},
                                                     {CMCWH_CHAIN, {"other", 5}},
                                                     {CMCWH_BASIC, {"link", 4}}};
    static const struct cmcwh_credential alone[] = {{CMCWH_CHAIN, {"link", 4}}};
    const struct cmcwh_access access = ACCESS(beside), only = ACCESS(alone), none = ACCESS(many);

    (void)state;
    assert_int_equal(asked(&access, "Bearer link"), CMCWH_OK);
    assert_int_equal(asked(&access, "bearer other"), CMCWH_OK);
    assert_int_equal(asked(&access, "Bearer token"), CMCWH_OK);
    assert_int_equal(asked(&access, "Bearer lin"), CMCWH_ERR_WRONG);
    assert_int_equal(asked(&only, "Bearer link"), CMCWH_OK);
    assert_int_equal(asked(&only, "Bearer "), CMCWH_ERR_WRONG);
    assert_int_equal(asked(&only, "Basic link"), CMCWH_ERR_NOBODY);
    assert_true(cmcwh_chained(&access, text("Bearer link")));
    assert_true(cmcwh_chained(&access, text("bearer other")));
    assert_true(cmcwh_chained(&only, text("Bearer link")));
    assert_false(cmcwh_chained(&access, text("Bearer token")));
    assert_false(cmcwh_chained(&access, text("Bearer links")));
    assert_false(cmcwh_chained(&access, text("Bearer ")));
    assert_false(cmcwh_chained(&access, text("Bearerlink")));
    assert_false(cmcwh_chained(&access, text("Basic link")));
    assert_false(cmcwh_chained(&access, text("link")));
    assert_false(cmcwh_chained(&access, text("")));
    assert_false(cmcwh_chained(&access, text(NULL)));
    assert_false(cmcwh_chained(&none, text("Bearer token")));
    assert_false(cmcwh_chained(NULL, text("Bearer link")));
}

/* A body with this api_key (NULL: none), after a head that may be read on for. */
static int asked_again(const struct cmcwh_access *access, const char *authorization,
                       const char *key) {
    static struct fixture f;
    char body[512];
    int result, head = asked(access, authorization);

    strcpy(body, "{\"event_type\":\"bounces\",\"event\":{\"bounces\":[{}]}");
    if (key != NULL) {
        strcat(strcat(strcat(body, ",\"api_key\":\""), key), "\"");
    }
    strcat(body, "}");
    fixture_init(&f, 4, false);
    assert_int_equal(feed(&f, CMCWH_JSON, body, strlen(body), strlen(body)), 1);
    result = cmcwh_authorized_key(access, head, &f.parser, &answer);
    cmcwh_parser_abort(&f.parser);
    if (result != CMCWH_OK) {
        assert_int_equal(answer.status, 401);
        assert_string_equal(answer.error, "unauthorized");
    }
    return result;
}

static void api_key(void **state) {
    const struct cmcwh_access either = ACCESS(with_key), only = ACCESS(key_only);
    const struct cmcwh_access none = ACCESS(basic_only);
    static char longest[CMCWH_SECRET_MAX + 20];

    (void)state;
    assert_int_equal(asked(&either, NULL), CMCWH_PENDING);
    assert_int_equal(asked(&either, "Basic dTpw"), CMCWH_PENDING);
    assert_int_equal(asked(&either, "Bearer token"), CMCWH_OK);
    assert_int_equal(asked(&either, "Bearer tokem"), CMCWH_ERR_WRONG);
    assert_int_equal(asked(&only, NULL), CMCWH_PENDING);

    assert_int_equal(asked_again(&either, NULL, "key"), CMCWH_OK);
    assert_int_equal(asked_again(&either, NULL, "key2"), CMCWH_OK);
    assert_int_equal(asked_again(&either, NULL, NULL), CMCWH_ERR_NOBODY);
    assert_int_equal(asked_again(&either, NULL, ""), CMCWH_ERR_NOBODY);
    assert_int_equal(asked_again(&either, NULL, "kez"), CMCWH_ERR_WRONG);
    assert_int_equal(asked_again(&either, "Bearer token", NULL), CMCWH_OK);
    assert_int_equal(asked_again(&either, "Bearer token", "key"), CMCWH_OK);
    assert_int_equal(asked_again(&either, "Bearer token", "kez"), CMCWH_ERR_WRONG);
    assert_int_equal(asked_again(&either, "Basic dTpw", "key"), CMCWH_OK);
    assert_int_equal(asked_again(&only, NULL, "key"), CMCWH_OK);
    assert_int_equal(asked_again(&only, "Bearer token", "kez"), CMCWH_ERR_WRONG);

    /* One that nobody has asked for says nothing. */
    assert_int_equal(asked_again(&none, "Basic dTpw", "kez"), CMCWH_OK);
    assert_int_equal(asked_again(&none, NULL, "key"), CMCWH_ERR_NOBODY);
    assert_int_equal(asked_again(&none, NULL, NULL), CMCWH_ERR_NOBODY);
    assert_int_equal(asked_again(NULL, NULL, "key"), CMCWH_OK);

    /* A secret longer than any that can be configured is none of them. */
    memset(longest, 'k', sizeof longest - 1);
    assert_int_equal(asked_again(&only, NULL, longest), CMCWH_ERR_WRONG);
}

static void guess(struct cmcwh_tries *tries, const char *address, unsigned times, uint64_t now) {
    while (times-- > 0) {
        cmcwh_tries_wrong(tries, address, now);
    }
}

/* Ten wrong ones within a minute; the minute begins with the first. */
static void guesses(void **state) {
    static struct cmcwh_tries tries;

    (void)state;
    guess(&tries, "192.0.2.1", CMCWH_TRIES - 1, 1000);
    assert_int_equal(cmcwh_tries_wait(&tries, "192.0.2.1", 2000), 0);
    guess(&tries, "192.0.2.1", 1, 2000);
    assert_int_equal(cmcwh_tries_wait(&tries, "192.0.2.1", 2000), CMCWH_TRIES_TIME - 1000);
    assert_int_equal(cmcwh_tries_wait(&tries, "192.0.2.2", 2000), 0);
    assert_int_equal(cmcwh_tries_wait(&tries, "192.0.2.1", 999 + CMCWH_TRIES_TIME), 1);
    assert_int_equal(cmcwh_tries_wait(&tries, "192.0.2.1", 1000 + CMCWH_TRIES_TIME), 0);

    guess(&tries, "2001:db8:1:2::1", CMCWH_TRIES, 1000);
    assert_int_equal(cmcwh_tries_wait(&tries, "2001:db8:1:2:ffff::1", 1000), CMCWH_TRIES_TIME);
    assert_int_equal(cmcwh_tries_wait(&tries, "2001:db8:1:3::1", 1000), 0);
}

/* Many who guess a little do not make it forget one who guesses much. */
static void guesses_of_many(void **state) {
    static struct cmcwh_tries tries;
    char address[16] = "10.0.0.";

    (void)state;
    guess(&tries, "192.0.2.1", CMCWH_TRIES, 1000);
    for (unsigned i = 0; i < 100; i++) {
        address[7] = (char)('0' + i / 10);
        address[8] = (char)('0' + i % 10);
        guess(&tries, address, CMCWH_TRIES - 1, 1001 + i);
    }
    assert_int_equal(cmcwh_tries_wait(&tries, "192.0.2.1", 1101), CMCWH_TRIES_TIME - 101);
    guess(&tries, "10.0.0.99", 1, 1101);
    assert_true(cmcwh_tries_wait(&tries, "10.0.0.99", 1101) > 0);
    guess(&tries, "10.0.0.00", 1, 1101); /* long forgotten */
    assert_int_equal(cmcwh_tries_wait(&tries, "10.0.0.00", 1101), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(status_of_each_result),
        cmocka_unit_test(reasons),
        cmocka_unit_test(bodies),
        cmocka_unit_test(bodies_are_escaped),
        cmocka_unit_test(bodies_are_bounded),
        cmocka_unit_test(answer_of_a_parser),
        cmocka_unit_test(content_types),
        cmocka_unit_test(content_types_that_are_not_taken),
        cmocka_unit_test(content_type_ends_where_it_ends),
        cmocka_unit_test(boundaries),
        cmocka_unit_test(boundaries_that_are_broken),
        cmocka_unit_test(boundary_for_the_parser),
        cmocka_unit_test(everybody),
        cmocka_unit_test(basic_and_bearer),
        cmocka_unit_test(other_scheme),
        cmocka_unit_test(chain_token),
        cmocka_unit_test(api_key),
        cmocka_unit_test(guesses),
        cmocka_unit_test(guesses_of_many),
    };

    return cmocka_run_group_tests_name("http", tests, NULL, NULL);
}
