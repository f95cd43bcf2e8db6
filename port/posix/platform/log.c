/* The daemon's own messages. Not here: events, which go to sinks. */
#include "platform/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static enum cmcwh_level limit = CMCWH_LOG_INFO;

void log_set_level(enum cmcwh_level level) {
    limit = level;
}

/* What a line begins with: our name, or, where stderr goes to systemd's journal, which knows that,
 * the severity as in syslog (sd-daemon(3)). Who inherits the variable may have another stderr. */
static const char *prefix(enum cmcwh_level level) {
    static const char *const severities[] = {"<3>", "<4>", "<6>", "<7>"};
    const char *journal = getenv("JOURNAL_STREAM");
    struct stat status;
    char stream[48];

    if (journal == NULL || fstat(STDERR_FILENO, &status) != 0) {
        return "cmcwh: ";
    }
    (void)snprintf(stream, sizeof stream, "%llu:%llu", (unsigned long long)status.st_dev,
                   (unsigned long long)status.st_ino);
    return strcmp(journal, stream) == 0 ? severities[level] : "cmcwh: ";
}

/* Control characters, those of C1 in UTF-8 too, become \xHH. */
static size_t escape(char *out, size_t room, const char *text) {
    size_t used = 0;

    for (; *text != '\0' && used + 9 < room; text++) {
        unsigned char c = (unsigned char)*text;

        if (c < 0x20 || c == 0x7F || (c == 0xC2 && ((unsigned char)text[1] & 0xE0) == 0x80)) {
            used += (size_t)snprintf(out + used, room - used, "\\x%02x", c);
        } else {
            out[used++] = *text;
        }
    }
    out[used++] = '\n';
    return used;
}

/* One write, so that lines of several threads do not mix. */
static void put(enum cmcwh_level level, const char *word, const char *format, va_list arguments) {
    char text[1024], line[2048];
    size_t used = (size_t)snprintf(line, sizeof line, "%s%s", prefix(level), word);

    (void)vsnprintf(text, sizeof text, format, arguments); /* NOLINT: clang-tidy 14 does not see
                                                               that the caller began it */
    used += escape(line + used, sizeof line - used, text);
    if (write(STDERR_FILENO, line, used) < 0) {
        return; /* there is nobody left to tell */
    }
}

void log_line(enum cmcwh_level level, const char *format, ...) {
    static const char *const names[] = {"error: ", "warn: ", "", "debug: "};
    va_list arguments;

    if (level <= limit) {
        va_start(arguments, format);
        put(level, names[level], format, arguments);
        va_end(arguments);
    }
}

bool log_failure(const char *what, int error) {
    log_line(CMCWH_LOG_ERROR, "%s: %s", what, strerror(error));
    return false;
}

void log_usage(const char *format, ...) {
    va_list arguments;

    va_start(arguments, format);
    put(CMCWH_LOG_ERROR, "", format, arguments);
    va_end(arguments);
}
