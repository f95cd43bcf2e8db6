/* What a session of tls/session.h, and a trust of tls/client.h, are in OpenSSL: for those who open
 * one, or lend it to a library. */
#ifndef CMCWH_OPENSSL_H
#define CMCWH_OPENSSL_H

#include <openssl/ssl.h>

#include "tls/client.h"
#include "tls/session.h"

static inline SSL *tls_ssl(const struct tls *session) {
    return (SSL *)(void *)session;
}

static inline struct tls *tls_session(SSL *ssl) {
    return (struct tls *)(void *)ssl;
}

static inline SSL_CTX *tls_context(const struct tls_trust *trust) {
    return (SSL_CTX *)(void *)trust;
}

#endif
