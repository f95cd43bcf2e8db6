/* A certificate and its key, from files, for OpenSSL. Not here: whom they are shown to. */
#include "tls/openssl/identity.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "platform/given.h"
#include "platform/log.h"
#include "tls/faults.h"

/* A key that asks for a pass phrase would stop an unattended start. */
static int no_pass_phrase(char *buffer, int size, int writing, void *asked) {
    (void)buffer;
    (void)size;
    (void)writing;
    *(bool *)asked = true;
    return -1;
}

static bool refuse(const struct given *file, const char *fault) {
    bool memory = ERR_GET_REASON(ERR_peek_error()) == ERR_R_MALLOC_FAILURE;

    ERR_clear_error();
    return memory ? given_failed(file, NULL, ENOMEM) : given_wrong(file, 0, fault);
}

/* What the last error means to a person. What OpenSSL says of damaged bytes depends on which of its
 * readers has seen them last. */
static const char *fault_of(unsigned long error) {
    const char *reason = ERR_reason_error_string(error);

    if (ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE) {
        return TLS_FAULT_NONE;
    }
    if (ERR_GET_LIB(error) == ERR_LIB_SSL && reason != NULL) {
        return ERR_GET_REASON(error) == SSL_R_EE_KEY_TOO_SMALL ? TLS_FAULT_SMALL : reason;
    }
    return TLS_FAULT_DAMAGED;
}

/* Its bytes are not `what`. */
static bool refuse_bytes(const struct given *file, const char *what, bool asked) {
    char text[256];

    (void)snprintf(text, sizeof text, "expected %s in PEM: %s", what,
                   asked ? TLS_FAULT_LOCKED : fault_of(ERR_peek_error()));
    return refuse(file, text);
}

/* The certificates that stand behind the first one. */
static bool add_chain(SSL_CTX *context, BIO *bio, bool *asked) {
    X509 *next;

    while ((next = PEM_read_bio_X509(bio, NULL, no_pass_phrase, asked)) != NULL) {
        if (SSL_CTX_add0_chain_cert(context, next) != 1) {
            X509_free(next);
            return false;
        }
    }
    if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE) {
        return false; /* something is there, and it is none */
    }
    ERR_clear_error();
    return true;
}

static bool take_certificate(SSL_CTX *context, const struct given *file) {
    BIO *bio = BIO_new_mem_buf(file->bytes, (int)file->length);
    bool asked = false;
    X509 *first = bio == NULL ? NULL : PEM_read_bio_X509_AUX(bio, NULL, no_pass_phrase, &asked);
    bool right = first != NULL && SSL_CTX_use_certificate(context, first) == 1 &&
                 add_chain(context, bio, &asked);

    X509_free(first);
    (void)BIO_free(bio);
    return right || refuse_bytes(file, "a certificate with its chain", asked);
}

static bool take_key(SSL_CTX *context, const struct given *file) {
    BIO *bio = BIO_new_mem_buf(file->bytes, (int)file->length);
    bool asked = false;
    EVP_PKEY *key = bio == NULL ? NULL : PEM_read_bio_PrivateKey(bio, NULL, no_pass_phrase, &asked);
    bool fits = key != NULL && SSL_CTX_use_PrivateKey(context, key) == 1 &&
                SSL_CTX_check_private_key(context) == 1;
    bool read = key != NULL;

    EVP_PKEY_free(key);
    (void)BIO_free(bio);
    if (!read && strstr(file->bytes, "PRIVATE KEY-----") == NULL) {
        return refuse(file, "expected a key in PEM: " TLS_FAULT_NONE);
    }
    return fits || (read ? refuse(file, TLS_FAULT_OTHER) : refuse_bytes(file, "a key", asked));
}

bool tls_use_certificate(SSL_CTX *context, const char *option, const char *path) {
    struct given file;
    bool right = given_read(&file, option, path);

    if (right) {
        right = take_certificate(context, &file);
        given_free(&file);
    }
    return right;
}

bool tls_use_key(SSL_CTX *context, const char *option, const char *path) {
    struct given file;
    bool right = given_read(&file, option, path);

    if (right) {
        right = (file.mode & S_IRWXO) != 0 ? given_wrong(&file, 0, TLS_FAULT_OPEN)
                                           : take_key(context, &file);
        given_free(&file);
    }
    return right;
}

/* -1: in a way that nobody can read. */
static time_t seconds_of(const ASN1_TIME *time) {
    struct tm fields;

    return ASN1_TIME_to_tm(time, &fields) == 1 ? timegm(&fields) : -1;
}

struct tls_dates tls_dates_of(const SSL_CTX *context) {
    const X509 *certificate = SSL_CTX_get0_certificate(context);

    return (struct tls_dates){.from = seconds_of(X509_get0_notBefore(certificate)),
                              .until = seconds_of(X509_get0_notAfter(certificate))};
}
