/* TLS towards a peer that must prove who it is, as we may have to. In a build without TLS nothing
 * can be opened. */
#ifndef CMCWH_TLS_CLIENT_H
#define CMCWH_TLS_CLIENT_H

#include "tls/session.h"

/* Whose certificates are believed. Any thread, once it is open. */
struct tls_trust;

/* Those that `file` (PEM; one of a peer itself may stand there too) vouches for and no others;
 * NULL: those that the system trusts. `option` names the file in messages. NULL: one line has said
 * what is wrong with the file, errno is the system's error (EINVAL when it has none). */
struct tls_trust *tls_trust_open(const char *option, const char *file);

/* Who we are, to those who ask: files in PEM. The certificate's chain may stand behind it; the key
 * may be in the same file. The options name them in messages. */
struct tls_files {
    const char *certificate_option, *certificate;
    const char *key_option, *key;
};

/* Before the first session. False as tls_trust_open; then too, tls_trust_close. A certificate that
 * has expired, or ends within 14 days, is said, and taken. */
bool tls_trust_identify(struct tls_trust *trust, const struct tls_files *files);

/* NULL: nothing. When no session is left. */
void tls_trust_close(struct tls_trust *trust);

/* A session over a socket that does not block, which stays the caller's, with a peer whose
 * certificate must be for `host`, a name or an address. NULL: no memory, or no TLS. */
struct tls *tls_call(const struct tls_trust *trust, int socket, const char *host);

/* Why a handshake has come to nothing. */
enum tls_doubt {
    TLS_DOUBT_NONE,  /* the certificate is not what is wrong */
    TLS_DOUBT_TRUST, /* nobody who is believed vouches for it */
    TLS_DOUBT_NAME,  /* it is for somebody else */
    TLS_DOUBT_TIME   /* it has expired, or is not valid yet */
};

/* A step of the handshake, as tls_shake. With TLS_FAILS *doubt is set, and *why is what the library
 * says: static text, NULL when it says nothing. */
int tls_call_shake(struct tls *session, enum tls_doubt *doubt, const char **why);

/* What a library that opens sessions of its own is to expect of a peer, and what came of that. */
struct tls_loan {
    const char *host; /* its certificate must be for it, and it is asked for by this name */
    enum tls_doubt doubt;
    const char *why; /* static text; NULL: nothing has failed */
    bool refused;    /* `why` is what the peer says of us */
};

/* What OpenSSL calls an SSL_CTX, for such a library, one with one thread. The loan must stay as
 * long as the library has sessions. NULL: no memory, or no TLS. */
void *tls_trust_lend(struct tls_trust *trust, struct tls_loan *loan);

#endif
