/* Files that a person names, and what may stand in their place. */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "platform/given.h"
#include "platform/outcome.h"
#include "said.h"

static struct given given;
static char folder[] = "/tmp/cmcwh-test-XXXXXX";

static int make_folder(void **state) {
    (void)state;
    return mkdtemp(folder) == NULL;
}

static int remove_folder(void **state) {
    (void)state;
    return rmdir(folder);
}

/* A name in the folder. */
static const char *name(const char *last) {
    static char path[64];

    (void)snprintf(path, sizeof path, "%s/%s", folder, last);
    return path;
}

static void assert_wrong(const char *path, const char *why) {
    assert_false(given_read(&given, "--option", path));
    assert_true(outcome_of(errno) == OUTCOME_WRONG);
    assert_said(why);
    assert_null(given.bytes);
}

static void wrong_text(const char *bytes, size_t length, const char *why) {
    assert_wrong(file_of(bytes, length, 0600), why);
}

static void assert_line(const char *text, unsigned number) {
    const char *fault;
    const char *line = given_line(&given, &fault);

    assert_null(fault);
    assert_non_null(line);
    assert_string_equal(line, text);
    assert_int_equal(given.line, number);
}

static void assert_end(void) {
    const char *fault;

    assert_null(given_line(&given, &fault));
    assert_null(fault);
    given_free(&given);
    assert_quiet();
}

static void lines(void **state) {
    (void)state;
    assert_true(given_read(&given, "--option", file_of("a\n\r\n b\r\nc", 9, 0640)));
    assert_int_equal(given.length, 9);
    assert_int_equal(given.mode & 07777, 0640);
    assert_line("a", 1);
    assert_line("", 2);
    assert_line(" b", 3);
    assert_line("c", 4);
    assert_end();
    assert_true(given_read(&given, "--option", file_of("", 0, 0600)));
    assert_end();
    assert_true(given_read(&given, "--option", file_of("\n", 1, 0600)));
    assert_line("", 1);
    assert_end();
    assert_true(given_read(&given, "--option", file_of("\xEF\xBB\xBFx\r", 5, 0600)));
    assert_line("x", 1);
    assert_end();
}

static void wrong_bytes(void **state) {
    (void)state;
    wrong_text("a\n\0b\n", 5, ":2: a zero byte");
    wrong_text("a\n\0", 3, ":2: a zero byte"); /* also where it ends */
    wrong_text("\0", 1, ":1: a zero byte");
    wrong_text("a\0\n\0", 4, ":1: a zero byte"); /* UTF-16 */
    wrong_text("a\rb\rc\r", 6, ":1: a carriage return within a line");
    wrong_text("a\nb\r\r\n", 6, ":2: a carriage return within a line");
}

static void too_long(void **state) {
    static char text[GIVEN_MOST + 2];
    const char *fault;

    (void)state;
    memset(text, 'x', sizeof text);
    wrong_text(text, sizeof text - 1, "is longer than 128 KiB");
    assert_true(given_read(&given, "--option", file_of(text, GIVEN_MOST, 0600)));
    assert_null(given_line(&given, &fault));
    assert_string_equal(fault, "this line is too long");
    given_free(&given);
    text[GIVEN_LINE] = '\n';
    text[2 * GIVEN_LINE + 2] = '\n';
    assert_true(given_read(&given, "--option", file_of(text, GIVEN_MOST, 0600)));
    assert_non_null(given_line(&given, &fault));
    assert_null(given_line(&given, &fault));
    assert_int_equal(given.line, 2);
    given_free(&given);
}

/* Nobody writes into the pipe: who opened it as a file would wait for ever. */
static void other_kinds(void **state) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);

    (void)state;
    assert_wrong(folder, "--option: /tmp/cmcwh-test-");
    assert_wrong(folder, "Is a directory, not a file");
    assert_int_equal(mkfifo(name("pipe"), 0600), 0);
    assert_wrong(name("pipe"), "pipe: Is a pipe, not a file");
    assert_int_equal(unlink(name("pipe")), 0);
    (void)strcpy(address.sun_path, name("socket"));
    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_wrong(name("socket"), "Is a socket, not a file");
    assert_int_equal(unlink(name("socket")), 0);
    (void)close(listener);
    assert_wrong("/dev/null", "Is a device, not a file");
    assert_wrong("/dev/zero", "Is a device, not a file");
}

static void nothing_there(void **state) {
    (void)state;
    assert_wrong("/nowhere/at/all", "--option: /nowhere/at/all: No such file or directory\n");
    assert_wrong("/dev/null/x", "Not a directory");
    assert_wrong("nowhere", "--option: nowhere: No such file or directory, looked for in /");
    assert_wrong("", "No such file or directory, looked for in /");
    assert_int_equal(symlink("/nowhere/at/all", name("link")), 0);
    assert_wrong(name("link"), "link: a link to /nowhere/at/all: No such file");
    assert_wrong(name("none"), "none: No such file or directory\n");
    assert_int_equal(setenv("CREDENTIALS_DIRECTORY", folder, 1), 0);
    assert_wrong(name("none"),
                 "none: No such file or directory; systemd gives no copy of a link\n");
    assert_int_equal(unsetenv("CREDENTIALS_DIRECTORY"), 0);
    assert_int_equal(unlink(name("link")), 0);
    assert_int_equal(symlink(name("link"), name("link")), 0);
    assert_wrong(name("link"), strerror(ELOOP));
    assert_int_equal(unlink(name("link")), 0);
}

static void links(void **state) {
    const char *fault;
    int descriptor;

    (void)state;
    assert_int_equal(symlink(file_of("x", 1, 0600), name("link")), 0);
    assert_true(given_read(&given, "--option", name("link")));
    given_free(&given);
    assert_quiet();
    assert_int_equal(given_open(name("link"), O_RDONLY | O_NOFOLLOW, &fault), -1);
    assert_string_equal(fault, "Is a link, which is not followed here");
    assert_int_equal(unlink(name("link")), 0);
    assert_int_equal(symlink("/nowhere/at/all", name("link")), 0);
    assert_int_equal(given_make(name("link"), 0600, &fault), -1);
    assert_int_equal(unlink(name("link")), 0);
    descriptor = given_make(name("new"), 0600, &fault);
    assert_true(descriptor >= 0);
    (void)close(descriptor);
    assert_int_equal(given_make(name("new"), 0600, &fault), -1);
    assert_int_equal(errno, EEXIST);
    assert_int_equal(unlink(name("new")), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines),       cmocka_unit_test(wrong_bytes),   cmocka_unit_test(too_long),
        cmocka_unit_test(other_kinds), cmocka_unit_test(nothing_there), cmocka_unit_test(links)};

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
