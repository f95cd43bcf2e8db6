/* Files of credentials, whoever is to show them: who may read such a file, and what its lines say.
 * Nothing of what is in them is ever said. */
#ifndef CMCWH_CREDENTIALS_H
#define CMCWH_CREDENTIALS_H

#include "cmcwh.h"
#include "platform/given.h"

/* Reads a file, as given_read, that only its owner may be able to read. */
bool credentials_read(struct given *file, const char *option, const char *path);

/* The next line that says something, without the blanks around it. NULL: there is none, or *fault
 * says what is wrong. */
char *credentials_line(struct given *file, const char **fault);

/* Cuts a line behind its first word. Returns what stands behind the blanks there, perhaps "". */
char *credentials_split(char *line);

/* Which kind a line's first word begins. False: none. */
bool credentials_kind(const char *word, enum cmcwh_credential_kind *kind);

/* A secret as requests carry it, from what stands behind that word. Returns what is wrong with it,
 * or NULL. */
const char *credentials_secret(enum cmcwh_credential_kind kind, const char *text, char *out,
                               size_t room);

#endif
