/* One HTTP request at a time to a server. Not here: what a reply looks like (reply.c). */
#include "platform/client.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "platform/wire.h"

static bool fail(struct client *client, enum client_fault fault, const char *why) {
    client->fault = fault;
    (void)snprintf(client->why, sizeof client->why, "%s", why == NULL ? "" : why);
    return false;
}

/* ---- Connecting ---- */

static bool connect_to(struct client *client, const struct url *url,
                       const struct patience *patience) {
    enum { SILENCE = 30000 /* ms */ };
    struct addrinfo *found;
    int error = reach_find(url->host, url->port, SOCK_STREAM, &found);

    if (error != 0) {
        return fail(client, CLIENT_NAME, gai_strerror(error));
    }
    client->socket = reach(found, SILENCE, patience);
    error = errno;
    freeaddrinfo(found);
    return client->socket >= 0 || fail(client,
                                       error == ECONNREFUSED ? CLIENT_REFUSED
                                       : error == ETIMEDOUT  ? CLIENT_LATE
                                                             : CLIENT_FAR,
                                       error == ECONNREFUSED ? NULL : strerror(error));
}

/* Waits for what a function of TLS waits for. */
static bool wait_for(const struct client *client, int result, const struct patience *patience) {
    return patience_wait(patience, client->socket, result == TLS_READS ? POLLIN : POLLOUT);
}

static bool shake(struct client *client, const struct patience *patience) {
    static const enum client_fault faults[] = {[TLS_DOUBT_NONE] = CLIENT_TLS,
                                               [TLS_DOUBT_TRUST] = CLIENT_UNTRUSTED,
                                               [TLS_DOUBT_NAME] = CLIENT_MISNAMED,
                                               [TLS_DOUBT_TIME] = CLIENT_EXPIRED};
    enum tls_doubt doubt = TLS_DOUBT_NONE;
    const char *why = NULL;
    int result;

    while ((result = tls_call_shake(client->tls, &doubt, &why)) != 0) {
        if (result == TLS_FAILS) {
            return fail(client, faults[doubt], why);
        }
        if (!wait_for(client, result, patience)) {
            return fail(client, CLIENT_LATE, "in the handshake of TLS");
        }
    }
    return true;
}

bool client_connect(struct client *client, const struct url *url, const struct tls_trust *trust,
                    const struct patience *patience) {
    *client = (struct client){.socket = -1};
    if (!connect_to(client, url, patience)) {
        return false;
    }
    if (!url->secure) {
        return true;
    }
    client->tls = tls_call(trust, client->socket, url->host);
    return client->tls == NULL ? fail(client, CLIENT_TLS, strerror(ENOMEM))
                               : shake(client, patience);
}

/* ---- Asking ---- */

static bool send_all_of(struct client *client, const char *bytes, size_t length,
                        const struct patience *patience) {
    while (length > 0) {
        int sent = wire_write(client->tls, client->socket, bytes, length);

        if (sent == TLS_FAILS) {
            return fail(client, CLIENT_BROKEN, "while the request was being sent");
        }
        if (sent < 0 && !wait_for(client, sent, patience)) {
            return fail(client, CLIENT_LATE, "it does not take the request");
        }
        bytes += sent > 0 ? sent : 0;
        length -= sent > 0 ? (size_t)sent : 0;
    }
    return true;
}

/* Nothing more comes. */
static bool end_reply(struct client *client, struct reply *reply, bool clean) {
    if (!clean) {
        return fail(client, CLIENT_BROKEN,
                    reply->status == 0 ? "it was reset before a reply came"
                                       : "it broke in the middle of a reply");
    }
    reply_end(reply);
    return reply->state == REPLY_WHOLE || fail(client, CLIENT_BROKEN, reply->fault);
}

static bool receive_all_of(struct client *client, struct reply *reply,
                           const struct patience *patience) {
    char bytes[4096];

    while (reply->state < REPLY_WHOLE) {
        int got = wire_read(client->tls, client->socket, bytes, sizeof bytes);

        if (got == 0 || got == TLS_FAILS) {
            return end_reply(client, reply, got == 0);
        }
        /* Who sends without a pause is not waited for. */
        if (got > 0 ? patience_over(patience) : !wait_for(client, got, patience)) {
            return fail(client, CLIENT_LATE,
                        reply->status == 0 ? "no reply has come" : "its reply has no end");
        }
        (void)reply_feed(reply, bytes, got > 0 ? (size_t)got : 0);
    }
    return reply->state == REPLY_WHOLE || fail(client, CLIENT_STRANGE, reply->fault);
}

bool client_ask(struct client *client, const void *request, size_t length, struct reply *reply,
                const struct patience *patience) {
    /* Who could not send may still be told why. */
    bool sent = send_all_of(client, request, length, patience);

    if (!sent && client->fault == CLIENT_LATE) {
        return false;
    }
    return receive_all_of(client, reply, patience);
}

bool client_stays(const struct client *client, const struct reply *reply) {
    return client->fault == CLIENT_RIGHT && reply->state == REPLY_WHOLE && reply->stays &&
           (client->tls == NULL || !tls_pending(client->tls));
}

void client_close(struct client *client) {
    if (client->tls != NULL) {
        tls_bye(client->tls);
        tls_close(client->tls);
    }
    if (client->socket >= 0) {
        (void)close(client->socket);
    }
    client->tls = NULL;
    client->socket = -1;
}
