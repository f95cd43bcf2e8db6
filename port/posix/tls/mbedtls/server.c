/* TLS by Mbed TLS. Sessions share one configuration, which holds no certificate: a handshake is
 * given the one that is in force when it begins, and keeps it until it is done. Not here: who waits
 * for what (door.c). */
#include "tls/server.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "platform/log.h"
#include "tls/mbedtls/identity.h"
#include "tls/mbedtls/mbedtls.h"
#include "tls/mbedtls/names.h"
#include "tls/mbedtls/random.h"

static struct {
    bool ready;
    mbedtls_ssl_config config; /* of all connections */
    struct tls_identity *current;
} tls;

void tls_say_dates(const char *path) {
    const struct tls_dates dates = tls_identity_dates(tls.current);

    tls_dates_say(&dates, "--tls-cert", path, "senders");
}

bool tls_load(const char *certificate, const char *key) {
    const struct tls_files files = {"--tls-cert", certificate, "--tls-key", key};
    struct tls_identity *identity = calloc(1, sizeof *identity);

    if (!tls.ready) {
        tls.ready = tls_random_begin() && tls_configure(&tls.config, MBEDTLS_SSL_IS_SERVER);
    }
    if (identity == NULL || !tls.ready) {
        (void)log_failure("memory for TLS", ENOMEM);
        errno = ENOMEM;
        free(identity);
        return false;
    }
    if (!tls_identity_read(identity, &files)) {
        free(identity);
        return false;
    }
    tls.current = identity;
    tls_say_dates(certificate);
    return true;
}

uint64_t tls_expiry(void) {
    struct tls_dates dates;

    if (tls.current == NULL) {
        return 0;
    }
    dates = tls_identity_dates(tls.current);
    return tls_dates_end(&dates);
}

bool tls_names(const char *host) {
    return tls.current != NULL && tls_certificate_names(&tls.current->certificate, host);
}

struct tls *tls_open(int socket) {
    struct tls *session = tls.current == NULL ? NULL : tls_begin(&tls.config, socket);

    if (session != NULL && mbedtls_ssl_set_hs_own_cert(&session->ssl, &tls.current->certificate,
                                                       &tls.current->key) != 0) {
        tls_close(session);
        session = NULL;
    }
    return session;
}

void tls_end(void) {
    if (tls.current != NULL) {
        tls_identity_free(tls.current);
        free(tls.current);
        tls.current = NULL;
    }
}
