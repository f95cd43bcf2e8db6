/* The names in a certificate. Not here: whether anybody vouches for it. */
#include "tls/mbedtls/names.h"

#include <arpa/inet.h>
#include <mbedtls/oid.h>
#include <string.h>
#include <strings.h>

/* The tags of what stands in subjectAltName. */
enum {
    NAME = MBEDTLS_ASN1_CONTEXT_SPECIFIC | MBEDTLS_X509_SAN_DNS_NAME,
    ADDRESS = MBEDTLS_ASN1_CONTEXT_SPECIFIC | MBEDTLS_X509_SAN_IP_ADDRESS
};

/* How many bytes an address has; 0: it is none. */
static size_t read_address(const char *host, unsigned char bytes[16]) {
    return inet_pton(AF_INET, host, bytes) == 1    ? 4
           : inet_pton(AF_INET6, host, bytes) == 1 ? 16
                                                   : 0;
}

static bool same(const mbedtls_x509_buf *name, size_t from, const char *host) {
    return name->len - from == strlen(host) &&
           strncasecmp((const char *)name->p + from, host, name->len - from) == 0;
}

/* Does the name begin with a label that stands for any other? Not "*.com". */
static bool is_wild(const mbedtls_x509_buf *name) {
    size_t dots = 0;

    for (size_t i = 1; i < name->len; i++) {
        dots += name->p[i] == '.';
        if (name->p[i] == '*') {
            return false;
        }
    }
    return name->len > 1 && memcmp(name->p, "*.", 2) == 0 && dots >= 2;
}

static bool matches(const mbedtls_x509_buf *name, const char *host) {
    static const char label[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-";
    size_t first = strspn(host, label);

    return same(name, 0, host) || (first > 0 && is_wild(name) && same(name, 1, host + first));
}

static bool subject_matches(const mbedtls_x509_name *subject, const char *host) {
    for (; subject != NULL; subject = subject->next) {
        if (MBEDTLS_OID_CMP(MBEDTLS_OID_AT_CN, &subject->oid) == 0 &&
            matches(&subject->val, host)) {
            return true;
        }
    }
    return false;
}

bool tls_certificate_names(const mbedtls_x509_crt *certificate, const char *host) {
    unsigned char address[16];
    size_t length = read_address(host, address);
    bool named = length > 0; /* an address does not stand in the subject */

    if (host[0] == '\0') {
        return false;
    }
    for (const mbedtls_x509_sequence *each = &certificate->subject_alt_names; each != NULL;
         each = each->next) {
        const mbedtls_x509_buf *name = &each->buf;

        named = named || name->tag == NAME;
        if (length > 0 ? name->tag == ADDRESS && name->len == length &&
                             memcmp(name->p, address, length) == 0
                       : name->tag == NAME && matches(name, host)) {
            return true;
        }
    }
    return !named && subject_matches(&certificate->subject, host);
}
