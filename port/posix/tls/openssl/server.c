/* TLS by OpenSSL. Sessions share one context, which asks for the certificate at each handshake: so
 * a new one can be read while others are being served. Not here: who waits for what (door.c). */
#include "tls/server.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>

#include "platform/log.h"
#include "tls/openssl/identity.h"
#include "tls/openssl/openssl.h"

static struct {
    SSL_CTX *context; /* of all connections; holds no certificate */
    SSL_CTX *current; /* never used for a connection: it holds what was read last */
    pthread_mutex_t mutex;
    uint64_t expiry; /* of its certificate; with the mutex held */
} tls = {.mutex = PTHREAD_MUTEX_INITIALIZER};

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
    /* Where a body ends is in its headers. The order of ciphers is ours, but who wants ChaCha20
     * first has no instructions for AES. */
    (void)SSL_CTX_set_options(
        context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_IGNORE_UNEXPECTED_EOF |
                     SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    /* Memory does not grow with the number of clients: sessions are in their tickets. */
    (void)SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    (void)SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                        SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_cert_cb(context, choose, NULL);
    return context;
}

void tls_say_dates(const char *path) {
    const struct tls_dates dates = tls_dates_of(tls.current);

    tls_dates_say(&dates, "--tls-cert", path, "senders");
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
    struct tls_dates dates;
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
    if (!tls_use_certificate(context, "--tls-cert", certificate) ||
        !tls_use_key(context, "--tls-key", key)) {
        error = errno;
        SSL_CTX_free(context);
        errno = error;
        return false;
    }
    dates = tls_dates_of(context);
    (void)pthread_mutex_lock(&tls.mutex);
    old = tls.current;
    tls.current = context;
    tls.expiry = tls_dates_end(&dates);
    (void)pthread_mutex_unlock(&tls.mutex);
    SSL_CTX_free(old);
    tls_say_dates(certificate);
    return true;
}

/* OpenSSL takes its memory where it likes. */
static struct tls_room { char unused; } nowhere;

struct tls_room *tls_room_open(unsigned sessions, unsigned shaking, unsigned reading) {
    (void)sessions;
    (void)shaking;
    (void)reading;
    return &nowhere;
}

void tls_room_close(struct tls_room *room) {
    (void)room;
}

struct tls *tls_open(struct tls_room *room, int socket) {
    SSL *session = tls.context == NULL ? NULL : SSL_new(tls.context);

    (void)room;
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
