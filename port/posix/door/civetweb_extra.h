/* How civetweb is driven without threads and sockets of its own: what its own header cannot do. */
#ifndef CMCWH_CIVETWEB_EXTRA_H
#define CMCWH_CIVETWEB_EXTRA_H

#include <stddef.h>

struct mg_connection;
struct mg_context;

/* Its settings, and `count` connections that are made by hand. NULL: no memory. */
struct mg_context *cmcwh_civetweb_open(size_t count);
void cmcwh_civetweb_close(struct mg_context *context);
struct mg_connection *cmcwh_civetweb_connection(struct mg_context *context, size_t number);

/* Before the first request of a connection: it has one at a time in `buffer`, which stays the
 * caller's. The head may be as long as that but for CMCWH_CIVETWEB_ROOM, in which bodies come.
 * `data` is what mg_get_user_connection_data returns. */
#define CMCWH_CIVETWEB_ROOM 1024

void cmcwh_civetweb_place(struct mg_connection *connection, struct mg_context *context,
                          char *buffer, size_t size, void *data);

/* From now on it is a connection to our `port` from the address `peer`, and nothing of it has come.
 */
void cmcwh_civetweb_begin(struct mg_connection *connection, int secure, const char *peer,
                          unsigned port);

/* Where the bytes that come next are to be put, and how many may be. */
char *cmcwh_civetweb_room(struct mg_connection *connection, size_t *room);
void cmcwh_civetweb_came(struct mg_connection *connection, size_t length);

/* Has nothing come? */
int cmcwh_civetweb_empty(const struct mg_connection *connection);

/* Reads the head: 200 when it is there; 0 when more of it must come, and may; or the status that it
 * is refused with. */
int cmcwh_civetweb_request(struct mg_connection *connection, int ended);

/* What is wrong with the head of the request that is being handled, by RFC 9112; NULL: nothing.
 * civetweb itself takes white space where none may be, bare LF, and no header after a bad one. */
const char *cmcwh_civetweb_head_fault(const struct mg_connection *connection);

/* What has come behind the head, and was not taken. */
size_t cmcwh_civetweb_body(const struct mg_connection *connection, const char **bytes);
void cmcwh_civetweb_took(struct mg_connection *connection, size_t length);

/* Done with the request. How many bytes have come of the next one. */
size_t cmcwh_civetweb_next(struct mg_connection *connection);

/* Was it said to the client that the connection is closed? */
int cmcwh_civetweb_closes(const struct mg_connection *connection);

#endif
