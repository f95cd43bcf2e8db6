/* The auth files: who may post, and who may look. */
#ifndef CMCWH_AUTH_H
#define CMCWH_AUTH_H

#include "cmcwh.h"

enum { AUTH_LINES_MAX = 64 };

/* What a file is for. */
enum auth_door { AUTH_WEBHOOKS, AUTH_ADMIN };
enum { AUTH_DOORS = AUTH_ADMIN + 1 };

/* What a file held. One that is replaced stays until no request uses it any more. */
struct auth {
    struct cmcwh_access access;
    struct cmcwh_credential credentials[AUTH_LINES_MAX];
    char secrets[AUTH_LINES_MAX][CMCWH_SECRET_MAX + 1];
    unsigned users;
};

/* Reads a file. NULL when it cannot be taken: then one line has said why, and errno is the system's
 * error, EINVAL when it has none. An API key is of no use at the admin port: requests there have no
 * body. */
struct auth *auth_read(enum auth_door door, const char *path);

/* Makes `auth` (NULL: everybody may) the one in force. Any thread. */
void auth_use(enum auth_door door, struct auth *auth);

/* The one in force, until auth_release. Any thread. */
struct auth *auth_hold(enum auth_door door);
void auth_release(struct auth *auth);

#endif
