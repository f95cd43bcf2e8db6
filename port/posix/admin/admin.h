/* The admin port: a listener, a thread and memory of its own, so that neither side can starve the
 * other. */
#ifndef CMCWH_ADMIN_H
#define CMCWH_ADMIN_H

#include "admin/status.h"
#include "platform/outcome.h"

/* Connections at most, and how many of them may be streams of events. */
enum { ADMIN_CONNECTIONS = 32, ADMIN_STREAMS = 16 };

/* What it points to must stay. */
struct admin_config {
    const char *listen; /* ADDR:PORT of --admin, as network_listener has taken it */
    const char *const *hosts;
    unsigned host_count; /* of --admin-host */
    bool hide;           /* addresses are never shown */
    struct cmcwh_ring *ring;
    struct status_source *source;
};

/* Descriptors that it may need. */
enum { ADMIN_DESCRIPTORS = ADMIN_CONNECTIONS + 2 };

struct admin;

/* Is it built in? */
bool admin_built_in(void);

/* Listens, takes all memory, and answers. If it cannot, one line has said why. Until admin_serves,
 * nothing is looked at of what the configuration points to: whoever asks learns that it starts. */
enum outcome admin_open(const struct admin_config *config, struct admin **opened);

/* Says where it listens, and what it takes. */
void admin_say(const struct admin *admin);

/* The webhook's side serves. */
void admin_serves(struct admin *admin);

/* Ends it, whoever is being answered. False: its thread hangs, and everything stays as it is. NULL:
 * nothing. */
bool admin_close(struct admin *admin);

#endif
