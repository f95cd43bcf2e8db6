/* One HTTP request at a time to a server. Not here: what a reply looks like (reply.c). */
#include "platform/client.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
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
    if (client->socket < 0) {
        return fail(client,
                    error == ECONNREFUSED ? CLIENT_REFUSED
                    : error == ETIMEDOUT  ? CLIENT_LATE
                                          : CLIENT_FAR,
                    error == ECONNREFUSED ? NULL : strerror(error));
    }
    /* What is sent is sent at once, in pieces or not. */
    (void)setsockopt(client->socket, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    return true;
}

/* Waits for what a function of TLS waits for. */
static bool wait_for(const struct client *client, int result, const struct patience *patience) {
    return patience_wait(patience, client->socket, result == TLS_READS ? POLLIN : POLLOUT);
}

enum client_fault client_doubt(enum tls_doubt doubt) {
    static const enum client_fault faults[] = {[TLS_DOUBT_NONE] = CLIENT_TLS,
                                               [TLS_DOUBT_TRUST] = CLIENT_UNTRUSTED,
                                               [TLS_DOUBT_NAME] = CLIENT_MISNAMED,
                                               [TLS_DOUBT_TIME] = CLIENT_EXPIRED};

    return faults[doubt];
}

static bool shake(struct client *client, const struct patience *patience) {
    enum tls_doubt doubt = TLS_DOUBT_NONE;
    const char *why = NULL;
    int result;

    while ((result = tls_call_shake(client->tls, &doubt, &why)) != 0) {
        if (result == TLS_FAILS) {
            return fail(client, client_doubt(doubt), why);
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

/* The connection has ended; over TLS its end may have been told. */
static bool broken(struct client *client, const char *when) {
    const char *alert = client->tls == NULL ? NULL : tls_alert(client->tls);

    return alert == NULL ? fail(client, CLIENT_BROKEN, when) : fail(client, CLIENT_TLS, alert);
}

bool client_send(struct client *client, const void *request, size_t length,
                 const struct patience *patience) {
    const char *bytes = request;

    while (length > 0) {
        int sent = wire_write(client->tls, client->socket, bytes, length);

        if (sent == TLS_FAILS) {
            return broken(client, "while the request was being sent");
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
        return broken(client, reply->status == 0 ? "it was reset before a reply came"
                                                 : "it broke in the middle of a reply");
    }
    reply_end(reply);
    return reply->state == REPLY_WHOLE || fail(client, CLIENT_BROKEN, reply->fault);
}

bool client_receive(struct client *client, struct reply *reply, const struct patience *patience) {
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
        if (got > 0 && reply_feed(reply, bytes, (size_t)got) < (size_t)got) {
            reply->stays = false; /* the rest would seem the next one */
        }
    }
    return reply->state == REPLY_WHOLE || fail(client, CLIENT_STRANGE, reply->fault);
}

bool client_ask(struct client *client, const void *request, size_t length, struct reply *reply,
                const struct patience *patience) {
    /* Who could not send may still be told why. */
    bool sent = client_send(client, request, length, patience);

    return (sent || client->fault != CLIENT_LATE) && client_receive(client, reply, patience);
}

bool client_stays(const struct client *client, const struct reply *reply) {
    return client->fault == CLIENT_RIGHT && reply->state == REPLY_WHOLE && reply->stays &&
           (client->tls == NULL || !tls_pending(client->tls));
}

bool client_stands(const struct client *client) {
    char byte;

    return client->socket >= 0 &&
           wire_read(client->tls, client->socket, &byte, sizeof byte) == TLS_READS;
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

/* ---- In words ---- */

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
        return "its certificate is not trusted: the chain must be whole, or ";
    case CLIENT_MISNAMED:
        return "its certificate is for another name: use one that stands in it";
    case CLIENT_EXPIRED:
        return "its certificate must be renewed, or this clock set";
    case CLIENT_TLS:
        return "does it speak HTTPS on that port, or want a certificate of ours?";
    case CLIENT_BROKEN:
        return "does it, or a front before it, speak HTTP on that port, or HTTPS?";
    case CLIENT_STRANGE:
    case CLIENT_RIGHT:
        break;
    }
    return "is it a server for HTTP?";
}

void client_explain(const struct client *client, unsigned seconds, const char *ca, char *text,
                    size_t size) {
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
    char late[32] = "";
    bool untrusted = client->fault == CLIENT_UNTRUSTED;

    if (client->fault == CLIENT_LATE) {
        (void)snprintf(late, sizeof late, " (%u s)", seconds);
    }
    (void)snprintf(text, size, "%s%s%s%s: %s%s%s", what[client->fault], late,
                   client->why[0] != '\0' ? ": " : "", client->why, remedy_of(client->fault),
                   untrusted ? ca : "", untrusted ? " name who signed it" : "");
}
