/* file: what a path names, opened anew when it was deleted, and rotated. Not here: what that may
 * be, and that it ends with a whole line (outlet.c). */
#include "sink/outlet.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "platform/given.h"
#include "platform/log.h"
#include "platform/number.h"
#include "platform/platform.h"

/* What only a file has. */
struct log {
    struct outlet outlet;
    uint64_t rotate;       /* bytes, 0: never */
    unsigned keep;         /* old files */
    bool growing;          /* it could not be rotated: that was said */
    uint64_t rotate_after; /* ticks: not tried before */
};

enum { ROTATE_AGAIN = 60000 }; /* ms after which a rotation that failed is tried again */

static const struct log at_first = {.keep = 5, .outlet.torn = true};

static enum outcome file_look(struct sink *sink, bool reach) {
    struct stat status = {0};

    (void)reach;
    if (stat(sink->target, &status) != 0 && errno == ENOENT) { /* it will be made */
        int error = given_makable(sink->target);

        return error == 0 ? OUTCOME_RIGHT
                          : sink_unfit(sink, "no file can be made in its directory", error,
                                       outcome_of(error));
    }
    if (faccessat(AT_FDCWD, sink->target, W_OK, AT_EACCESS) != 0) {
        return sink_unfit(sink, "cannot be written", errno, outcome_of(errno));
    }
    return S_ISDIR(status.st_mode)   ? sink_unfit(sink, "is a directory", 0, OUTCOME_WRONG)
           : S_ISBLK(status.st_mode) ? sink_unfit(sink, "is a block device", 0, OUTCOME_WRONG)
           : S_ISSOCK(status.st_mode)
               ? sink_unfit(sink, "is a socket, which syslog:PATH is for", 0, OUTCOME_WRONG)
               : OUTCOME_RIGHT;
}

/* A pipe is opened for writing only, or its first reader would be this process. */
static int open_it(struct sink *sink, mode_t *kind) {
    enum { COMMON = O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC };
    struct stat status;
    int descriptor;

    *kind = stat(sink->target, &status) == 0 ? status.st_mode & S_IFMT : S_IFREG;
    if (*kind != S_IFREG) {
        return open(sink->target, O_WRONLY | COMMON);
    }
    descriptor = open(sink->target, O_RDWR | O_CREAT | COMMON, 0640);
    return descriptor < 0 && errno == EACCES ? open(sink->target, O_WRONLY | COMMON) : descriptor;
}

static int open_path(struct sink *sink) {
    mode_t kind;
    struct stat status;
    int descriptor = open_it(sink, &kind);
    bool readable;

    if (descriptor < 0 && errno == ENXIO) {
        return kind == S_IFIFO
                   ? sink_trouble(sink, "nobody reads this FIFO", 0)
                   : sink_trouble(sink, "is a socket, or a device that is not there", 0);
    }
    if (descriptor < 0) {
        return sink_trouble(sink, "cannot be opened", errno);
    }
    if (fstat(descriptor, &status) == 0 && (status.st_mode & S_IFMT) != kind) {
        (void)close(descriptor);
        return sink_trouble(sink, "is being replaced", 0);
    }
    readable = (fcntl(descriptor, F_GETFL) & O_ACCMODE) == O_RDWR;
    return outlet_take(sink, descriptor, readable ? descriptor : -1);
}

/* The operator may have set right what kept it from being rotated. */
static int file_open(struct sink *sink) {
    struct log *log = sink->own;

    log->rotate_after = 0;
    return open_path(sink);
}

static void old_name(const struct sink *sink, unsigned number, char *name, size_t size) {
    if (number > 0) {
        (void)snprintf(name, size, "%s.%u", sink->target, number);
    } else {
        (void)snprintf(name, size, "%s", sink->target);
    }
}

/* How many old files there are in a row: behind a gap nothing need be moved. -1: something that is
 * no log has the name of one. */
static int old_files(struct sink *sink) {
    const struct log *log = sink->own;
    char name[PATH_MAX + 16], what[SINK_TROUBLE];
    struct stat status;
    unsigned number = 1;

    for (; number <= log->keep; number++) {
        old_name(sink, number, name, sizeof name);
        if (lstat(name, &status) != 0) {
            break;
        }
        if (!S_ISREG(status.st_mode) && !S_ISLNK(status.st_mode)) {
            (void)snprintf(what, sizeof what, "cannot be rotated: '%.200s' is no file", name);
            return sink_trouble(sink, what, 0);
        }
    }
    return (int)number - 1;
}

/* PATH becomes PATH.1, PATH.1 becomes PATH.2, ...; the oldest goes when there are too many. */
static int move_up(struct sink *sink) {
    const struct log *log = sink->own;
    char from[PATH_MAX + 16], to[PATH_MAX + 16];
    int old = old_files(sink);

    if (old < 0) {
        return -1;
    }
    for (unsigned number = (unsigned)old < log->keep ? (unsigned)old + 1 : log->keep; number > 0;
         number--) {
        old_name(sink, number - 1, from, sizeof from);
        old_name(sink, number, to, sizeof to);
        if (rename(from, to) != 0) {
            return sink_trouble(sink, "cannot be rotated", errno);
        }
    }
    return 0;
}

/* A file that is no longer behind its path was moved by somebody else, or by a rotation that did
 * not come to its end. */
static bool in_place(const struct sink *sink) {
    struct stat ours, there;

    return fstat(sink->descriptor, &ours) == 0 && stat(sink->target, &there) == 0 &&
           ours.st_dev == there.st_dev && ours.st_ino == there.st_ino;
}

static int rotate(struct sink *sink) {
    int before = sink->descriptor;

    if ((in_place(sink) && move_up(sink) < 0) || open_path(sink) < 0) {
        return -1;
    }
    (void)close(before);
    return 0;
}

/* Where it cannot be rotated, it grows: that is better than to take nothing. */
static void rotate_or_grow(struct sink *sink) {
    struct log *log = sink->own;

    if (platform_ticks() < log->rotate_after) {
        return;
    }
    if (rotate(sink) == 0) {
        if (log->growing) {
            log_line(CMCWH_LOG_INFO, "sink '%s': is rotated again", sink->uri);
        }
        log->growing = false;
        return;
    }
    if (!log->growing) {
        log_line(CMCWH_LOG_ERROR,
                 "sink '%s': %s; it grows meanwhile, and is rotated when that can be done",
                 sink->uri, sink->trouble);
    }
    log->growing = true;
    log->rotate_after = platform_ticks() + ROTATE_AGAIN;
}

/* Is enough written, so that the file does not become much longer than it is to be? */
static bool long_enough(const struct log *log) {
    return log->rotate != 0 && (uint64_t)log->outlet.grown >= log->rotate / 8;
}

/* A whole request, or several, begin: what comes is written to one file, and can be undone. */
static int begin(struct sink *sink, size_t length) {
    const struct log *log = sink->own;
    const struct outlet *outlet = &log->outlet;

    if (outlet_begin(sink) < 0) {
        return -1;
    }
    if (outlet->deleted) {
        log_line(CMCWH_LOG_WARN, "sink '%s': was deleted; it is opened anew", sink->uri);
        sink_close(sink);
        return file_open(sink);
    }
    if (log->rotate != 0 && outlet->size > 0 && (uint64_t)outlet->size + length > log->rotate) {
        rotate_or_grow(sink);
    }
    return 0;
}

static int file_write(void *context, const void *bytes, size_t length) {
    struct sink *sink = context;
    const struct log *log = sink->own;
    int result;

    if (log->outlet.regular && !log->outlet.mid && begin(sink, length) < 0) {
        return -1;
    }
    result = outlet_write(sink, bytes, length);
    return result == 0 ? long_enough(log) : result;
}

/* ---- Parameters ---- */

/* A size with k, M or G. */
static bool set_rotate(struct sink *sink, const char *value) {
    static const char units[] = "kMG";
    struct log *log = sink->own;
    const char *unit;
    char *end;

    log->rotate = strtoull(value, &end, 10);
    if (value[0] < '0' || value[0] > '9' || log->rotate == 0 || log->rotate > UINT64_C(1) << 32) {
        return false;
    }
    unit = *end == '\0' ? NULL : strchr(units, *end);
    if (unit != NULL) {
        log->rotate <<= 10 * (unit - units + 1);
        end++;
    }
    return *end == '\0';
}

static bool set_keep(struct sink *sink, const char *value) {
    struct log *log = sink->own;
    uint64_t number;
    bool right = number_read(value, 1, 1000, &number);

    log->keep = (unsigned)number;
    return right;
}

static const struct sink_parameter parameters[] = {
    {"rotate", "rotate=SIZE, such as 512k, 10M or 1G", set_rotate},
    {"keep", "keep=N, from 1 to 1000", set_keep},
    {NULL, NULL, NULL}};

static const char *file_keeps(const struct sink *sink) {
    return sink->target;
}

const struct sink_medium sink_file = {.scheme = "file",
                                      .help = "file:PATH",
                                      .encoding = CMCWH_ENCODE_JSON,
                                      .target = sink_path,
                                      .parameters = parameters,
                                      .own = &at_first,
                                      .own_size = sizeof at_first,
                                      .look = file_look,
                                      .keeps = file_keeps,
                                      .open = file_open,
                                      .write = file_write,
                                      .sync = outlet_sync,
                                      .undo = outlet_undo,
                                      .close = sink_close};
