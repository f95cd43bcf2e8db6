/* Stands before the C library (LD_PRELOAD) and has one call of many go wrong.
 *
 * FAULTS names what, with spaces between them: FUNCTION:PART:NUMBER:HOW is the NUMBER-th call of
 * FUNCTION whose file has PART in its path, or PART in what /proc calls a descriptor that has none.
 * HOW is the name of an error, "short" (half of it is written), or "hang" (until the test lets it
 * go). FAULTS_FILE has a number for each: the calls so far, in all processes that have it; and then
 * whether those that hang may go. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum { MOST = 24, SHORT = -1, HANG = -2 };

static struct fault {
    const char *function, *part;
    unsigned long number;
    int how; /* an errno, or one of those above */
} faults[MOST];

static uint32_t *shared; /* the calls for each of MOST, then the word to go */
static unsigned count;

static int how_of(const char *name) {
    static const struct {
        const char *name;
        int how;
    } all[] = {{"EIO", EIO},       {"ENOSPC", ENOSPC}, {"EINTR", EINTR}, {"EMFILE", EMFILE},
               {"ENFILE", ENFILE}, {"ENOMEM", ENOMEM}, {"short", SHORT}, {"hang", HANG}};

    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (strcmp(name, all[i].name) == 0) {
            return all[i].how;
        }
    }
    abort();
}

/* The C library's own: `next(&pointer, "write")`. */
static void next(void *pointer, const char *name) {
    void *symbol = dlsym(RTLD_NEXT, name);

    if (symbol == NULL) {
        abort();
    }
    memcpy(pointer, &symbol, sizeof symbol);
}

/* FUNCTION:PART:NUMBER:HOW */
static void add(char *text) {
    char *save = NULL, *function = strtok_r(text, ":", &save), *part = strtok_r(NULL, ":", &save),
         *number = strtok_r(NULL, ":", &save), *how = strtok_r(NULL, ":", &save);

    if (how == NULL || count == MOST) {
        abort();
    }
    faults[count++] = (struct fault){function, part, strtoul(number, NULL, 10), how_of(how)};
}

__attribute__((constructor)) static void begin(void) {
    static char kept[4096];
    const char *text = getenv("FAULTS"), *path = getenv("FAULTS_FILE");
    char *save = NULL;
    int descriptor;

    if (text == NULL || path == NULL) {
        return;
    }
    descriptor = open(path, O_RDWR | O_CLOEXEC);
    shared =
        mmap(NULL, (MOST + 1) * sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    if (shared == MAP_FAILED) {
        abort();
    }
    (void)close(descriptor);
    (void)snprintf(kept, sizeof kept, "%s", text);
    for (char *one = strtok_r(kept, " ", &save); one != NULL; one = strtok_r(NULL, " ", &save)) {
        add(one);
    }
}

/* What happens to this call of `function`: 0 when nothing. */
static int fault_at(const char *function, const char *path) {
    for (unsigned i = 0; i < count; i++) {
        if (strcmp(faults[i].function, function) == 0 && strstr(path, faults[i].part) != NULL &&
            __atomic_add_fetch(&shared[i], 1, __ATOMIC_SEQ_CST) == faults[i].number) {
            return faults[i].how;
        }
    }
    return 0;
}

static int fault_on(const char *function, int descriptor) {
    char name[32], path[PATH_MAX];
    int before = errno;
    ssize_t length;

    if (count == 0) {
        return 0;
    }
    (void)snprintf(name, sizeof name, "/proc/self/fd/%d", descriptor);
    length = readlink(name, path, sizeof path - 1);
    errno = before;
    path[length < 0 ? 0 : length] = '\0';
    return fault_at(function, path);
}

/* Does it fail? Not when it is only short, or has hung for long enough. */
static int fails(int how) {
    while (how == HANG && __atomic_load_n(&shared[MOST], __ATOMIC_SEQ_CST) == 0) {
        (void)poll(NULL, 0, 20);
    }
    if (how > 0) {
        errno = how;
    }
    return how > 0;
}

static size_t part_of(int how, size_t length) {
    return how == SHORT ? (length + 1) / 2 : length;
}

/* NOLINTBEGIN(readability-inconsistent-declaration-parameter-name): the C library's begin with __
 */
ssize_t write(int descriptor, const void *bytes, size_t length) {
    ssize_t (*call)(int, const void *, size_t);
    int how = fault_on("write", descriptor);

    next(&call, "write");
    return fails(how) ? -1 : call(descriptor, bytes, part_of(how, length));
}

ssize_t writev(int descriptor, const struct iovec *parts, int number) {
    ssize_t (*call)(int, const struct iovec *, int);
    int how = fault_on("writev", descriptor);

    next(&call, "writev");
    return fails(how) ? -1 : call(descriptor, parts, how == SHORT ? 1 : number);
}

ssize_t pwrite64(int descriptor, const void *bytes, size_t length, off64_t offset) {
    ssize_t (*call)(int, const void *, size_t, off64_t);
    int how = fault_on("pwrite", descriptor);

    next(&call, "pwrite64");
    return fails(how) ? -1 : call(descriptor, bytes, part_of(how, length), offset);
}

ssize_t send(int descriptor, const void *bytes, size_t length, int flags) {
    ssize_t (*call)(int, const void *, size_t, int);
    int how = fault_on("send", descriptor);

    next(&call, "send");
    return fails(how) ? -1 : call(descriptor, bytes, part_of(how, length), flags);
}

ssize_t read(int descriptor, void *bytes, size_t length) {
    ssize_t (*call)(int, void *, size_t);
    int how = fault_on("read", descriptor);

    next(&call, "read");
    return fails(how) ? -1 : call(descriptor, bytes, length);
}

int fsync(int descriptor) {
    int (*call)(int);

    next(&call, "fsync");
    return fails(fault_on("fsync", descriptor)) ? -1 : call(descriptor);
}

int fdatasync(int descriptor) {
    int (*call)(int);

    next(&call, "fdatasync");
    return fails(fault_on("fdatasync", descriptor)) ? -1 : call(descriptor);
}

int ftruncate64(int descriptor, off64_t length) {
    int (*call)(int, off64_t);

    next(&call, "ftruncate64");
    return fails(fault_on("ftruncate", descriptor)) ? -1 : call(descriptor, length);
}

int rename(const char *from, const char *to) {
    int (*call)(const char *, const char *);

    next(&call, "rename");
    return fails(fault_at("rename", from)) ? -1 : call(from, to);
}

int ioctl(int descriptor, unsigned long request, ...) {
    int (*call)(int, unsigned long, void *);
    va_list arguments;
    void *argument;

    va_start(arguments, request);
    argument = va_arg(arguments, void *);
    va_end(arguments);
    next(&call, "ioctl");
    return fails(fault_on("ioctl", descriptor)) ? -1 : call(descriptor, request, argument);
}

int open64(const char *path, int flags, ...) {
    int (*call)(const char *, int, mode_t);
    va_list arguments;
    mode_t mode = 0;

    if ((flags & (O_CREAT | O_TMPFILE)) != 0) {
        va_start(arguments, flags);
        mode = va_arg(arguments, mode_t);
        va_end(arguments);
    }
    next(&call, "open64");
    return fails(fault_at("open", path)) ? -1 : call(path, flags, mode);
}
/* NOLINTEND(readability-inconsistent-declaration-parameter-name) */
