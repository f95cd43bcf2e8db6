/* stdout: whatever standard output is. Not here: what that may be (outlet.c). */
#include "sink/outlet.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "platform/descriptor.h"

/* What only standard output has. */
struct output {
    struct outlet outlet;
    bool known; /* it was opened before */
};

static const struct output at_first;

static const char *stdout_target(char *text) {
    return text[0] == '\0' ? NULL : "nothing after 'stdout:'";
}

/* A copy shares its flags and its offset with everybody who has it. */
static int copy(struct sink *sink) {
    int descriptor = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);

    return descriptor >= 0 ? descriptor : sink_trouble(sink, "no descriptor", errno);
}

/* It is written to where it ends, whatever the shell or another program has made of its offset:
 * that does no harm to those who share it. */
static int take_file(struct sink *sink, int flags, const struct stat *status) {
    struct output *output = sink->own;
    int descriptor, reading, result;

    if (!output->known) {
        output->known = true;
        output->outlet.nameless = status->st_nlink == 0;
    }
    if (fcntl(STDOUT_FILENO, F_SETFL, flags | O_APPEND) != 0) {
        return sink_trouble(sink, "cannot be appended to", errno);
    }
    descriptor = copy(sink);
    if (descriptor < 0) {
        return -1;
    }
    reading = descriptor_again(STDOUT_FILENO, O_RDONLY);
    result = outlet_take(sink, descriptor, reading);
    if (reading >= 0) {
        (void)close(reading);
    }
    return result;
}

/* Others may hold it while one daemon follows another, who has left half a line. A terminal does
 * not tell; of a pipe that is empty all has been read, and an empty line would be in its reader's
 * way at each start. */
static void look_for_torn(struct output *output, int descriptor, mode_t mode) {
    int unread = 0;

    if (!output->known) {
        output->known = true;
        output->outlet.torn =
            S_ISCHR(mode) || (ioctl(descriptor, FIONREAD, &unread) == 0 && unread > 0);
    }
}

/* Not blocking would be so for everybody who has this pipe or terminal from the same shell, so it
 * is opened once more. A socket cannot be, nor what is another user's. */
static int take_other(struct sink *sink, const struct stat *status) {
    int descriptor = descriptor_again(STDOUT_FILENO, O_WRONLY | O_NONBLOCK);

    if (descriptor < 0 && errno == ENXIO && S_ISFIFO(status->st_mode)) {
        return sink_trouble(sink, "nobody reads this pipe", 0);
    }
    sink->shared = descriptor < 0;
    descriptor = sink->shared ? copy(sink) : descriptor;
    if (descriptor < 0) {
        return -1;
    }
    look_for_torn(sink->own, descriptor, status->st_mode);
    return outlet_take(sink, descriptor, -1);
}

/* Where it was closed, something that can only be read from is in its place (main.c). */
static int flags_of(struct sink *sink) {
    int flags = fcntl(STDOUT_FILENO, F_GETFL);

    return flags >= 0 && (flags & O_ACCMODE) != O_RDONLY
               ? flags
               : sink_trouble(sink, "standard output is closed, or only for reading", 0);
}

static enum outcome stdout_look(struct sink *sink, bool reach) {
    (void)reach;
    return flags_of(sink) >= 0 ? OUTCOME_RIGHT : OUTCOME_WRONG;
}

static int stdout_open(struct sink *sink) {
    int flags = flags_of(sink);
    struct stat status;

    if (flags < 0) {
        return -1;
    }
    if (fstat(STDOUT_FILENO, &status) != 0) {
        return sink_trouble(sink, "cannot be looked at", errno);
    }
    return S_ISREG(status.st_mode) ? take_file(sink, flags, &status) : take_other(sink, &status);
}

const struct sink_medium sink_stdout = {.scheme = "stdout",
                                        .help = "stdout:",
                                        .encoding = CMCWH_ENCODE_JSON,
                                        .target = stdout_target,
                                        .own = &at_first,
                                        .own_size = sizeof at_first,
                                        .look = stdout_look,
                                        .open = stdout_open,
                                        .write = outlet_write,
                                        .sync = outlet_sync,
                                        .undo = outlet_undo,
                                        .close = sink_close};
