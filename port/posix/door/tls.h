/* HTTPS: the certificate and its key, and what civetweb needs of OpenSSL. In a build without TLS
 * every function fails. */
#ifndef CMCWH_TLS_H
#define CMCWH_TLS_H

#include <stdbool.h>

/* Is TLS built in? */
bool tls_built_in(void);

/* Reads a certificate (with its chain) and its key, both PEM, for connections that begin from now
 * on. False: one line has said what is wrong, and what was read before stays in force. One
 * thread. */
bool tls_load(const char *certificate, const char *key);

/* For civetweb's external_ssl_ctx callback: 1, the context is ours; -1: it cannot be made. */
int tls_context(void **context);

/* When no connection is left. */
void tls_end(void);

#endif
