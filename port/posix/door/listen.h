/* The addresses that are listened on. */
#ifndef CMCWH_LISTEN_H
#define CMCWH_LISTEN_H

#include <stdbool.h>
#include <stddef.h>

enum { LISTEN_MAX = 8 };

/* As the options have them; network_listener has taken each. */
struct listeners {
    const char *const *text;
    unsigned count;
};

/* Are the addresses free? Joins them as civetweb wants them. False: one line has said which is not.
 */
bool listen_join(const struct listeners *listeners, char *out, size_t room);

/* Does one of them need root? */
bool listen_privileged(const struct listeners *listeners);

/* Is one of them without TLS? */
bool listen_plain(const struct listeners *listeners);

/* What an operator should know who lets others than this machine in. */
void listen_warn(const struct listeners *listeners, bool guarded);

#endif
