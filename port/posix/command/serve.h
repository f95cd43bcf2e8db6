/* cmcwh serve: its life from options to exit status. */
#ifndef CMCWH_SERVE_H
#define CMCWH_SERVE_H

#include "command/options.h"

/* Returns the process's exit status, an enum outcome. */
int serve(const struct options *options);

#endif
