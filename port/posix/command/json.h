/* Looking something up in a JSON text that is held in memory. */
#ifndef CMCWH_JSON_H
#define CMCWH_JSON_H

#include <stdbool.h>
#include <stddef.h>

/* The value at `path`, the names of members with dots between, in an object: a string without its
 * quotes, or a number or word as it stands. \" and \\ come out as they mean, other escapes as they
 * are: nothing of it acts on a terminal. False: there is none, it is no such value, or does not fit
 * into `size` bytes with a zero at its end. */
bool json_find(const char *json, size_t length, const char *path, char *out, size_t size);

#endif
