/* The auth file: who may post. */
#include "support.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "door/auth.h"
#include "platform/outcome.h"
#include "said.h"

/* Makes what a file holds the one in force, and holds it; NULL when it cannot be taken. */
static struct auth *read_file(const char *bytes, size_t length, unsigned mode) {
    struct auth *auth = auth_read(AUTH_WEBHOOKS, file_of(bytes, length, mode));

    if (auth == NULL) {
        return NULL;
    }
    auth_use(AUTH_WEBHOOKS, auth);
    return auth_hold(AUTH_WEBHOOKS);
}

static void done(struct auth *auth) {
    auth_use(AUTH_WEBHOOKS, NULL);
    assert_non_null(auth);
    auth_release(auth);
    assert_null(auth_hold(AUTH_WEBHOOKS));
}

static void assert_wrong(const char *text, const char *why) {
    assert_null(read_file(text, strlen(text), 0600));
    assert_true(outcome_of(errno) == OUTCOME_WRONG);
    assert_said(why);
}

static void assert_credential(const struct auth *auth, size_t i, enum cmcwh_credential_kind kind,
                              const char *secret) {
    assert_true(i < auth->access.count);
    assert_int_equal(auth->access.credentials[i].kind, kind);
    assert_int_equal(auth->access.credentials[i].secret.length, strlen(secret));
    assert_string_equal(auth->access.credentials[i].secret.data, secret);
}

static void kinds(void **state) {
    static const char text[] =
        "# who\r\n\n  \tbasic Aladdin:open sesame\r\nbearer\ttoken  \t\n"
        "api_key  k e y # no comment\nbasic :\nbasic a:\nbasic a:b\nbearer x\nchain \tlink 1";
    struct auth *auth = read_file(text, strlen(text), 0600);

    (void)state;
    assert_quiet();
    assert_non_null(auth);
    assert_int_equal(auth->access.count, 8);
    assert_credential(auth, 0, CMCWH_BASIC, "QWxhZGRpbjpvcGVuIHNlc2FtZQ=="); /* of RFC 7617 */
    assert_credential(auth, 1, CMCWH_BEARER, "token");
    assert_credential(auth, 2, CMCWH_API_KEY, "k e y # no comment");
    assert_credential(auth, 3, CMCWH_BASIC, "Og==");
    assert_credential(auth, 4, CMCWH_BASIC, "YTo=");
    assert_credential(auth, 5, CMCWH_BASIC, "YTpi");
    assert_credential(auth, 6, CMCWH_BEARER, "x");
    assert_credential(auth, 7, CMCWH_CHAIN, "link 1");
    done(auth);
}

/* RFC 4648 section 10, and bytes that are not ASCII. */
static void base64_of_basic(void **state) {
    struct auth *auth;

    (void)state;
    auth = read_file("basic f:oobar\nbasic \xFF:\xFE\xFB\nbasic \xE3\x81\x82:\n", 35, 0600);
    assert_non_null(auth);
    assert_credential(auth, 0, CMCWH_BASIC, "Zjpvb2Jhcg==");
    assert_credential(auth, 1, CMCWH_BASIC, "/zr++w==");
    assert_credential(auth, 2, CMCWH_BASIC, "44GCOg==");
    done(auth);
}

static void wrong_lines(void **state) {
    (void)state;
    assert_wrong("", "there is no credential in it");
    assert_wrong("# bearer x\n", "there is no credential in it");
    assert_wrong("bearer\n", ":1: the secret is missing");
    assert_wrong("bearer x\napi_key  \t\n", ":2: the secret is missing");
    assert_wrong("basic user\n", ":1: expected: basic USER:PASSWORD");
    assert_wrong("basic\n", ":1: expected: basic USER:PASSWORD");
    assert_wrong("Bearer x\n",
                 ":1: expected: basic USER:PASSWORD, bearer TOKEN, api_key KEY or chain TOKEN");
    assert_wrong("chain \n", ":1: the secret is missing");
    assert_wrong("chains x\n", ":1: expected");
    assert_wrong("bearerx\n", ":1: expected");
    assert_wrong("bearer=x\n", ":1: expected");
    assert_wrong("token\n", ":1: expected");
    assert_null(read_file("bearer x\0y\n", 11, 0600)); /* a zero ends what C takes for the line */
    assert_said(":1: a zero byte");
    assert_null(read_file("bearer x\n\0basic u:p", 19, 0600));
    assert_said(":2: a zero byte");
    assert_null(read_file("bearer x\rbasic u:p\r", 19, 0600));
    assert_said(":1: a carriage return within a line");
}

/* What was refused is not told: it may be a secret. */
static void secrets_are_not_said(void **state) {
    (void)state;
    assert_null(read_file("bearer x\nhunter2\n", 17, 0600));
    assert_null(strstr(said(), "hunter2"));
    assert_null(read_file("basic hunter2\n", 14, 0600));
    assert_null(strstr(said(), "hunter2"));
}

static void longest(void **state) {
    static char text[2048];
    struct auth *auth;
    char *end = repeat(text, "bearer ", 1);

    (void)state;
    end = repeat(end, "x", CMCWH_SECRET_MAX);
    auth = read_file(text, strlen(text), 0600);
    assert_non_null(auth);
    assert_int_equal(auth->access.credentials[0].secret.length, CMCWH_SECRET_MAX);
    done(auth);
    end = repeat(end, "x", 1);
    assert_wrong(text, ":1: this secret is too long");
    (void)repeat(end, "x", 1024);
    assert_wrong(text, ":1: this line is too long");
    end = repeat(text, "basic :", 1);
    end = repeat(end, "x", CMCWH_SECRET_MAX / 4 * 3 - 1);
    auth = read_file(text, strlen(text), 0600);
    assert_non_null(auth);
    done(auth);
    (void)repeat(end, "x", 3);
    assert_wrong(text, ":1: this secret is too long");
}

static void as_many_as_fit(void **state) {
    static char text[2048];
    struct auth *auth;

    (void)state;
    (void)repeat(text, "bearer x\n", AUTH_LINES_MAX);
    auth = read_file(text, strlen(text), 0600);
    assert_non_null(auth);
    assert_int_equal(auth->access.count, AUTH_LINES_MAX);
    done(auth);
    (void)repeat(text, "bearer x\n", AUTH_LINES_MAX + 1);
    assert_wrong(text, ":65: more credentials than this program keeps (64)");
}

static void private_to_its_owner(void **state) {
    static const unsigned others[] = {0604, 0602, 0601, 0640, 0620, 0610};
    char directory[] = "/tmp/cmcwh-test-XXXXXX";
    struct auth *auth;

    (void)state;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        assert_null(read_file("bearer x\n", 9, others[i]));
        assert_said("others may read it");
    }
    (void)setenv("CREDENTIALS_DIRECTORY", "/tmp", 1); /* where systemd puts credentials */
    auth = read_file("bearer x\n", 9, 0640);
    assert_non_null(auth);
    done(auth);
    assert_null(read_file("bearer x\n", 9, 0644));
    assert_null(read_file("bearer x\n", 9, 0660));
    (void)setenv("CREDENTIALS_DIRECTORY", "/tm", 1);
    assert_null(read_file("bearer x\n", 9, 0640));
    (void)unsetenv("CREDENTIALS_DIRECTORY");
    (void)said();
    assert_true(mkdtemp(directory) != NULL); /* private, and can be opened, but not read */
    assert_null(auth_read(AUTH_WEBHOOKS, directory));
    (void)rmdir(directory);
    assert_said("Is a directory");
    assert_null(auth_read(AUTH_WEBHOOKS, "/nowhere/at/all"));
    assert_said("--auth-file: /nowhere/at/all: No such file");
}

/* A request goes on with the credentials with which it has begun. */
static void held_while_replaced(void **state) {
    struct auth *old, *new;

    (void)state;
    old = read_file("bearer old\n", 11, 0600);
    new = read_file("bearer new\n", 11, 0600);
    assert_credential(old, 0, CMCWH_BEARER, "old");
    assert_credential(new, 0, CMCWH_BEARER, "new");
    auth_release(old);
    done(new);
}

/* Two doors, two files; who may post may not look. */
static void admin(void **state) {
    struct auth *post = read_file("bearer post\n", 12, 0600), *look, *held;

    (void)state;
    look = auth_read(AUTH_ADMIN, file_of("basic a:b\nbearer look\n", 22, 0600));
    assert_quiet();
    assert_non_null(look);
    auth_use(AUTH_ADMIN, look);
    held = auth_hold(AUTH_ADMIN);
    assert_credential(held, 1, CMCWH_BEARER, "look");
    assert_credential(post, 0, CMCWH_BEARER, "post");
    auth_release(held);
    done(post);
    held = auth_hold(AUTH_ADMIN);
    assert_ptr_equal(held, look);
    auth_release(held);
    auth_use(AUTH_ADMIN, NULL);
    assert_null(auth_hold(AUTH_ADMIN));

    assert_null(auth_read(AUTH_ADMIN, file_of("bearer x\napi_key k\n", 19, 0600)));
    assert_said(":2: an API key comes in a webhook's body: expected basic USER:PASSWORD or bearer");
    assert_null(auth_read(AUTH_ADMIN, file_of("chain k\n", 8, 0600)));
    assert_said(":1: a chain posts webhooks: expected basic USER:PASSWORD or bearer TOKEN");
    assert_null(auth_read(AUTH_ADMIN, file_of("nobody\n", 7, 0600)));
    assert_said(":1: expected: basic USER:PASSWORD or bearer TOKEN");
    assert_null(auth_read(AUTH_ADMIN, "/nowhere/at/all"));
    assert_said("--admin-auth-file: /nowhere/at/all: No such file");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(kinds),
                                       cmocka_unit_test(base64_of_basic),
                                       cmocka_unit_test(wrong_lines),
                                       cmocka_unit_test(secrets_are_not_said),
                                       cmocka_unit_test(longest),
                                       cmocka_unit_test(as_many_as_fit),
                                       cmocka_unit_test(private_to_its_owner),
                                       cmocka_unit_test(held_while_replaced),
                                       cmocka_unit_test(admin)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
