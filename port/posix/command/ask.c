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

    bearer = bearer != NULL ? bearer : ask_secret(ask, CMCWH_CHAIN);
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

const char *ask_fault(const struct ask *ask) {
    static char text[512];

    client_explain(&ask->client, ask->patience, "--ca", text, sizeof text);
    return text;
}

void ask_end(struct ask *ask) {
    tls_trust_close(ask->trust);
    ask->trust = NULL;
}
