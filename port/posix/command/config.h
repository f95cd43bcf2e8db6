/* What options lead to, before anything is served. */
#ifndef CMCWH_CONFIG_H
#define CMCWH_CONFIG_H

#include "command/options.h"
#include "platform/outcome.h"
#include "sink/sink.h"

/* Parses the sinks, and reads the auth file, the certificate and its key, which are then in force.
 * Unless all are right, one line has said what is wrong. */
enum outcome config_read(const struct options *options, struct sink sinks[CMCWH_READERS_MAX]);

/* Says of files that SIGHUP will read again when this process, whose user may have changed, may not
 * read them. */
void config_say_unreadable(const struct options *options);

/* For --check-config: all that can be known without serving, and without changing anything. A line
 * for each thing that is wrong, or not there now. Returns the exit status; the user has changed. */
int config_check(const struct options *options);

#endif
