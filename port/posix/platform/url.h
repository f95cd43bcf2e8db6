/* The address of something that speaks HTTP. */
#ifndef CMCWH_URL_H
#define CMCWH_URL_H

#include <stdbool.h>

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

#endif
