/* What an HTTP server sends back (RFC 9112), read in pieces of any size into memory of a fixed one.
 * Nothing here reads from a connection. */
#ifndef CMCWH_REPLY_H
#define CMCWH_REPLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    REPLY_LINE = 512,     /* bytes of a line that are looked at */
    REPLY_HEAD = 65536,   /* most bytes of all lines: longer is a fault */
    REPLY_BODY = 1 << 20, /* most bytes of a body: the same */
    REPLY_TEXT = 256
};

struct reply {
    int status;  /* 0: none has come yet */
    bool headed; /* its head is whole: status and headers stand, whatever becomes of the rest */

    /* The first bytes of the body, `length` of them, at `body`, which is the caller's. */
    char *body;
    size_t room, length;
    bool cut; /* the body is longer */

    bool stays; /* once it is whole: the connection may be used for another request */

    /* Headers as they were sent: not to be printed as they are. "": there is none. */
    char location[REPLY_TEXT];
    char type[64];   /* Content-Type */
    char coding[32]; /* Content-Encoding */
    char retry_after[32];

    const char *fault; /* static text; NULL: nothing is wrong */

    enum reply_state {
        REPLY_STATUS,
        REPLY_HEADER,
        REPLY_LENGTH, /* `left` bytes of the body */
        REPLY_CLOSE,  /* a body up to the end of the connection */
        REPLY_CHUNK,  /* the line with a chunk's size */
        REPLY_DATA,   /* `left` bytes of it */
        REPLY_DATA_END,
        REPLY_TRAILER,
        REPLY_WHOLE,
        REPLY_WRONG
    } state;

    /* Insides. */
    uint64_t left;   /* bytes of the body, or of a chunk, that have not come */
    uint64_t passed; /* those that have */
    bool chunked, sized;
    size_t used, lines; /* bytes of this line, of all lines */
    char line[REPLY_LINE];
};

/* Begins with one that has not come yet. */
void reply_begin(struct reply *reply, char *body, size_t room);

/* Takes what has come. Returns how many bytes it took: all, unless the reply is whole or wrong. */
size_t reply_feed(struct reply *reply, const char *bytes, size_t length);

/* Nothing more will come. After this it is whole or wrong. */
void reply_end(struct reply *reply);

#endif
