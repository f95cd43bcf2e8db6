/* A serial line that vanishes or is stuck, and a driver that knows little: nothing is promised that
 * has not left for the wire. */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

/* The driver, as each test wants it. */
static int queue_error, queue, drain_error;
static int held[2]; /* a pipe: a drain takes until a byte comes */

static int driver_ioctl(int descriptor, unsigned long request, int *waiting) {
    (void)descriptor;
    assert_int_equal(request, TIOCOUTQ);
    errno = queue_error;
    *waiting = queue;
    queue = queue > 0 ? queue - 1 : 0;
    return queue_error == 0 ? 0 : -1;
}

static int driver_drain(int descriptor) {
    char byte;

    (void)descriptor;
    (void)!read(held[0], &byte, 1);
    errno = drain_error;
    return drain_error == 0 ? 0 : -1;
}

#define ioctl   driver_ioctl
#define tcdrain driver_drain
#include "sink/serial.c"
#undef ioctl
#undef tcdrain

static struct platform platform;
static struct cmcwh_ring ring;
static struct cmcwh_record record;
static uint32_t links;
static struct line line;
static struct sink sink;
static int other; /* end of the line */

static int set_up(void **state) {
    struct cmcwh_ring_config config = {
        .records = &record, .links = &links, .capacity = 1, .port = &platform.port};

    (void)state;
    queue_error = queue = drain_error = 0;
    line = at_first;
    sink = (struct sink){.ring = &ring, .own = &line, .descriptor = -1};
    other = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK);
    return platform_init(&platform) != 0 || cmcwh_ring_init(&ring, &config, 1) < 0 ||
           pipe(held) != 0 || grantpt(other) != 0 || unlockpt(other) != 0 ||
           ptsname_r(other, sink.target, sizeof sink.target) != 0 || serial_open(&sink) < 0;
}

static int tear_down(void **state) {
    (void)state;
    if (sink.descriptor >= 0) {
        serial_close(&sink);
    }
    return close(other) != 0 || close(held[0]) != 0 || close(held[1]) != 0;
}

static void let_drain(void) {
    assert_int_equal(write(held[1], "x", 1), 1);
}

/* It comes when it likes, and in pieces. */
static void assert_comes(const char *bytes) {
    struct pollfd entry = {.fd = other, .events = POLLIN};
    char buffer[64] = "";
    size_t used = 0;

    while (used < strlen(bytes) && poll(&entry, 1, -1) == 1) {
        ssize_t got = read(other, buffer + used, sizeof buffer - 1 - used);

        assert_true(got > 0);
        used += (size_t)got;
    }
    assert_string_equal(buffer, bytes);
}

static void what_has_left_is_acknowledged(void **state) {
    (void)state;
    assert_int_equal(serial_write(&sink, "a\n", 2), 1);
    queue = 5;
    assert_int_equal(serial_sync(&sink), 0);
    assert_int_equal(queue, 0);
    assert_int_equal(serial_write(&sink, "b\n", 2), 1);
    assert_comes("\na\nb\n");
}

static void a_line_that_vanished_acknowledges_nothing(void **state) {
    static const int errors[] = {EIO, ENODEV, ENXIO, EBADF};

    (void)state;
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        queue_error = errors[i];
        assert_int_equal(serial_write(&sink, "a\n", 2), 1);
        assert_int_equal(serial_sync(&sink), -1);
        assert_non_null(strstr(sink.trouble, "the line broke: "));
        assert_false(line.draining);
        queue_error = 0;
        serial_close(&sink);
        assert_int_equal(serial_open(&sink), 0);
    }
}

/* Nobody knows how much of it went before it was dropped. */
static void what_did_not_leave_is_ended(void **state) {
    (void)state;
    sink.stop = true; /* it is not waited for */
    assert_int_equal(serial_write(&sink, "a\n", 2), 1);
    queue = 1000000;
    assert_int_equal(serial_sync(&sink), -1);
    assert_string_equal(sink.trouble, "takes nothing more");
    assert_comes("\na\n");
    assert_int_equal(serial_write(&sink, "b\n", 2), 1);
    assert_comes("\nb\n");
}

static void a_driver_without_a_queue_is_drained(void **state) {
    static const int errors[] = {ENOTTY, EINVAL};

    (void)state;
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        queue_error = errors[i];
        let_drain();
        assert_int_equal(serial_write(&sink, "a\n", 2), 1);
        assert_int_equal(serial_sync(&sink), 0);
        assert_false(line.draining);
    }
    drain_error = EIO;
    let_drain();
    assert_int_equal(serial_sync(&sink), -1);
    assert_non_null(strstr(sink.trouble, "the line broke: "));
}

static void a_drain_that_hangs_is_left_alone(void **state) {
    (void)state;
    queue_error = ENOTTY;
    sink.stop = true;
    assert_int_equal(serial_write(&sink, "a\n", 2), 1);
    assert_int_equal(serial_sync(&sink), -1);
    assert_string_equal(sink.trouble, "takes nothing more");
    serial_close(&sink);
    for (int i = 0; i < 3; i++) { /* and there is one at a time */
        assert_int_equal(serial_open(&sink), -1);
        assert_string_equal(sink.trouble, "takes nothing more");
        assert_int_equal(sink.descriptor, -1);
    }
    let_drain();
    while (serial_open(&sink) < 0) {
        (void)poll(NULL, 0, 1);
    }
    assert_false(line.draining);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_has_left_is_acknowledged, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_line_that_vanished_acknowledges_nothing, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_did_not_leave_is_ended, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_driver_without_a_queue_is_drained, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_drain_that_hangs_is_left_alone, set_up, tear_down)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
