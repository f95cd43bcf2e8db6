/* A command asks a server over HTTP: the options that this takes, the request, and in words why
 * nothing came of it. */
#ifndef CMCWH_ASK_H
#define CMCWH_ASK_H

#include "door/auth.h"
#include "platform/client.h"
#include "platform/writer.h"

struct ask {
    const char *command;
    const char *auth_file, *ca, *seconds; /* as given; NULL: not */
    struct url url;
    const struct auth *auth; /* NULL: no credentials */
    struct tls_trust *trust; /* of https */
    unsigned patience;       /* seconds, for the whole */
    struct client client;
};

/* The options of `ask`, for struct arguments: "--auth-file", "--ca", "--timeout". */
#define ASK_OPTIONS(ask)                                                                           \
    {"--auth-file", NULL, &(ask).auth_file}, {"--ca", NULL, &(ask).ca}, {                          \
        "--timeout", NULL, &(ask).seconds                                                          \
    }

/* Reads what the options name; the URL has been parsed. False: one line has said what is wrong. */
bool ask_prepare(struct ask *ask);

/* The first credential of a kind; NULL: there is none. */
const char *ask_secret(const struct ask *ask, enum cmcwh_credential_kind kind);

/* The header Authorization, if there are credentials for one: Basic, or else Bearer. */
void ask_authorization(const struct ask *ask, struct writer *writer);

/* One request on a connection of its own. False: ask_fault. */
bool ask_send(struct ask *ask, const struct writer *request, struct reply *reply);

/* Why nothing came of it and what to do, a sentence; good until the next call. */
const char *ask_fault(const struct ask *ask);

void ask_end(struct ask *ask);

#endif
