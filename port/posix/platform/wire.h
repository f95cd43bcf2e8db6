/* Bytes of a connection that does not block, over TLS or plain. */
#ifndef CMCWH_WIRE_H
#define CMCWH_WIRE_H

#include <stdbool.h>
#include <stddef.h>

#include "tls/session.h"

/* After a call of a socket that failed: only because it would have had to wait? */
bool wire_waits(void);

/* As tls_read and tls_write; without a session (NULL), the bytes of the socket. */
int wire_read(struct tls *session, int socket, void *bytes, size_t length);
int wire_write(struct tls *session, int socket, const void *bytes, size_t length);

#endif
