/* TLS by OpenSSL. Sessions share one context, which asks for the certificate at each handshake: so
 * a new one can be read while others are being served. Not here: who waits for what (door.c). */
#include "door/tls.h"

#include <errno.h>

#include "platform/given.h"
#include "platform/log.h"
#include "platform/tls_openssl.h"

#if CMCWH_TLS

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

static struct {
    SSL_CTX *context; /* of all connections; holds no certificate */
    SSL_CTX *current; /* never used for a connection: it holds what was read last */
    pthread_mutex_t mutex;
    uint64_t expiry; /* of its certificate; with the mutex held */
} tls = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static const char *reason(void) {
    unsigned long error = ERR_peek_error();
    const char *text = ERR_GET_REASON(error) == PEM_R_BAD_PASSWORD_READ
                           ? "it asks for a pass phrase, which must be taken off"
                           : ERR_reason_error_string(error);

    return text == NULL ? "not PEM, or not of the right kind" : text;
}

/* A key that asks for a pass phrase would stop an unattended start. */
static int no_pass_phrase(char *buffer, int size, int writing, void *unused) {
    (void)buffer;
    (void)size;
    (void)writing;
    (void)unused;
    return -1;
}

static bool refuse(const struct given *file, const char *fault) {
    bool memory = ERR_GET_REASON(ERR_peek_error()) == ERR_R_MALLOC_FAILURE;

    ERR_clear_error();
    return memory ? given_failed(file, NULL, ENOMEM) : given_wrong(file, 0, fault);
}

/* Its bytes are not `what`. */
static bool refuse_bytes(const struct given *file, const char *what) {
    char text[256];

    (void)snprintf(text, sizeof text, "expected %s in PEM: %s", what, reason());
    return refuse(file, text);
}

/* The certificates that stand behind the first one. */
static bool add_chain(SSL_CTX *context, BIO *bio) {
    X509 *next;

    while ((next = PEM_read_bio_X509(bio, NULL, no_pass_phrase, NULL)) != NULL) {
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

static bool use_certificate(SSL_CTX *context, const struct given *file) {
    BIO *bio = BIO_new_mem_buf(file->bytes, (int)file->length);
    X509 *first = bio == NULL ? NULL : PEM_read_bio_X509_AUX(bio, NULL, no_pass_phrase, NULL);
    bool right =
        first != NULL && SSL_CTX_use_certificate(context, first) == 1 && add_chain(context, bio);

    X509_free(first);
    (void)BIO_free(bio);
    return right || refuse_bytes(file, "a certificate with its chain");
}

static bool use_key(SSL_CTX *context, const struct given *file) {
    BIO *bio = BIO_new_mem_buf(file->bytes, (int)file->length);
    EVP_PKEY *key = bio == NULL ? NULL : PEM_read_bio_PrivateKey(bio, NULL, no_pass_phrase, NULL);
    bool fits = key != NULL && SSL_CTX_use_PrivateKey(context, key) == 1 &&
                SSL_CTX_check_private_key(context) == 1;
    bool read = key != NULL;

    EVP_PKEY_free(key);
    (void)BIO_free(bio);
    return fits || (read ? refuse(file, "it is not the key of the certificate")
                         : refuse_bytes(file, "a key"));
}

static bool load_certificate(SSL_CTX *context, const char *path) {
    struct given file;
    bool right = given_read(&file, "--tls-cert", path);

    if (right) {
        right = use_certificate(context, &file);
        given_free(&file);
    }
    return right;
}

static bool load_key(SSL_CTX *context, const char *path) {
    struct given file;
    bool right = given_read(&file, "--tls-key", path);

    if (right) {
        right = (file.mode & S_IRWXO) != 0
                    ? given_wrong(&file, 0, "others may read it: chmod 640, or 600")
                    : use_key(context, &file);
        given_free(&file);
    }
    return right;
}

/* A handshake wants a certificate. */
static int choose(SSL *connection, void *unused) {
    STACK_OF(X509) *chain = NULL;
    int right;

    (void)unused;
    (void)pthread_mutex_lock(&tls.mutex);
    (void)SSL_CTX_get0_chain_certs(tls.current, &chain);
    right = SSL_use_cert_and_key(connection, SSL_CTX_get0_certificate(tls.current),
                                 SSL_CTX_get0_privatekey(tls.current), chain, 1);
    (void)pthread_mutex_unlock(&tls.mutex);
    return right;
}

/* The context of all connections. */
static SSL_CTX *new_context(void) {
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());

    if (context == NULL) {
        return NULL;
    }
    (void)SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    (void)SSL_CTX_set_cipher_list(context, "ECDHE+AESGCM:ECDHE+CHACHA20");
    /* Where a body ends is in its headers. */
    (void)SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                           SSL_OP_IGNORE_UNEXPECTED_EOF);
    /* Memory does not grow with the number of clients: sessions are in their tickets. */
    (void)SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    (void)SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                        SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_cert_cb(context, choose, NULL);
    return context;
}

/* A device whose clock is not set yet must still start: said, not refused. */
void tls_say_dates(const char *path) {
    enum { SOON = 14 };
    const X509 *certificate = SSL_CTX_get0_certificate(tls.current);
    int days = 0, seconds = 0;

    (void)ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(certificate));
    if (days < 0 || seconds < 0) {
        log_line(CMCWH_LOG_WARN,
                 "--tls-cert: %s: the certificate has expired: senders will refuse it", path);
    } else if (X509_cmp_current_time(X509_get0_notBefore(certificate)) > 0) {
        log_line(CMCWH_LOG_WARN,
                 "--tls-cert: %s: the certificate is not valid yet, or the clock is wrong", path);
    } else if (days < SOON) {
        log_line(CMCWH_LOG_WARN,
                 "--tls-cert: %s: the certificate ends in %d day%s: renew it, then send SIGHUP",
                 path, days, days == 1 ? "" : "s");
    }
}

/* Of the certificate in this context. */
static uint64_t expiry_of(const SSL_CTX *context) {
    struct tm end;
    time_t seconds;

    if (ASN1_TIME_to_tm(X509_get0_notAfter(SSL_CTX_get0_certificate(context)), &end) != 1) {
        return 0;
    }
    seconds = timegm(&end);
    return seconds > 0 ? (uint64_t)seconds * 1000 : 1; /* long ago */
}

uint64_t tls_expiry(void) {
    uint64_t expiry;

    (void)pthread_mutex_lock(&tls.mutex);
    expiry = tls.expiry;
    (void)pthread_mutex_unlock(&tls.mutex);
    return expiry;
}

bool tls_load(const char *certificate, const char *key) {
    SSL_CTX *context = SSL_CTX_new(TLS_server_method()), *old;
    int error;

    if (tls.context == NULL) {
        tls.context = new_context();
    }
    if (context == NULL || tls.context == NULL) {
        SSL_CTX_free(context);
        (void)log_failure("memory for TLS", ENOMEM);
        errno = ENOMEM;
        return false;
    }
    if (!load_certificate(context, certificate) || !load_key(context, key)) {
        error = errno;
        SSL_CTX_free(context);
        errno = error;
        return false;
    }
    (void)pthread_mutex_lock(&tls.mutex);
    old = tls.current;
    tls.current = context;
    tls.expiry = expiry_of(context);
    (void)pthread_mutex_unlock(&tls.mutex);
    SSL_CTX_free(old);
    tls_say_dates(certificate);
    return true;
}

struct tls *tls_open(int socket) {
    SSL *session = tls.context == NULL ? NULL : SSL_new(tls.context);

    if (session != NULL && SSL_set_fd(session, socket) != 1) {
        SSL_free(session);
        session = NULL;
    }
    if (session != NULL) {
        SSL_set_accept_state(session);
    }
    ERR_clear_error();
    return tls_session(session);
}

bool tls_names(const char *host) {
    X509 *certificate;
    bool named;

    (void)pthread_mutex_lock(&tls.mutex);
    certificate = tls.current == NULL ? NULL : SSL_CTX_get0_certificate(tls.current);
    named = certificate != NULL && X509_check_host(certificate, host, 0, 0, NULL) == 1;
    (void)pthread_mutex_unlock(&tls.mutex);
    ERR_clear_error();
    return named;
}

void tls_end(void) {
    SSL_CTX_free(tls.context);
    SSL_CTX_free(tls.current);
    tls.context = tls.current = NULL;
}

#else

void tls_say_dates(const char *path) {
    (void)path;
}

bool tls_load(const char *certificate, const char *key) {
    (void)certificate;
    (void)key;
    log_line(CMCWH_LOG_ERROR, "--tls-cert: this build has no TLS");
    errno = EINVAL;
    return false;
}

struct tls *tls_open(int socket) {
    (void)socket;
    return NULL;
}

uint64_t tls_expiry(void) {
    return 0;
}

bool tls_names(const char *host) {
    (void)host;
    return false;
}

void tls_end(void) {
}

#endif
