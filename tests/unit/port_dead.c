/* The dead-letter file: all of a letter or nothing, and in no place where it does not belong. */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "platform/platform.h"
#include "said.h"
#include "sink/dead.h"

#define LINES "{\"seq\":1}\n{\"seq\":2}\n"
#define HEAD  "\"sink\":\"https://h/\",\"status\":422,\"events\":2,\"answer\":\"no\"}}\n"

static struct platform platform;
static struct cmcwh_ring ring;
static struct cmcwh_record record;
static uint32_t links;
static struct sink sink;
static char directory[] = "/tmp/cmcwh-test-XXXXXX", path[64], bytes[1 << 16];
static const struct dead letter = {
    .status = 422, .answer = {"no", 2}, .events = 2, .lines = {LINES, sizeof LINES - 1}};

/* In place of the C library's. */
/* NOLINTBEGIN(readability-inconsistent-declaration-parameter-name): its names begin with __ */
static unsigned syncs, name_syncs;
static int sync_error;

int fdatasync(int descriptor) {
    (void)descriptor;
    syncs++;
    errno = sync_error;
    return sync_error == 0 ? 0 : -1;
}

int fsync(int descriptor) {
    struct stat status;

    assert_true(fstat(descriptor, &status) == 0 && S_ISDIR(status.st_mode));
    name_syncs++;
    return 0;
}

/* NOLINTEND(readability-inconsistent-declaration-parameter-name) */

static int make_directory(void **state) {
    struct cmcwh_ring_config config = {
        .records = &record, .links = &links, .capacity = 1, .port = &platform.port};

    (void)state;
    (void)signal(SIGXFSZ, SIG_IGN);
    (void)umask(0); /* so that the rights are those that were asked for */
    return platform_init(&platform) != 0 || cmcwh_ring_init(&ring, &config, 1) < 0 ||
           mkdtemp(directory) == NULL;
}

static int remove_directory(void **state) {
    (void)state;
    return rmdir(directory);
}

static int set_up(void **state) {
    (void)state;
    sink = (struct sink){.uri = "https://h/", .ring = &ring, .descriptor = -1};
    (void)snprintf(path, sizeof path, "%s/dead", directory);
    (void)said();
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    (void)rmdir(path);
    (void)unlink(path);
    return 0;
}

/* What the file holds. */
static const char *content(void) {
    int descriptor = open(path, O_RDONLY);
    ssize_t got = read(descriptor, bytes, sizeof bytes - 1);

    assert_true(got >= 0);
    bytes[got] = '\0';
    (void)close(descriptor);
    return bytes;
}

static void write_file(const char *text, unsigned mode) {
    int descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC, mode);

    assert_int_equal(write(descriptor, text, strlen(text)), strlen(text));
    (void)close(descriptor);
}

/* A letter that begins there; returns where it ends. */
static const char *assert_letter(const char *at) {
    static const char begin[] = "{\"dead\":{\"at\":\"20";
    const char *head = strstr(at, "Z\",");

    assert_memory_equal(at, begin, sizeof begin - 1);
    assert_non_null(head);
    assert_memory_equal(head + 3, HEAD LINES, sizeof HEAD LINES - 1);
    return head + 3 + sizeof HEAD LINES - 1;
}

static void letters(void **state) {
    struct stat status;
    const char *at;

    (void)state;
    assert_int_equal(dead_look(&sink, path), OUTCOME_RIGHT);
    assert_int_equal(stat(path, &status), -1); /* looking makes nothing */
    assert_int_equal(dead_letter(&sink, path, &letter), 0);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0600);
    assert_int_equal(dead_letter(&sink, path, &letter), 0);
    assert_int_equal(dead_look(&sink, path), OUTCOME_RIGHT);
    at = assert_letter(assert_letter(content()));
    assert_string_equal(at, "");
    assert_quiet();
}

/* What the peer says forges no line, and is bounded. */
static void answers(void **state) {
    static char long_uri[2000], long_answer[2000];
    static const char odd[] = "\"\\\n{\"seq\":9}\xFF\x1B[2J\xC2\x85\xE3\x81\x82";
    struct dead dead = letter;

    (void)state;
    dead.answer = (struct cmcwh_text){odd, sizeof odd - 1};
    assert_int_equal(dead_letter(&sink, path, &dead), 0);
    assert_non_null(strstr(content(),
                           "\"answer\":\"\\\"\\\\\\u000a{\\\"seq\\\":9}\\ufffd\\u001b[2J\\u0085"
                           "\xE3\x81\x82\"}}\n" LINES));
    (void)unlink(path);
    (void)repeat(long_uri, "\x01", sizeof long_uri - 1);
    (void)repeat(long_answer, "\xE3\x81\x82", 600);
    sink.uri = long_uri;
    dead.answer = (struct cmcwh_text){long_answer, 1800};
    assert_int_equal(dead_letter(&sink, path, &dead), 0);
    assert_in_range(strlen(content()), 900, 1300);
    assert_non_null(strstr(bytes, "\xE3\x81\x82\"}}\n" LINES));
    (void)unlink(path);
    dead.answer = (struct cmcwh_text){NULL, 0};
    assert_int_equal(dead_letter(&sink, path, &dead), 0);
    assert_non_null(strstr(content(), "\"answer\":\"\"}}\n" LINES));
}

/* A disk that is full in the head, at its end, in the first event, in the last. */
static void a_full_disk(void **state) {
    struct rlimit before, limit;
    const char *first;
    size_t whole;

    (void)state;
    assert_int_equal(dead_letter(&sink, path, &letter), 0);
    whole = strlen(content());
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    for (size_t room = 0; room < whole; room++) {
        limit = (struct rlimit){whole + room, before.rlim_max};
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
        assert_int_equal(dead_letter(&sink, path, &letter), -1);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
        assert_non_null(strstr(sink.trouble, "dead-letter file '/tmp/cmcwh-test-"));
        assert_non_null(strstr(sink.trouble, "cannot be written: File too large"));
        assert_int_equal(strlen(content()), whole);
    }
    assert_int_equal(dead_letter(&sink, path, &letter), 0);
    first = assert_letter(content());
    assert_string_equal(assert_letter(first), "");
    assert_quiet();
}

/* All of it is on the disk, and its name, or it is not there. */
static void a_disk_that_fails(void **state) {
    (void)state;
    syncs = name_syncs = 0;
    assert_int_equal(dead_letter(&sink, path, &letter), 0);
    assert_int_equal(syncs, 1);
    assert_int_equal(name_syncs, 1);
    sync_error = EIO;
    assert_int_equal(dead_letter(&sink, path, &letter), -1);
    sync_error = 0;
    assert_non_null(strstr(sink.trouble, "cannot be synced: "));
    assert_non_null(strstr(sink.trouble, strerror(EIO)));
    assert_string_equal(assert_letter(content()), "");
}

/* What a crash has left of a letter is cut off, in its head too; what others wrote is kept. */
static void a_torn_letter(void **state) {
    static const char *const torn[] = {"{", "{\"dead\":{\"at", "{\"se", "{\"seq\":1,\"id"};

    (void)state;
    for (size_t i = 0; i < sizeof torn / sizeof *torn; i++) {
        (void)snprintf(bytes, sizeof bytes, "{\"seq\":0}\n%s", torn[i]);
        write_file(bytes, 0600);
        assert_int_equal(dead_letter(&sink, path, &letter), 0);
        assert_memory_equal(content(), "{\"seq\":0}\n", 10);
        assert_string_equal(assert_letter(bytes + 10), "");
        assert_said("the last line is not whole");
    }
    write_file("note", 0600);
    assert_int_equal(dead_letter(&sink, path, &letter), 0);
    assert_memory_equal(content(), "note\n", 5);
    assert_string_equal(assert_letter(bytes + 5), "");
    assert_said("it is kept");
}

static void assert_refused(const char *place, enum outcome outcome, const char *why) {
    assert_int_equal(dead_look(&sink, place), outcome);
    if (strstr(sink.trouble, why) == NULL) {
        fail_msg("'%s' is not in '%s'", why, sink.trouble);
    }
    sink.trouble[0] = '\0';
    assert_int_equal(dead_letter(&sink, place, &letter), -1);
    if (strstr(sink.trouble, why) == NULL) {
        fail_msg("'%s' is not in '%s'", why, sink.trouble);
    }
}

static void odd_places(void **state) {
    char link[80];
    struct stat status;

    (void)state;
    assert_refused("/tmp", OUTCOME_WRONG, "'/tmp': Is a directory");
    assert_refused("/dev/null", OUTCOME_WRONG, "'/dev/null': Is a device");
    assert_refused("/nowhere/at/all", outcome_of(ENOENT), "'/nowhere/at/all': No such file");
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_refused(path, OUTCOME_WRONG, ": Is a pipe");
    (void)snprintf(link, sizeof link, "%s.link", path);
    assert_int_equal(symlink(path, link), 0);
    assert_refused(link, OUTCOME_WRONG, ": Is a pipe");
    (void)unlink(path);
    assert_int_equal(dead_look(&sink, link), OUTCOME_WRONG);
    assert_non_null(strstr(sink.trouble, ": is a link to nothing"));
    assert_int_equal(dead_letter(&sink, link, &letter), -1);
    assert_int_equal(stat(path, &status), -1);
    write_file("", 0600);
    assert_int_equal(dead_look(&sink, link), OUTCOME_RIGHT);
    assert_int_equal(dead_letter(&sink, link, &letter), 0);
    assert_string_equal(assert_letter(content()), "");
    (void)unlink(link);
}

/* Who has it open as a log would cut off what we write. */
static void a_file_in_use(void **state) {
    int other;

    (void)state;
    write_file("", 0600);
    other = open(path, O_RDWR);
    assert_int_equal(flock(other, LOCK_EX | LOCK_NB), 0);
    assert_int_equal(dead_letter(&sink, path, &letter), -1);
    assert_non_null(strstr(sink.trouble, "another sink or process writes to it"));
    (void)close(other);
    assert_int_equal(dead_letter(&sink, path, &letter), 0);
}

/* Root may write anywhere: then it is somebody else who may not. */
static void no_right_to_write(void **state) {
    enum { NOBODY = 65534 };
    bool root = geteuid() == 0;

    (void)state;
    write_file("", 0400);
    if (root) {
        assert_int_equal(chown(directory, NOBODY, (gid_t)-1), 0);
        assert_int_equal(chown(path, NOBODY, (gid_t)-1), 0);
        assert_int_equal(seteuid(NOBODY), 0);
    }
    assert_refused(path, outcome_of(EACCES), "Permission denied");
    (void)unlink(path);
    assert_int_equal(chmod(directory, 0500), 0);
    assert_refused(path, outcome_of(EACCES), "Permission denied");
    assert_int_equal(chmod(directory, 0700), 0);
    assert_int_equal(root ? seteuid(0) : 0, 0);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(letters),       TEST(answers),    TEST(a_full_disk),   TEST(a_disk_that_fails),
        TEST(a_torn_letter), TEST(odd_places), TEST(a_file_in_use), TEST(no_right_to_write)};

    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
