/* A connection over TLS, whoever began it, and whatever library does it: nothing here waits. In a
 * build without TLS every function fails. */
#ifndef CMCWH_TLS_SESSION_H
#define CMCWH_TLS_SESSION_H

#include <stdbool.h>
#include <stddef.h>

/* Is TLS built in? */
bool tls_built_in(void);

/* What does it, with its version. NULL: nothing. */
const char *tls_library(void);

/* A session is used by one thread at a time. tls/server.h and tls/client.h open one. */
struct tls;

/* What a function that returns no number of bytes has to say. */
enum tls_result {
    TLS_READS = -1,  /* go on when more can be read */
    TLS_WRITES = -2, /* go on when more can be written */
    TLS_FAILS = -3   /* the connection is of no use any more */
};

/* A step of the handshake. 0: it is done; else one of tls_result. */
int tls_shake(struct tls *session);

/* Bytes read or written; 0 from tls_read: the other side has ended; else one of tls_result. What
 * could not be written is to be given again as it was. */
int tls_read(struct tls *session, void *bytes, size_t length);
int tls_write(struct tls *session, const void *bytes, size_t length);

/* After tls_read or tls_write has failed: what the other side has told us before it ended, such as
 * that it wants a certificate. Static text of the library; NULL: nothing. */
const char *tls_alert(const struct tls *session);

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
