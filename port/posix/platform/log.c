/* The daemon's own messages. Not here: events, which go to sinks. */
#include "platform/log.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "platform/descriptor.h"
#include "platform/platform.h"

enum {
    TEXT_SIZE = 1024,
    RECENT = 4 /* messages that are known again */
};

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

/* Of a process that serves: how it writes, and what it has not written. */
static struct {
    pthread_mutex_t mutex; /* guards the rest */
    bool serves;
    int descriptor;
    bool shared;   /* it may block: see descriptor_try */
    bool torn;     /* a part of a line was written */
    unsigned lost; /* messages */
} out = {.mutex = PTHREAD_MUTEX_INITIALIZER, .descriptor = STDERR_FILENO};

/* Guarded by the same mutex; apart, for what begins with zeros takes no room in the file. */
static struct recent {
    char text[TEXT_SIZE];
    unsigned times; /* it came; 0: no message */
    uint64_t since; /* ticks, the first of these times */
} recents[RECENT];

enum {
    SAME = 5,      /* times that one message is repeated */
    MINUTE = 60000 /* ms */
};

static ssize_t try_to_write(const char *bytes, size_t length) {
    return out.shared ? descriptor_try(out.descriptor, bytes, length)
                      : write(out.descriptor, bytes, length);
}

/* One write, so that lines of several processes do not mix. False: it does not go at once. */
static bool write_line(const char *line, size_t length) {
    ssize_t went;

    if (out.torn && try_to_write("\n", 1) != 1) {
        return false;
    }
    went = try_to_write(line, length);
    out.torn = went > 0 && (size_t)went < length;
    return went == (ssize_t)length;
}

/* `begin` stands before a text as it is. */
static bool put_line(const char *begin, const char *word, const char *text) {
    char line[2 * TEXT_SIZE];
    size_t used = (size_t)snprintf(line, sizeof line, "%s%s", begin, word);

    used += escape(line + used, sizeof line - used, text);
    return write_line(line, used);
}

/* With what could not be written before it. */
static void put_after_lost(const char *begin, const char *word, const char *text) {
    char lost[64];

    if (out.lost > 0) {
        (void)snprintf(lost, sizeof lost, "%u messages were not written", out.lost);
        if (put_line(prefix(CMCWH_LOG_WARN), "warn: ", lost)) {
            out.lost = 0;
        }
    }
    if (out.lost > 0 || !put_line(begin, word, text)) {
        out.lost++;
    }
}

/* Says how often a message was left out. */
static void say_times(struct recent *recent) {
    char text[TEXT_SIZE + 64];

    if (recent->times > SAME) {
        (void)snprintf(text, sizeof text, "%u times more: %s", recent->times - SAME, recent->text);
        put_after_lost(prefix(CMCWH_LOG_INFO), "", text);
    }
    recent->times = 0;
}

/* Where this message is kept, if it came less than a minute ago; else where it is to be: a free
 * place, or that of the one which came first longest ago. */
static struct recent *recent_of(const char *text, uint64_t now) {
    struct recent *place = &recents[0];

    for (size_t i = 0; i < RECENT; i++) {
        struct recent *recent = &recents[i];

        if (recent->times > 0 && now - recent->since >= MINUTE) {
            say_times(recent);
        }
        if (recent->times > 0 && strcmp(text, recent->text) == 0) {
            return recent;
        }
        if (place->times > 0 && (recent->times == 0 || recent->since < place->since)) {
            place = recent;
        }
    }
    say_times(place);
    (void)snprintf(place->text, sizeof place->text, "%s", text);
    place->since = now;
    return place;
}

/* Has it been said often enough? */
static bool is_old(const char *text) {
    struct recent *recent = recent_of(text, platform_ticks());

    return ++recent->times > SAME;
}

/* `new`: it is said however often it has been. */
static void put(const char *begin, const char *word, bool new, const char *format,
                va_list arguments) {
    char text[TEXT_SIZE];

    (void)vsnprintf(text, sizeof text, format, arguments); /* NOLINT: clang-tidy 14 does not see
                                                               that the caller began it */
    (void)pthread_mutex_lock(&out.mutex);
    if (!out.serves) {
        (void)put_line(begin, word, text);
    } else if (new || !is_old(text)) {
        put_after_lost(begin, word, text);
    }
    (void)pthread_mutex_unlock(&out.mutex);
}

void log_serve(void) {
    struct stat status;

    out.serves = true;
    if (fstat(STDERR_FILENO, &status) == 0 && !S_ISREG(status.st_mode)) {
        int again = descriptor_again(STDERR_FILENO, O_WRONLY | O_NONBLOCK);

        out.shared = again < 0;
        out.descriptor = again < 0 ? STDERR_FILENO : again;
    }
}

void log_sum_up(bool all) {
    uint64_t now = platform_ticks();

    (void)pthread_mutex_lock(&out.mutex);
    for (size_t i = 0; i < RECENT; i++) {
        if (recents[i].times > 0 && (all || now - recents[i].since >= MINUTE)) {
            say_times(&recents[i]);
        }
    }
    (void)pthread_mutex_unlock(&out.mutex);
}

bool log_says(enum cmcwh_level level) {
    return level <= limit;
}

void log_line(enum cmcwh_level level, const char *format, ...) {
    static const char *const names[] = {"error: ", "warn: ", "", "debug: "};
    va_list arguments;

    if (level <= limit) {
        va_start(arguments, format);
        put(prefix(level), names[level], false, format, arguments);
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
    put(prefix(CMCWH_LOG_ERROR), "", false, format, arguments);
    va_end(arguments);
}

void log_plain(const char *format, ...) {
    va_list arguments;

    va_start(arguments, format);
    put("", "", true, format, arguments);
    va_end(arguments);
}

void log_asked(const char *format, ...) {
    va_list arguments;

    va_start(arguments, format);
    put(prefix(CMCWH_LOG_INFO), "", true, format, arguments);
    va_end(arguments);
}
