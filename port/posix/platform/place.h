/* What becomes of a file when the power fails: what the system says of the place where it is. */
#ifndef CMCWH_PLACE_H
#define CMCWH_PLACE_H

#include <stdbool.h>

enum { PLACE_WHY = 160 };

/* Is this file, or the one that would be made there, in memory, so that a sync keeps nothing? Then
 * `why` says so: "is on tmpfs, which is memory". False: it is not, as far as can be known: what is
 * behind a file system of the network, of a host or of a program nobody says. Leaves errno alone.
 */
bool place_fades(const char *path, char why[PLACE_WHY]);

#endif
