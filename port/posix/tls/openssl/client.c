/* TLS towards a peer, by OpenSSL. Not here: sockets, and who waits for what. */
#include "tls/client.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "platform/given.h"
#include "platform/log.h"
#include "platform/network.h"
#include "tls/openssl/identity.h"
#include "tls/openssl/openssl.h"

static struct tls_trust *trust_of(SSL_CTX *context) {
    return (struct tls_trust *)(void *)context;
}

/* How many certificates there are; -1: what is there is none. */
static int add_certificates(X509_STORE *store, const struct given *file) {
    BIO *bio = BIO_new_mem_buf(file->bytes, (int)file->length);
    X509 *certificate;
    int count = 0;

    while (bio != NULL && count >= 0 &&
           (certificate = PEM_read_bio_X509_AUX(bio, NULL, NULL, NULL)) != NULL) {
        count = X509_STORE_add_cert(store, certificate) == 1 ? count + 1 : -1;
        X509_free(certificate);
    }
    if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE) {
        count = -1;
    }
    ERR_clear_error();
    (void)BIO_free(bio);
    return count;
}

static bool trust_file(SSL_CTX *context, const char *option, const char *path) {
    struct given file;
    bool right = given_read(&file, option, path);

    if (right) {
        right = add_certificates(SSL_CTX_get_cert_store(context), &file) > 0 ||
                given_wrong(&file, 0, "expected certificates in PEM");
        given_free(&file);
    }
    return right;
}

struct tls_trust *tls_trust_open(const char *option, const char *file) {
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    int error;

    if (context == NULL) {
        ERR_clear_error();
        (void)log_failure("memory for TLS", ENOMEM);
        errno = ENOMEM;
        return NULL;
    }
    (void)SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    (void)SSL_CTX_set_mode(context,
                           SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    /* Who is given a peer's own certificate believes it, whoever has signed that. */
    (void)X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(context), X509_V_FLAG_PARTIAL_CHAIN);
    if (file == NULL) {
        (void)SSL_CTX_set_default_verify_paths(context);
    } else if (!trust_file(context, option, file)) {
        error = errno;
        SSL_CTX_free(context);
        errno = error;
        return NULL;
    }
    return trust_of(context);
}

bool tls_trust_identify(struct tls_trust *trust, const struct tls_files *files) {
    SSL_CTX *context = tls_context(trust);
    bool right = tls_use_certificate(context, files->certificate_option, files->certificate) &&
                 tls_use_key(context, files->key_option, files->key);

    if (right) {
        const struct tls_dates dates = tls_dates_of(context);

        tls_dates_say(&dates, files->certificate_option, files->certificate, "the peer");
    }
    return right;
}

void tls_trust_close(struct tls_trust *trust) {
    SSL_CTX_free(tls_context(trust));
}

/* The certificate must be for this host; for none at all OpenSSL would take any. */
static bool expect(X509_VERIFY_PARAM *of, const char *host) {
    if (host[0] == '\0') {
        return false;
    }
    X509_VERIFY_PARAM_set_hostflags(of, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return network_is_address(host) ? X509_VERIFY_PARAM_set1_ip_asc(of, host) == 1
                                    : X509_VERIFY_PARAM_set1_host(of, host, 0) == 1;
}

/* A name is asked for; addresses are not (RFC 6066, section 3). */
static bool ask_for(SSL *ssl, const char *host) {
    const char *name = network_is_address(host) ? NULL : host;

    return SSL_set_tlsext_host_name(ssl, name) == 1;
}

struct tls *tls_call(const struct tls_trust *trust, int socket, const char *host) {
    SSL *ssl = SSL_new(tls_context(trust));

    if (ssl != NULL && (SSL_set_fd(ssl, socket) != 1 || !expect(SSL_get0_param(ssl), host) ||
                        !ask_for(ssl, host))) {
        SSL_free(ssl);
        ssl = NULL;
    }
    if (ssl != NULL) {
        SSL_set_connect_state(ssl);
    }
    ERR_clear_error();
    return tls_session(ssl);
}

static enum tls_doubt doubt_of(long verdict) {
    switch (verdict) {
    case X509_V_OK:
        return TLS_DOUBT_NONE;
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        return TLS_DOUBT_NAME;
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return TLS_DOUBT_TIME;
    default:
        return TLS_DOUBT_TRUST;
    }
}

int tls_call_shake(struct tls *session, enum tls_doubt *doubt, const char **why) {
    SSL *ssl = tls_ssl(session);
    int result = SSL_do_handshake(ssl), error = SSL_get_error(ssl, result);

    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE || result == 1) {
        ERR_clear_error();
        return result == 1 ? 0 : error == SSL_ERROR_WANT_READ ? TLS_READS : TLS_WRITES;
    }
    *doubt = doubt_of(SSL_get_verify_result(ssl));
    *why = *doubt != TLS_DOUBT_NONE ? X509_verify_cert_error_string(SSL_get_verify_result(ssl))
                                    : ERR_reason_error_string(ERR_peek_error());
    ERR_clear_error();
    return TLS_FAILS;
}

/* OpenSSL tells this of every step of a session. The library that has opened it knows an address at
 * best, and forgets why a handshake failed. */
static void watch(const SSL *ssl, int where, int value) {
    struct tls_loan *loan = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));

    if (where == SSL_CB_HANDSHAKE_START) {
        (void)ask_for((SSL *)ssl, loan->host);
    } else if ((where & SSL_CB_ALERT) != 0 && (value & 0xFF) != SSL_AD_CLOSE_NOTIFY) {
        loan->refused = (where & SSL_CB_READ) != 0;
        loan->doubt = loan->refused ? TLS_DOUBT_NONE : doubt_of(SSL_get_verify_result(ssl));
        loan->why = loan->doubt != TLS_DOUBT_NONE
                        ? X509_verify_cert_error_string(SSL_get_verify_result(ssl))
                        : SSL_alert_desc_string_long(value);
    }
}

void *tls_trust_lend(struct tls_trust *trust, struct tls_loan *loan) {
    SSL_CTX *context = tls_context(trust);
    bool right =
        expect(SSL_CTX_get0_param(context), loan->host) && SSL_CTX_set_app_data(context, loan) == 1;

    SSL_CTX_set_info_callback(context, watch);
    ERR_clear_error();
    return right ? context : NULL;
}
