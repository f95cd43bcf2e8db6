/* Who we are in TLS, on whichever side: a certificate with its chain, and its key, from files. For
 * those who open sessions by OpenSSL. */
#ifndef CMCWH_OPENSSL_IDENTITY_H
#define CMCWH_OPENSSL_IDENTITY_H

#include <openssl/ssl.h>
#include <stdbool.h>

#include "tls/dates.h"

/* Gives a context the certificate in a file; behind it the chain may stand. False: one line has
 * said what is wrong with the file, which `option` has named; errno is the system's error (EINVAL
 * when it has none). */
bool tls_use_certificate(SSL_CTX *context, const char *option, const char *path);

/* Gives it the key of that certificate: others may not read its file. False likewise. */
bool tls_use_key(SSL_CTX *context, const char *option, const char *path);

/* When the certificate of a context is valid. */
struct tls_dates tls_dates_of(const SSL_CTX *context);

#endif
