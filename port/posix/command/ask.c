/* A command asks a server over HTTP. Not here: what for. */
#include "command/ask.h"

#include <signal.h>
#include <stdio.h>

#include "command/arguments.h"
#include "platform/log.h"
#include "platform/platform.h"

bool ask_prepare(struct ask *ask) {
    enum { USUAL = 10, MOST = 600 }; /* seconds */

    ask->patience = USUAL;
    if (!arguments_seconds(ask->command, "--timeout", ask->seconds, MOST, &ask->patience)) {
        return false;
    }
    if (ask->url.secure && !tls_built_in()) {
        log_usage("%s: no https: this build has no TLS", ask->command);
        return false;
    }
    (void)signal(SIGPIPE, SIG_IGN);
    if (ask->auth_file != NULL) {
        ask->auth = auth_read(AUTH_WEBHOOKS, ask->auth_file);
    }
    if (ask->auth_file != NULL && ask->auth == NULL) {
        return false;
    }
    ask->trust = ask->url.secure ? tls_trust_open("--ca", ask->ca) : NULL;
    return !ask->url.secure || ask->trust != NULL;
}

const char *ask_secret(const struct ask *ask, enum cmcwh_credential_kind kind) {
    for (size_t i = 0; ask->auth != NULL && i < ask->auth->access.count; i++) {
        if (ask->auth->credentials[i].kind == kind) {
            return ask->auth->secrets[i];
        }
    }
    return NULL;
}

void ask_authorization(const struct ask *ask, struct writer *writer) {
    const char *basic = ask_secret(ask, CMCWH_BASIC), *bearer = ask_secret(ask, CMCWH_BEARER);

    if (basic != NULL || bearer != NULL) {
        writer_text(writer, basic != NULL ? "Authorization: Basic " : "Authorization: Bearer ");
        writer_text(writer, basic != NULL ? basic : bearer);
        writer_text(writer, "\r\n");
    }
}

bool ask_send(struct ask *ask, const struct writer *request, struct reply *reply) {
    const struct patience patience = {.until = platform_ticks() + ask->patience * UINT64_C(1000)};
    bool right = client_connect(&ask->client, &ask->url, ask->trust, &patience) &&
                 client_ask(&ask->client, request->bytes, request->used, reply, &patience);

    client_close(&ask->client);
    return right;
}

/* What to do about it. */
static const char *remedy_of(enum client_fault fault) {
    switch (fault) {
    case CLIENT_NAME:
        return "is the host's name right, and known to this machine?";
    case CLIENT_REFUSED:
        return "nobody listens there: is the server running, and is the port right?";
    case CLIENT_FAR:
        return "it cannot be reached from here: is there a way to it?";
    case CLIENT_LATE:
        return "a firewall that drops, or a server that hangs?";
    case CLIENT_UNTRUSTED:
        return "its certificate is not trusted: the chain must be whole, or --ca name who signed "
               "it";
    case CLIENT_MISNAMED:
        return "its certificate is for another name: use one that stands in it";
    case CLIENT_EXPIRED:
        return "its certificate must be renewed, or this clock set";
    case CLIENT_TLS:
        return "TLS could not be agreed on: does it speak HTTPS on that port?";
    case CLIENT_BROKEN:
        return "does it, or a front before it, speak HTTP on that port, or HTTPS?";
    case CLIENT_STRANGE:
    case CLIENT_RIGHT:
        break;
    }
    return "is it a server for HTTP?";
}

const char *ask_fault(const struct ask *ask) {
    static const char *const what[] = {
        [CLIENT_RIGHT] = "",
        [CLIENT_NAME] = "the host is not found",
        [CLIENT_REFUSED] = "the connection was refused",
        [CLIENT_FAR] = "no connection",
        [CLIENT_LATE] = "it took too long",
        [CLIENT_UNTRUSTED] = "no connection over TLS",
        [CLIENT_MISNAMED] = "no connection over TLS",
        [CLIENT_EXPIRED] = "no connection over TLS",
        [CLIENT_TLS] = "no connection over TLS",
        [CLIENT_BROKEN] = "the connection broke",
        [CLIENT_STRANGE] = "what came is no answer",
    };
    static char text[512];
    const struct client *client = &ask->client;
    char late[32] = "";

    if (client->fault == CLIENT_LATE) {
        (void)snprintf(late, sizeof late, " (%u s)", ask->patience);
    }
    (void)snprintf(text, sizeof text, "%s%s%s%s: %s", what[client->fault], late,
                   client->why[0] != '\0' ? ": " : "", client->why, remedy_of(client->fault));
    return text;
}

void ask_end(struct ask *ask) {
    tls_trust_close(ask->trust);
    ask->trust = NULL;
}
