/* TLS of those who come in, whatever library does it: nothing here waits. In a build without TLS
 * every function fails. */
#ifndef CMCWH_TLS_SERVER_H
#define CMCWH_TLS_SERVER_H

#include <stdint.h>

#include "tls/session.h"

/* Reads a certificate (with its chain) and its key, both PEM, for connections that begin from now
 * on. False: one line has said what is wrong, errno is the system's error (EINVAL when it has
 * none), and what was read before stays in force. One thread. */
bool tls_load(const char *certificate, const char *key);

/* Says when the certificate that was loaded, from this path, has ended, or will within 14 days. The
 * same thread. tls_load does it too. */
void tls_say_dates(const char *path);

/* When the certificate that was loaded ends, in ms since 1970; 0: none was. Any thread. */
uint64_t tls_expiry(void);

/* Is this name of a host one of those that the certificate in force is for? Any thread. */
bool tls_names(const char *host);

/* When no session is left. */
void tls_end(void);

/* Memory for sessions, taken at the start by a library that is small, so that no number of peers
 * can take more. A session that cannot be begun for want of it is refused. */
struct tls_room;

/* For so many sessions, of which some may be in their handshake at a time; of the others, some may
 * have read a part of what has come. NULL: no memory; one line has said so. When no session is
 * left, tls_room_close; NULL: nothing. */
struct tls_room *tls_room_open(unsigned sessions, unsigned shaking, unsigned reading);
void tls_room_close(struct tls_room *room);

/* A session of a peer that has come to us, over a socket that does not block, which stays the
 * caller's. Sessions can be resumed by their tickets, whose keys are in memory only: they end with
 * the process. NULL: no memory. Any thread. */
struct tls *tls_open(struct tls_room *room, int socket);

#endif
