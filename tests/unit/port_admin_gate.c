/* Who may ask at the admin port. */
#include "support.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "admin/gate.h"
#include "door/auth.h"
#include "said.h"

static const char *const hosts[] = {"status.example.jp"};
static struct gate gate;

static int fresh(void **state) {
    (void)state;
    gate = (struct gate){.hosts = hosts, .host_count = 1};
    return 0;
}

static bool known(const char *host) {
    return gate_knows(&gate, (struct cmcwh_text){host, strlen(host)});
}

static void hosts_that_are_ours(void **state) {
    static const char *const ours[] = {"127.0.0.1",      "127.0.0.1:8081",       "192.0.2.7:1",
                                       "[::1]:8081",     "[2001:db8::1]",        "localhost",
                                       "LOCALHOST:8081", "status.example.jp:443"};

    (void)state;
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) {
        assert_true(known(ours[i]));
    }
}

/* What a browser would be made to call us, and what is read in two ways. */
static void hosts_that_are_not(void **state) {
    static const char *const foreign[] = {"",
                                          ":80",
                                          "attacker.example",
                                          "localhost.attacker.example",
                                          "status.example.jp.attacker.example",
                                          "127.0.0.1.attacker.example",
                                          "127.1",
                                          "2130706433",
                                          "0x7f000001",
                                          "127.0.0.1:80:80",
                                          "127.0.0.1:x",
                                          "localhost@attacker.example",
                                          "[::1",
                                          "[::1]x",
                                          "[attacker.example]",
                                          "[127.0.0.1]",
                                          "::1",
                                          "localhost."};
    char longest[300];

    (void)state;
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++) {
        if (known(foreign[i])) {
            fail_msg("'%s' is taken for ours", foreign[i]);
        }
    }
    memset(longest, 'a', sizeof longest);
    longest[sizeof longest - 1] = '\0';
    assert_false(known(longest));
}

static void name_of_the_machine(void **state) {
    char name[256] = "", text[300];

    (void)state;
    assert_int_equal(gethostname(name, sizeof name - 1), 0);
    assert_true(known(name));
    (void)snprintf(text, sizeof text, "%s.local:8081", name);
    assert_true(known(text));
    (void)snprintf(text, sizeof text, "%s.lan", name);
    assert_true(known(text));
    (void)snprintf(text, sizeof text, "%s.attacker.example", name);
    assert_false(known(text));
}

/* ---- Requests ---- */

static struct gate_answer ask(const char *lines, const char *peer, uint64_t now) {
    static char text[1024];
    struct request request;
    const char *fault;
    int length =
        snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: 127.0.0.1:81\r\n%s\r\n", lines);

    assert_true(length > 0 && (size_t)length < sizeof text);
    assert_int_equal(request_read(&request, text, (size_t)length, &fault), length);
    return gate_check(&gate, &request, peer, now);
}

static int asked(const char *lines) {
    return ask(lines, "192.0.2.1", 0).status;
}

static void other_sites(void **state) {
    (void)state;
    assert_int_equal(asked(""), 0);
    assert_int_equal(asked("Origin: http://127.0.0.1:81\r\n"), 0);
    assert_int_equal(asked("Origin: https://127.0.0.1:81\r\n"), 0); /* a TLS front */
    assert_int_equal(asked("Origin: http://127.0.0.1\r\n"), 403);
    assert_int_equal(asked("Origin: http://1127.0.0.1:81\r\n"), 403);
    assert_int_equal(asked("Origin: http://attacker.example\r\n"), 403);
    assert_int_equal(asked("Origin: null\r\n"), 403);
    assert_int_equal(asked("Origin:\r\n"), 403);
    assert_int_equal(asked("Sec-Fetch-Site: same-origin\r\n"), 0);
    assert_int_equal(asked("Sec-Fetch-Site: none\r\nSec-Fetch-Mode: navigate\r\n"), 0);
    assert_int_equal(asked("Sec-Fetch-Site: cross-site\r\n"), 403);
    assert_int_equal(asked("Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: no-cors\r\n"
                           "Sec-Fetch-Dest: image\r\n"),
                     403);
    assert_int_equal(asked("Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\n"
                           "Sec-Fetch-Dest: iframe\r\n"),
                     403);
    assert_int_equal(asked("Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\n"
                           "Sec-Fetch-Dest: document\r\n"),
                     0);
}

static void use(const char *text) {
    auth_use(AUTH_ADMIN, auth_read(AUTH_ADMIN, file_of(text, strlen(text), 0600)));
    assert_quiet();
}

static void credentials(void **state) {
    struct gate_answer answer;

    (void)state;
    use("bearer look\n");
    answer = ask("", "192.0.2.1", 0);
    assert_true(answer.status == 401 && answer.bearer && !answer.basic);
    assert_int_equal(asked("Authorization: Bearer look\r\n"), 0);
    assert_int_equal(asked("Authorization: Bearer hook\r\n"), 401);
    assert_said("--admin: 192.0.2.1: wrong credentials");
    use("basic u:p\n");
    answer = ask("Authorization: Bearer look\r\n", "192.0.2.1", 0);
    assert_true(answer.status == 401 && !answer.bearer && answer.basic);
    assert_int_equal(asked("Authorization: Basic dTpw\r\n"), 0);
    /* Where it comes from is asked first: nothing is told to other sites. */
    assert_int_equal(asked("Origin: http://attacker.example\r\n"), 403);
    auth_use(AUTH_ADMIN, NULL);
}

static void guessing(void **state) {
    static const char wrong[] = "Authorization: Bearer hook\r\n";
    static const char right[] = "Authorization: Bearer look\r\n";
    struct gate_answer answer;

    (void)state;
    use("bearer look\n");
    for (unsigned i = 0; i < CMCWH_TRIES; i++) {
        assert_int_equal(ask(wrong, "192.0.2.1", 1000).status, 401);
        assert_int_equal(ask("", "192.0.2.2", 1000).status, 401); /* a browser's first request */
        assert_int_equal(ask(wrong, "127.0.0.1", 1000).status, 401);
    }
    (void)said();
    answer = ask(right, "192.0.2.1", 1000);
    assert_true(answer.status == 429 && answer.retry_after == CMCWH_TRIES_TIME / 1000);
    assert_int_equal(ask(right, "192.0.2.2", 1000).status, 0);
    assert_int_equal(ask(right, "127.0.0.1", 1000).status, 0);
    assert_int_equal(ask(right, "192.0.2.1", 1000 + CMCWH_TRIES_TIME).status, 0);
    auth_use(AUTH_ADMIN, NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(hosts_that_are_ours, fresh),
        cmocka_unit_test_setup(hosts_that_are_not, fresh),
        cmocka_unit_test_setup(name_of_the_machine, fresh),
        cmocka_unit_test_setup(other_sites, fresh),
        cmocka_unit_test_setup(credentials, fresh),
        cmocka_unit_test_setup(guessing, fresh),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
