/* The address of something that speaks HTTP. */
#ifndef CMCWH_URL_H
#define CMCWH_URL_H

#include <stdbool.h>
#include <stddef.h>

#include "cmcwh.h"

struct url {
    bool secure;         /* https */
    char host[256];      /* a name or an address, without brackets */
    char port[6];        /* the scheme's, if none was given */
    char authority[272]; /* host and port as the header Host has them */
    const char *path;    /* with its query; begins with '/'. A part of the text */
};

/* "http://HOST[:PORT][/PATH]" or "https://..."; `text` must stay. NULL, or what was expected.
 * Nothing that would be another request, or another header, passes. */
const char *url_parse(struct url *url, const char *text);

/* Who stands before the host, with the '@': "user:password@" of "https://user:password@host/".
 * Empty: nobody does. Whatever can be seen in a list of processes is no place for a password: it is
 * refused, and not shown once more. */
struct cmcwh_text url_user(const char *text);

/* A text for messages, with "***" for a user and password, and "..." for what is beyond `size`.
 * Returns `out`. */
const char *url_shown(const char *text, char *out, size_t size);

/* The byte that two digits behind a '%' stand for. -1: none, or a zero, which would end a text. */
int url_byte(const char *digits);

/* `text` with each %XX as the byte that it stands for. False: a '%' is no such, or `size` bytes are
 * too few. */
bool url_decode(const char *text, char *out, size_t size);

#endif
