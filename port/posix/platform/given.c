/* Files that a person names: looked at before they are opened, and read whole. Not here: what is in
 * them. */
#include "platform/given.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "platform/log.h"

/* ---- Opening ---- */

/* NULL: a regular file. */
static const char *kind_of(mode_t mode) {
    return S_ISREG(mode)    ? NULL
           : S_ISDIR(mode)  ? "Is a directory, not a file"
           : S_ISFIFO(mode) ? "Is a pipe, not a file"
           : S_ISSOCK(mode) ? "Is a socket, not a file"
           : S_ISLNK(mode)  ? "Is a link, which is not followed here"
                            : "Is a device, not a file";
}

/* Opening is something done to a device or a pipe: one looks before, and once more at what was
 * opened. Nothing that is opened here waits. */
int given_open(const char *path, int flags, const char **fault) {
    struct stat status;
    int descriptor, error;

    if (((flags & O_NOFOLLOW) != 0 ? lstat(path, &status) : stat(path, &status)) != 0) {
        *fault = strerror(errno);
        return -1;
    }
    *fault = kind_of(status.st_mode);
    if (*fault != NULL) {
        errno = EINVAL;
        return -1;
    }
    do {
        descriptor = open(path, flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    } while (descriptor < 0 && errno == EINTR);
    if (descriptor < 0) {
        *fault = strerror(errno);
        return -1;
    }
    error = fstat(descriptor, &status) == 0 ? EINVAL : errno;
    *fault = error == EINVAL ? kind_of(status.st_mode) : strerror(error);
    if (*fault != NULL) { /* it was changed meanwhile */
        (void)close(descriptor);
        errno = error;
        return -1;
    }
    return descriptor;
}

int given_make(const char *path, mode_t mode, const char **fault) {
    int descriptor = open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);

    *fault = descriptor < 0 ? strerror(errno) : NULL;
    return descriptor;
}

const char *given_directory(const char *path, char copy[PATH_MAX]) {
    if ((size_t)snprintf(copy, PATH_MAX, "%s", path) >= PATH_MAX) {
        errno = ENAMETOOLONG;
        return NULL;
    }
    return dirname(copy);
}

int given_makable(const char *path) {
    char copy[PATH_MAX];
    const char *directory = given_directory(path, copy);

    return directory != NULL && faccessat(AT_FDCWD, directory, W_OK | X_OK, AT_EACCESS) == 0
               ? 0
               : errno;
}

bool given_sync_name(const char *path) {
    char copy[PATH_MAX];
    const char *name = given_directory(path, copy);
    int directory = name == NULL ? -1 : open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC), error;

    if (directory < 0) {
        return false;
    }
    error = fsync(directory) == 0 ? 0 : errno;
    (void)close(directory);
    errno = error;
    return error == 0;
}

void given_say_unreadable(const char *option, const char *path) {
    if (path != NULL && faccessat(AT_FDCWD, path, R_OK, AT_EACCESS) != 0) {
        log_line(CMCWH_LOG_WARN,
                 "%s: %s: %s for uid %ld: SIGHUP will not read it again, and what was read now "
                 "stays in force",
                 option, path, strerror(errno), (long)geteuid());
    }
}

bool given_is(const char *path, int descriptor) {
    struct stat named, opened;

    return lstat(path, &named) == 0 && fstat(descriptor, &opened) == 0 &&
           named.st_dev == opened.st_dev && named.st_ino == opened.st_ino;
}

bool given_is_credential(const char *path) {
    const char *directory = getenv("CREDENTIALS_DIRECTORY");
    size_t length = directory == NULL ? 0 : strlen(directory);

    return length > 0 && strncmp(path, directory, length) == 0 && path[length] == '/' &&
           strstr(path + length, "/../") == NULL;
}

/* ---- What is wrong ---- */

bool given_wrong(const struct given *given, unsigned line, const char *fault) {
    if (line == 0) {
        log_usage("%s: %s: %s", given->option, given->path, fault);
    } else {
        log_usage("%s: %s:%u: %s", given->option, given->path, line, fault);
    }
    errno = EINVAL;
    return false;
}

bool given_failed(const struct given *given, const char *what, int error) {
    (void)given_wrong(given, 0, what != NULL ? what : strerror(error));
    errno = error;
    return false;
}

/* It cannot be opened: for whom not, and where a relative name was looked for; a link is told apart
 * from nothing, also one that systemd has left out. */
static bool cannot_open(const struct given *given, const char *fault, int error) {
    char link[PATH_MAX] = "", whom[32] = "", where[PATH_MAX] = "", text[3 * PATH_MAX];
    ssize_t length = error == EINVAL ? -1 : readlink(given->path, link, sizeof link - 1);
    bool left_out = error == ENOENT && given_is_credential(given->path);

    if (error == EACCES) {
        (void)snprintf(whom, sizeof whom, " for uid %ld", (long)geteuid());
    }
    if (error != EINVAL && given->path[0] != '/' && getcwd(where, sizeof where) == NULL) {
        where[0] = '\0';
    }
    link[length < 0 ? 0 : length] = '\0';
    (void)snprintf(text, sizeof text, "%s%s%s%s%s%s%s%s", length < 0 ? "" : "a link to ", link,
                   length < 0 ? "" : ": ", fault, whom, where[0] != '\0' ? ", looked for in " : "",
                   where, left_out ? "; systemd gives no copy of a link" : "");
    return given_failed(given, text, error);
}

/* ---- Reading ---- */

/* Up to GIVEN_MOST bytes; more: it is too large. */
static bool read_all(struct given *given, int descriptor) {
    ssize_t got = 1;

    while (got != 0 && given->length <= GIVEN_MOST) {
        got = read(descriptor, given->bytes + given->length, GIVEN_MOST + 1 - given->length);
        if (got < 0 && errno != EINTR) {
            return given_failed(given, NULL, errno);
        }
        given->length += got > 0 ? (size_t)got : 0;
    }
    given->bytes[given->length] = '\0';
    return given->length <= GIVEN_MOST ||
           given_wrong(given, 0, "is longer than 128 KiB: is it the right file?");
}

/* Some editors put these bytes before UTF-8. */
static void skip_mark(struct given *given) {
    static const char mark[] = "\xEF\xBB\xBF";

    if (strncmp(given->bytes, mark, sizeof mark - 1) == 0) {
        given->length -= sizeof mark - 1;
        memmove(given->bytes, given->bytes + sizeof mark - 1, given->length + 1);
    }
}

static bool check_text(const struct given *given) {
    unsigned line = 1;

    for (size_t i = 0; i < given->length; i++) {
        if (given->bytes[i] == '\0') {
            return given_wrong(given, line, "a zero byte: expected a file of text (UTF-8)");
        }
        if (given->bytes[i] == '\r' && i + 1 < given->length && given->bytes[i + 1] != '\n') {
            return given_wrong(given, line,
                               "a carriage return within a line: expected lines that end in LF");
        }
        line += given->bytes[i] == '\n';
    }
    return true;
}

bool given_read(struct given *given, const char *option, const char *path) {
    struct stat status = {0};
    const char *fault;
    int descriptor = given_open(path, O_RDONLY, &fault), error = errno;
    bool right;

    *given = (struct given){.option = option, .path = path};
    if (descriptor < 0) {
        return cannot_open(given, fault, error);
    }
    (void)fstat(descriptor, &status);
    given->mode = status.st_mode;
    given->bytes = malloc(GIVEN_MOST + 2);
    right = given->bytes == NULL ? given_failed(given, NULL, ENOMEM) : read_all(given, descriptor);
    error = errno;
    (void)close(descriptor);
    errno = error;
    if (right) {
        skip_mark(given);
        right = check_text(given);
    }
    given->next = given->bytes;
    if (!right) {
        given_free(given);
    }
    return right;
}

char *given_line(struct given *given, const char **fault) {
    char *line = given->next, *end = strchr(line, '\n');
    size_t length = end == NULL ? strlen(line) : (size_t)(end - line);

    *fault = NULL;
    if (*line == '\0') {
        return NULL;
    }
    given->line++;
    given->next += length + (end != NULL);
    length -= length > 0 && line[length - 1] == '\r';
    line[length] = '\0';
    if (length > GIVEN_LINE) {
        *fault = "this line is too long";
        return NULL;
    }
    return line;
}

void given_free(struct given *given) {
    if (given->bytes != NULL) {
        explicit_bzero(given->bytes, GIVEN_MOST + 2);
        free(given->bytes);
        given->bytes = given->next = NULL;
    }
}
