/* The addresses that are listened on. */
#ifndef CMCWH_LISTEN_H
#define CMCWH_LISTEN_H

#include <stdbool.h>
#include <stddef.h>

#include "platform/outcome.h"

enum { LISTEN_MAX = 8 };

/* As the options have them; network_listener has taken each. */
struct listeners {
    const char *option; /* that names them, for messages */
    const char *const *text;
    unsigned count;
};

/* A socket that listens. */
struct listener {
    int socket;
    bool secure; /* HTTPS */
    unsigned port;
};

/* Listens on all of them, also at an address that this machine does not have yet; a connection may
 * send nothing for `defer` seconds before it is accepted. If it cannot, one line has said on which;
 * listen_close in any case. */
enum outcome listen_open(const struct listeners *listeners, unsigned defer, struct listener *out);

/* Could it listen on all of them now, unless somebody does? One line has said of each on which it
 * could not. */
enum outcome listen_look(const struct listeners *listeners);

/* Those that are zero, too. */
void listen_close(struct listener *listener, unsigned count);

/* Says where it listens, at the real port where 0 was asked for. */
void listen_say(const struct listeners *listeners, const struct listener *listener,
                const char *path);

/* Does one of them need root? */
bool listen_privileged(const struct listeners *listeners);

/* Can only this machine reach what listens there? */
bool listen_loopback(const char *text);

/* What an operator should know who lets others than this machine in. */
void listen_warn(const struct listeners *listeners, bool guarded);

#endif
