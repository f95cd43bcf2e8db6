/* What a sink shows its peer: files that its URI names. */
#include "support.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "platform/outcome.h"
#include "said.h"
#include "sink/secrets.h"

#if CERTIFICATES
#include "certificate.h"
#endif

static const struct sink_parameter parameters[] = {
    {"headers", "headers=FILE", secrets_set_list}, SECRETS_PARAMETERS, {NULL, NULL, NULL}};
static const struct sink_medium medium = {.scheme = "test", .parameters = parameters};
static struct secret_files files;
static struct sink sink = {.uri = "test://peer", .medium = &medium, .own = &files};

static struct secrets *load(enum secrets_peer peer, const char *text) {
    files = (struct secret_files){.list = file_of(text, strlen(text), 0600)};
    return secrets_load(&sink, peer, false);
}

static void assert_wrong(enum secrets_peer peer, const char *text, const char *why) {
    assert_null(load(peer, text));
    assert_true(outcome_of(errno) == OUTCOME_WRONG);
    assert_said(why);
}

static void assert_headers(const char *text, const char *headers) {
    struct secrets *secrets = load(SECRETS_HTTP, text);

    assert_quiet();
    assert_non_null(secrets);
    assert_string_equal(secrets->headers, headers);
    assert_string_equal(secrets->api_key, "");
    assert_null(secrets->trust);
    secrets_unload(secrets);
}

static void for_http(void **state) {
    struct secrets *secrets;

    (void)state;
    assert_headers("# who\n\n  basic Aladdin:open sesame \n",
                   "Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n");
    assert_headers("bearer a.b-c\r\n", "Authorization: Bearer a.b-c\r\n");
    assert_headers("X-Key:abc\n \tAuthorization: \t Splunk a b:c # \t\nX-Name: \xE3\x81\x82\n",
                   "X-Key: abc\r\nAuthorization: Splunk a b:c #\r\nX-Name: \xE3\x81\x82\r\n");
    secrets = load(SECRETS_HTTP, "api_key k e y\nX: y");
    assert_quiet();
    assert_non_null(secrets);
    assert_string_equal(secrets->headers, "X: y\r\n");
    assert_string_equal(secrets->api_key, "k e y");
    secrets_unload(secrets);
}

static void for_mqtt(void **state) {
    struct secrets *secrets = load(SECRETS_MQTT, "# who\nbasic user:pass:word \n");

    (void)state;
    assert_quiet();
    assert_non_null(secrets);
    assert_string_equal(secrets->user, "user");
    assert_string_equal(secrets->password, "pass:word");
    assert_string_equal(secrets->headers, "");
    secrets_unload(secrets);
    secrets = load(SECRETS_MQTT, "basic user:");
    assert_non_null(secrets);
    assert_string_equal(secrets->password, "");
    secrets_unload(secrets);
    assert_wrong(SECRETS_MQTT, "basic :x", ":1: expected: basic USER:PASSWORD");
    assert_wrong(SECRETS_MQTT, "basic user", ":1: expected: basic USER:PASSWORD");
    assert_wrong(SECRETS_MQTT, "\nbearer x", ":2: expected: basic USER:PASSWORD");
    assert_wrong(SECRETS_MQTT, "X-Key: x", ":1: expected: basic USER:PASSWORD");
    assert_wrong(SECRETS_MQTT, "basic a:b\nbasic a:b", ":2: a second user");
}

static void nothing_named(void **state) {
    struct secrets *secrets;

    (void)state;
    files = (struct secret_files){.list = NULL};
    secrets = secrets_load(&sink, SECRETS_HTTP, false);
    assert_quiet();
    assert_non_null(secrets);
    assert_string_equal(secrets->headers, "");
    secrets_unload(secrets);
    secrets_unload(NULL);
}

static void wrong_lines(void **state) {
    static const char expected[] =
        ":1: expected: basic USER:PASSWORD, bearer TOKEN, api_key KEY or a header, Name: value";
    static const char *const ours[] = {"Host",       "content-length",  "Transfer-Encoding",
                                       "CONNECTION", "Content-Type",    "Expect",
                                       "User-Agent", "Idempotency-Key", "cmcwh-events"};
    char text[64];

    (void)state;
    assert_wrong(SECRETS_HTTP, "", "there is no credential in it");
    assert_wrong(SECRETS_HTTP, "# bearer x\n", "there is no credential in it");
    assert_wrong(SECRETS_HTTP, "token\n", expected);
    assert_wrong(SECRETS_HTTP, "Bearer x\n", expected);
    assert_wrong(SECRETS_HTTP, "X-Key : x\n", expected);
    assert_wrong(SECRETS_HTTP, ": x\n", expected);
    assert_wrong(SECRETS_HTTP, "X(Y): x\n", expected);
    assert_wrong(SECRETS_HTTP, "\xE3\x81\x82: x\n", expected);
    assert_wrong(SECRETS_HTTP, "chain x\n", expected);
    assert_wrong(SECRETS_HTTP, "basic user\n", ":1: expected: basic USER:PASSWORD");
    assert_wrong(SECRETS_HTTP, "bearer\n", ":1: the secret is missing");
    assert_wrong(SECRETS_HTTP, "bearer: x\n", ":1: no colon behind this word: a blank");
    assert_wrong(SECRETS_HTTP, "X-Key:  \n", ":1: the value of this header is missing");
    assert_wrong(SECRETS_HTTP, "bearer x\nbasic a:b\n", ":2: a second Authorization");
    assert_wrong(SECRETS_HTTP, "X: y\nbearer x\nauthorization: Y\n", ":3: a second Authorization");
    assert_wrong(SECRETS_HTTP, "AUTHORIZATION: Y\nbearer x\n", ":2: a second Authorization");
    assert_wrong(SECRETS_HTTP, "api_key x\napi_key y\n", ":2: a second API key");
    assert_wrong(SECRETS_HTTP, "X: a\x1B[2Jb\n", ":1: a control character");
    assert_wrong(SECRETS_HTTP, "bearer a\x7F\n", ":1: a control character");
    assert_wrong(SECRETS_HTTP, "X: a\rHost: b\n", ":1: a carriage return within a line");
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) {
        (void)snprintf(text, sizeof text, "X: y\n%s: x\n", ours[i]);
        assert_wrong(SECRETS_HTTP, text, ":2: this header is the sink's own");
    }
    assert_headers("Host-Name: x\n", "Host-Name: x\r\n");
}

/* What was refused is not told, nor is what was taken. */
static void secrets_are_not_said(void **state) {
    static const char *const wrong[] = {
        "hunter2",       "hunter2: x",       "basic hunter2", "bearer x\nbearer hunter2",
        "Host: hunter2", "hunter 2 hunter2", "X: \x1Bhunter2"};

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        secrets_unload(load(SECRETS_HTTP, wrong[i]));
        assert_null(strstr(said(), "hunter2"));
        secrets_unload(load(SECRETS_MQTT, wrong[i]));
        assert_null(strstr(said(), "hunter2"));
    }
}

static void longest(void **state) {
    static char text[SECRETS_HEADERS * 2], header[1001];
    struct secrets *secrets;
    char *end = repeat(text, "bearer ", 1);

    (void)state;
    (void)repeat(end, "x", 1000);
    secrets = load(SECRETS_HTTP, text);
    assert_non_null(secrets);
    assert_int_equal(strlen(secrets->headers), 22 + 1000 + 2);
    secrets_unload(secrets);
    (void)repeat(end, "x", 2000);
    assert_wrong(SECRETS_HTTP, text, ":1: this line is too long");
    end = repeat(text, "basic u:", 1);
    (void)repeat(end, "x", 1000);
    secrets = load(SECRETS_HTTP, text);
    assert_non_null(secrets);
    secrets_unload(secrets);
    secrets = load(SECRETS_MQTT, text);
    assert_non_null(secrets);
    assert_int_equal(strlen(secrets->password), 1000);
    secrets_unload(secrets);
    end = repeat(text, "api_key ", 1);
    (void)repeat(end, "x", CMCWH_SECRET_MAX + 1);
    assert_wrong(SECRETS_HTTP, text, ":1: this secret is too long");
    (void)repeat(end, "x", CMCWH_SECRET_MAX);
    secrets = load(SECRETS_HTTP, text);
    assert_non_null(secrets);
    assert_int_equal(strlen(secrets->api_key), CMCWH_SECRET_MAX);
    secrets_unload(secrets);
    end = repeat(header, "X: ", 1);
    end = repeat(end, "x", 994);
    (void)repeat(end, "\n", 1);
    end = repeat(text, header, 4);
    secrets = load(SECRETS_HTTP, text);
    assert_non_null(secrets);
    assert_int_equal(strlen(secrets->headers), 4 * 999);
    secrets_unload(secrets);
    (void)repeat(end, header, 1);
    assert_wrong(SECRETS_HTTP, text, ":5: more headers than this program sends (4095 bytes)");
}

static void private_to_its_owner(void **state) {
    (void)state;
    files = (struct secret_files){.list = file_of("bearer x\n", 9, 0640)};
    assert_null(secrets_load(&sink, SECRETS_HTTP, false));
    assert_said("--sink: 'test://peer': headers: /tmp/cmcwh-test-");
    assert_null(secrets_load(&sink, SECRETS_HTTP, false));
    assert_said("others may read it; make it private with chmod 600");
    files.list = "/nowhere/at/all";
    assert_null(secrets_load(&sink, SECRETS_HTTP, false));
    assert_true(outcome_of(errno) == OUTCOME_WRONG || errno == ENOENT);
    assert_said("--sink: 'test://peer': headers: /nowhere/at/all: No such file");
    files.list = "/tmp";
    assert_null(secrets_load(&sink, SECRETS_HTTP, false));
    assert_said("headers: /tmp: Is a directory");
    files = (struct secret_files){.list = "/nowhere/list", .key = "/nowhere/key"};
    secrets_say_unreadable(&sink);
    assert_said("--sink: 'test://peer': headers: /nowhere/list: No such file");
    secrets_say_unreadable(&sink);
    assert_said("--sink: 'test://peer': key: /nowhere/key: No such file");
    files = (struct secret_files){.list = file_of("bearer x\n", 9, 0600)};
    secrets_say_unreadable(&sink);
    assert_quiet();
}

static void from_the_uri(void **state) {
    (void)state;
    files = (struct secret_files){.list = NULL};
    assert_true(secrets_set_list(&sink, "list") && secrets_set_ca(&sink, "ca"));
    assert_true(secrets_set_certificate(&sink, "cert") && secrets_set_key(&sink, "key"));
    assert_string_equal(files.list, "list");
    assert_string_equal(files.ca, "ca");
    assert_string_equal(files.certificate, "cert");
    assert_string_equal(files.key, "key");
    assert_true(secrets_are_relative(&sink));
    files = (struct secret_files){.list = "/list", .ca = "/ca"};
    assert_false(secrets_are_relative(&sink));
    assert_false(secrets_set_list(&sink, "") || secrets_set_ca(&sink, ""));
    assert_false(secrets_set_certificate(&sink, "") || secrets_set_key(&sink, ""));
}

static void no_tls_no_certificates(void **state) {
    static const struct secret_files some[] = {{.ca = "x"}, {.certificate = "x"}, {.key = "x"}};

    (void)state;
    for (size_t i = 0; i < sizeof some / sizeof *some; i++) {
        files = some[i];
        assert_null(secrets_load(&sink, SECRETS_HTTP, false));
        assert_said("--sink: 'test://peer': ca=, cert= and key= are for TLS");
    }
}

#if CERTIFICATES

/* A key, and a certificate of it that it has signed itself. */
struct identity {
    char key[PEM_MOST], certificate[PEM_MOST], locked[PEM_MOST];
};

/* Its certificate ends in so many seconds. */
static void make_identity(struct identity *identity, long ends) {
    struct made made = make(&(struct plan){.begins = -86400L * 2, .ends = ends});

    *identity = (struct identity){.key = ""};
    add_key(identity->key, &made, false);
    add_key(identity->locked, &made, true);
    add_certificate(identity->certificate, &made);
    unmake(&made);
}

static const char *pem_file(const char *text, unsigned mode) {
    return file_of(text, strlen(text), mode);
}

static void assert_no_identity(const char *certificate, const char *key, const char *why) {
    files = (struct secret_files){.certificate = certificate, .key = key};
    assert_null(secrets_load(&sink, SECRETS_HTTP, true));
    assert_true(outcome_of(errno) == OUTCOME_WRONG || errno == ENOENT);
    assert_said(why);
}

static void assert_identity(const char *certificate, const char *key) {
    struct secrets *secrets;

    files = (struct secret_files){.certificate = certificate, .key = key};
    secrets = secrets_load(&sink, SECRETS_HTTP, true);
    assert_non_null(secrets);
    assert_non_null(secrets->trust);
    secrets_unload(secrets);
}

static void certificates(void **state) {
    static struct identity ours, other;
    static char both[2 * PEM_MOST];

    (void)state;
    make_identity(&ours, 86400L * 365);
    make_identity(&other, 86400L * 365);
    (void)snprintf(both, sizeof both, "%s%s", ours.certificate, ours.key);
    assert_identity(NULL, NULL);
    assert_identity(pem_file(ours.certificate, 0644), pem_file(ours.key, 0600));
    assert_identity(pem_file(both, 0600), NULL);
    (void)snprintf(both, sizeof both, "%s%s", ours.key, ours.certificate);
    assert_identity(pem_file(both, 0600), NULL);
    assert_quiet();
    assert_no_identity(pem_file(ours.certificate, 0644), pem_file(other.key, 0600),
                       ": it is not the key of the certificate");
    assert_no_identity(
        pem_file(ours.certificate, 0644), pem_file(ours.locked, 0600),
        ": expected a key in PEM: it asks for a pass phrase, which must be taken off");
    assert_no_identity(pem_file(ours.certificate, 0644), pem_file(ours.key, 0644),
                       ": others may read it");
    assert_no_identity(pem_file(both, 0644), NULL, ": others may read it");
    assert_no_identity(pem_file(ours.certificate, 0600), NULL,
                       "--sink: 'test://peer': cert: /tmp/cmcwh-test-");
    assert_no_identity(pem_file(ours.certificate, 0600), NULL,
                       ": expected a key in PEM: there is none in it");
    assert_no_identity(pem_file("noise\n", 0600), NULL, ": expected a certificate");
    assert_no_identity(pem_file(ours.certificate, 0644), "/nowhere/key", "/nowhere/key: No such");
    assert_no_identity("/nowhere/cert", NULL, "cert: /nowhere/cert: No such");
    assert_no_identity(NULL, pem_file(ours.key, 0600), "key= is of no use without cert=");
}

static void dates(void **state) {
    static struct identity old, soon;

    (void)state;
    make_identity(&old, -86400L);
    make_identity(&soon, 86400L * 3 + 60);
    assert_identity(pem_file(old.certificate, 0644), pem_file(old.key, 0600));
    assert_said("the certificate has expired: the peer will refuse it");
    assert_identity(pem_file(soon.certificate, 0644), pem_file(soon.key, 0600));
    assert_said("the certificate ends in 3 days: renew it");
}

static void authorities(void **state) {
    static struct identity ca;
    struct secrets *secrets;

    (void)state;
    make_identity(&ca, 86400L * 365);
    files = (struct secret_files){.ca = pem_file(ca.certificate, 0644)};
    secrets = secrets_load(&sink, SECRETS_MQTT, true);
    assert_quiet();
    assert_non_null(secrets);
    secrets_unload(secrets);
    files = (struct secret_files){.ca = pem_file(ca.key, 0600)};
    assert_null(secrets_load(&sink, SECRETS_MQTT, true));
    assert_said("--sink: 'test://peer': ca: /tmp/cmcwh-test-");
    files = (struct secret_files){.ca = "/nowhere/ca"};
    assert_null(secrets_load(&sink, SECRETS_MQTT, true));
    assert_said("ca: /nowhere/ca: No such");
}

#endif

#if !CMCWH_TLS

static void no_tls_built_in(void **state) {
    (void)state;
    files = (struct secret_files){.list = NULL};
    assert_null(secrets_load(&sink, SECRETS_HTTP, true));
    assert_said("--sink: 'test://peer': this build has no TLS");
}

#endif

static void assert_covered(const char *list, const char *said, const char *shown) {
    struct secrets *secrets = load(SECRETS_HTTP, list);
    char text[256];

    assert_non_null(secrets);
    (void)snprintf(text, sizeof text, "%s", said);
    secrets_cover(secrets, text, strlen(text));
    assert_string_equal(text, shown);
    secrets_unload(secrets);
}

/* What a peer says again of what it was shown. */
static void covered(void **state) {
    (void)state;
    assert_covered("bearer abcdefgh", "no abcdefgh, abcdefghabcdefgh",
                   "no ********, ****************");
    assert_covered("bearer abcdefgh", "Authorization: Bearer abcdefgh",
                   "Authorization: ***************");
    assert_covered("basic u:password", "dTpwYXNzd29yZA==", "****************");
    assert_covered("api_key keykey\nX-Key: seven", "seven keykey six", "***** ****** six");
    assert_covered("X-Tenant: 1\nX-Area: a b", "line 1 of b", "line 1 of b");
    assert_covered("bearer abcdefgh", "", "");
}

/* An answer is cut somewhere, and a long secret with it. */
static void covered_in_part(void **state) {
    (void)state;
    assert_covered("bearer abcdefgh", "no abcdefg", "no *******");
    assert_covered("bearer abcdefgh", "no abcd", "no ****");
    assert_covered("bearer abcdefgh", "no abc", "no abc");
    assert_covered("bearer abcdefgh", "no Bearer ab", "no *********");
    assert_covered("api_key abcdefgh", "abcdefg abcd.", "abcdefg abcd.");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(for_http),
        cmocka_unit_test(for_mqtt),
        cmocka_unit_test(nothing_named),
        cmocka_unit_test(wrong_lines),
        cmocka_unit_test(secrets_are_not_said),
        cmocka_unit_test(longest),
        cmocka_unit_test(covered),
        cmocka_unit_test(covered_in_part),
        cmocka_unit_test(private_to_its_owner),
        cmocka_unit_test(from_the_uri),
        cmocka_unit_test(no_tls_no_certificates),
#if CERTIFICATES
        cmocka_unit_test(certificates),
        cmocka_unit_test(dates),
        cmocka_unit_test(authorities),
#endif
#if !CMCWH_TLS
        cmocka_unit_test(no_tls_built_in),
#endif
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
