/* What a session of tls/session.h is in Mbed TLS, 2.28 or 3.6: for those who open one. */
#ifndef CMCWH_MBEDTLS_H
#define CMCWH_MBEDTLS_H

#include <mbedtls/ssl.h>
#include <mbedtls/version.h>
#include <stdbool.h>

#include "tls/session.h"

/* 2.28 hides no member of its structures, 3.6 many. */
#ifndef MBEDTLS_PRIVATE
#define MBEDTLS_PRIVATE(member) member
#endif

struct tls {
    mbedtls_ssl_context ssl;
    int socket;
    int error; /* of Mbed TLS, the last that was none of its waits; 0: none was */
    struct tls_expected *expected; /* of a peer that we have called (client.c); NULL: none */
};

/* What all sessions have in common, servers' (MBEDTLS_SSL_IS_SERVER) and clients': versions,
 * ciphers, curves, random numbers, no renegotiation. False: no memory. */
bool tls_configure(mbedtls_ssl_config *config, int endpoint);

/* A session over a socket that does not block, which stays the caller's. NULL: no memory. */
struct tls *tls_begin(const mbedtls_ssl_config *config, int socket);

#endif
