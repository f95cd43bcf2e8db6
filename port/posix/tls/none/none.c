/* A build without TLS: what would begin a session fails, and says why. */
#include <errno.h>

#include "platform/log.h"
#include "tls/client.h"
#include "tls/server.h"

bool tls_built_in(void) {
    return false;
}

const char *tls_library(void) {
    return NULL;
}

int tls_shake(struct tls *session) {
    (void)session;
    return TLS_FAILS;
}

int tls_read(struct tls *session, void *bytes, size_t length) {
    (void)session;
    (void)bytes;
    (void)length;
    return TLS_FAILS;
}

int tls_write(struct tls *session, const void *bytes, size_t length) {
    (void)session;
    (void)bytes;
    (void)length;
    return TLS_FAILS;
}

const char *tls_alert(const struct tls *session) {
    (void)session;
    return NULL;
}

void tls_alone(struct tls *session, bool alone) {
    (void)session;
    (void)alone;
}

bool tls_pending(const struct tls *session) {
    (void)session;
    return false;
}

void tls_bye(struct tls *session) {
    (void)session;
}

void tls_close(struct tls *session) {
    (void)session;
}

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

struct tls_room *tls_room_open(unsigned sessions, unsigned shaking, unsigned reading) {
    (void)sessions;
    (void)shaking;
    (void)reading;
    return NULL;
}

void tls_room_close(struct tls_room *room) {
    (void)room;
}

struct tls *tls_open(struct tls_room *room, int socket) {
    (void)room;
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

struct tls_trust *tls_trust_open(const char *option, const char *file) {
    (void)file;
    log_usage("%s: this build has no TLS", option);
    errno = EINVAL;
    return NULL;
}

bool tls_trust_identify(struct tls_trust *trust, const struct tls_files *files) {
    (void)trust;
    (void)files;
    errno = EINVAL;
    return false;
}

void tls_trust_close(struct tls_trust *trust) {
    (void)trust;
}

struct tls *tls_call(const struct tls_trust *trust, int socket, const char *host) {
    (void)trust;
    (void)socket;
    (void)host;
    return NULL;
}

int tls_call_shake(struct tls *session, enum tls_doubt *doubt, const char **why) {
    (void)session;
    *doubt = TLS_DOUBT_NONE;
    *why = NULL;
    return TLS_FAILS;
}

void *tls_trust_lend(struct tls_trust *trust, struct tls_loan *loan) {
    (void)trust;
    (void)loan;
    return NULL;
}
