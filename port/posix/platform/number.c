/* Whole numbers that a person writes. */
#include "platform/number.h"

#include <errno.h>
#include <stdlib.h>

bool number_read(const char *text, uint64_t least, uint64_t most, uint64_t *number) {
    char *end;

    errno = 0;
    *number = strtoull(text, &end, 10);
    return text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0 && *number >= least &&
           *number <= most;
}
