/* A connection over TLS by OpenSSL. Not here: certificates, of whichever side. */
#include "tls/session.h"

#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/err.h>

#include "tls/openssl/openssl.h"

bool tls_built_in(void) {
    return true;
}

const char *tls_library(void) {
    return OpenSSL_version(OPENSSL_VERSION);
}

/* What the last call of OpenSSL says that returned `result`. */
static int outcome(const struct tls *session, int result) {
    int error = SSL_get_error(tls_ssl(session), result);
    unsigned long why = ERR_peek_error();

    if (error == SSL_ERROR_SSL && ERR_GET_REASON(why) > SSL_AD_REASON_OFFSET) {
        (void)SSL_set_app_data(tls_ssl(session), (void *)ERR_reason_error_string(why));
    }
    ERR_clear_error();
    return error == SSL_ERROR_WANT_READ     ? TLS_READS
           : error == SSL_ERROR_WANT_WRITE  ? TLS_WRITES
           : error == SSL_ERROR_ZERO_RETURN ? 0
                                            : TLS_FAILS;
}

int tls_shake(struct tls *session) {
    int result = SSL_do_handshake(tls_ssl(session));
    int said = result == 1 ? 0 : outcome(session, result);

    return result != 1 && said == 0 ? TLS_FAILS : said;
}

int tls_read(struct tls *session, void *bytes, size_t length) {
    int result = SSL_read(tls_ssl(session), bytes, length > INT_MAX ? INT_MAX : (int)length);

    return result > 0 ? result : outcome(session, result);
}

int tls_write(struct tls *session, const void *bytes, size_t length) {
    int result = SSL_write(tls_ssl(session), bytes, length > INT_MAX ? INT_MAX : (int)length);
    int said = result > 0 ? result : outcome(session, result);

    return said == 0 ? TLS_FAILS : said;
}

const char *tls_alert(const struct tls *session) {
    return SSL_get_app_data(tls_ssl(session));
}

void tls_alone(struct tls *session, bool alone) {
    SSL_set_read_ahead(tls_ssl(session), alone);
}

bool tls_pending(const struct tls *session) {
    return SSL_has_pending(tls_ssl(session)) > 0;
}

void tls_bye(struct tls *session) {
    (void)SSL_shutdown(tls_ssl(session));
    ERR_clear_error();
}

void tls_close(struct tls *session) {
    SSL_free(tls_ssl(session));
}
