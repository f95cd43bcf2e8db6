/* stdout: whatever standard output is. Not here: repair, rotation, undoing (file.c). */
#include "sink/dial.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static const char *stdout_target(char *text) {
    return text[0] == '\0' ? NULL : "nothing after 'stdout:'";
}

static int stdout_open(struct sink *sink) {
    sink->descriptor = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    return sink->descriptor < 0 ? sink_trouble(sink, "standard output is closed", errno) : 0;
}

static int stdout_write(void *context, const void *bytes, size_t length) {
    return send_all(context, bytes, length, "cannot be written");
}

const struct sink_medium sink_stdout = {.scheme = "stdout",
                                        .help = "stdout:",
                                        .encoding = CMCWH_ENCODE_JSON,
                                        .target = stdout_target,
                                        .open = stdout_open,
                                        .write = stdout_write,
                                        .close = sink_close};
