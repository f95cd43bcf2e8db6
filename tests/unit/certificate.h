/* Keys and certificates for tests, by OpenSSL, whatever library the port has for TLS. */
#ifndef CMCWH_TEST_CERTIFICATE_H
#define CMCWH_TEST_CERTIFICATE_H

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <stddef.h>

struct made {
    EVP_PKEY *key;
    X509 *certificate;
};

/* Zero, or NULL: as most certificates are. */
struct plan {
    const char *subject;       /* its common name; NULL: "test" */
    const struct made *issuer; /* NULL: itself */
    long begins, ends;         /* it is valid, in s from now; 0: since an hour, for 30 days */
    int rsa;                   /* bits of its key; 0: P-256 */
    bool sha1;
    const char *names, *constraints, *usage; /* subjectAltName, basicConstraints, extendedKeyUsage,
                                              * as in openssl's configuration; NULL: none */
};

struct made make(const struct plan *plan);
void unmake(struct made *made);

enum { PEM_MOST = 8192 };

/* In PEM, behind what is in `text` (PEM_MOST bytes) already. A key may be locked with a pass
 * phrase.
 */
void add_certificate(char *text, const struct made *made);
void add_key(char *text, const struct made *made, bool locked);

#endif
