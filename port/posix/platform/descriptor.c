/* Writing without waiting where others write too, and syncs. Not here: what is written. */
#include "platform/descriptor.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <unistd.h>

int descriptor_again(int descriptor, int flags) {
    char name[32];

    (void)snprintf(name, sizeof name, "/proc/self/fd/%d", descriptor);
    return open(name, flags | O_NOCTTY | O_CLOEXEC);
}

/* A pipe that can be written to has room for PIPE_BUF bytes. */
ssize_t descriptor_try(int descriptor, const void *bytes, size_t length) {
    struct pollfd entry = {.fd = descriptor, .events = POLLOUT};
    ssize_t sent = send(descriptor, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL);

    if (sent >= 0 || errno != ENOTSOCK) {
        return sent;
    }
    if (poll(&entry, 1, 0) <= 0) {
        errno = EAGAIN;
        return -1;
    }
    return write(descriptor, bytes, length < PIPE_BUF ? length : PIPE_BUF);
}

int descriptor_sync(int descriptor) {
    struct statvfs system;

    if (fdatasync(descriptor) != 0) {
        return -1;
    }
    /* Afterwards: before it, the system could still change its mind. */
    if (fstatvfs(descriptor, &system) == 0 && (system.f_flag & ST_RDONLY) != 0) {
        errno = EROFS;
        return -1;
    }
    return 0;
}
