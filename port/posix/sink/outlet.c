/* What takes lines (or frames), whatever its descriptor is. Behind a path, or standard output,
 * there may be:
 *
 *   a regular file      It is locked, and ends with a whole line whenever nobody is writing: what
 *                       failed is cut off again, and so is what a crash has left, when it is taken
 *                       up. With --sync always it is synced, and its name when it is taken up. Only
 *                       what is known to be ours is cut: a file that others have written to since
 *                       stays as it is. A deleted one takes nothing. Writing to it may block.
 *   a pipe or a FIFO,   They do not block, and are waited for: SINK_TIMEOUT without a byte taken is
 *   a terminal or       trouble, and then they are not waited for again until they take something.
 *   another character   After a line that broke off, its end comes first, then the line again. What
 *   device, a socket    they have taken is out of our hands. No reader is trouble.
 *   anything else       A block device is refused here, a directory by the system.
 *
 * Not here: opening (file.c, stdout.c, serial.c), trying again (sink.c). */
#include "sink/outlet.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "platform/descriptor.h"
#include "platform/given.h"
#include "platform/log.h"
#include "sink/dial.h"

static char terminator(const struct sink *sink) {
    return sink->encoding == CMCWH_ENCODE_BINARY ? '\0' : '\n';
}

const char *outlet_begins(enum cmcwh_encoding encoding) {
    return encoding == CMCWH_ENCODE_JSON     ? "{\"seq\":"
           : encoding == CMCWH_ENCODE_LOGFMT ? "event_type="
                                             : CMCWH_RECORD_MAGIC;
}

/* ---- Taking up ---- */

/* Where the last whole line ends, in a file of `size` bytes. */
static off_t whole_size(const struct sink *sink, int reading, off_t size) {
    char block[4096];

    while (size > 0) {
        size_t length = size < (off_t)sizeof block ? (size_t)size : sizeof block;
        ssize_t got = pread(reading, block, length, size - (off_t)length);

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

/* As far as both go. */
static bool agrees(const char *bytes, size_t length, const char *begin) {
    return memcmp(bytes, begin, length < strlen(begin) ? length : strlen(begin)) == 0;
}

/* Does a line (or frame) of ours begin at `offset`, as far as it goes? */
static bool ours(const struct sink *sink, int reading, off_t offset) {
    char bytes[16];
    ssize_t got;

    /* The first byte of a frame is its code, then comes the record. */
    offset += sink->encoding == CMCWH_ENCODE_BINARY;
    got = pread(reading, bytes, sizeof bytes, offset);
    return got >= 0 &&
           (agrees(bytes, (size_t)got, outlet_begins(sink->encoding)) ||
            (sink->encoding == CMCWH_ENCODE_JSON && agrees(bytes, (size_t)got, OUTLET_DEAD)));
}

/* Cuts off what a crash may have left of a line of ours. What somebody else has left there stays,
 * and is ended, so that it does not run into what comes; so is what cannot be read. */
static int repair(const struct sink *sink, int descriptor, int reading, off_t size) {
    off_t whole = reading < 0 && size > 0 ? 0 : whole_size(sink, reading, size);
    char end = terminator(sink);

    if (whole < 0 || whole == size) {
        return whole < 0 ? -1 : 0;
    }
    if (reading >= 0 && ours(sink, reading, whole)) {
        log_line(CMCWH_LOG_WARN, "sink '%s': the last line is not whole: %lld bytes are cut off",
                 sink->uri, (long long)(size - whole));
        return ftruncate(descriptor, whole);
    }
    log_line(CMCWH_LOG_WARN, "sink '%s': %s: it is kept", sink->uri,
             reading >= 0 ? "the file does not end as one of this format"
                          : "how the file ends cannot be read");
    return write(descriptor, &end, 1) == 1 ? 0 : -1;
}

/* Where it is: the system knows that also of what is behind a link, or has no path of ours. */
static void path_of(const struct sink *sink, int descriptor, char path[PATH_MAX]) {
    char link[32];
    ssize_t length;

    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    length = readlink(link, path, PATH_MAX - 1);
    if (length > 0) {
        path[length] = '\0';
    } else {
        memcpy(path, sink->target, strlen(sink->target) + 1);
    }
}

/* Names must be on the disk before what is under them is promised. Where the directory cannot be
 * opened or synced, all of its file system can. */
static int sync_name(struct sink *sink, int descriptor) {
    char path[PATH_MAX];

    path_of(sink, descriptor, path);
    return given_sync_name(path) || syncfs(descriptor) == 0
               ? 0
               : sink_trouble(sink, "its directory cannot be synced", errno);
}

static int take_file(struct sink *sink, int descriptor, int reading, const struct stat *status) {
    if (flock(descriptor, LOCK_EX | LOCK_NB) != 0) { /* undoing would cut what the other wrote */
        return sink_trouble(sink, "another sink or process writes to it", 0);
    }
    if (repair(sink, descriptor, reading, status->st_size) != 0) {
        return sink_trouble(sink, "its last line cannot be repaired", errno);
    }
    return sink->durable && status->st_nlink > 0 ? sync_name(sink, descriptor) : 0;
}

static int take_other(struct sink *sink, int descriptor, mode_t mode) {
    const struct outlet *outlet = sink->own;
    struct pollfd entry = {.fd = descriptor, .events = POLLOUT};

    if (S_ISBLK(mode)) {
        return sink_trouble(sink, "is a block device", 0);
    }
    return outlet->stuck && poll(&entry, 1, 0) == 0 ? sink_trouble(sink, "takes nothing more", 0)
                                                    : 0;
}

int outlet_take(struct sink *sink, int descriptor, int reading) {
    struct outlet *outlet = sink->own;
    struct stat status;
    bool regular;
    int result;

    if (fstat(descriptor, &status) != 0) {
        result = sink_trouble(sink, "cannot be looked at", errno);
    } else if (S_ISREG(status.st_mode)) {
        result = take_file(sink, descriptor, reading, &status);
    } else {
        result = take_other(sink, descriptor, status.st_mode);
    }
    if (result < 0) {
        (void)close(descriptor);
        return -1;
    }
    regular = S_ISREG(status.st_mode);
    *outlet = (struct outlet){.regular = regular,
                              .nameless = outlet->nameless,
                              .torn = !regular && outlet->torn,
                              .stuck = !regular && outlet->stuck};
    sink->descriptor = descriptor;
    return 0;
}

/* ---- Writing ---- */

int outlet_begin(struct sink *sink) {
    struct outlet *outlet = sink->own;
    struct stat status;

    outlet->begun = false;
    if (fstat(sink->descriptor, &status) != 0) {
        return sink_trouble(sink, "cannot be looked at", errno);
    }
    outlet->size = status.st_size;
    outlet->grown = 0;
    outlet->deleted = status.st_nlink == 0 && !outlet->nameless;
    outlet->begun = outlet->mid = true;
    return 0;
}

/* So much shares a sync, if it is there, and is repeated after a kill: less would be slower. */
enum { GROUP = 8 * SINK_BUFFER };

static int write_file(struct sink *sink, const void *bytes, size_t length) {
    struct outlet *outlet = sink->own;
    size_t sent;

    if (!outlet->mid && outlet_begin(sink) < 0) {
        return -1;
    }
    if (outlet->deleted) {
        return sink_trouble(sink, "was deleted", 0);
    }
    sent = send_most(sink, bytes, length, "cannot be written");
    outlet->grown += (off_t)sent;
    sink_moves(sink); /* flash may take seconds for all that shares a sync */
    return sent == length ? outlet->grown >= GROUP : -1;
}

static int write_other(struct sink *sink, const char *bytes, size_t length) {
    struct outlet *outlet = sink->own;
    char end = terminator(sink);
    size_t sent;

    if (outlet->torn && send_all(sink, &end, 1, "cannot be written") < 0) {
        return -1;
    }
    sent = send_most(sink, bytes, length, "cannot be written");
    outlet->stuck = sent < length;
    outlet->torn = outlet->stuck && sent > 0 && bytes[sent - 1] != end;
    return outlet->stuck ? -1 : 1;
}

int outlet_write(void *context, const void *bytes, size_t length) {
    struct sink *sink = context;
    const struct outlet *outlet = sink->own;

    return outlet->regular ? write_file(sink, bytes, length) : write_other(sink, bytes, length);
}

int outlet_sync(void *context) {
    struct sink *sink = context;
    struct outlet *outlet = sink->own;

    outlet->mid = false;
    if (!sink->durable || !outlet->regular || descriptor_sync(sink->descriptor) == 0) {
        return 0;
    }
    return sink_trouble(sink, "cannot be synced", errno);
}

void outlet_undo(void *context) {
    struct sink *sink = context;
    struct outlet *outlet = sink->own;
    struct stat status;
    bool begun = outlet->begun;

    outlet->mid = outlet->begun = false;
    if (sink->descriptor < 0 || !outlet->regular || !begun || outlet->grown == 0) {
        return;
    }
    if (fstat(sink->descriptor, &status) == 0 && status.st_size != outlet->size + outlet->grown) {
        log_line(CMCWH_LOG_ERROR,
                 "sink '%s': somebody else writes to it: what was written in part stays",
                 sink->uri);
    } else if (ftruncate(sink->descriptor, outlet->size) != 0) {
        log_line(CMCWH_LOG_ERROR, "sink '%s': what was written in part cannot be cut off: %s",
                 sink->uri, strerror(errno));
    }
}
