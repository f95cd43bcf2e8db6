/* Whom the system trusts: certificates in its files, which are looked through when one is needed,
 * and not kept in memory, where all of them would take more than the rest of this program. */
#ifndef CMCWH_MBEDTLS_SYSTEM_H
#define CMCWH_MBEDTLS_SYSTEM_H

#include <mbedtls/x509_crt.h>

/* Where: as OpenSSL, $SSL_CERT_FILE or the system's own, then the directories in $SSL_CERT_DIR or
 * the system's own, of which only files are looked at that are named by their hash (see
 * openssl-rehash(1)). */
enum tls_system { TLS_SYSTEM_FILE, TLS_SYSTEM_DIRECTORIES, TLS_SYSTEM_END };

/* Adds to `found` the certificates there that may have signed one of `chain`, or are it. What
 * cannot be read is not there. */
void tls_system_find(enum tls_system where, const mbedtls_x509_crt *chain, mbedtls_x509_crt *found);

#endif
