/* Bytes of a connection, over TLS or plain. */
#include "platform/wire.h"

#include <errno.h>
#include <sys/socket.h>

bool wire_waits(void) {
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
}

/* What a call of the socket says as tls_read and tls_write would. */
static int of_socket(ssize_t result, int waits) {
    return result >= 0 ? (int)result : wire_waits() ? waits : TLS_FAILS;
}

int wire_read(struct tls *session, int socket, void *bytes, size_t length) {
    return session != NULL ? tls_read(session, bytes, length)
                           : of_socket(recv(socket, bytes, length, 0), TLS_READS);
}

int wire_write(struct tls *session, int socket, const void *bytes, size_t length) {
    return session != NULL ? tls_write(session, bytes, length)
                           : of_socket(send(socket, bytes, length, MSG_NOSIGNAL), TLS_WRITES);
}
