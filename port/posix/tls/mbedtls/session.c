/* A connection over TLS by Mbed TLS. Not here: certificates, of whichever side. */
#include "tls/session.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "platform/wire.h"
#include "tls/mbedtls/mbedtls.h"
#include "tls/mbedtls/random.h"

bool tls_built_in(void) {
    return true;
}

/* ---- Configuration ---- */

/* Best first: a small processor has no AES of its own, but who calls may know better. */
static const int suites[] = {MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
                             MBEDTLS_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
                             MBEDTLS_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
                             MBEDTLS_TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
                             MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
                             MBEDTLS_TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
                             0};

bool tls_configure(mbedtls_ssl_config *config, int endpoint) {
    mbedtls_ssl_config_init(config);
    if (mbedtls_ssl_config_defaults(config, endpoint, MBEDTLS_SSL_TRANSPORT_STREAM,
                                    MBEDTLS_SSL_PRESET_DEFAULT) != 0) {
        return false;
    }
#if MBEDTLS_VERSION_NUMBER < 0x03000000
    mbedtls_ssl_conf_min_version(config, MBEDTLS_SSL_MAJOR_VERSION_3, MBEDTLS_SSL_MINOR_VERSION_3);
#else
    mbedtls_ssl_conf_min_tls_version(config, MBEDTLS_SSL_VERSION_TLS1_2);
    mbedtls_ssl_conf_max_tls_version(config, MBEDTLS_SSL_VERSION_TLS1_2);
#endif
    mbedtls_ssl_conf_ciphersuites(config, suites);
    mbedtls_ssl_conf_rng(config, tls_random, NULL);
    return true;
}

/* ---- The socket ---- */

static int send_bytes(void *session, const unsigned char *bytes, size_t length) {
    ssize_t went = send(((const struct tls *)session)->socket, bytes, length, MSG_NOSIGNAL);

    return went >= 0 ? (int)went : wire_waits() ? MBEDTLS_ERR_SSL_WANT_WRITE
                                                : MBEDTLS_ERR_SSL_CONN_EOF;
}

static int receive_bytes(void *session, unsigned char *bytes, size_t length) {
    ssize_t came = recv(((const struct tls *)session)->socket, bytes, length, 0);

    return came >= 0 ? (int)came : wire_waits() ? MBEDTLS_ERR_SSL_WANT_READ
                                                : MBEDTLS_ERR_SSL_CONN_EOF;
}

struct tls *tls_begin(const mbedtls_ssl_config *config, int socket) {
    struct tls *session = calloc(1, sizeof *session);

    if (session == NULL) {
        return NULL;
    }
    mbedtls_ssl_init(&session->ssl);
    if (mbedtls_ssl_setup(&session->ssl, config) != 0) {
        tls_close(session);
        return NULL;
    }
    session->socket = socket;
    mbedtls_ssl_set_bio(&session->ssl, session, send_bytes, receive_bytes, NULL);
    return session;
}

/* ---- Steps ---- */

/* What a negative result of Mbed TLS means. */
static int outcome(struct tls *session, int result) {
    if (result == MBEDTLS_ERR_SSL_WANT_READ) {
        return TLS_READS;
    }
    if (result == MBEDTLS_ERR_SSL_WANT_WRITE) {
        return TLS_WRITES;
    }
    session->error = result;
    return TLS_FAILS;
}

int tls_shake(struct tls *session) {
    int result = mbedtls_ssl_handshake(&session->ssl);

    return result == 0 ? 0 : outcome(session, result);
}

int tls_read(struct tls *session, void *bytes, size_t length) {
    int result = mbedtls_ssl_read(&session->ssl, bytes, length);

    /* Where a body ends is in its headers. */
    return result == MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY || result == MBEDTLS_ERR_SSL_CONN_EOF ? 0
           : result >= 0                                                                      ? result
                                                         : outcome(session, result);
}

int tls_write(struct tls *session, const void *bytes, size_t length) {
    int result = mbedtls_ssl_write(&session->ssl, bytes, length);

    return result >= 0 ? result : outcome(session, result);
}

const char *tls_alert(const struct tls *session) {
    return session->error == MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE ? "an alert" : NULL;
}

void tls_alone(struct tls *session, bool alone) {
    (void)session;
    (void)alone;
}

bool tls_pending(const struct tls *session) {
    return mbedtls_ssl_get_bytes_avail(&session->ssl) > 0 ||
           mbedtls_ssl_check_pending(&session->ssl) != 0 ||
           session->ssl.MBEDTLS_PRIVATE(in_left) > 0;
}

void tls_bye(struct tls *session) {
    (void)mbedtls_ssl_close_notify(&session->ssl);
}

void tls_close(struct tls *session) {
    if (session != NULL) {
        mbedtls_ssl_free(&session->ssl);
        free(session->expected);
        free(session);
    }
}
