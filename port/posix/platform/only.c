/* Lists of events, and what is wrong with them. What their words mean, the portable part knows. */
#include "platform/only.h"

#include <stdio.h>
#include <string.h>

bool only_read(struct cmcwh_filter *filter, const char *list, char expected[ONLY_EXPECTED]) {
    enum { SHOWN = 64 };
    unsigned word = 1;
    int length;
    size_t at;

    if (cmcwh_filter_parse(filter, (struct cmcwh_text){list, strlen(list)}, &at) == CMCWH_OK) {
        return true;
    }
    for (size_t i = 0; i < at; i++) {
        word += list[i] == ',';
    }
    length = (int)strcspn(list + at, ",");
    (void)snprintf(expected, ONLY_EXPECTED,
                   "deliveries, bounces, bounces:NUMBER (1 to 11, 99, 0: others), blocks, other, "
                   "queued, succeeded, failed or deferred, with commas between, not '%.*s' as word "
                   "%u",
                   length < SHOWN ? length : SHOWN, list + at, word);
    return false;
}
