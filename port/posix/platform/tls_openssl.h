/* What a session of tls_session.h is in OpenSSL: for those who open one. Needs TLS built in. */
#ifndef CMCWH_TLS_OPENSSL_H
#define CMCWH_TLS_OPENSSL_H

#if CMCWH_TLS

#include <openssl/ssl.h>

#include "platform/tls_session.h"

static inline SSL *tls_ssl(const struct tls *session) {
    return (SSL *)(void *)session;
}

static inline struct tls *tls_session(SSL *ssl) {
    return (struct tls *)(void *)ssl;
}

#endif

#endif
