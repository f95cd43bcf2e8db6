/* A connection over TLS by Mbed TLS. Not here: certificates, of whichever side. */
#include "tls/session.h"

#include <errno.h>
#include <mbedtls/aes.h>
#include <mbedtls/platform.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "platform/wire.h"
#include "tls/mbedtls/mbedtls.h"
#include "tls/mbedtls/pool.h"
#include "tls/mbedtls/random.h"

bool tls_built_in(void) {
    return true;
}

const char *tls_library(void) {
    return "Mbed TLS " MBEDTLS_VERSION_STRING;
}

/* ---- Configuration ---- */

/* Best first: most of our senders have AES in their processors, and wait for us. */
static const int suites[] = {MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
                             MBEDTLS_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
                             MBEDTLS_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
                             MBEDTLS_TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
                             MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
                             MBEDTLS_TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
                             0};

/* Of the exchange of keys, the cheapest first; for clients also those of certificates. */
static void choose(mbedtls_ssl_config *config) {
#if MBEDTLS_VERSION_NUMBER < 0x03000000
    static const mbedtls_ecp_group_id curves[] = {MBEDTLS_ECP_DP_CURVE25519,
                                                  MBEDTLS_ECP_DP_SECP256R1,
                                                  MBEDTLS_ECP_DP_SECP384R1, MBEDTLS_ECP_DP_NONE};

    mbedtls_ssl_conf_curves(config, curves);
    mbedtls_ssl_conf_min_version(config, MBEDTLS_SSL_MAJOR_VERSION_3, MBEDTLS_SSL_MINOR_VERSION_3);
#else
    static const uint16_t groups[] = {MBEDTLS_SSL_IANA_TLS_GROUP_X25519,
                                      MBEDTLS_SSL_IANA_TLS_GROUP_SECP256R1,
                                      MBEDTLS_SSL_IANA_TLS_GROUP_SECP384R1, 0};

    mbedtls_ssl_conf_groups(config, groups);
    mbedtls_ssl_conf_min_tls_version(config, MBEDTLS_SSL_VERSION_TLS1_2);
    mbedtls_ssl_conf_max_tls_version(config, MBEDTLS_SSL_VERSION_TLS1_2);
#endif
    mbedtls_ssl_conf_ciphersuites(config, suites);
}

/* What it is to know once, such as what the processor can, it finds out with its first key, and
 * without a lock: that must not be in two threads. */
static void prepare_aes(void) {
    static const unsigned char key[16];
    mbedtls_aes_context aes;

    mbedtls_aes_init(&aes);
    (void)mbedtls_aes_setkey_enc(&aes, key, 8 * sizeof key);
    mbedtls_aes_free(&aes);
}

bool tls_configure(mbedtls_ssl_config *config, int endpoint) {
    pool_begin();
    prepare_aes();
    mbedtls_ssl_config_init(config);
    if (mbedtls_ssl_config_defaults(config, endpoint, MBEDTLS_SSL_TRANSPORT_STREAM,
                                    MBEDTLS_SSL_PRESET_DEFAULT) != 0) {
        return false;
    }
    choose(config);
    mbedtls_ssl_conf_rng(config, tls_random, NULL);
    return true;
}

/* ---- Memory ---- */

/* The buffers lie elsewhere now: all of them are in one mapping. */
static void move_buffers(mbedtls_ssl_context *ssl, ptrdiff_t by) {
    ssl->MBEDTLS_PRIVATE(in_buf) += by;
    ssl->MBEDTLS_PRIVATE(in_ctr) += by;
    ssl->MBEDTLS_PRIVATE(in_hdr) += by;
    ssl->MBEDTLS_PRIVATE(in_len) += by;
    ssl->MBEDTLS_PRIVATE(in_iv) += by;
    ssl->MBEDTLS_PRIVATE(in_msg) += by;
    ssl->MBEDTLS_PRIVATE(out_buf) += by;
    ssl->MBEDTLS_PRIVATE(out_ctr) += by;
    ssl->MBEDTLS_PRIVATE(out_hdr) += by;
    ssl->MBEDTLS_PRIVATE(out_len) += by;
    ssl->MBEDTLS_PRIVATE(out_iv) += by;
    ssl->MBEDTLS_PRIVATE(out_msg) += by;
}

/* Is nothing in its buffers that is still needed, but the number of the next record? */
static bool rests(const struct tls *session) {
    return !tls_pending(session) && session->ssl.MBEDTLS_PRIVATE(out_left) == 0;
}

/* What Mbed TLS takes now is the session's. False: no buffers are left. */
static bool enter(struct tls *session) {
    ptrdiff_t moved;

    if (session->place == NULL) {
        return true;
    }
    if (!pool_has_buffers(session->place)) {
        if (!pool_take_buffers(session->place, &moved)) {
            session->error = MBEDTLS_ERR_SSL_ALLOC_FAILED;
            return false;
        }
        move_buffers(&session->ssl, moved);
        memcpy(session->ssl.MBEDTLS_PRIVATE(in_ctr), session->counter, sizeof session->counter);
    }
    (void)pool_enter(session->place);
    return true;
}

static void leave(struct tls *session) {
    if (session->place == NULL) {
        return;
    }
    (void)pool_enter(NULL);
    if (rests(session)) {
        memcpy(session->counter, session->ssl.MBEDTLS_PRIVATE(in_ctr), sizeof session->counter);
        pool_give_buffers(session->place);
    }
}

/* ---- The socket ---- */

static int send_bytes(void *context, const unsigned char *bytes, size_t length) {
    struct tls *session = context;
    ssize_t went = send(session->socket, bytes, length, MSG_NOSIGNAL);

    session->told = bytes[0] == MBEDTLS_SSL_MSG_ALERT;
    return went >= 0      ? (int)went
           : wire_waits() ? MBEDTLS_ERR_SSL_WANT_WRITE
                          : MBEDTLS_ERR_SSL_CONN_EOF;
}

/* A handshake needs some ten records. Mbed TLS reads on past those that say nothing, such as
 * warnings, as long as they come: whoever sends many would have a thread for himself. */
static int receive_bytes(void *context, unsigned char *bytes, size_t length) {
    enum { HEADER = 5 /* of a record: read by itself */, RECORDS_MOST = 64 };
    struct tls *session = context;
    ssize_t came = recv(session->socket, bytes, length, 0);

    session->records += came == HEADER;
    if (session->records > RECORDS_MOST) {
        return MBEDTLS_ERR_SSL_INVALID_RECORD;
    }
    return came >= 0      ? (int)came
           : wire_waits() ? MBEDTLS_ERR_SSL_WANT_READ
                          : MBEDTLS_ERR_SSL_CONN_EOF;
}

/* Nothing that only a handshake needs is needed any more. */
static void end_handshake(struct tls *session) {
    if (session->done != NULL) {
        session->done(session);
        session->done = NULL;
    }
}

void tls_close(struct tls *session) {
    struct pool_place *place = session == NULL ? NULL : session->place;

    if (session == NULL) {
        return;
    }
    if (place != NULL && !pool_has_buffers(place)) {
        session->ssl.MBEDTLS_PRIVATE(in_buf) = session->ssl.MBEDTLS_PRIVATE(out_buf) = NULL;
    }
    (void)pool_enter(place);
    mbedtls_ssl_free(&session->ssl);
    (void)pool_enter(NULL);
    end_handshake(session);
    free(session->expected);
    if (place != NULL) {
        pool_give(place);
    } else {
        mbedtls_free(session);
    }
}

struct tls *tls_begin(const mbedtls_ssl_config *config, int socket, struct tls_room *room) {
    struct pool_place *place = room == NULL ? NULL : pool_take(room, sizeof(struct tls));
    struct tls *session = place != NULL  ? pool_owner(place)
                          : room == NULL ? mbedtls_calloc(1, sizeof *session)
                                         : NULL;
    int result;

    if (session == NULL) {
        return NULL;
    }
    session->place = place;
    session->socket = socket;
    mbedtls_ssl_init(&session->ssl);
    (void)pool_enter(place);
    result = mbedtls_ssl_setup(&session->ssl, config);
    (void)pool_enter(NULL);
    if (result != 0) {
        tls_close(session);
        return NULL;
    }
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
    if (result == MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE) {
        session->alert = session->ssl.MBEDTLS_PRIVATE(in_msg)[1];
    }
    return TLS_FAILS;
}

/* Mbed TLS ends many a session without a word, and its peer is to know that we have. */
static void tell(struct tls *session) {
    bool unexpected = session->error == MBEDTLS_ERR_SSL_UNEXPECTED_MESSAGE;

    if (!session->told && session->alert == 0 && session->error != MBEDTLS_ERR_SSL_CONN_EOF) {
        (void)mbedtls_ssl_send_alert_message(&session->ssl, MBEDTLS_SSL_ALERT_LEVEL_FATAL,
                                             unexpected ? MBEDTLS_SSL_ALERT_MSG_UNEXPECTED_MESSAGE
                                                        : MBEDTLS_SSL_ALERT_MSG_DECODE_ERROR);
    }
}

int tls_shake(struct tls *session) {
    int result;

    if (!enter(session)) {
        return TLS_FAILS;
    }
    result = mbedtls_ssl_handshake(&session->ssl);
    result = result == 0 ? 0 : outcome(session, result);
    if (result == TLS_FAILS) {
        tell(session);
    }
    if (result == 0 || result == TLS_FAILS) {
        session->records = 0;
        end_handshake(session);
    }
    leave(session);
    if (result == 0 && session->place != NULL) {
        pool_shaken(session->place);
    }
    return result;
}

int tls_read(struct tls *session, void *bytes, size_t length) {
    int result;

    if (!enter(session)) {
        return TLS_FAILS;
    }
    result = mbedtls_ssl_read(&session->ssl, bytes, length);
    /* Where a body ends is in its headers: an end that is not announced is one too. */
    if (result == MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY || result == MBEDTLS_ERR_SSL_CONN_EOF) {
        result = 0;
    }
    if (result >= 0) {
        session->records = 0;
    } else {
        result = outcome(session, result);
    }
    if (result == TLS_FAILS) {
        tell(session);
    }
    leave(session);
    return result;
}

int tls_write(struct tls *session, const void *bytes, size_t length) {
    int result;

    if (!enter(session)) {
        return TLS_FAILS;
    }
    result = mbedtls_ssl_write(&session->ssl, bytes, length);
    result = result >= 0 ? result : outcome(session, result);
    leave(session);
    return result;
}

const char *tls_alert(const struct tls *session) {
    static const struct {
        unsigned char number;
        const char *text;
    } alerts[] = {{40, "alert handshake failure"},
                  {42, "alert bad certificate"},
                  {43, "alert unsupported certificate"},
                  {44, "alert certificate revoked"},
                  {45, "alert certificate expired"},
                  {46, "alert certificate unknown"},
                  {48, "alert unknown ca"},
                  {49, "alert access denied"},
                  {51, "alert decrypt error"},
                  {70, "alert protocol version"},
                  {71, "alert insufficient security"},
                  {80, "alert internal error"},
                  {112, "alert unrecognized name"},
                  {116, "alert certificate required"}};

    for (size_t i = 0; i < sizeof alerts / sizeof *alerts; i++) {
        if (alerts[i].number == session->alert) {
            return alerts[i].text;
        }
    }
    return session->alert != 0 ? "an alert" : NULL;
}

void tls_alone(struct tls *session, bool alone) {
    (void)session;
    (void)alone;
}

bool tls_pending(const struct tls *session) {
    return mbedtls_ssl_check_pending(&session->ssl) != 0 ||
           session->ssl.MBEDTLS_PRIVATE(in_left) > 0;
}

void tls_bye(struct tls *session) {
    /* Who has been told what is wrong is told no more. */
    if (session->error == 0 && enter(session)) {
        (void)mbedtls_ssl_close_notify(&session->ssl);
        leave(session);
    }
}
