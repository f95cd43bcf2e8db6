/* TLS of a connection, whatever library does it: nothing here waits. In a build without TLS every
 * function fails. */
#ifndef CMCWH_TLS_H
#define CMCWH_TLS_H

#include <stdbool.h>
#include <stddef.h>

/* Is TLS built in? */
bool tls_built_in(void);

/* Reads a certificate (with its chain) and its key, both PEM, for connections that begin from now
 * on. False: one line has said what is wrong, errno is the system's error (EINVAL when it has
 * none), and what was read before stays in force. One thread. */
bool tls_load(const char *certificate, const char *key);

/* Says when the certificate that was loaded, from this path, has ended, or will within 14 days. The
 * same thread. tls_load does it too. */
void tls_say_dates(const char *path);

/* When no session is left. */
void tls_end(void);

/* A session is used by one thread at a time. Sessions can be resumed by their tickets, whose keys
 * are in memory only: they end with the process. */
struct tls;

/* What a function that returns no number of bytes has to say. */
enum tls_result {
    TLS_READS = -1,  /* go on when more can be read */
    TLS_WRITES = -2, /* go on when more can be written */
    TLS_FAILS = -3   /* the connection is of no use any more */
};

/* A session over a socket that does not block, which stays the caller's. NULL: no memory. */
struct tls *tls_open(int socket);

/* A step of the handshake. 0: it is done; else one of tls_result. */
int tls_shake(struct tls *session);

/* Bytes read or written; 0 from tls_read: the other side has ended; else one of tls_result. What
 * could not be written is to be given again as it was. */
int tls_read(struct tls *session, void *bytes, size_t length);
int tls_write(struct tls *session, const void *bytes, size_t length);

/* Is the next record all that there is in the socket? Then it is read in one go; never more than
 * it, for what is read ahead takes memory while the connection rests. */
void tls_alone(struct tls *session, bool alone);

/* Has more been read from the socket than was asked for? */
bool tls_pending(const struct tls *session);

/* Tells the other side that nothing more comes, as far as that can be said at once. */
void tls_bye(struct tls *session);

/* NULL: nothing. */
void tls_close(struct tls *session);

#endif
