/* What civetweb knows of a connection and does not tell through its own header. */
#ifndef CMCWH_CIVETWEB_EXTRA_H
#define CMCWH_CIVETWEB_EXTRA_H

#include <poll.h>

struct mg_connection;
struct mg_context;
struct sockaddr;

/* To be set before civetweb is started; NULL: there is no gate. Called for each connection that was
 * accepted: may civetweb have it? If not, it comes back with cmcwh_civetweb_produce, or is closed.
 */
extern int (*cmcwh_civetweb_gate)(struct mg_context *context, int connection, int secure);

/* To be set before civetweb is started; NULL: poll itself. Waits for one connection, in place of
 * poll; negative: the worker closes the connection. */
extern int (*cmcwh_civetweb_poll)(struct pollfd *polled, int ms);

/* Gives a connection to the workers. Waits while their queue is full. `peer` is its remote address,
 * NULL: the socket's. */
void cmcwh_civetweb_produce(struct mg_context *context, int connection, int secure,
                            const struct sockaddr *peer);

/* Lets the kernel keep connections that send nothing, for some seconds. */
void cmcwh_civetweb_defer(struct mg_context *context, int seconds);

/* Its socket, so that a late request can be cut off with shutdown(). */
int cmcwh_civetweb_socket(const struct mg_connection *connection);

/* What is wrong with the head of the request that is being handled, by RFC 9112; NULL: nothing.
 * civetweb itself takes white space where none may be, bare LF, and no header after a bad one. */
const char *cmcwh_civetweb_head_fault(const struct mg_connection *connection);

/* Was a request read that no handler was called for? civetweb drops requests for other servers
 * (in absolute form) without an answer. */
int cmcwh_civetweb_unanswered(const struct mg_connection *connection);

/* Has the whole body been read: all of its length, or its last chunk? */
int cmcwh_civetweb_body_whole(const struct mg_connection *connection);

/* Once the request has been answered: have bytes behind it been read already? */
int cmcwh_civetweb_ahead(const struct mg_connection *connection);

/* Can nobody but civetweb go on with the connection, because it has TLS? */
int cmcwh_civetweb_bound(const struct mg_connection *connection);

/* Who is at its other end. */
const struct sockaddr *cmcwh_civetweb_peer(const struct mg_connection *connection);

/* Makes civetweb forget its socket. While civetweb closes the connection. */
void cmcwh_civetweb_separate(struct mg_connection *connection);

/* Will civetweb take another request from this connection? Not behind a chunked body with a
 * trailer, or whose last line was late, and not when the client wants another protocol. To be asked
 * when the body has been read. */
int cmcwh_civetweb_stays(const struct mg_connection *connection);

#endif
