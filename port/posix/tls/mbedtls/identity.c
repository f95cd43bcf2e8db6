/* A certificate and its key, from files, for Mbed TLS. Not here: whom they are shown to. */
#include "tls/mbedtls/identity.h"

#include <errno.h>
#include <mbedtls/error.h>
#include <mbedtls/pem.h>
#include <mbedtls/version.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "platform/given.h"
#include "platform/log.h"
#include "tls/faults.h"
#include "tls/mbedtls/random.h"

static const char begins[] = "-----BEGIN CERTIFICATE-----";

int tls_read_certificates(mbedtls_x509_crt *list, const char *text, size_t length) {
    const mbedtls_x509_crt *last = list;
    size_t begun = 0, read = 0;
    int error;

    for (const char *at = strstr(text, begins); at != NULL; at = strstr(at + 1, begins)) {
        begun++;
    }
    if (begun == 0) { /* Mbed TLS would take it for DER */
        return MBEDTLS_ERR_PEM_NO_HEADER_FOOTER_PRESENT;
    }
    error = mbedtls_x509_crt_parse(list, (const unsigned char *)text, length + 1);
    for (; error == 0 && last != NULL; last = last->next) {
        read++;
    }
    return error > 0 || (error == 0 && read < begun) ? MBEDTLS_ERR_PEM_INVALID_DATA : error;
}

static bool is_memory(int error) {
    return error == MBEDTLS_ERR_X509_ALLOC_FAILED || error == MBEDTLS_ERR_PEM_ALLOC_FAILED ||
           error == MBEDTLS_ERR_PK_ALLOC_FAILED;
}

/* The library's own words take more room than the rest of it. What is wrong within a structure is
 * in the lower bits. */
const char *tls_read_fault(int error) {
    switch (-(-error & 0xFF80)) {
    case MBEDTLS_ERR_PEM_NO_HEADER_FOOTER_PRESENT:
        return TLS_FAULT_NONE;
    case MBEDTLS_ERR_X509_UNKNOWN_SIG_ALG:
        return "it is signed in a way that this build does not know: RSA or ECDSA, with SHA-256 or "
               "longer";
    case MBEDTLS_ERR_PK_UNKNOWN_PK_ALG:
    case MBEDTLS_ERR_PK_UNKNOWN_NAMED_CURVE:
    case MBEDTLS_ERR_PK_FEATURE_UNAVAILABLE:
        return "it is of a kind that this build does not know: RSA, or ECDSA with P-256 or P-384";
    default:
        return TLS_FAULT_DAMAGED;
    }
}

/* Its bytes are not `what`. */
static bool refuse(const struct given *file, const char *what, int error) {
    bool locked = strstr(file->bytes, "Proc-Type: 4,ENCRYPTED") != NULL ||
                  strstr(file->bytes, "BEGIN ENCRYPTED PRIVATE KEY-----") != NULL;
    char text[160];

    if (is_memory(error)) {
        return given_failed(file, NULL, ENOMEM);
    }
    (void)snprintf(text, sizeof text, "expected %s in PEM: %s", what,
                   locked ? TLS_FAULT_LOCKED : tls_read_fault(error));
    return given_wrong(file, 0, text);
}

static int parse_key(mbedtls_pk_context *key, const struct given *file) {
    const unsigned char *text = (const unsigned char *)file->bytes;

    if (strstr(file->bytes, "PRIVATE KEY-----") == NULL) { /* it would be taken for DER */
        return MBEDTLS_ERR_PEM_NO_HEADER_FOOTER_PRESENT;
    }
#if MBEDTLS_VERSION_MAJOR < 3
    return mbedtls_pk_parse_key(key, text, file->length + 1, NULL, 0);
#else
    return mbedtls_pk_parse_key(key, text, file->length + 1, NULL, 0, tls_random, NULL);
#endif
}

static bool is_pair(const mbedtls_pk_context *public, const mbedtls_pk_context *key) {
#if MBEDTLS_VERSION_MAJOR < 3
    return mbedtls_pk_check_pair(public, key) == 0;
#else
    return mbedtls_pk_check_pair(public, key, tls_random, NULL) == 0;
#endif
}

static bool take_key(struct tls_identity *identity, const struct given *file) {
    int error;

    if ((file->mode & S_IRWXO) != 0) {
        return given_wrong(file, 0, TLS_FAULT_OPEN);
    }
    error = parse_key(&identity->key, file);
    if (error != 0) {
        return refuse(file, "a key", error);
    }
    return is_pair(&identity->certificate.pk, &identity->key) ||
           given_wrong(file, 0, TLS_FAULT_OTHER);
}

static bool is_small(const mbedtls_pk_context *key) {
    return mbedtls_pk_can_do(key, MBEDTLS_PK_RSA) && mbedtls_pk_get_bitlen(key) < TLS_RSA_LEAST;
}

static bool take_certificate(struct tls_identity *identity, const struct given *file) {
    int error = tls_read_certificates(&identity->certificate, file->bytes, file->length);

    if (error != 0) {
        return refuse(file, "a certificate with its chain", error);
    }
    return !is_small(&identity->certificate.pk) ||
           given_wrong(file, 0, "expected a certificate with its chain in PEM: " TLS_FAULT_SMALL);
}

static bool take(struct tls_identity *identity, const char *option, const char *path,
                 bool (*from)(struct tls_identity *, const struct given *)) {
    struct given file;
    bool right = given_read(&file, option, path);

    if (right) {
        right = from(identity, &file);
        given_free(&file);
    }
    return right;
}

bool tls_identity_read(struct tls_identity *identity, const struct tls_files *files) {
    int error;

    mbedtls_x509_crt_init(&identity->certificate);
    mbedtls_pk_init(&identity->key);
    if (take(identity, files->certificate_option, files->certificate, take_certificate) &&
        take(identity, files->key_option, files->key, take_key)) {
        return true;
    }
    error = errno;
    tls_identity_free(identity);
    errno = error;
    return false;
}

void tls_identity_free(struct tls_identity *identity) {
    mbedtls_x509_crt_free(&identity->certificate);
    mbedtls_pk_free(&identity->key);
}

static time_t seconds_of(const mbedtls_x509_time *time) {
    struct tm fields = {.tm_year = time->year - 1900,
                        .tm_mon = time->mon - 1,
                        .tm_mday = time->day,
                        .tm_hour = time->hour,
                        .tm_min = time->min,
                        .tm_sec = time->sec};

    return timegm(&fields);
}

struct tls_dates tls_identity_dates(const struct tls_identity *identity) {
    return (struct tls_dates){.from = seconds_of(&identity->certificate.valid_from),
                              .until = seconds_of(&identity->certificate.valid_to)};
}
