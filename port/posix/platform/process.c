/* User, pid file, signals. Not here: what the process serves. */
#include "platform/process.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "platform/log.h"

static sigset_t taken;

bool process_become(const char *name) {
    const struct passwd *user = getpwnam(name);

    if (user == NULL) {
        log_line(CMCWH_LOG_ERROR, "--user: there is no user '%s'", name);
        return false;
    }
    if (geteuid() == user->pw_uid) {
        return true;
    }
    if (initgroups(name, user->pw_gid) != 0 || setgid(user->pw_gid) != 0 ||
        setuid(user->pw_uid) != 0) {
        log_line(CMCWH_LOG_ERROR, "--user: cannot become '%s': %s", name, strerror(errno));
        return false;
    }
    return true;
}

/* Locks the file and writes into it. */
static bool fill(int descriptor, const char *path) {
    char text[32];
    int length = snprintf(text, sizeof text, "%ld\n", (long)getpid());

    if (flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
        log_line(CMCWH_LOG_ERROR, "--pid-file: %s: another instance is running", path);
        return false;
    }
    if (ftruncate(descriptor, 0) != 0 || write(descriptor, text, (size_t)length) != length) {
        log_line(CMCWH_LOG_ERROR, "--pid-file: %s: %s", path, strerror(errno));
        (void)unlink(path);
        return false;
    }
    return true;
}

int process_claim(const char *path) {
    int descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);

    if (descriptor < 0) {
        log_line(CMCWH_LOG_ERROR, "--pid-file: %s: %s", path, strerror(errno));
    } else if (!fill(descriptor, path)) {
        (void)close(descriptor);
        descriptor = -1;
    }
    return descriptor;
}

void process_unclaim(const char *path, int descriptor) {
    (void)unlink(path);
    (void)close(descriptor);
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

void process_let_signals_kill(void) {
    sigset_t ending;

    (void)sigemptyset(&ending);
    (void)sigaddset(&ending, SIGTERM);
    (void)sigaddset(&ending, SIGINT);
    (void)pthread_sigmask(SIG_UNBLOCK, &ending, NULL);
}
