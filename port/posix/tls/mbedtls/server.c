/* TLS by Mbed TLS. Sessions share one configuration, which holds no certificate: a handshake is
 * given the one that is in force when it begins, and keeps it until it is done. Not here: who waits
 * for what (door.c). */
#include "tls/server.h"

#include <errno.h>
#include <mbedtls/platform.h>
#include <mbedtls/ssl_ticket.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "platform/log.h"
#include "tls/mbedtls/identity.h"
#include "tls/mbedtls/mbedtls.h"
#include "tls/mbedtls/names.h"
#include "tls/mbedtls/pool.h"
#include "tls/mbedtls/random.h"

/* Whom we are, to handshakes that have begun while it was in force. */
struct shown {
    struct tls_identity identity;
    pthread_mutex_t signing; /* a key keeps what speeds it up */
    unsigned held;           /* by handshakes, and while it is in force: with tls.mutex held */
};

static struct {
    bool ready;
    mbedtls_ssl_config config; /* of all connections */

    pthread_mutex_t ticketing; /* guards this one */
    mbedtls_ssl_ticket_context tickets;

    pthread_mutex_t mutex; /* guards this one */
    struct shown *current;
} tls = {.ticketing = PTHREAD_MUTEX_INITIALIZER, .mutex = PTHREAD_MUTEX_INITIALIZER};

/* ---- Tickets ---- */

enum { TICKETS = 7200 /* s; their keys are drawn anew as often, and live twice as long */ };

static int write_ticket(void *unused, const mbedtls_ssl_session *session, unsigned char *start,
                        const unsigned char *end, size_t *length, uint32_t *lifetime) {
    struct pool_place *place = pool_enter(NULL);
    int result;

    (void)unused;
    (void)pthread_mutex_lock(&tls.ticketing);
    result = mbedtls_ssl_ticket_write(&tls.tickets, session, start, end, length, lifetime);
    (void)pthread_mutex_unlock(&tls.ticketing);
    (void)pool_enter(place);
    return result;
}

static int read_ticket(void *unused, mbedtls_ssl_session *session, unsigned char *bytes,
                       size_t length) {
    struct pool_place *place = pool_enter(NULL);
    int result;

    (void)unused;
    (void)pthread_mutex_lock(&tls.ticketing);
    result = mbedtls_ssl_ticket_parse(&tls.tickets, session, bytes, length);
    (void)pthread_mutex_unlock(&tls.ticketing);
    (void)pool_enter(place);
    return result;
}

/* ---- Signatures ---- */

/* What is to be signed: Mbed TLS asks for a signature, then fetches it. */
struct signing {
    mbedtls_md_type_t digest;
    size_t length;
    unsigned char hash[MBEDTLS_MD_MAX_SIZE];
};

static int begin_signing(mbedtls_ssl_context *ssl, mbedtls_x509_crt *certificate,
                         mbedtls_md_type_t digest, const unsigned char *hash, size_t length) {
    struct signing *signing = mbedtls_calloc(1, sizeof *signing);

    (void)certificate;
    if (signing == NULL || length > sizeof signing->hash) {
        mbedtls_free(signing);
        return MBEDTLS_ERR_SSL_ALLOC_FAILED;
    }
    signing->digest = digest;
    signing->length = length;
    memcpy(signing->hash, hash, length);
    mbedtls_ssl_set_async_operation_data(ssl, signing);
    return 0;
}

static int sign(mbedtls_ssl_context *ssl, unsigned char *signature, size_t *length, size_t room) {
    const struct signing *signing = mbedtls_ssl_get_async_operation_data(ssl);
    struct shown *shown = ((const struct tls *)(const void *)ssl)->shown;
    struct pool_place *place = pool_enter(NULL);
    int result;

    (void)pthread_mutex_lock(&shown->signing);
#if MBEDTLS_VERSION_NUMBER < 0x03000000
    result = room < mbedtls_pk_get_len(&shown->identity.key)
                 ? MBEDTLS_ERR_SSL_BUFFER_TOO_SMALL
                 : mbedtls_pk_sign(&shown->identity.key, signing->digest, signing->hash,
                                   signing->length, signature, length, tls_random, NULL);
#else
    result = mbedtls_pk_sign(&shown->identity.key, signing->digest, signing->hash, signing->length,
                             signature, room, length, tls_random, NULL);
#endif
    (void)pthread_mutex_unlock(&shown->signing);
    (void)pool_enter(place);
    return result;
}

static void end_signing(mbedtls_ssl_context *ssl) {
    mbedtls_free(mbedtls_ssl_get_async_operation_data(ssl));
    mbedtls_ssl_set_async_operation_data(ssl, NULL);
}

static int finish_signing(mbedtls_ssl_context *ssl, unsigned char *signature, size_t *length,
                          size_t room) {
    int result = sign(ssl, signature, length, room);

    end_signing(ssl);
    return result;
}

/* ---- Certificates ---- */

static struct shown *hold(void) {
    struct shown *shown;

    (void)pthread_mutex_lock(&tls.mutex);
    shown = tls.current;
    if (shown != NULL) {
        shown->held++;
    }
    (void)pthread_mutex_unlock(&tls.mutex);
    return shown;
}

static void let_go(struct shown *shown) {
    bool last;

    if (shown == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&tls.mutex);
    last = --shown->held == 0;
    (void)pthread_mutex_unlock(&tls.mutex);
    if (last) {
        struct pool_place *place = pool_enter(NULL);

        tls_identity_free(&shown->identity);
        (void)pool_enter(place);
        (void)pthread_mutex_destroy(&shown->signing);
        free(shown);
    }
}

static void replace(struct shown *shown) {
    struct shown *old;

    (void)pthread_mutex_lock(&tls.mutex);
    old = tls.current;
    tls.current = shown;
    (void)pthread_mutex_unlock(&tls.mutex);
    let_go(old);
}

/* What all connections share. */
static bool get_ready(void) {
    if (tls.ready) {
        return true;
    }
    if (!tls_random_begin()) {
        return false;
    }
    mbedtls_ssl_ticket_init(&tls.tickets);
    if (!tls_configure(&tls.config, MBEDTLS_SSL_IS_SERVER) ||
        mbedtls_ssl_ticket_setup(&tls.tickets, tls_random, NULL, MBEDTLS_CIPHER_AES_256_GCM,
                                 TICKETS) != 0) {
        errno = ENOMEM;
        return log_failure("memory for TLS", errno);
    }
    mbedtls_ssl_conf_session_tickets_cb(&tls.config, write_ticket, read_ticket, NULL);
    mbedtls_ssl_conf_async_private_cb(&tls.config, begin_signing, NULL, finish_signing, end_signing,
                                      NULL);
    tls.ready = true;
    return true;
}

bool tls_load(const char *certificate, const char *key) {
    const struct tls_files files = {"--tls-cert", certificate, "--tls-key", key};
    struct shown *shown;
    int error;

    if (!get_ready()) {
        return false;
    }
    shown = calloc(1, sizeof *shown);
    if (shown == NULL) {
        (void)log_failure("memory for TLS", ENOMEM);
        errno = ENOMEM;
        return false;
    }
    if (!tls_identity_read(&shown->identity, &files)) {
        error = errno;
        free(shown);
        errno = error;
        return false;
    }
    (void)pthread_mutex_init(&shown->signing, NULL);
    shown->held = 1;
    replace(shown);
    tls_say_dates(certificate);
    return true;
}

/* The thread that loads it is the one that asks. */
void tls_say_dates(const char *path) {
    const struct tls_dates dates = tls_identity_dates(&tls.current->identity);

    tls_dates_say(&dates, "--tls-cert", path, "senders");
}

uint64_t tls_expiry(void) {
    struct shown *shown = hold();
    struct tls_dates dates;

    if (shown == NULL) {
        return 0;
    }
    dates = tls_identity_dates(&shown->identity);
    let_go(shown);
    return tls_dates_end(&dates);
}

bool tls_names(const char *host) {
    struct shown *shown = hold();
    bool named = shown != NULL && tls_certificate_names(&shown->identity.certificate, host);

    let_go(shown);
    return named;
}

void tls_end(void) {
    replace(NULL);
    if (tls.ready) {
        mbedtls_ssl_ticket_free(&tls.tickets);
        mbedtls_ssl_config_free(&tls.config);
        tls.ready = false;
    }
}

/* ---- Sessions ---- */

static void forget(struct tls *session) {
    let_go(session->shown);
    session->shown = NULL;
}

/* Mbed TLS knows no way to do so before it is asked for a name, and this works as well. */
static bool show(struct tls *session) {
    struct shown *shown = session->shown;
    struct pool_place *place = pool_enter(session->place);
    int result = mbedtls_ssl_set_hs_own_cert(&session->ssl, &shown->identity.certificate,
                                             &shown->identity.key);

    (void)pool_enter(place);
    return result == 0;
}

struct tls *tls_open(struct tls_room *room, int socket) {
    struct shown *shown = hold();
    struct tls *session = shown == NULL ? NULL : tls_begin(&tls.config, socket, room);

    if (session == NULL) {
        let_go(shown);
        return NULL;
    }
    session->shown = shown;
    session->done = forget;
    if (!show(session)) {
        tls_close(session);
        return NULL;
    }
    return session;
}
