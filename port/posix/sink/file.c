/* file: a file, which ends with a whole line (or frame) whenever nobody is writing: what a failed
 * write or a crash has left of one is cut off. Not here: trying again (sink.c). */
#include "sink/dial.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "platform/log.h"

/* What only a file has. */
struct log {
    uint64_t rotate; /* bytes, 0: never */
    unsigned keep;   /* old files */
    off_t undo_to;   /* its size before the last whole write */
    bool mid;        /* something was written since the last sync */
    bool regular;    /* it can be truncated */
};

static const struct log at_first = {.keep = 5};

static char terminator(const struct sink *sink) {
    return sink->encoding == CMCWH_ENCODE_BINARY ? '\0' : '\n';
}

/* Where the last whole line ends, in a file of `size` bytes. */
static off_t whole_size(const struct sink *sink, int descriptor, off_t size) {
    char block[4096];

    while (size > 0) {
        size_t length = size < (off_t)sizeof block ? (size_t)size : sizeof block;
        ssize_t got = pread(descriptor, block, length, size - (off_t)length);

        if (got != (ssize_t)length) {
            return -1;
        }
        for (size_t i = length; i > 0; i--) {
            if (block[i - 1] == terminator(sink)) {
                return size - (off_t)(length - i);
            }
        }
        size -= (off_t)length;
    }
    return 0;
}

/* Does a line (or frame) of ours begin at `offset`, as far as it goes? */
static bool ours(const struct sink *sink, int descriptor, off_t offset) {
    const char *begin = sink->encoding == CMCWH_ENCODE_JSON     ? "{\"seq\":"
                        : sink->encoding == CMCWH_ENCODE_LOGFMT ? "seq="
                                                                : CMCWH_RECORD_MAGIC;
    char bytes[8];
    ssize_t got;

    /* The first byte of a frame is its code, then comes the record. */
    offset += sink->encoding == CMCWH_ENCODE_BINARY;
    got = pread(descriptor, bytes, strlen(begin), offset);
    return got >= 0 && memcmp(bytes, begin, (size_t)got) == 0;
}

/* Cuts off what a crash may have left of a line of ours. What somebody else has left there stays,
 * and is ended, so that it does not run into what comes. */
static int repair(struct sink *sink, int descriptor, off_t size) {
    off_t whole = whole_size(sink, descriptor, size);
    char end = terminator(sink);

    if (whole < 0 || whole == size) {
        return whole < 0 ? -1 : 0;
    }
    if (ours(sink, descriptor, whole)) {
        log_line(CMCWH_LOG_WARN, "sink '%s': the last line is not whole: %lld bytes are cut off",
                 sink->uri, (long long)(size - whole));
        return ftruncate(descriptor, whole);
    }
    log_line(CMCWH_LOG_WARN, "sink '%s': the file does not end as one of this format: it is kept",
             sink->uri);
    return write(descriptor, &end, 1) == 1 ? 0 : -1;
}

static int file_open(struct sink *sink) {
    struct log *log = sink->own;
    struct stat status;
    int descriptor = open(sink->target, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0640);

    if (descriptor < 0 && (errno == EACCES || errno == ENXIO || errno == EPERM)) {
        descriptor = open(sink->target, O_WRONLY | O_APPEND | O_CLOEXEC | O_NONBLOCK);
    }
    if (descriptor < 0) {
        return sink_trouble(sink, "cannot be opened", errno);
    }
    if (fstat(descriptor, &status) != 0) {
        (void)sink_trouble(sink, "cannot be looked at", errno);
        (void)close(descriptor);
        return -1;
    }
    log->regular = S_ISREG(status.st_mode);
    if (log->regular && flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
        (void)close(descriptor); /* undoing would cut off what the other has written */
        return sink_trouble(sink, "another sink or process writes to it", 0);
    }
    if (log->regular && repair(sink, descriptor, status.st_size) != 0) {
        (void)sink_trouble(sink, "its last line cannot be repaired", errno);
        (void)close(descriptor);
        return -1;
    }
    sink->descriptor = descriptor;
    log->mid = false;
    return 0;
}

/* Names must be on the disk before what is under them is promised. */
static int sync_directory(const struct sink *sink) {
    char path[PATH_MAX];
    int descriptor, result;

    memcpy(path, sink->target, strlen(sink->target) + 1);
    descriptor = open(dirname(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0) {
        return -1;
    }
    result = fsync(descriptor);
    (void)close(descriptor);
    return result;
}

static void old_name(const struct sink *sink, unsigned number, char *name, size_t size) {
    (void)snprintf(name, size, "%s.%u", sink->target, number);
}

/* PATH becomes PATH.1, PATH.1 becomes PATH.2, ...; the oldest goes. */
static int rotate(struct sink *sink) {
    const struct log *log = sink->own;
    char from[PATH_MAX + 16], to[PATH_MAX + 16];

    for (unsigned number = log->keep; number > 0; number--) {
        old_name(sink, number, to, sizeof to);
        if (number > 1) {
            old_name(sink, number - 1, from, sizeof from);
        } else {
            memcpy(from, sink->target, strlen(sink->target) + 1);
        }
        if (rename(from, to) != 0 && errno != ENOENT) {
            return sink_trouble(sink, "cannot be rotated", errno);
        }
    }
    sink_close(sink);
    if (file_open(sink) < 0) {
        return -1;
    }
    return sink->durable && sync_directory(sink) != 0
               ? sink_trouble(sink, "its directory cannot be synced", errno)
               : 0;
}

static int file_size(struct sink *sink, off_t *size) {
    struct stat status;

    if (fstat(sink->descriptor, &status) != 0) {
        return sink_trouble(sink, "cannot be looked at", errno);
    }
    *size = status.st_size;
    return 0;
}

/* A whole request, or several, begin: what comes is written to one file, and can be undone. */
static int begin(struct sink *sink, size_t length) {
    struct log *log = sink->own;

    if (file_size(sink, &log->undo_to) < 0) {
        return -1;
    }
    if (log->rotate != 0 && log->undo_to > 0 && (uint64_t)log->undo_to + length > log->rotate &&
        (rotate(sink) < 0 || file_size(sink, &log->undo_to) < 0)) {
        return -1;
    }
    log->mid = true;
    return 0;
}

static int file_write(void *context, const void *bytes, size_t length) {
    struct sink *sink = context;
    const struct log *log = sink->own;

    if (log->regular && !log->mid && begin(sink, length) < 0) {
        return -1;
    }
    return send_all(sink, bytes, length, "cannot be written");
}

static int file_sync(void *context) {
    struct sink *sink = context;
    struct log *log = sink->own;

    log->mid = false;
    if (!sink->durable || !log->regular || fdatasync(sink->descriptor) == 0) {
        return 0;
    }
    return sink_trouble(sink, "cannot be synced", errno);
}

static void file_undo(void *context) {
    struct sink *sink = context;
    struct log *log = sink->own;

    log->mid = false;
    if (sink->descriptor >= 0 && log->regular && ftruncate(sink->descriptor, log->undo_to) != 0) {
        log_line(CMCWH_LOG_ERROR, "sink '%s': what was written in part cannot be cut off: %s",
                 sink->uri, strerror(errno));
    }
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
    bool right = sink_number(value, 1, 1000, &number);

    log->keep = (unsigned)number;
    return right;
}

static const struct sink_parameter parameters[] = {
    {"rotate", "rotate=SIZE, such as 512k, 10M or 1G", set_rotate},
    {"keep", "keep=N, from 1 to 1000", set_keep},
    {NULL, NULL, NULL}};

const struct sink_medium sink_file = {.scheme = "file",
                                      .help = "file:PATH?rotate=SIZE&keep=N",
                                      .encoding = CMCWH_ENCODE_JSON,
                                      .target = sink_path,
                                      .parameters = parameters,
                                      .own = &at_first,
                                      .own_size = sizeof at_first,
                                      .open = file_open,
                                      .write = file_write,
                                      .sync = file_sync,
                                      .undo = file_undo,
                                      .close = sink_close};
