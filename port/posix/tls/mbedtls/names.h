/* Is a certificate for a host? As OpenSSL sees it: Mbed TLS 2.28 knows no addresses, and takes
 * wildcards that are wider. */
#ifndef CMCWH_MBEDTLS_NAMES_H
#define CMCWH_MBEDTLS_NAMES_H

#include <mbedtls/x509_crt.h>
#include <stdbool.h>

/* Does the certificate name the host, a name or an address? Names stand in subjectAltName, or, when
 * no name does, in the subject; an asterisk is one whole label, the first of three or more. */
bool tls_certificate_names(const mbedtls_x509_crt *certificate, const char *host);

#endif
