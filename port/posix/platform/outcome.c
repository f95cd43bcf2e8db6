/* Which errors of the system pass by themselves. Not here: what fails. */
#include "platform/outcome.h"

#include <errno.h>
#include <stddef.h>

enum outcome outcome_of(int error) {
    static const int passing[] = {
        EAGAIN, EINTR, EBUSY,      ENOMEM,  EMFILE, ENFILE,    ENOSPC,  EDQUOT, EIO,
        EFBIG,  ENXIO, EADDRINUSE, ENOBUFS, ESTALE, ETIMEDOUT, ETXTBSY, ENODEV,
    };

    for (size_t i = 0; i < sizeof passing / sizeof *passing; i++) {
        if (error == passing[i]) {
            return OUTCOME_FAILED;
        }
    }
    return OUTCOME_WRONG;
}

enum outcome outcome_worse(enum outcome one, enum outcome other) {
    return one > other ? one : other;
}
