/* User, pid file, signals, what is used. Not here: what the process serves. */
#include "platform/process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <malloc.h>
#include <pwd.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "platform/given.h"
#include "platform/log.h"

static sigset_t taken;

enum outcome process_become(const char *name) {
    const struct passwd *user = getpwnam(name);

    if (user == NULL) {
        log_line(CMCWH_LOG_ERROR, "--user: there is no user '%s'", name);
        return OUTCOME_WRONG;
    }
    if (geteuid() == user->pw_uid) {
        return OUTCOME_RIGHT;
    }
    if (initgroups(name, user->pw_gid) != 0 || setgid(user->pw_gid) != 0 ||
        setuid(user->pw_uid) != 0) {
        int error = errno;

        log_line(CMCWH_LOG_ERROR, "--user: cannot become '%s': %s", name, strerror(error));
        return outcome_of(error);
    }
    return OUTCOME_RIGHT;
}

/* ---- The pid file ---- */

static enum outcome refuse(const char *path, const char *what, enum outcome outcome) {
    log_line(CMCWH_LOG_ERROR, "--pid-file: %s: %s", path, what);
    return outcome;
}

static const char FOREIGN[] = "is no pid file that this program has left: it is kept as it is";

/* Has one of us left it? There is one name for it, nobody else has made it, and it holds a number
 * or, if the disk was full, nothing. */
static bool left_over(int descriptor) {
    char text[32];
    ssize_t length = pread(descriptor, text, sizeof text - 1, 0);
    struct stat status;

    if (length < 0 || fstat(descriptor, &status) != 0 || status.st_nlink != 1 ||
        status.st_uid != geteuid()) {
        return false;
    }
    text[length] = '\0';
    return length == 0 || (strspn(text, "0123456789") == (size_t)length - 1 && length > 1 &&
                           text[length - 1] == '\n');
}

/* Writes our number into the file, which is locked. */
static enum outcome fill(const char *path, int descriptor) {
    char text[32];
    int length = snprintf(text, sizeof text, "%ld\n", (long)getpid()), error;

    if (ftruncate(descriptor, 0) == 0 && write(descriptor, text, (size_t)length) == length) {
        return OUTCOME_RIGHT;
    }
    error = errno;
    return refuse(path, strerror(error), outcome_of(error));
}

/* Makes it, or opens what an earlier process has left. */
static int open_pid_file(const char *path, bool *made, const char **fault) {
    int descriptor = given_make(path, 0644, fault);

    *made = descriptor >= 0;
    return descriptor < 0 && errno == EEXIST ? given_open(path, O_RDWR | O_NOFOLLOW, fault)
                                             : descriptor;
}

/* The file is open. Only who has locked it may do anything to it. */
static enum outcome take(const char *path, int descriptor, bool made) {
    enum outcome outcome;

    if (flock(descriptor, LOCK_EX | LOCK_NB) != 0 || !given_is(path, descriptor)) {
        return refuse(path, "another instance is running, or is just ending", OUTCOME_FAILED);
    }
    if (!made && !left_over(descriptor)) {
        return refuse(path, FOREIGN, OUTCOME_WRONG);
    }
    outcome = fill(path, descriptor);
    if (made && outcome != OUTCOME_RIGHT) {
        (void)unlink(path);
    }
    return outcome;
}

enum outcome process_claim(const char *path, int *claimed) {
    bool made;
    const char *fault;
    int descriptor = open_pid_file(path, &made, &fault);
    enum outcome outcome;

    if (descriptor < 0) {
        return refuse(path, fault, outcome_of(errno));
    }
    outcome = take(path, descriptor, made);
    if (outcome != OUTCOME_RIGHT) {
        (void)close(descriptor);
    } else {
        *claimed = descriptor;
    }
    return outcome;
}

enum outcome process_look(const char *path) {
    const char *fault;
    int descriptor = given_open(path, O_RDWR | O_NOFOLLOW, &fault), error = errno;
    enum outcome outcome = OUTCOME_RIGHT;

    if (descriptor < 0 && error == ENOENT) {
        error = given_makable(path);
        return error == 0 ? OUTCOME_RIGHT : refuse(path, strerror(error), outcome_of(error));
    }
    if (descriptor < 0) {
        return refuse(path, fault, outcome_of(error));
    }
    if (!left_over(descriptor)) {
        outcome = refuse(path, FOREIGN, OUTCOME_WRONG);
    }
    (void)close(descriptor);
    return outcome;
}

void process_unclaim(const char *path, int descriptor) {
    if (given_is(path, descriptor)) {
        (void)unlink(path);
    }
    (void)close(descriptor);
}

void process_share_heap(void) {
#ifdef M_ARENA_MAX
    (void)mallopt(M_ARENA_MAX, 1);
#endif
}

void process_take_signals(void) {
    static const int handled[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1};

    (void)sigemptyset(&taken);
    for (size_t i = 0; i < sizeof handled / sizeof *handled; i++) {
        (void)sigaddset(&taken, handled[i]);
    }
    (void)pthread_sigmask(SIG_BLOCK, &taken, NULL);
    (void)signal(SIGPIPE, SIG_IGN); /* sinks write to sockets with write() */
    (void)signal(SIGXFSZ, SIG_IGN); /* a limit on files is an error like any other */
}

enum process_wish process_wait(uint64_t ms) {
    const struct timespec time = {.tv_sec = (time_t)(ms / 1000),
                                  .tv_nsec = (long)(ms % 1000) * 1000000};
    int signal = sigtimedwait(&taken, NULL, &time);

    return signal < 0          ? PROCESS_NOTHING
           : signal == SIGHUP  ? PROCESS_RELOAD
           : signal == SIGUSR1 ? PROCESS_STATUS
                               : PROCESS_STOP;
}

/* In bytes. */
static uint64_t resident(void) {
    int file = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    char text[64], *at;
    ssize_t length = file < 0 ? 0 : read(file, text, sizeof text - 1);

    if (file >= 0) {
        (void)close(file);
    }
    text[length > 0 ? length : 0] = '\0';
    at = strchr(text, ' '); /* behind what is mapped */
    return at == NULL ? 0 : strtoull(at, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* Linux says it from 6.2 on; before that they are counted, but for the one that it takes to look.
 */
static uint64_t open_descriptors(void) {
    static const char path[] = "/proc/self/fd";
    struct stat status;
    uint64_t count = 0;
    DIR *directory;

    if (stat(path, &status) == 0 && status.st_size > 0) {
        return (uint64_t)status.st_size;
    }
    directory = opendir(path);
    if (directory != NULL) {
        while (readdir(directory) != NULL) {
            count++;
        }
        (void)closedir(directory);
    }
    return count > 3 ? count - 3 : 0; /* "." and ".." too */
}

void process_use(struct process_usage *usage) {
    struct rlimit limit;

    usage->rss = resident();
    usage->descriptors = open_descriptors();
    usage->descriptors_max =
        getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY ? limit.rlim_cur
                                                                                 : 0;
}

void process_let_signals_kill(void) {
    sigset_t ending;

    (void)sigemptyset(&ending);
    (void)sigaddset(&ending, SIGTERM);
    (void)sigaddset(&ending, SIGINT);
    (void)pthread_sigmask(SIG_UNBLOCK, &ending, NULL);
}
