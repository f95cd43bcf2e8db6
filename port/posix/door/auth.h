/* The auth file: who may post. */
#ifndef CMCWH_AUTH_H
#define CMCWH_AUTH_H

#include "cmcwh.h"

enum { AUTH_LINES_MAX = 64 };

/* What a file held. One that is replaced stays until no request uses it any more. */
struct auth {
    struct cmcwh_access access;
    struct cmcwh_credential credentials[AUTH_LINES_MAX];
    char secrets[AUTH_LINES_MAX][CMCWH_SECRET_MAX + 1];
    unsigned users;
};

/* Reads a file. NULL when it cannot be taken: then one line has said why, and errno is the system's
 * error, EINVAL when it has none. */
struct auth *auth_read(const char *path);

/* Makes `auth` (NULL: everybody may post) the one in force. Any thread. */
void auth_use(struct auth *auth);

/* The one in force, until auth_release. Any thread. */
struct auth *auth_hold(void);
void auth_release(struct auth *auth);

#endif
