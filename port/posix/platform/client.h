/* One HTTP/1.1 request at a time to a server, over TCP or TLS: connect, send, read what comes back,
 * each within the caller's patience. Memory is the caller's, and does not grow with what comes.
 *
 *   struct client client;
 *   struct reply reply;
 *
 *   reply_begin(&reply, body, sizeof body);
 *   if (client_connect(&client, &url, trust, &patience) &&
 *       client_ask(&client, request, length, &reply, &patience)) {
 *       reply.status ...                     again, if client_stays(&client, &reply)
 *   }
 *   client.fault, client.why                 if one of them was false
 *   client_close(&client);
 *
 * civetweb's client is not enough: it does not look whose certificate it is shown, waits for as
 * long as each byte takes, and cannot be ended. SIGPIPE must be ignored. One thread a client. */
#ifndef CMCWH_CLIENT_H
#define CMCWH_CLIENT_H

#include "platform/reach.h"
#include "platform/reply.h"
#include "tls/client.h"
#include "platform/url.h"

enum client_fault {
    CLIENT_RIGHT,
    CLIENT_NAME,      /* nobody knows the host */
    CLIENT_REFUSED,   /* nobody listens on the port */
    CLIENT_FAR,       /* it cannot be reached */
    CLIENT_LATE,      /* the patience has ended */
    CLIENT_UNTRUSTED, /* TLS: nobody who is believed vouches for its certificate */
    CLIENT_MISNAMED,  /* TLS: its certificate is for somebody else */
    CLIENT_EXPIRED,   /* TLS: its certificate's time has passed or is to come */
    CLIENT_TLS,       /* TLS: something else */
    CLIENT_BROKEN,    /* the connection ended early */
    CLIENT_STRANGE    /* what came is not HTTP/1.1 */
};

struct client {
    int socket;
    struct tls *tls; /* NULL: none */
    enum client_fault fault;
    char why[128]; /* more about it, for people, without an end; "": nothing */
};

/* Which fault it is when a handshake has come to nothing for this. */
enum client_fault client_doubt(enum tls_doubt doubt);

/* `trust` is for https. False: client->fault; then too, client_close. */
bool client_connect(struct client *client, const struct url *url, const struct tls_trust *trust,
                    const struct patience *patience);

/* Sends a request, and reads its reply, which has begun. A server may reply before it has read
 * all. False: client->fault; the connection is of no more use. */
bool client_ask(struct client *client, const void *request, size_t length, struct reply *reply,
                const struct patience *patience);

/* The same in two steps, for a request that is sent in pieces. Who could not send (CLIENT_BROKEN)
 * may still be told why. */
bool client_send(struct client *client, const void *request, size_t length,
                 const struct patience *patience);
bool client_receive(struct client *client, struct reply *reply, const struct patience *patience);

/* After a reply: may another request be sent on this connection? */
bool client_stays(const struct client *client, const struct reply *reply);

/* Between two requests: may it still be? Not if the peer has closed it, or has said what nobody has
 * asked for. Does not wait. */
bool client_stands(const struct client *client);

void client_close(struct client *client);

/* Why nothing came of it and what to do, a sentence. `seconds` was the patience, `ca` is how the
 * user names those who are believed, such as "--ca". */
void client_explain(const struct client *client, unsigned seconds, const char *ca, char *text,
                    size_t size);

#endif
