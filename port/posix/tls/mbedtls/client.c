/* TLS towards a peer, by Mbed TLS, which builds a chain of what the peer shows and believes nobody:
 * who vouches for it is looked for when the chain is there, as the system's certificates are not in
 * memory. Not here: sockets, and who waits for what. */
#include "tls/client.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "platform/given.h"
#include "platform/log.h"
#include "platform/network.h"
#include "tls/mbedtls/identity.h"
#include "tls/mbedtls/mbedtls.h"
#include "tls/mbedtls/names.h"
#include "tls/mbedtls/random.h"
#include "tls/mbedtls/system.h"

struct tls_trust {
    mbedtls_ssl_config config;
    mbedtls_x509_crt nobody;       /* for Mbed TLS, which wants a list */
    bool system;                   /* those that the system trusts, not those of a file */
    mbedtls_x509_crt believed;     /* those of the file */
    struct tls_identity *identity; /* NULL: nobody is told who we are */
    pthread_mutex_t mutex;         /* a handshake's step: keys keep what they have computed */
};

#if MBEDTLS_VERSION_MAJOR < 3
enum { BAD_CERTIFICATE = MBEDTLS_ERR_SSL_BAD_HS_CERTIFICATE };
#else
enum { BAD_CERTIFICATE = MBEDTLS_ERR_SSL_BAD_CERTIFICATE };
#endif

/* Of a session: for whom its peer's certificate must be. */
struct tls_expected {
    struct tls_trust *trust;
    char host[];
};

/* ---- Trust ---- */

static bool trust_file(struct tls_trust *trust, const char *option, const char *path) {
    struct given file;
    bool right = given_read(&file, option, path);

    if (right) {
        right = tls_read_certificates(&trust->believed, file.bytes, file.length) == 0 ||
                given_wrong(&file, 0, "expected certificates in PEM");
        given_free(&file);
    }
    return right;
}

static struct tls_trust *new_trust(void) {
    struct tls_trust *trust = calloc(1, sizeof *trust);

    if (trust != NULL) {
        (void)pthread_mutex_init(&trust->mutex, NULL);
        mbedtls_x509_crt_init(&trust->nobody);
        mbedtls_x509_crt_init(&trust->believed);
        if (!tls_configure(&trust->config, MBEDTLS_SSL_IS_CLIENT)) {
            tls_trust_close(trust);
            return NULL;
        }
        mbedtls_ssl_conf_authmode(&trust->config, MBEDTLS_SSL_VERIFY_REQUIRED);
        mbedtls_ssl_conf_ca_chain(&trust->config, &trust->nobody, NULL);
    }
    return trust;
}

struct tls_trust *tls_trust_open(const char *option, const char *file) {
    struct tls_trust *trust;
    int error;

    if (!tls_random_begin()) {
        return NULL;
    }
    trust = new_trust();
    if (trust == NULL) {
        (void)log_failure("memory for TLS", ENOMEM);
        errno = ENOMEM;
        return NULL;
    }
    trust->system = file == NULL;
    if (file != NULL && !trust_file(trust, option, file)) {
        error = errno;
        tls_trust_close(trust);
        errno = error;
        return NULL;
    }
    return trust;
}

bool tls_trust_identify(struct tls_trust *trust, const struct tls_files *files) {
    struct tls_identity *identity = malloc(sizeof *identity);
    struct tls_dates dates;

    if (identity == NULL) {
        (void)log_failure("memory for TLS", ENOMEM);
        errno = ENOMEM;
        return false;
    }
    if (!tls_identity_read(identity, files)) {
        free(identity);
        return false;
    }
    trust->identity = identity;
    if (mbedtls_ssl_conf_own_cert(&trust->config, &identity->certificate, &identity->key) != 0) {
        (void)log_failure("memory for TLS", ENOMEM);
        errno = ENOMEM;
        return false;
    }
    dates = tls_identity_dates(identity);
    tls_dates_say(&dates, files->certificate_option, files->certificate, "the peer");
    return true;
}

void tls_trust_close(struct tls_trust *trust) {
    if (trust == NULL) {
        return;
    }
    mbedtls_ssl_config_free(&trust->config);
    mbedtls_x509_crt_free(&trust->believed);
    if (trust->identity != NULL) {
        tls_identity_free(trust->identity);
        free(trust->identity);
    }
    (void)pthread_mutex_destroy(&trust->mutex);
    free(trust);
}

/* ---- What a peer shows ---- */

/* Who is given a peer's own certificate believes it, whoever has signed that. */
static bool is_among(const mbedtls_x509_crt *certificate, const mbedtls_x509_crt *list) {
    for (; list != NULL; list = list->next) {
        if (certificate->raw.len == list->raw.len &&
            memcmp(certificate->raw.p, list->raw.p, list->raw.len) == 0) {
            return true;
        }
    }
    return false;
}

/* What is wrong with a certificate and the chain behind it, when these are believed; `own` is what
 * is wrong with itself. */
static uint32_t doubts_of(mbedtls_x509_crt *chain, mbedtls_x509_crt *believed, uint32_t own) {
    uint32_t doubts = 0;

    if (is_among(chain, believed)) {
        return own & ~(uint32_t)MBEDTLS_X509_BADCERT_NOT_TRUSTED;
    }
    (void)mbedtls_x509_crt_verify(chain, believed, NULL, NULL, &doubts, NULL, NULL);
    return doubts;
}

static uint32_t doubts_of_system(mbedtls_x509_crt *chain, uint32_t own) {
    uint32_t doubts = MBEDTLS_X509_BADCERT_NOT_TRUSTED;
    mbedtls_x509_crt found;

    mbedtls_x509_crt_init(&found);
    for (enum tls_system where = TLS_SYSTEM_FILE;
         where < TLS_SYSTEM_END && (doubts & MBEDTLS_X509_BADCERT_NOT_TRUSTED) != 0; where++) {
        tls_system_find(where, chain, &found);
        doubts = doubts_of(chain, &found, own);
    }
    mbedtls_x509_crt_free(&found);
    return doubts;
}

/* Mbed TLS shows each certificate of the chain that it has built, the peer's own last. */
static int judge(void *context, mbedtls_x509_crt *certificate, int depth, uint32_t *flags) {
    struct tls_expected *expected = context;
    struct tls_trust *trust = expected->trust;

    if (depth > 0) {
        *flags = 0;
        return 0;
    }
    *flags = trust->system ? doubts_of_system(certificate, *flags)
                           : doubts_of(certificate, &trust->believed, *flags);
    if (!tls_certificate_names(certificate, expected->host)) {
        *flags |= MBEDTLS_X509_BADCERT_CN_MISMATCH;
    }
    return 0;
}

/* ---- Sessions ---- */

/* A name is asked for; addresses are not (RFC 6066, section 3). */
static bool expect(struct tls *session, struct tls_trust *trust, const char *host) {
    size_t size = strlen(host) + 1;

    session->expected = malloc(sizeof *session->expected + size);
    if (session->expected == NULL) {
        return false;
    }
    session->expected->trust = trust;
    memcpy(session->expected->host, host, size);
    mbedtls_ssl_set_verify(&session->ssl, judge, session->expected);
    return mbedtls_ssl_set_hostname(&session->ssl, network_is_address(host) ? NULL : host) == 0;
}

struct tls *tls_call(const struct tls_trust *trust, int socket, const char *host) {
    struct tls *session = tls_begin(&trust->config, socket, NULL);

    if (session != NULL && !expect(session, (struct tls_trust *)trust, host)) {
        tls_close(session);
        session = NULL;
    }
    return session;
}

/* In the order in which OpenSSL looks, so that both say the same of the same certificate. */
static enum tls_doubt doubt_of(uint32_t doubts, const char **why) {
    static const struct {
        uint32_t bits;
        enum tls_doubt doubt;
        const char *why;
    } all[] = {
        {MBEDTLS_X509_BADCERT_NOT_TRUSTED, TLS_DOUBT_TRUST,
         "unable to get the certificate of its issuer"},
        {MBEDTLS_X509_BADCERT_KEY_USAGE | MBEDTLS_X509_BADCERT_EXT_KEY_USAGE, TLS_DOUBT_TRUST,
         "unsuitable certificate purpose"},
        {MBEDTLS_X509_BADCERT_BAD_KEY | MBEDTLS_X509_BADCERT_BAD_MD | MBEDTLS_X509_BADCERT_BAD_PK,
         TLS_DOUBT_TRUST, "its key, or that of its issuer, or the digest, is too weak"},
        {MBEDTLS_X509_BADCERT_CN_MISMATCH, TLS_DOUBT_NAME, "hostname mismatch"},
        {MBEDTLS_X509_BADCERT_EXPIRED, TLS_DOUBT_TIME, "certificate has expired"},
        {MBEDTLS_X509_BADCERT_FUTURE, TLS_DOUBT_TIME, "certificate is not yet valid"},
    };

    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if ((doubts & all[i].bits) != 0) {
            *why = all[i].why;
            return all[i].doubt;
        }
    }
    *why = "its chain of certificates is too long";
    return TLS_DOUBT_TRUST;
}

/* Our part of a handshake is sent in pieces: a peer that refuses one takes no more, and why it does
 * so is still there to be read, not encrypted yet. */
static void read_alert(struct tls *session) {
    unsigned char record[7];

    if (session->error == MBEDTLS_ERR_SSL_CONN_EOF &&
        recv(session->socket, record, sizeof record, MSG_DONTWAIT) == (ssize_t)sizeof record &&
        record[0] == MBEDTLS_SSL_MSG_ALERT && record[5] == MBEDTLS_SSL_ALERT_LEVEL_FATAL) {
        session->alert = record[6];
    }
}

/* What else a handshake fails of. */
static const char *fault_of(const struct tls *session) {
    const char *alert = tls_alert(session);

    if (alert != NULL) {
        return alert;
    }
    switch (session->error) {
    case MBEDTLS_ERR_SSL_CONN_EOF:
        return "the connection ended within the handshake";
    case MBEDTLS_ERR_SSL_INVALID_RECORD:
        return "what came is not TLS";
    case MBEDTLS_ERR_SSL_ALLOC_FAILED:
        return "there is no memory";
    default:
        return "the handshake failed";
    }
}

int tls_call_shake(struct tls *session, enum tls_doubt *doubt, const char **why) {
    pthread_mutex_t *mutex = &session->expected->trust->mutex;
    int result;

    (void)pthread_mutex_lock(mutex);
    result = tls_shake(session);
    (void)pthread_mutex_unlock(mutex);
    if (result == TLS_FAILS) {
        if (session->error == MBEDTLS_ERR_X509_CERT_VERIFY_FAILED ||
            session->error == BAD_CERTIFICATE || session->error == MBEDTLS_ERR_X509_FATAL_ERROR) {
            *doubt = doubt_of(mbedtls_ssl_get_verify_result(&session->ssl), why);
        } else {
            read_alert(session);
            *doubt = TLS_DOUBT_NONE;
            *why = fault_of(session);
        }
    }
    return result;
}

void *tls_trust_lend(struct tls_trust *trust, struct tls_loan *loan) {
    (void)trust;
    (void)loan;
    return NULL;
}
