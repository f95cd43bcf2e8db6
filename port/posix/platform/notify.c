/* The protocol of systemd's sd_notify, which others speak too: a datagram with the state. Not here:
 * when to say what (command/serve.c). */
#include "platform/notify.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "platform/log.h"

void notify(const char *state) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char *name = getenv("NOTIFY_SOCKET");
    size_t length = name == NULL ? 0 : strlen(name);
    int descriptor;

    if (length < 2 || length >= sizeof address.sun_path || (name[0] != '/' && name[0] != '@')) {
        return;
    }
    memcpy(address.sun_path, name, length);
    if (name[0] == '@') { /* a name of the kernel's own, in no directory */
        address.sun_path[0] = '\0';
    }
    descriptor = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (descriptor < 0 ||
        sendto(descriptor, state, strlen(state), MSG_NOSIGNAL | MSG_DONTWAIT,
               (const struct sockaddr *)&address,
               (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length)) < 0) {
        log_line(CMCWH_LOG_DEBUG, "the service manager cannot be told: %s", state);
    }
    if (descriptor >= 0) {
        (void)close(descriptor);
    }
}
