/* What a session of tls_session.h, and a trust of tls_client.h, are in OpenSSL: for those who open
 * one, or lend it to a library. Needs TLS built in. */
#ifndef CMCWH_TLS_OPENSSL_H
#define CMCWH_TLS_OPENSSL_H

#if CMCWH_TLS

#include <openssl/ssl.h>

#include "platform/tls_client.h"
#include "platform/tls_session.h"

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

#endif
