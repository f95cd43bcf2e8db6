/* The auth files. Secrets are never written anywhere. Not here: what a line is
 * (platform/credentials.c), comparing secrets with those of a request (cmcwh.c). */
#include "door/auth.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "platform/credentials.h"

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct auth *in_force[AUTH_DOORS];

/* Stores one credential. Returns what is wrong with it, or NULL. */
static const char *add(struct auth *auth, enum auth_door door, const char *word,
                       const char *secret) {
    size_t number = auth->access.count;
    enum cmcwh_credential_kind kind;
    const char *fault;

    if (number >= AUTH_LINES_MAX) {
        return "more credentials than this program keeps (64)";
    }
    if (!credentials_kind(word, &kind)) {
        return door == AUTH_ADMIN ? "expected: basic USER:PASSWORD or bearer TOKEN"
                                  : "expected: basic USER:PASSWORD, bearer TOKEN, api_key KEY or "
                                    "chain TOKEN";
    }
    if (door == AUTH_ADMIN && kind == CMCWH_API_KEY) {
        return "an API key comes in a webhook's body: expected basic USER:PASSWORD or bearer TOKEN";
    }
    if (door == AUTH_ADMIN && kind == CMCWH_CHAIN) {
        return "a chain posts webhooks: expected basic USER:PASSWORD or bearer TOKEN";
    }
    fault = credentials_secret(kind, secret, auth->secrets[number], sizeof auth->secrets[number]);
    if (fault == NULL) {
        auth->credentials[number].kind = kind;
        auth->credentials[number].secret.data = auth->secrets[number];
        auth->credentials[number].secret.length = strlen(auth->secrets[number]);
        auth->access.count++;
    }
    return fault;
}

static bool parse(struct auth *auth, enum auth_door door, struct given *file) {
    const char *fault;
    char *line;

    while ((line = credentials_line(file, &fault)) != NULL) {
        char *secret = credentials_split(line);

        fault = add(auth, door, line, secret);
        if (fault != NULL) {
            break;
        }
    }
    if (fault != NULL) {
        return given_wrong(file, file->line, fault);
    }
    return auth->access.count > 0 || given_wrong(file, 0, "there is no credential in it");
}

/* What a file says. */
static struct auth *take(enum auth_door door, struct given *file) {
    struct auth *auth = calloc(1, sizeof *auth);

    if (auth == NULL) {
        (void)given_failed(file, NULL, ENOMEM);
    } else if (!parse(auth, door, file)) {
        free(auth);
        auth = NULL;
    } else {
        auth->access.credentials = auth->credentials;
        auth->users = 1; /* whoever holds the pointer */
    }
    return auth;
}

struct auth *auth_read(enum auth_door door, const char *path) {
    static const char *const options[AUTH_DOORS] = {"--auth-file", "--admin-auth-file"};
    struct given file;
    struct auth *auth = NULL;

    if (credentials_read(&file, options[door], path)) {
        auth = take(door, &file);
        given_free(&file);
    }
    return auth;
}

static void let_go(struct auth *auth) {
    if (auth != NULL && --auth->users == 0) {
        memset(auth, 0, sizeof *auth);
        free(auth);
    }
}

void auth_use(enum auth_door door, struct auth *auth) {
    (void)pthread_mutex_lock(&mutex);
    let_go(in_force[door]);
    in_force[door] = auth;
    (void)pthread_mutex_unlock(&mutex);
}

struct auth *auth_hold(enum auth_door door) {
    struct auth *auth;

    (void)pthread_mutex_lock(&mutex);
    auth = in_force[door];
    if (auth != NULL) {
        auth->users++;
    }
    (void)pthread_mutex_unlock(&mutex);
    return auth;
}

void auth_release(struct auth *auth) {
    (void)pthread_mutex_lock(&mutex);
    let_go(auth);
    (void)pthread_mutex_unlock(&mutex);
}
