/* What civetweb knows of a connection and does not tell through its own header. */
#ifndef CMCWH_CIVETWEB_EXTRA_H
#define CMCWH_CIVETWEB_EXTRA_H

struct mg_connection;

/* Its socket, so that a late request can be cut off with shutdown(). */
int cmcwh_civetweb_socket(const struct mg_connection *connection);

/* Are there accepted connections that wait for a worker? */
int cmcwh_civetweb_waiting(const struct mg_connection *connection);

/* Has the whole body been read: all of its length, or its last chunk? */
int cmcwh_civetweb_body_whole(const struct mg_connection *connection);

#endif
