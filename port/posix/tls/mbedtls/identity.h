/* Who we are in TLS, on whichever side: a certificate with its chain, and its key, from files. For
 * those who open sessions by Mbed TLS. */
#ifndef CMCWH_MBEDTLS_IDENTITY_H
#define CMCWH_MBEDTLS_IDENTITY_H

#include <mbedtls/pk.h>
#include <mbedtls/x509_crt.h>
#include <stdbool.h>

#include "tls/client.h"
#include "tls/dates.h"

struct tls_identity {
    mbedtls_x509_crt certificate; /* behind it what else stands in its file: the chain */
    mbedtls_pk_context key;
};

/* Reads both. False: one line has said what is wrong with a file, which its option has named; errno
 * is the system's error (EINVAL when it has none), and there is nothing to free. */
bool tls_identity_read(struct tls_identity *identity, const struct tls_files *files);

/* Of one that was read. */
void tls_identity_free(struct tls_identity *identity);

/* Of its certificate. */
struct tls_dates tls_identity_dates(const struct tls_identity *identity);

/* All certificates of a text in PEM, which ends with a zero, and `length` before it; other things
 * may stand between them. 0, or an error of Mbed TLS; what came before it is in the list. */
int tls_read_certificates(mbedtls_x509_crt *list, const char *text, size_t length);

/* What such an error means to a person. */
const char *tls_read_fault(int error);

#endif
