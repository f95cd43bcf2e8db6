/* What a session of tls/session.h is in Mbed TLS, 2.28 or 3.6: for those who open one. */
#ifndef CMCWH_MBEDTLS_H
#define CMCWH_MBEDTLS_H

#include <mbedtls/ssl.h>
#include <mbedtls/version.h>
#include <stdbool.h>

#include "tls/server.h"

/* 2.28 hides no member of its structures, 3.6 many. */
#ifndef MBEDTLS_PRIVATE
#define MBEDTLS_PRIVATE(member) member
#endif

struct pool_place;

struct tls {
    mbedtls_ssl_context ssl; /* first: what Mbed TLS calls with it finds the rest */
    int socket;
    unsigned char alert; /* that the other side has sent */
    bool told;           /* the last record that we have sent was an alert */
    int error;           /* of Mbed TLS, which is none of its waits; 0: none was */
    unsigned records;    /* that have come in its handshake, or since there were bytes in one */

    struct tls_expected *expected; /* of a peer that we have called (client.c); NULL: none */

    /* Of those who come in. */
    struct pool_place *place;          /* NULL: it is on the heap, with what it takes */
    void (*done)(struct tls *session); /* the handshake has ended, or never will; NULL: nothing */
    void *shown;                       /* for that one */
    unsigned char counter[8];          /* of its records, while it has no buffers */
};

/* What all sessions have in common, servers' (MBEDTLS_SSL_IS_SERVER) and clients': versions,
 * ciphers, curves, random numbers, no renegotiation. False: no memory. */
bool tls_configure(mbedtls_ssl_config *config, int endpoint);

/* A session over a socket that does not block, which stays the caller's; in a place of that room,
 * or (NULL) on the heap. NULL: no memory. */
struct tls *tls_begin(const mbedtls_ssl_config *config, int socket, struct tls_room *room);

#endif
