#include "support.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "platform/log.h"
#include "said.h"

static char lines[65536];
static size_t used;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static void keep(const char *format, va_list arguments) {
    int length;

    (void)pthread_mutex_lock(&mutex);
    length = vsnprintf(lines + used, sizeof lines - used, format, arguments);
    assert_true(length > 0 && (size_t)length + 1 < sizeof lines - used);
    used += (size_t)length;
    lines[used++] = '\n';
    lines[used] = '\0';
    (void)pthread_mutex_unlock(&mutex);
}

void log_set_level(enum cmcwh_level level) {
    (void)level;
}

/* A test may say otherwise. */
__attribute__((weak)) bool log_says(enum cmcwh_level level) {
    return level < CMCWH_LOG_DEBUG;
}

void log_line(enum cmcwh_level level, const char *format, ...) {
    va_list arguments;

    (void)level;
    va_start(arguments, format);
    keep(format, arguments);
    va_end(arguments);
}

bool log_failure(const char *what, int error) {
    (void)error;
    log_line(CMCWH_LOG_ERROR, "%s", what);
    return false;
}

void log_usage(const char *format, ...) {
    va_list arguments;

    va_start(arguments, format);
    keep(format, arguments);
    va_end(arguments);
}

void log_asked(const char *format, ...) {
    va_list arguments;

    va_start(arguments, format);
    keep(format, arguments);
    va_end(arguments);
}

void log_plain(const char *format, ...) {
    va_list arguments;

    va_start(arguments, format);
    keep(format, arguments);
    va_end(arguments);
}

const char *said(void) {
    static char copy[sizeof lines];

    (void)pthread_mutex_lock(&mutex);
    memcpy(copy, lines, used + 1);
    used = 0;
    lines[0] = '\0';
    (void)pthread_mutex_unlock(&mutex);
    return copy;
}

void assert_said(const char *text) {
    const char *all = said();

    if (strstr(all, text) == NULL) {
        fail_msg("'%s' was not said, but '%s'", text, all);
    }
}

static bool in_lines(const char *text) {
    bool found;

    (void)pthread_mutex_lock(&mutex);
    found = strstr(lines, text) != NULL;
    (void)pthread_mutex_unlock(&mutex);
    return found;
}

void await_said(const char *text) {
    for (unsigned waited = 0; !in_lines(text) && waited < 30000; waited++) {
        (void)poll(NULL, 0, 1);
    }
    assert_said(text);
}

void assert_quiet(void) {
    assert_string_equal(said(), "");
}

static char paths[4][32];

static void remove_files(void) {
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        if (paths[i][0] != '\0') {
            (void)unlink(paths[i]);
        }
    }
}

const char *file_of(const char *bytes, size_t length, unsigned mode) {
    static unsigned next;
    char *path = paths[next++ % 4];
    int descriptor;

    if (next == 1) {
        (void)atexit(remove_files);
    }
    if (path[0] != '\0') {
        (void)unlink(path);
    }
    memcpy(path, "/tmp/cmcwh-test-XXXXXX", sizeof "/tmp/cmcwh-test-XXXXXX");
    descriptor = mkstemp(path);
    assert_true(descriptor >= 0);
    assert_int_equal(write(descriptor, bytes, length), length);
    assert_int_equal(fchmod(descriptor, mode), 0);
    assert_int_equal(close(descriptor), 0);
    return path;
}
