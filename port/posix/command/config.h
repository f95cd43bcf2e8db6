/* What options lead to, before anything is served. */
#ifndef CMCWH_CONFIG_H
#define CMCWH_CONFIG_H

#include "command/options.h"
#include "door/listen.h"
#include "platform/outcome.h"
#include "sink/sink.h"

/* Where webhooks come, and operators, if there is a place for them. */
struct listeners config_listeners(const struct options *options);
struct listeners config_admin(const struct options *options);

/* How many descriptors the admin port needs. */
unsigned config_descriptors(const struct options *options);

/* Does one of them need root? */
bool config_privileged(const struct options *options);

/* Parses the sinks, and reads the auth file, the certificate and its key, which are then in force.
 * Unless all are right, one line has said what is wrong. */
enum outcome config_read(const struct options *options, struct sink sinks[CMCWH_READERS_MAX]);

/* Becomes the user of --user. Says of the files that SIGHUP will read again, and of names that do
 * not begin with '/', when that user may not get at them. */
enum outcome config_become(const struct options *options, const struct sink *sinks);

/* Says of the ring's file, and of what required sinks keep in files, when a sync keeps nothing of
 * them over a power cut, unless nobody wants that (--sync never). */
void config_warn_places(const struct options *options, const struct sink *sinks);

/* For --check-config: all that can be known without serving, and without changing anything. A line
 * for each thing that is wrong, or not there now. Returns the exit status; the user has changed. */
int config_check(const struct options *options);

#endif
