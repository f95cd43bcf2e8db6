/* The dead-letter file. It is one like that of a sink for files, taken up for each letter: that its
 * last line is whole, what a full disk has left is cut off, and all is synced, is done there
 * (outlet.c). */
#include "sink/dead.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "platform/given.h"
#include "platform/platform.h"
#include "platform/when.h"
#include "platform/writer.h"
#include "sink/outlet.h"

/* Sinks may share a file: one letter at a time. */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static int trouble(struct sink *sink, const char *path, const char *what) {
    char text[SINK_TROUBLE];

    (void)snprintf(text, sizeof text, "dead-letter file '%.120s': %.100s", path, what);
    return sink_trouble(sink, text, 0);
}

static bool is_link(const char *path) {
    struct stat status;

    return lstat(path, &status) == 0 && S_ISLNK(status.st_mode);
}

enum outcome dead_look(struct sink *sink, const char *path) {
    const char *fault;
    int descriptor = given_open(path, O_RDWR, &fault), error = errno;

    if (descriptor >= 0) {
        (void)close(descriptor);
        return OUTCOME_RIGHT;
    }
    if (error == ENOENT && is_link(path)) {
        fault = "is a link to nothing";
        error = EINVAL;
    } else if (error == ENOENT) { /* it will be made */
        error = given_makable(path);
        fault = strerror(error);
    }
    if (error == 0) {
        return OUTCOME_RIGHT;
    }
    (void)trouble(sink, path, fault);
    return outcome_of(error);
}

/* Makes it, if nothing is there. */
static int open_file(const char *path, const char **fault) {
    int descriptor = given_open(path, O_RDWR | O_APPEND, fault);

    if (descriptor < 0 && errno == ENOENT) {
        descriptor = given_make(path, 0600, fault);
        if (descriptor >= 0 && fcntl(descriptor, F_SETFL, O_APPEND | O_NONBLOCK) != 0) {
            *fault = strerror(errno);
            (void)close(descriptor);
            descriptor = -1;
        }
    }
    return descriptor;
}

/* The line before its events. */
static void write_head(struct writer *writer, const struct sink *sink, const struct dead *dead) {
    char now[WHEN_SIZE];

    writer_print(writer, OUTLET_DEAD "{\"at\":\"%s\",\"sink\":", when_print(platform_now(), now));
    (void)writer_json_most(writer, writer_view(sink->uri), DEAD_ANSWER);
    writer_print(writer, ",\"status\":%d,\"events\":%u,\"answer\":", dead->status,
                 (unsigned)dead->events);
    (void)writer_json_most(writer, dead->answer, DEAD_ANSWER);
    writer_text(writer, "}}\n");
}

static int write_letter(struct sink *file, const struct sink *sink, const struct dead *dead) {
    char bytes[2 * DEAD_ANSWER + 256];
    struct writer head = {.bytes = bytes, .size = sizeof bytes};

    write_head(&head, sink, dead);
    if (outlet_write(file, bytes, head.used) >= 0 &&
        outlet_write(file, dead->lines.data, dead->lines.length) >= 0 && outlet_sync(file) == 0) {
        return 0;
    }
    outlet_undo(file);
    return -1;
}

int dead_letter(struct sink *sink, const char *path, const struct dead *dead) {
    struct outlet outlet = {.regular = true};
    struct sink file = {.uri = path,
                        .encoding = CMCWH_ENCODE_JSON,
                        .durable = true,
                        .descriptor = -1,
                        .own = &outlet,
                        .ring = sink->ring};
    const char *fault;
    int descriptor, result = -1;

    (void)snprintf(file.target, sizeof file.target, "%s", path);
    (void)pthread_mutex_lock(&mutex);
    descriptor = open_file(path, &fault);
    if (descriptor < 0) {
        result = trouble(sink, path, fault);
    } else if (outlet_take(&file, descriptor, descriptor) < 0 ||
               write_letter(&file, sink, dead) < 0) {
        result = trouble(sink, path, file.trouble);
    } else {
        result = 0;
    }
    if (file.descriptor >= 0) {
        sink_close(&file);
    }
    (void)pthread_mutex_unlock(&mutex);
    return result;
}
