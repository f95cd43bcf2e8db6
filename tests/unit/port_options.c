/* The command line and --config files. */
#include "support.h"

#include <stdio.h>
#include <string.h>

#include "command/options.h"
#include "said.h"
#include "tls/server.h"

enum { WORDS = 40 };

static struct options options;

/* Reads a command line, words with one space between. */
static enum options_result read_line(const char *line) {
    static char copy[4096];
    char *words[WORDS], *save = NULL;
    int count = 0;

    assert_true(strlen(line) < sizeof copy);
    (void)strcpy(copy, line);
    for (char *word = strtok_r(copy, " ", &save); word != NULL; word = strtok_r(NULL, " ", &save)) {
        assert_true(count < WORDS);
        words[count++] = word;
    }
    return options_read(&options, count, words);
}

static void read_right(const char *line) {
    assert_int_equal(read_line(line), OPTIONS_RUN);
    assert_quiet();
}

/* This command line is wrong, one line says so, and has `text` in it. */
static void read_wrong(const char *line, const char *text) {
    const char *lines;

    assert_int_equal(read_line(line), OPTIONS_WRONG);
    lines = said();
    if (strstr(lines, text) == NULL || strchr(lines, '\n') != lines + strlen(lines) - 1) {
        fail_msg("'%s': '%s' was not said alone, but '%s'", line, text, lines);
    }
}

/* Reads a file, with `more` behind it on the command line. */
static enum options_result read_bytes(const char *bytes, size_t length, const char *more) {
    char line[256];

    (void)snprintf(line, sizeof line, "--config %s %s", file_of(bytes, length, 0644), more);
    return read_line(line);
}

static void file_right(const char *text) {
    assert_int_equal(read_bytes(text, strlen(text), ""), OPTIONS_RUN);
    assert_quiet();
}

static void file_wrong(const char *text, const char *why) {
    assert_int_equal(read_bytes(text, strlen(text), ""), OPTIONS_WRONG);
    assert_said(why);
}

static void defaults(void **state) {
    (void)state;
    read_right("");
    assert_int_equal(options.listeners, 1);
    assert_string_equal(options.listen[0], "127.0.0.1:8080");
    assert_int_equal(options.sinks, 1);
    assert_string_equal(options.sink[0], "stdout:");
    assert_string_equal(options.path, "/mails");
    assert_null(options.ring);
    assert_true(options.sync);
    assert_int_equal(options.workers, 4);
    assert_int_equal(options.body_max, 8388608);
    assert_int_equal(options.body_timeout, 10);
    assert_int_equal(options.store_timeout, 2);
    assert_int_equal(options.keep_alive, 60);
    assert_int_equal(options.log_level, CMCWH_LOG_INFO);
    assert_int_equal(options.networks + options.proxy_count, 0);
}

static void each_option(void **state) {
    (void)state;
    read_right("--listen 0.0.0.0:80 --listen=[::]:81 --path /a --auth-file a --allow 192.0.2.0/24 "
               "--allow=::1 --proxy 10.0.0.0/8 --sink file:x --sink stdout: --ring r "
               "--ring-records 16777216 --sync never --workers 256 --body-max 1099511627776 "
               "--body-timeout 3600 --keep-alive 0 --pid-file p --user u --log-level debug");
    assert_int_equal(options.listeners, 2);
    assert_string_equal(options.listen[1], "[::]:81");
    assert_string_equal(options.path, "/a");
    assert_string_equal(options.auth_file, "a");
    assert_int_equal(options.networks, 2);
    assert_int_equal(options.allow[0].bits, 96 + 24);
    assert_int_equal(options.proxy_count, 1);
    assert_string_equal(options.sink[0], "file:x");
    assert_string_equal(options.sink[1], "stdout:");
    assert_string_equal(options.ring, "r");
    assert_int_equal(options.ring_records, 1 << 24);
    assert_false(options.sync);
    assert_int_equal(options.workers, 256);
    assert_int_equal(options.body_max, UINT64_C(1) << 40);
    assert_int_equal(options.body_timeout, 3600);
    assert_int_equal(options.keep_alive, 0);
    assert_string_equal(options.pid_file, "p");
    assert_string_equal(options.user, "u");
    assert_int_equal(options.log_level, CMCWH_LOG_DEBUG);
    read_right("--sync=always --ring=memory --log-level=error --workers=1 --workers=2");
    assert_true(options.sync);
    assert_int_equal(options.gather, 0);
    assert_null(options.ring);
    assert_int_equal(options.log_level, CMCWH_LOG_ERROR);
    assert_int_equal(options.workers, 2);
    assert_false(options.check);
    read_right("--sync 250ms");
    assert_true(options.sync);
    assert_int_equal(options.gather, 250);
    read_right("--store-timeout 1 --sync=10s");
    assert_int_equal(options.gather, 10000);
    read_right("--sync 1s --sync never");
    assert_false(options.sync);
    assert_int_equal(options.gather, 0);
    read_right("--check-config --workers 3");
    assert_true(options.check);
    assert_int_equal(options.workers, 3);
    assert_int_equal(options.quiet_after, 0);
    read_right("--quiet-after 45");
    assert_int_equal(options.quiet_after, 45);
    read_right("--quiet-after 45s");
    assert_int_equal(options.quiet_after, 45);
    read_right("--quiet-after 90m");
    assert_int_equal(options.quiet_after, 5400);
    read_right("--quiet-after 2h");
    assert_int_equal(options.quiet_after, 7200);
    read_right("--quiet-after=366d");
    assert_int_equal(options.quiet_after, 366 * 86400);
    read_right("--quiet-after 0");
    assert_int_equal(options.quiet_after, 0);
    read_right("--path=/a=b"); /* only the first '=' ends the name */
    assert_string_equal(options.path, "/a=b");
}

static void wrong_names(void **state) {
    (void)state;
    read_wrong("serve", "there is no option 'serve'");
    read_wrong("-", "there is no option '-'");
    read_wrong("--", "there is no option '--'");
    read_wrong("--=", "there is no option '--='");
    read_wrong("--work 1", "there is no option '--work'");
    read_wrong("--workersx=1", "there is no option '--workersx=1'");
    read_wrong("-workers 1", "there is no option '-workers'");
    read_wrong("--workers", "--workers: a value must follow: N");
    read_wrong("--config", "--config: a value must follow: FILE");
}

static void wrong_values(void **state) {
    (void)state;
    read_wrong("--workers 0", "expected a number from 1 to 256");
    read_wrong("--workers 257", "expected a number from 1 to 256");
    read_wrong("--workers=", "--workers: '': expected");
    read_wrong("--workers -1", "'-1'");
    read_wrong("--workers +1", "'+1'");
    read_wrong("--workers 1x", "'1x'");
    read_wrong("--workers 18446744073709551617", "expected");
    read_wrong("--ring-records 0", "expected");
    read_wrong("--ring-records 16777217", "expected");
    read_wrong("--ring=", "expected a file's path, or memory");
    read_wrong("--sync sometimes", "always, never, or a time such as 250ms");
    read_wrong("--sync 250", "always, never");
    read_wrong("--sync 0ms", "always, never");
    read_wrong("--sync s", "always, never");
    read_wrong("--sync=", "always, never");
    read_wrong("--sync 1m", "always, never");
    read_wrong("--sync 10001ms", "10s at most");
    read_wrong("--sync 18446744073709551617s", "10s at most");
    read_wrong("--sync 18446744073709551s", "10s at most"); /* 2^64 ms and some */
    read_wrong("--body-max 0", "expected");
    read_wrong("--body-max 1099511627777", "expected");
    read_wrong("--body-timeout 0", "expected");
    read_wrong("--store-timeout 61", "expected");
    read_wrong("--body-timeout 3601", "expected");
    read_wrong("--keep-alive 3601", "expected a number of seconds from 0 to 3600");
    read_wrong("--quiet-after 367d", "expected a time such as 90m, 2h or 3d");
    read_wrong("--quiet-after 1w", "'1w'");
    read_wrong("--quiet-after h", "expected");
    read_wrong("--quiet-after -1h", "expected");
    read_wrong("--quiet-after 1hh", "expected");
    read_wrong("--quiet-after 18446744073709551617", "expected");
    read_wrong("--quiet-after 307445734561825861m", "expected"); /* 2^64 seconds and some */
    read_wrong("--path mails", "begins with '/'");
    read_wrong("--path /a?b", "begins with '/'");
    read_wrong("--path /%41", "begins with '/'");
    read_wrong("--path /a\rX:b", "control characters");
    read_wrong("--path /a\x1b", "control characters");
    read_wrong("--path /a\x7f", "control characters");
    read_right("--path /\xE3\x81\x82");
    read_wrong("--auth-file=", "expected a file's path");
    read_wrong("--pid-file=", "expected a file's path");
    read_wrong("--config=", "--config: : No such file");
    read_wrong("--allow 192.0.2.0/33", "an address or a range");
    read_wrong("--proxy everybody", "an address or a range");
    read_wrong("--listen 8080", "ADDR:PORT");
    read_wrong("--log-level warning", "error, warn, info or debug");
}

static void wrong_tls(void **state) {
    (void)state;
    if (tls_built_in()) {
        read_wrong("--listen 127.0.0.1:1s", "HTTPS needs --tls-cert and --tls-key");
        read_wrong("--listen 127.0.0.1:1s --tls-cert c", "--tls-key must be given too");
        read_wrong("--tls-cert c", "--tls-key must be given too");
        read_wrong("--tls-key k", "--tls-cert must be given too");
        read_wrong("--tls-cert=", "--tls-cert: '': expected a file's path");
        read_wrong("--tls-key=", "expected a file's path");
        read_right("--listen 127.0.0.1:1s --tls-cert c --tls-key k");
    } else {
        read_wrong("--listen 127.0.0.1:1s", "this build has no TLS");
        read_wrong("--tls-cert c", "this build has no TLS");
        read_wrong("--tls-key k", "this build has no TLS");
    }
}

/* More of what may come several times than there is room for. */
static void too_many(void **state) {
    static const struct {
        const char *word;
        unsigned most;
        const char *why;
    } lists[] = {{" --listen=127.0.0.1:1", LISTEN_MAX, "8 listeners at most"},
                 {" --sink=stdout:", CMCWH_READERS_MAX, "8 sinks at most"},
                 {" --allow=192.0.2.1", OPTIONS_NETWORKS, "32 networks at most"},
                 {" --proxy=192.0.2.1", OPTIONS_NETWORKS, "32 networks at most"}};
    char line[1024];

    (void)state;
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        (void)repeat(line, lists[i].word, lists[i].most);
        read_right(line);
        (void)repeat(line, lists[i].word, lists[i].most + 1);
        read_wrong(line, lists[i].why);
    }
}

static void help(void **state) {
    (void)state;
    assert_int_equal(read_line("--help"), OPTIONS_HELP);
    assert_int_equal(read_line("--nonsense -h"), OPTIONS_HELP);
    assert_quiet();
}

static void lines_of_a_file(void **state) {
    (void)state;
    file_right("");
    file_right("\n\r\n# workers = 0\n  \t# too\n");
    assert_int_equal(options.workers, 4);
    file_right("workers=7\r\n\tpath =\t/a  \n"
               "auth-file = C:\\x = y # no comment\nuser =\nsync=never"); /* and no end of line */
    assert_int_equal(options.workers, 7);
    assert_string_equal(options.auth_file, "C:\\x = y # no comment");
    assert_string_equal(options.user, "");
    assert_false(options.sync);
}

static void wrong_lines(void **state) {
    char longest[1200], *end = repeat(longest, "user = ", 1);

    (void)state;
    file_wrong("path = /a b\n", ":1: path: '/a b': expected");
    file_wrong("\nworkers\n", ":2: expected: name = value");
    file_wrong("= 1\n", ":1: there is no option ''");
    file_wrong("worker = 1\n", ":1: there is no option 'worker'");
    file_wrong("--workers = 1\n", ":1: there is no option '--workers'");
    file_wrong("check-config = yes\n", ":1: there is no option 'check-config'");
    file_wrong("config = other\n", ":1: there is no option 'config'");
    file_wrong("workers = \n", ":1: workers: '': expected a number");
    file_wrong("workers = 1 2\n", "workers: '1 2': expected a number");
    file_wrong("workers = 1\nworkers = 0\nworkers = x\n", ":2: workers");
    (void)repeat(end, "x", sizeof longest - 8);
    assert_int_equal(read_bytes(longest, 1022, ""), OPTIONS_RUN); /* no end of line, but all */
    assert_int_equal(strlen(options.user), 1022 - 7);
    assert_int_equal(read_bytes(longest, 1100, ""), OPTIONS_WRONG);
    assert_said(":1: this line is too long");
    /* A zero ends what C takes for the line. */
    assert_int_equal(read_bytes("workers = 1\0\n", 13, ""), OPTIONS_WRONG);
    assert_said(":1: a zero byte");
    assert_int_equal(read_bytes("workers = 1\n\0path = /x", 22, ""), OPTIONS_WRONG);
    assert_said(":2: a zero byte");
    assert_int_equal(read_bytes("workers = 1\rsync = never\r", 25, ""), OPTIONS_WRONG);
    assert_said(":1: a carriage return within a line");
    read_wrong("--config /nowhere/at/all", "--config: /nowhere/at/all: No such file");
    read_wrong("--config=/", "--config: /: Is a directory");
}

static void too_large_a_file(void **state) {
    static char text[32768];
    char *end = text;

    (void)state;
    for (int i = 0; i < 18; i++) { /* of some 900 bytes each; 16 KiB are kept */
        end = repeat(end, "user = ", 1);
        end = repeat(end, "x", 904);
        end = repeat(end, "\n", 1);
    }
    file_right(text);
    (void)repeat(end, "user = xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n",
                 10);
    file_wrong(text, ": expected no more than 16 KiB of values");
    file_right("user = x\n"); /* room is there again */
}

static void the_command_line_wins(void **state) {
    static const char text[] = "workers = 7\nlisten = 127.0.0.1:1\nlisten = 127.0.0.1:2\n"
                               "sink = stdout:\nallow = ::1\nproxy = ::1\nsync = never\n";

    (void)state;
    assert_int_equal(
        read_bytes(text, strlen(text), "--workers 9 --listen=127.0.0.1:3 --sync always"),
        OPTIONS_RUN);
    assert_int_equal(options.workers, 9);
    assert_true(options.sync);
    assert_int_equal(options.listeners, 1); /* lists as a whole */
    assert_string_equal(options.listen[0], "127.0.0.1:3");
    assert_int_equal(options.sinks + options.networks + options.proxy_count, 3);
    assert_int_equal(
        read_bytes(text, strlen(text), "--sink file:a --sink file:b --allow=192.0.2.1"),
        OPTIONS_RUN);
    assert_int_equal(options.listeners, 2);
    assert_int_equal(options.sinks, 2);
    assert_string_equal(options.sink[0], "file:a");
    assert_int_equal(options.networks, 1);
    assert_int_equal(options.allow[0].bits, 128);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(defaults),
                                       cmocka_unit_test(each_option),
                                       cmocka_unit_test(wrong_names),
                                       cmocka_unit_test(wrong_values),
                                       cmocka_unit_test(wrong_tls),
                                       cmocka_unit_test(too_many),
                                       cmocka_unit_test(help),
                                       cmocka_unit_test(lines_of_a_file),
                                       cmocka_unit_test(wrong_lines),
                                       cmocka_unit_test(too_large_a_file),
                                       cmocka_unit_test(the_command_line_wins)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
