/* How much of a request has come, seen from outside: the bytes are still in the kernel. */
#ifndef CMCWH_LOOK_H
#define CMCWH_LOOK_H

#include <stddef.h>
#include <stdint.h>

enum {
    LOOK_WHOLE_MAX = 65536, /* a request up to this is waited for in the kernel */
    LOOK_RECORD = 5         /* bytes of a TLS record's header */
};

enum look {
    LOOK_WAITS, /* it is worth another look when *need bytes are there */
    LOOK_WHOLE, /* it is there, *need bytes of it */
    LOOK_PIECES /* it is large, or its end cannot be told, or it is wrong: to be read as it comes */
};

/* What to do with a request of which these bytes were looked at, out of `there` that are there.
 * Bodies longer than `longest` will be refused, and are not waited for. */
enum look look_request(const char *bytes, size_t looked, size_t there, uint64_t longest,
                       size_t *need);

/* The same of a TLS record: LOOK_WHOLE too when it is none. */
enum look look_record(const unsigned char *bytes, size_t looked, size_t there, size_t *need);

#endif
