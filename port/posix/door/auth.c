/* The auth files. Secrets are never written anywhere. Not here: comparing them with those of a
 * request (cmcwh.c). */
#include "door/auth.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "platform/given.h"

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct auth *in_force[AUTH_DOORS];

/* RFC 4648, section 4. False when it does not fit. */
static bool base64(char *out, size_t room, const char *in, size_t length) {
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    if ((length + 2) / 3 * 4 + 1 > room) {
        return false;
    }
    for (size_t i = 0; i < length; i += 3) {
        size_t left = length - i;
        unsigned long bits = (unsigned long)(unsigned char)in[i] << 16;

        bits |= left > 1 ? (unsigned long)(unsigned char)in[i + 1] << 8 : 0;
        bits |= left > 2 ? (unsigned char)in[i + 2] : 0;
        *out++ = letters[bits >> 18 & 63];
        *out++ = letters[bits >> 12 & 63];
        *out++ = left > 1 ? letters[bits >> 6 & 63] : '=';
        *out++ = left > 2 ? letters[bits & 63] : '=';
    }
    *out = '\0';
    return true;
}

/* Stores one credential. Returns what is wrong with it, or NULL. */
static const char *add(struct auth *auth, enum auth_door door, const char *word,
                       const char *secret) {
    size_t length = strlen(secret), number = auth->access.count;
    struct cmcwh_credential *credential;
    char *kept;

    if (number >= AUTH_LINES_MAX) {
        return "more credentials than this program keeps (64)";
    }
    credential = &auth->credentials[number];
    kept = auth->secrets[number];
    if (strcmp(word, "basic") == 0) {
        credential->kind = CMCWH_BASIC;
        if (strchr(secret, ':') == NULL) {
            return "expected: basic USER:PASSWORD";
        }
        if (!base64(kept, CMCWH_SECRET_MAX + 1, secret, length)) {
            return "this secret is too long";
        }
    } else if (strcmp(word, "bearer") == 0 || strcmp(word, "api_key") == 0) {
        credential->kind = *word == 'b' ? CMCWH_BEARER : CMCWH_API_KEY;
        if (door == AUTH_ADMIN && *word != 'b') {
            return "an API key comes in a webhook's body: expected basic USER:PASSWORD or bearer "
                   "TOKEN";
        }
        if (length == 0) {
            return "the secret is missing";
        }
        if (length > CMCWH_SECRET_MAX) {
            return "this secret is too long";
        }
        memcpy(kept, secret, length + 1);
    } else {
        return door == AUTH_ADMIN ? "expected: basic USER:PASSWORD or bearer TOKEN"
                                  : "expected: basic USER:PASSWORD, bearer TOKEN or api_key KEY";
    }
    credential->secret.data = kept;
    credential->secret.length = strlen(kept);
    auth->access.count++;
    return NULL;
}

/* One line: a word, blanks, the secret up to the end of the line. */
static const char *parse_line(struct auth *auth, enum auth_door door, char *line) {
    char *word = line + strspn(line, " \t"), *secret;
    size_t length;

    if (*word == '\0' || *word == '#') {
        return NULL;
    }
    length = strcspn(word, " \t");
    secret = word + length + strspn(word + length, " \t");
    word[length] = '\0';
    for (char *end = secret + strlen(secret);
         end > secret && (end[-1] == ' ' || end[-1] == '\t');) {
        *--end = '\0';
    }
    return add(auth, door, word, secret);
}

static bool parse(struct auth *auth, enum auth_door door, struct given *file) {
    const char *fault;
    char *line;

    while ((line = given_line(file, &fault)) != NULL) {
        fault = parse_line(auth, door, line);
        if (fault != NULL) {
            break;
        }
    }
    if (fault != NULL) {
        return given_wrong(file, file->line, fault);
    }
    return auth->access.count > 0 || given_wrong(file, 0, "there is no credential in it");
}

/* systemd lets the service's user read its credentials by an ACL, whose mask stands where the
 * rights of the group would: the directory keeps everybody else out. */
static mode_t forbidden(const char *path) {
    return given_is_credential(path) ? S_IWGRP | S_IXGRP | S_IRWXO : S_IRWXG | S_IRWXO;
}

/* What a file says that only its owner may read. */
static struct auth *take(enum auth_door door, struct given *file) {
    struct auth *auth;

    if ((file->mode & forbidden(file->path)) != 0) {
        (void)given_wrong(file, 0, "others may read it; make it private with chmod 600");
        return NULL;
    }
    auth = calloc(1, sizeof *auth);
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

    if (given_read(&file, options[door], path)) {
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
