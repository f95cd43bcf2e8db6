/* What takes lines: files that others write to, pipes that are full, and that a line which broke
 * off never runs into the next. */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "platform/platform.h"
#include "said.h"
#include "sink/outlet.h"

static struct platform platform;
static struct cmcwh_ring ring;
static struct cmcwh_record record;
static uint32_t links;
static struct outlet outlet;
static struct sink sink;
static char buffer[1 << 17];

static int set_up(void **state) {
    struct cmcwh_ring_config config = {
        .records = &record, .links = &links, .capacity = 1, .port = &platform.port};

    (void)state;
    outlet = (struct outlet){.regular = false};
    /* Whoever is to stop does not wait for a pipe. */
    sink = (struct sink){
        .uri = "x", .ring = &ring, .own = &outlet, .descriptor = -1, .durable = true, .stop = true};
    (void)said();
    return platform_init(&platform) != 0 || cmcwh_ring_init(&ring, &config, 1) < 0;
}

/* ---- Files ---- */

static const char *path;

static int take_file(const char *bytes) {
    int descriptor;

    path = file_of(bytes, strlen(bytes), 0600);
    descriptor = open(path, O_RDWR | O_APPEND);
    return outlet_take(&sink, descriptor, descriptor);
}

static void assert_holds(const char *bytes) {
    ssize_t got = pread(sink.descriptor, buffer, sizeof buffer, 0);

    assert_int_equal(got, strlen(bytes));
    assert_memory_equal(buffer, bytes, strlen(bytes));
}

static void what_failed_is_cut_off(void **state) {
    (void)state;
    assert_int_equal(take_file("a\n"), 0);
    assert_int_equal(outlet_write(&sink, "b\n", 2), 0);
    assert_int_equal(outlet_write(&sink, "c\nd", 3), 0);
    outlet_undo(&sink);
    assert_holds("a\n");
    assert_int_equal(outlet_write(&sink, "e\n", 2), 0);
    assert_int_equal(outlet_sync(&sink), 0);
    outlet_undo(&sink); /* synced, and taken back all the same */
    assert_holds("a\n");
    outlet_undo(&sink); /* nothing is left to be undone */
    assert_holds("a\n");
    assert_quiet();
    sink_close(&sink);
}

static void what_others_wrote_is_not_cut_off(void **state) {
    int other;

    (void)state;
    assert_int_equal(take_file("a\n"), 0);
    other = open(path, O_WRONLY | O_APPEND);
    assert_int_equal(outlet_write(&sink, "b\n", 2), 0);
    assert_int_equal(write(other, "x\n", 2), 2);
    outlet_undo(&sink);
    assert_holds("a\nb\nx\n");
    assert_said("somebody else writes to it");
    assert_int_equal(outlet_write(&sink, "c\n", 2), 0);
    assert_int_equal(ftruncate(other, 0), 0); /* nor does it grow by zeros */
    outlet_undo(&sink);
    assert_holds("");
    (void)close(other);
    sink_close(&sink);
}

static void a_group_that_could_not_begin_undoes_nothing(void **state) {
    int descriptor;

    (void)state;
    assert_int_equal(take_file("a\n"), 0);
    assert_int_equal(outlet_write(&sink, "b\n", 2), 0);
    assert_int_equal(outlet_sync(&sink), 0);
    descriptor = sink.descriptor;
    sink.descriptor = 1000000; /* nothing is there */
    assert_int_equal(outlet_write(&sink, "c\n", 2), -1);
    sink.descriptor = descriptor;
    outlet_undo(&sink);
    assert_holds("a\nb\n");
    sink_close(&sink);
}

/* Half a megabyte shares a sync, and the next is as much again. */
static void many_writes_share_a_sync(void **state) {
    (void)state;
    memset(buffer, 'x', sizeof buffer);
    assert_int_equal(take_file(""), 0);
    for (int group = 0; group < 2; group++) {
        for (int i = 0; i < 7; i++) {
            assert_int_equal(outlet_write(&sink, buffer, SINK_BUFFER), 0);
        }
        sink.moved = 0;
        assert_int_equal(outlet_write(&sink, buffer, SINK_BUFFER), 1);
        assert_int_not_equal(sink.moved, 0); /* it does not hang */
        assert_int_equal(outlet_sync(&sink), 0);
    }
    sink_close(&sink);
}

static void a_deleted_file_takes_nothing(void **state) {
    (void)state;
    assert_int_equal(take_file(""), 0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(outlet_write(&sink, "b\n", 2), -1);
    assert_string_equal(sink.trouble, "was deleted");
    sink_close(&sink);
    outlet.nameless = true;
    assert_int_equal(take_file(""), 0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(outlet_write(&sink, "b\n", 2), 0);
    sink_close(&sink);
}

static void how_it_ends_may_be_unreadable(void **state) {
    int descriptor;

    (void)state;
    path = file_of("{\"seq\":1,", 9, 0600);
    descriptor = open(path, O_WRONLY | O_APPEND);
    assert_int_equal(outlet_take(&sink, descriptor, -1), 0);
    assert_said("cannot be read");
    sink_close(&sink);
    path = file_of("", 0, 0600);
    descriptor = open(path, O_WRONLY | O_APPEND);
    assert_int_equal(outlet_take(&sink, descriptor, -1), 0);
    assert_quiet();
    sink_close(&sink);
}

static void the_sink_keeps_what_it_has(void **state) {
    int before;

    (void)state;
    assert_int_equal(take_file(""), 0);
    before = sink.descriptor;
    assert_int_equal(outlet_take(&sink, open(path, O_RDWR | O_APPEND), -1), -1);
    assert_string_equal(sink.trouble, "another sink or process writes to it");
    assert_int_equal(sink.descriptor, before);
    assert_int_equal(outlet_write(&sink, "b\n", 2), 0);
    assert_holds("b\n");
    sink_close(&sink);
}

/* ---- Pipes ---- */

static int reader;

static void take_pipe(void) {
    int ends[2];

    assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
    reader = ends[0];
    assert_int_equal(outlet_take(&sink, ends[1], -1), 0);
}

/* Fills the pipe with one write that breaks off. */
static void break_off(void) {
    memset(buffer, 'x', sizeof buffer);
    assert_int_equal(outlet_write(&sink, buffer, sizeof buffer), -1);
    assert_string_equal(sink.trouble, "takes nothing more");
}

/* Reads all that is there; returns its last byte. */
static char drain(void) {
    char last = '\0';
    ssize_t got;

    while ((got = read(reader, buffer, sizeof buffer)) > 0) {
        last = buffer[got - 1];
    }
    return last;
}

static void assert_comes(const char *bytes) {
    assert_int_equal(read(reader, buffer, sizeof buffer), strlen(bytes));
    assert_memory_equal(buffer, bytes, strlen(bytes));
}

static void after_a_torn_line_its_end_comes_first(void **state) {
    (void)state;
    for (int shared = 0; shared < 2; shared++) {
        take_pipe();
        sink.shared = shared != 0;
        break_off();
        assert_int_equal(drain(), 'x');
        assert_int_equal(outlet_write(&sink, "a\n", 2), 1);
        assert_comes("\na\n");
        assert_int_equal(outlet_write(&sink, "b\n", 2), 1);
        assert_comes("b\n");
        sink_close(&sink);
        (void)close(reader);
    }
}

static void a_line_that_did_not_begin_needs_no_end(void **state) {
    (void)state;
    take_pipe();
    while (write(sink.descriptor, "1234567\n", 8) == 8) {
    }
    assert_int_equal(outlet_write(&sink, "a\n", 2), -1);
    assert_int_equal(drain(), '\n');
    assert_int_equal(outlet_write(&sink, "a\n", 2), 1);
    assert_comes("a\n");
    sink_close(&sink);
    (void)close(reader);
}

/* It is not waited for twice, but refused when it is taken up. */
static void a_full_pipe_is_known(void **state) {
    (void)state;
    take_pipe();
    break_off();
    assert_int_equal(outlet_take(&sink, dup(sink.descriptor), -1), -1);
    assert_string_equal(sink.trouble, "takes nothing more");
    (void)drain();
    assert_int_equal(outlet_take(&sink, dup(sink.descriptor), -1), 0);
    sink_close(&sink);
    (void)close(reader);
}

/* A pipe that blocks, because it is somebody else's too. */
static void a_shared_pipe_is_not_waited_for_either(void **state) {
    (void)state;
    take_pipe();
    assert_int_equal(fcntl(sink.descriptor, F_SETFL, 0), 0);
    sink.shared = true;
    break_off();
    assert_int_equal(fcntl(sink.descriptor, F_GETFL) & O_NONBLOCK, 0);
    sink_close(&sink);
    (void)close(reader);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(what_failed_is_cut_off, set_up),
        cmocka_unit_test_setup(what_others_wrote_is_not_cut_off, set_up),
        cmocka_unit_test_setup(a_group_that_could_not_begin_undoes_nothing, set_up),
        cmocka_unit_test_setup(many_writes_share_a_sync, set_up),
        cmocka_unit_test_setup(a_deleted_file_takes_nothing, set_up),
        cmocka_unit_test_setup(how_it_ends_may_be_unreadable, set_up),
        cmocka_unit_test_setup(the_sink_keeps_what_it_has, set_up),
        cmocka_unit_test_setup(after_a_torn_line_its_end_comes_first, set_up),
        cmocka_unit_test_setup(a_line_that_did_not_begin_needs_no_end, set_up),
        cmocka_unit_test_setup(a_full_pipe_is_known, set_up),
        cmocka_unit_test_setup(a_shared_pipe_is_not_waited_for_either, set_up)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
